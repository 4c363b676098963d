--- Where the keys come from.
--
-- A provider is a function, `provider(world)`, that returns a credentials table or
-- `nil, message, err`; your own function is as good as those made here. `world` replaces the
-- clock, files, HTTP and so on (see `emr.World`); a client hands over its own, so that nothing
-- blocks an event loop. Without one the providers block, and inside nginx those that need HTTP or
-- a process then return kind `unsupported`.
--
-- Every constructor takes one table; a wrong name, type or value in it raises. Making a provider
-- does nothing yet: files, variables and services are read when it is called, each time anew.
-- `cached` keeps the key between calls; a client does that by itself.
--
-- Failures have the kind `credentials` and a code: `none` (nothing set up), `incomplete` (half of
-- it), `unreadable`, `malformed`, `expired` (log in again), `unavailable` (may work later). They
-- show neither keys nor what a file holds.

local cache = require "emr.credentials.cache"
local chain = require "emr.credentials.chain"
local environment = require "emr.credentials.environment"
local ini = require "emr.credentials.ini"
local keys = require "emr.credentials.keys"
local metadata = require "emr.credentials.metadata"
local options = require "emr.options"
local process = require "emr.credentials.process"
local profile = require "emr.credentials.profile"
local sts = require "emr.credentials.sts"
local uri = require "emr.credentials.uri"

---@class emr.credentials
local M = {}

local STATIC_RULES = {}
for _, field in ipairs(keys.FIELDS) do
    STATIC_RULES[field] = function(value)
        if keys.problem(field, value) then
            return ("1 to %d printable ASCII characters, no blank"):format(keys.LIMITS[field])
        end
    end
end

--- A key that is given in the program. Half a pair raises.
---@param given {access_key_id: string, access_key_secret: string, security_token: string?}
---@return emr.Provider
function M.static(given)
    local found = options.check(given, STATIC_RULES, "credentials.static")
    local source = found.security_token and "static_sts" or "static_ak"
    local key, message = keys.new("credentials.static", source, found)
    if not key then
        error(message, 2)
    end
    return function()
        return key
    end
end

--- `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET` and, for an STS key,
-- `ALIBABA_CLOUD_SECURITY_TOKEN`.
---@type fun(given?: {}): emr.Provider
M.environment = environment.environment

--- A role taken on with the token of an identity provider (`AssumeRoleWithOIDC`), as pods in
-- Kubernetes do. The token's file is read each time. What is not given comes from
-- `ALIBABA_CLOUD_ROLE_ARN`, `ALIBABA_CLOUD_OIDC_PROVIDER_ARN`, `ALIBABA_CLOUD_OIDC_TOKEN_FILE`
-- and `ALIBABA_CLOUD_ROLE_SESSION_NAME`.
---@type fun(given?: emr.RoleSettings): emr.Provider
M.oidc = sts.oidc

--- A profile of the vendor's CLI (`aliyun configure`), of the modes AK, StsToken, RamRoleArn,
-- ChainableRamRoleArn, EcsRamRole, OIDC, External, CredentialsURI, CloudSSO and OAuth. The file
-- is only read; a CloudSSO or OAuth login that is over is code `expired`.
---@type fun(given?: {file: string?, name: string?}): emr.Provider
M.profile = profile.profile

--- A section of the SDKs' INI file, of the types access_key, ecs_ram_role, ram_role_arn and
-- oidc_role_arn.
---@type fun(given?: {file: string?, section: string?}): emr.Provider
M.ini = ini.ini

--- The role attached to the ECS instance this runs on. Gives up after 2 s in all.
---@type fun(given?: emr.EcsSettings): emr.Provider
M.ecs = metadata.ecs

--- A service that answers `GET url` with an STS key; `ALIBABA_CLOUD_CREDENTIALS_URI` if no url.
---@type fun(given?: {url: string?}): emr.Provider
M.uri = uri.uri

--- A program that prints a key as JSON, as the CLI's mode External. The command is split into
-- words like a shell's, but no shell runs; after 60 s it is killed. Not inside nginx.
---@type fun(given: {command: string}): emr.Provider
M.process = process.process

---@class emr.AssumeRoleSettings: emr.RoleSettings
---@field source emr.Provider   whose key asks for the role

--- A role taken on with the key of another provider (`AssumeRole`).
---@type fun(given: emr.AssumeRoleSettings): emr.Provider
M.assume_role = sts.assume_role

--- Several providers, asked in turn until one has a key; only that one is asked from then on, and
-- its failures are final. When none has a key the message names every reason, and `err.sources`
-- lists them in full.
---@type fun(given: emr.Provider[]): emr.Provider
M.chain = chain.chain

--- The chain of the vendor's SDKs: environment, OIDC, CLI profile (unless
-- `ALIBABA_CLOUD_CLI_PROFILE_DISABLED=true`), INI file, ECS metadata (unless
-- `ALIBABA_CLOUD_ECS_METADATA_DISABLED=true`), credentials URI.
---@type fun(given?: {}): emr.Provider
M.default = chain.default

--- Keep a provider's key between calls. It is renewed 300 to 360 s before its end (a key that
-- lives under 15 min: after 80 % of its life) by one caller, while the others go on with the old
-- one; only in its last minute they wait, at most 5 s. When renewing fails, a good key stays in
-- use and the next try is 10, 20, 40, then 60 s away. A provider that is cached already is
-- returned as it is.
--
-- The result takes a second argument: a credentials table that the API refused as expired. If
-- that is still the key, it is renewed at once, but not twice within 10 s; code `expired` when
-- the source has no other.
---@type fun(provider: emr.Provider, world?: emr.World): emr.Provider
M.cached = cache.cached

--- The region that the CLI profile in use names. Whatever is wrong with the file: nil.
---@type fun(world?: emr.World, given?: {file: string?, name: string?}): string?
M.region = profile.region

return M
