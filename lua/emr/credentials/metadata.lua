--- The key of the role that is attached to the ECS instance we run on, from its metadata service.

local failure = require "emr.failure"
local options = require "emr.options"
local http = require "emr.credentials.http"
local keys = require "emr.credentials.keys"
local text = require "emr.credentials.text"
local worlds = require "emr.credentials.world"

local ENDPOINT = "http://100.100.100.200"
local TOKEN_PATH = "/latest/api/token"
local ROLES_PATH = "/latest/meta-data/ram/security-credentials/"
local TOKEN_SECONDS = "21600"
local TOTAL = 2 -- seconds for everything: off an ECS instance nobody answers

-- The address is the instance's own: a proxy would hand the key to a stranger.
local LIMITS = { connect = 1, timeout = 1, allow_http = true, no_proxy = "*" }

local WHAT = "ECS metadata"

local M = {}

---@class emr.EcsSettings
---@field role_name? string        nil: $ALIBABA_CLOUD_ECS_METADATA, else the service is asked
---@field endpoint? string         a URL; nil: http://100.100.100.200
---@field disable_imdsv1? boolean  never ask without a session token; also by the variable
---                                ALIBABA_CLOUD_IMDSV1_DISABLED=true

---@class emr.MetadataSettings: emr.EcsSettings
---@field guess? boolean           nobody said that this is an ECS instance (the default chain):
---                                a service that does not answer or has no role is code `none`

local function is_role_name(name)
    return #name <= 64 and name:find("^[%w%._%-]+$") ~= nil and not name:find("^%.+$")
end

local RULES = {
    role_name = function(value)
        if type(value) ~= "string" or not is_role_name(value) then
            return "the name of a RAM role"
        end
    end,
    endpoint = text.base_url,
    disable_imdsv1 = options.a("boolean"),
}

local function get(session, path)
    return http.send(session.world, WHAT, {
        method = "GET",
        url = session.endpoint .. path,
        headers = { ["x-aliyun-ecs-metadata-token"] = session.token },
    }, LIMITS)
end

-- One repeat in all. A refused session token may mean a service that knows none.
local function get_twice(session, path)
    local response, message, err = get(session, path)
    local status = response and response.status
    local is_settled = status == 200 or status == 404
    if is_settled or session.is_repeated or err and worlds.is_of_caller(err) then
        return response, message, err
    end
    session.is_repeated = true
    if status and status >= 400 and status < 500 and not session.needs_token then
        session.token = nil
    end
    return get(session, path)
end

local function fetch_token(session)
    local response, message, err = http.send(session.world, WHAT, {
        method = "PUT",
        url = session.endpoint .. TOKEN_PATH,
        headers = { ["x-aliyun-ecs-metadata-token-ttl-seconds"] = TOKEN_SECONDS },
    }, LIMITS)
    if not response then
        return nil, message, err
    elseif response.status ~= 200 then
        return http.refused(WHAT .. ": session token", response)
    end
    local token = response.body:match("^%s*([!-~]+)%s*$")
    if not token then
        return failure("credentials", "malformed", WHAT .. ": the session token is no token")
    end
    return token
end

-- Without a token the older protocol is tried, unless that is forbidden.
local function authorize(session)
    local token, message, err = fetch_token(session)
    if not token and session.needs_token and err.code == "unavailable" and err.retryable then
        session.is_repeated = true
        token, message, err = fetch_token(session)
    end
    if not token and (session.needs_token or worlds.is_of_caller(err)) then
        return nil, message, err
    end
    session.token = token
    return true
end

local function find_role(session, settings)
    local name = settings.role_name or worlds.env(session.world, "ALIBABA_CLOUD_ECS_METADATA")
    if not name then
        local response, message, err = get_twice(session, ROLES_PATH)
        if not response then
            return nil, message, err
        elseif response.status == 404 then
            return failure("credentials", "unavailable",
                WHAT .. ": no RAM role is attached to this instance",
                { status = 404, retryable = false })
        elseif response.status ~= 200 then
            return http.refused(WHAT .. ": role name", response)
        end
        name = response.body:match("^%s*(.-)%s*$")
    end
    if not is_role_name(name) then
        return failure("credentials", "malformed", WHAT .. ": the role name is not one of RAM")
    end
    return name
end

local function fetch_key(session, role)
    local response, message, err = get_twice(session, ROLES_PATH .. role)
    if not response then
        return nil, message, err
    elseif response.status ~= 200 then
        return http.refused(("%s: role %s"):format(WHAT, role), response)
    end
    local reply
    reply, message, err = http.object(WHAT, response)
    if not reply then
        return nil, message, err
    elseif reply.Code ~= "Success" then
        return failure("credentials", "unavailable", ("%s: role %s: the service answers %s")
            :format(WHAT, role, tostring(reply.Code):sub(1, 64)))
    end
    return keys.from_reply(session.world, WHAT, "ecs_ram_role", reply)
end

local function ask(session, settings)
    local ready, message, err = authorize(session)
    if not ready then
        return nil, message, err
    end
    local role
    role, message, err = find_role(session, settings)
    if not role then
        return nil, message, err
    end
    return fetch_key(session, role)
end

local function is_elsewhere(err, settings, world)
    return settings.guess and err.code == "unavailable" and (err.status == nil or err.status == 404)
        and not settings.role_name and not worlds.env(world, "ALIBABA_CLOUD_ECS_METADATA")
end

--- Ask the metadata service; gives up after 2 s in all.
---@param world emr.World
---@param settings emr.MetadataSettings
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.fetch(world, settings)
    local session = {
        world = worlds.bounded(world, TOTAL),
        endpoint = (settings.endpoint or ENDPOINT):gsub("/$", ""),
        needs_token = settings.disable_imdsv1
            or worlds.flag(world, "ALIBABA_CLOUD_IMDSV1_DISABLED"),
    }
    local found, message, err = ask(session, settings)
    if found then
        return found
    end
    if err.code == "deadline" and worlds.limit(world, WHAT, TOTAL) then -- ours, not the caller's
        message, err = select(2, failure("credentials", "unavailable",
            ("%s: no answer from %s within %d s"):format(WHAT, session.endpoint, TOTAL)))
    end
    if is_elsewhere(err, settings, world) then
        return failure("credentials", "none", err.status and message
            or ("%s: no answer from %s"):format(WHAT, session.endpoint))
    end
    return nil, message, err
end

--- A provider out of checked settings.
---@param settings emr.MetadataSettings
---@return emr.Provider
function M.provider(settings)
    return function(world)
        return M.fetch(worlds.complete(world), settings)
    end
end

--- See `emr.credentials.ecs`.
---@return emr.Provider
function M.ecs(given)
    return M.provider(options.check(given, RULES, "credentials.ecs"))
end

return M
