--- The profiles of the vendor's CLI, `~/.aliyun/config.json`. Only read, never written.

local failure = require "emr.failure"
local options = require "emr.options"
local files = require "emr.credentials.files"
local keys = require "emr.credentials.keys"
local login = require "emr.credentials.login"
local metadata = require "emr.credentials.metadata"
local process = require "emr.credentials.process"
local sts = require "emr.credentials.sts"
local text = require "emr.credentials.text"
local uri = require "emr.credentials.uri"
local worlds = require "emr.credentials.world"

local WHAT = "CLI profile"
local DEFAULT_PATH = ".aliyun/config.json"

local M = {}

---@class emr.ProfileSettings
---@field file? string    nil: $ALIBABA_CLOUD_CONFIG_FILE, else ~/.aliyun/config.json
---@field name? string    nil: $ALIBABA_CLOUD_PROFILE, else what the file calls current
---@field guess? boolean  nobody named the file (the default chain): its absence is code `none`

local RULES = { file = text.some, name = text.some }

-- What we read of a profile. Other members are the CLI's own business.
local FIELDS = {
    name = "string",
    mode = "string",
    region_id = "string",
    access_key_id = "string",
    access_key_secret = "string",
    sts_token = "string",
    ram_role_arn = "string",
    ram_session_name = "string",
    role_session_name = "string", -- ram_session_name, as the Python SDK calls it
    expired_seconds = "number",
    policy = "string",
    external_id = "string",
    sts_region = "string",
    sts_endpoint = "string",
    enable_vpc = "boolean",
    source_profile = "string",
    ram_role_name = "string",
    oidc_provider_arn = "string",
    oidc_token_file = "string",
    cloud_sso_sign_in_url = "string",
    cloud_sso_account_id = "string",
    cloud_sso_access_config = "string",
    access_token = "string",
    cloud_sso_access_token_expire = "number",
    oauth_site_type = "string",
    oauth_access_token = "string",
    oauth_access_token_expire = "number",
    process_command = "string",
    credentials_uri = "string",
}

local function path_of(world, settings)
    local named = settings.file or worlds.env(world, "ALIBABA_CLOUD_CONFIG_FILE")
    return named or files.in_home(world, DEFAULT_PATH), named ~= nil
end

local function load(world, settings)
    local path, is_named = path_of(world, settings)
    if not path then
        return failure("credentials", "none", WHAT .. ": HOME is not set, so no ~/" .. DEFAULT_PATH)
    end
    local content, mode, err = files.read(world, WHAT, path)
    if not content then
        if settings.guess and not is_named and files.is_missing(mode) then
            return failure("credentials", "none", ("%s: no file %s"):format(WHAT, path))
        end
        return nil, mode, err
    end
    local document, message
    document, message, err = files.decode(WHAT, path, content)
    if not document then
        return nil, message, err
    end
    return { path = path, mode = mode, document = document }
end

local function malformed(path, problem)
    return failure("credentials", "malformed", ("%s: %s: %s"):format(WHAT, path, problem))
end

local function name_of(world, loaded, settings)
    local name = settings.name or worlds.env(world, "ALIBABA_CLOUD_PROFILE")
        or loaded.document.current
    if type(name) == "string" and name ~= "" then
        return name
    end
    return malformed(loaded.path, "it names no current profile: set ALIBABA_CLOUD_PROFILE")
end

-- The fields we know, of the right types; empty text counts as absent.
local function typed(path, name, profile)
    local fields = {}
    for field, wanted in pairs(FIELDS) do
        local value = profile[field]
        if value ~= nil and type(value) ~= wanted then
            return malformed(path, ("profile '%s': %s must be a %s"):format(name, field, wanted))
        end
        if value ~= "" then
            fields[field] = value
        end
    end
    return fields
end

local function find(loaded, name)
    local profiles = loaded.document.profiles
    for _, profile in ipairs(type(profiles) == "table" and profiles or {}) do
        if type(profile) == "table" and profile.name == name then
            return typed(loaded.path, name, profile)
        end
    end
    return malformed(loaded.path, ("there is no profile '%s'"):format(name))
end

local function incomplete(where, field)
    return failure("credentials", "incomplete", where .. ": " .. field .. " is not set")
end

local function role_settings(where, profile)
    local duration = sts.duration(profile.expired_seconds)
    if not duration then
        return failure("credentials", "malformed",
            where .. ": expired_seconds must be an integer from 900 to 43200")
    end
    return {
        role_arn = profile.ram_role_arn,
        role_session_name = profile.ram_session_name or profile.role_session_name,
        duration = duration,
        policy = profile.policy,
        external_id = profile.external_id,
        sts_endpoint = profile.sts_endpoint,
        sts_region = profile.sts_region,
        vpc = profile.enable_vpc,
        oidc_provider_arn = profile.oidc_provider_arn,
        oidc_token_file = profile.oidc_token_file,
    }
