--- Keys from STS, the vendor's Security Token Service: a role taken on with another key
-- (AssumeRole), or with the token of an identity provider (AssumeRoleWithOIDC).

local failure = require "emr.failure"
local options = require "emr.options"
local files = require "emr.credentials.files"
local http = require "emr.credentials.http"
local keys = require "emr.credentials.keys"
local text = require "emr.credentials.text"
local worlds = require "emr.credentials.world"

local ASSUME_ROLE = {
    name = "AssumeRole",
    version = "2015-04-01",
    product = "sts",
    hosts = { public = "sts.aliyuncs.com" },
    method = "POST",
    path = "/",
    query = {
        { name = "RoleArn", type = "string", required = true },
        { name = "RoleSessionName", type = "string", required = true },
        { name = "DurationSeconds", type = "int64" },
        { name = "Policy", type = "string" },
        { name = "ExternalId", type = "string" },
    },
    frame = { Credentials = "object" },
    retry = "safe",
}

local ASSUME_ROLE_WITH_OIDC =
    http.unsigned("AssumeRoleWithOIDC", "/", { Credentials = "object" })

local DURATION = 3600
local SHORTEST, LONGEST = 900, 43200 -- of DurationSeconds
local MAX_TOKEN = 65536
local ROLE = "STS role"
local OIDC = "OIDC"

local M = {}

---@class emr.RoleSettings
---@field role_arn? string            nil: $ALIBABA_CLOUD_ROLE_ARN
---@field role_session_name? string   nil: $ALIBABA_CLOUD_ROLE_SESSION_NAME, else made up
---@field duration? integer           seconds, 900 to 43200; nil: 3600
---@field policy? string              JSON that narrows the role's permissions
---@field external_id? string         AssumeRole only
---@field oidc_provider_arn? string   nil: $ALIBABA_CLOUD_OIDC_PROVIDER_ARN
---@field oidc_token_file? string     nil: $ALIBABA_CLOUD_OIDC_TOKEN_FILE
---@field sts_endpoint? string        a URL; nil: by region, else https://sts.aliyuncs.com
---@field sts_region? string          nil: $ALIBABA_CLOUD_STS_REGION
---@field vpc? boolean                with a region: its VPC host; also by the variable
---                                   ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED=true

local ROLE_RULES = {
    role_arn = text.some,
    role_session_name = text.some,
    duration = options.integer(SHORTEST, LONGEST),
    policy = text.some,
    sts_endpoint = text.endpoint,
    sts_region = text.some,
    vpc = options.a("boolean"),
}

local function with_role_rules(rules)
    for name, rule in pairs(ROLE_RULES) do
        rules[name] = rule
    end
    return rules
end

local ASSUME_ROLE_RULES = with_role_rules {
    external_id = text.some,
    source = function(value)
        if type(value) ~= "function" then
            return "a provider (a function)"
        end
    end,
}

local OIDC_RULES = with_role_rules {
    oidc_provider_arn = text.some,
    oidc_token_file = text.some,
}

-- An endpoint out of a file may lack the scheme.
local function explicit_endpoint(what, endpoint)
    local url = endpoint:find("://", 1, true) and endpoint or "https://" .. endpoint
    if text.endpoint(url) then
        return failure("credentials", "malformed",
            what .. ": the STS endpoint is neither a host nor a URL like https://host:port")
    end
    return (url:gsub("/$", ""))
end

local function endpoint_of(world, what, settings)
    if settings.sts_endpoint then
        return explicit_endpoint(what, settings.sts_endpoint)
    end
    local region = settings.sts_region or worlds.env(world, "ALIBABA_CLOUD_STS_REGION")
    if not region then
        return "https://sts.aliyuncs.com"
    elseif #region > 64 or not region:find("^%l[%l%d%-]*$") then
        return failure("credentials", "malformed",
            what .. ": the STS region is not a region id like cn-hangzhou")
    end
    local vpc = settings.vpc or worlds.flag(world, "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED")
    return ("https://sts%s.%s.aliyuncs.com"):format(vpc and "-vpc" or "", region)
end

local function session_name(world, settings)
    return settings.role_session_name or worlds.env(world, "ALIBABA_CLOUD_ROLE_SESSION_NAME")
        or ("emr-lua-%d"):format(math.floor(world.wall_clock()))
end

-- Fields out of a file or a variable may hold anything.
local function sound(what, fields)
    for name, value in pairs(fields) do
        local expected = type(value) == "string" and text.some(value)
        if expected then
            return failure("credentials", "malformed",
                ("%s: %s must be %s"):format(what, name, expected))
        end
    end
    return fields
end

local function assume_request(world, role, settings)
    return sound(ASSUME_ROLE.name, {
        RoleArn = role,
        RoleSessionName = session_name(world, settings),
        DurationSeconds = settings.duration or DURATION,
        Policy = settings.policy,
        ExternalId = settings.external_id,
    })
end

--- Take on a role with a key in hand.
---@param world emr.World
---@param source emr.Credentials
---@param settings emr.RoleSettings
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.assume(world, source, settings)
    local role = settings.role_arn or worlds.env(world, "ALIBABA_CLOUD_ROLE_ARN")
    if not role then
        return failure("credentials", "incomplete",
            ROLE .. ": role_arn is missing (ALIBABA_CLOUD_ROLE_ARN is not set either)")
    end
    local endpoint, message, err = endpoint_of(world, ROLE, settings)
    if not endpoint then
        return nil, message, err
    end
    local request, seconds
    request, message, err = assume_request(world, role, settings)
    if not request then
        return nil, message, err
    end
    seconds, message, err = worlds.limit(world, ASSUME_ROLE.name, http.LIMITS.timeout)
    if not seconds then
        return nil, message, err
    end
    local reply
    reply, message, err = world.call(ASSUME_ROLE, request, {
        endpoint = endpoint,
        access_key_id = source.access_key_id,
        access_key_secret = source.access_key_secret,
        security_token = source.security_token,
        timeout = seconds,
        connect_timeout = math.min(seconds, http.LIMITS.connect),
    })
    if not reply then
        return worlds.failed(world, ASSUME_ROLE.name, message, err)
    end
    return keys.from_reply(world, ASSUME_ROLE.name, "ram_role_arn", reply.Credentials)
end

-- The file is read anew each time: Kubernetes replaces it.
local function read_token(world, file)
    local token, message, err = files.read(world, OIDC, file, MAX_TOKEN)
    if not token then
        return nil, message, err
    end
    token = token:gsub("\r?\n$", "")
    if token == "" then
        return failure("credentials", "malformed", ("%s: %s is empty"):format(OIDC, file))
    end
    return token
end

local OIDC_VARIABLES = {
    { "oidc_token_file", "ALIBABA_CLOUD_OIDC_TOKEN_FILE" },
    { "oidc_provider_arn", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN" },
    { "role_arn", "ALIBABA_CLOUD_ROLE_ARN" },
}

-- A role alone is no OIDC setting: AssumeRole reads the same variable.
local function oidc_settings(world, settings)
    local found, missing = {}, {}
    for _, pair in ipairs(OIDC_VARIABLES) do
        local field, variable = pair[1], pair[2]
        found[field] = settings[field] or worlds.env(world, variable)
        if not found[field] then
            missing[#missing + 1] = variable
        end
    end
    if not found.oidc_token_file and not found.oidc_provider_arn then
        return failure("credentials", "none", OIDC .. ": " .. missing[1] .. " is not set")
    elseif #missing > 0 then
        return failure("credentials", "incomplete",
            OIDC .. ": " .. table.concat(missing, " and ") .. " not set")
    end
    return found
end

local function oidc_request(world, endpoint, found, token, settings)
    local query = text.form {
        { "Action", ASSUME_ROLE_WITH_OIDC.name },
        { "Format", "JSON" },
        { "Timestamp", os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(world.wall_clock())) },
        { "Version", ASSUME_ROLE.version },
    }
    return {
        method = ASSUME_ROLE_WITH_OIDC.method,
        url = endpoint .. ASSUME_ROLE_WITH_OIDC.path .. "?" .. query,
        headers = {
            accept = "application/json",
            ["content-type"] = "application/x-www-form-urlencoded",
        },
        body = text.form {
            { "RoleArn", found.role_arn },
            { "OIDCProviderArn", found.oidc_provider_arn },
            { "OIDCToken", token },
            { "RoleSessionName", session_name(world, settings) },
            { "DurationSeconds", ("%d"):format(settings.duration or DURATION) },
            { "Policy", settings.policy },
        },
    }
end

--- Take on a role with the token of an identity provider; this request is not signed.
---@param world emr.World
---@param settings emr.RoleSettings
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.assume_with_oidc(world, settings)
    local found, message, err = oidc_settings(world, settings)
    if not found then
        return nil, message, err
    end
    local endpoint, token
    endpoint, message, err = endpoint_of(world, OIDC, settings)
    if not endpoint then
        return nil, message, err
    end
    token, message, err = read_token(world, found.oidc_token_file)
    if not token then
        return nil, message, err
    end
    local reply
    reply, message, err = http.exchange(world, ASSUME_ROLE_WITH_OIDC,
        oidc_request(world, endpoint, found, token, settings), token)
    if not reply then
        return nil, message, err
    end
    return keys.from_reply(world, ASSUME_ROLE_WITH_OIDC.name, "oidc_role_arn", reply.Credentials)
end

--- See `emr.credentials.assume_role`.
---@return emr.Provider
function M.assume_role(given)
    local settings = options.check(given, ASSUME_ROLE_RULES, "credentials.assume_role")
    if not settings.source then
        error("credentials.assume_role: source is missing", 2)
    end
    return function(world)
        world = worlds.complete(world)
        local source, message, err = keys.ask(settings.source, world)
        if not source then
            return nil, message, err
        end
        return M.assume(world, source, settings)
    end
end

--- See `emr.credentials.oidc`.
---@return emr.Provider
function M.oidc(given)
    local settings = options.check(given, OIDC_RULES, "credentials.oidc")
    return function(world)
        return M.assume_with_oidc(worlds.complete(world), settings)
    end
end

--- What a profile may say about the length of a session; nil when it is out of range.
---@param seconds number?
---@return integer?
function M.duration(seconds)
    if seconds == nil or seconds == 0 then
        return DURATION
    elseif not ROLE_RULES.duration(seconds) then
        return seconds
    end
end

return M