end

-- One function for each mode: (reading, where, profile). A reading is one walk through the file,
-- {world, loaded, seen}; `resolve` and the modes call each other.
local MODES = {}
local resolve

local function own_key(_, where, profile)
    return keys.new(where, "static_ak", {
        access_key_id = profile.access_key_id,
        access_key_secret = profile.access_key_secret,
    })
end
MODES.ak = own_key

function MODES.ststoken(_, where, profile)
    if not profile.sts_token then
        return incomplete(where, "sts_token")
    end
    return keys.new(where, "static_sts", {
        access_key_id = profile.access_key_id,
        access_key_secret = profile.access_key_secret,
        security_token = profile.sts_token,
    })
end

local function assume_with(reading, where, profile, source, message, err)
    if not source then
        return nil, message, err
    end
    local settings
    settings, message, err = role_settings(where, profile)
    if not settings then
        return nil, message, err
    end
    return sts.assume(reading.world, source, settings)
end

function MODES.ramrolearn(reading, where, profile)
    return assume_with(reading, where, profile, own_key(reading, where, profile))
end

function MODES.chainableramrolearn(reading, where, profile)
    if not profile.source_profile then
        return incomplete(where, "source_profile")
    end
    return assume_with(reading, where, profile, resolve(reading, profile.source_profile))
end

function MODES.ecsramrole(reading, _, profile)
    return metadata.fetch(reading.world, { role_name = profile.ram_role_name })
end

function MODES.oidc(reading, where, profile)
    local settings, message, err = role_settings(where, profile)
    if not settings then
        return nil, message, err
    end
    return sts.assume_with_oidc(reading.world, settings)
end

function MODES.external(reading, where, profile)
    if not profile.process_command then
        return incomplete(where, "process_command")
    end
    return process.fetch(reading.world, profile.process_command)
end

function MODES.credentialsuri(reading, where, profile)
    if not profile.credentials_uri then
        return incomplete(where, "credentials_uri")
    end
    return uri.fetch(reading.world, profile.credentials_uri)
end

function MODES.cloudsso(reading, where, profile)
    return login.cloud_sso(reading.world, where, profile)
end

function MODES.oauth(reading, where, profile)
    return login.oauth(reading.world, where, profile)
end

local SUPPORTED = "AK, StsToken, RamRoleArn, ChainableRamRoleArn, EcsRamRole, OIDC, External, "
    .. "CredentialsURI, CloudSSO, OAuth"

-- The key of a profile. Profiles may name others as their source, but not in a circle.
function resolve(reading, name)
    local path, seen = reading.loaded.path, reading.seen
    seen[#seen + 1] = name
    if seen[name] then
        return malformed(path, "the profiles " .. table.concat(seen, " -> ") .. " form a circle")
    end
    seen[name] = true
    local profile, message, err = find(reading.loaded, name)
    if not profile then
        return nil, message, err
    end
    local fetch = MODES[(profile.mode or ""):lower()]
    if not fetch then
        return malformed(path, ("profile '%s': mode '%s' is not supported (%s are)")
            :format(name, text.shown(profile.mode), SUPPORTED))
    end
    return fetch(reading, ("%s '%s' in %s"):format(WHAT, name, path), profile)
end

local function read(world, settings, warn)
    local loaded, message, err = load(world, settings)
    if not loaded then
        return nil, message, err
    end
    warn(world, loaded.path, loaded.mode)
    local name
    name, message, err = name_of(world, loaded, settings)
    if not name then
        return nil, message, err
    end
    local found
    found, message, err = resolve({ world = world, loaded = loaded, seen = {} }, name)
    if not found then
        return nil, message, err
    end
    found.source = "cli_profile/" .. found.source
    return found
end

--- A provider out of checked settings.
---@param settings emr.ProfileSettings
---@return emr.Provider
function M.provider(settings)
    local warn = files.sharing_warner()
    return function(world)
        return read(worlds.complete(world), settings, warn)
    end
end

--- See `emr.credentials.profile`.
---@return emr.Provider
function M.profile(given)
    return M.provider(options.check(given, RULES, "credentials.profile"))
end

--- See `emr.credentials.region`.
---@return string?
function M.region(world, given)
    local settings = options.check(given, RULES, "credentials.region")
    world = worlds.complete(world)
    if worlds.flag(world, "ALIBABA_CLOUD_CLI_PROFILE_DISABLED") then
        return nil
    end
    local loaded = load(world, settings)
    local name = loaded and name_of(world, loaded, settings)
    local profile = name and find(loaded, name)
    return profile and profile.region_id or nil
end

return M
