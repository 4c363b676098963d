--- Keys from a URI: a local service, a sidecar or a gateway that hands out STS keys as JSON.

local failure = require "emr.failure"
local options = require "emr.options"
local http = require "emr.credentials.http"
local keys = require "emr.credentials.keys"
local text = require "emr.credentials.text"
local worlds = require "emr.credentials.world"

local VARIABLE = "ALIBABA_CLOUD_CREDENTIALS_URI"
local WHAT = "credentials URI"

-- The vendor allows http, as the service usually stands beside the program.
local LIMITS = {
    connect = http.LIMITS.connect,
    timeout = http.LIMITS.timeout,
    allow_http = true,
}

local RULES = {
    url = function(value)
        if type(value) ~= "string" or not text.origin(value) then
            return "an http or https URL"
        end
    end,
}

local M = {}

--- Fetch a key from `url`.
---@param world emr.World
---@param url string?     nil: $ALIBABA_CLOUD_CREDENTIALS_URI
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.fetch(world, url)
    url = url or worlds.env(world, VARIABLE)
    if not url then
        return failure("credentials", "none", WHAT .. ": " .. VARIABLE .. " is not set")
    end
    local origin = text.origin(url)
    if not origin then
        return failure("credentials", "malformed", WHAT .. ": not an http or https URL")
    end
    local what = WHAT .. " at " .. origin -- path and query may be a secret
    local response, message, err = http.send(world, what,
        { method = "GET", url = url, headers = { accept = "application/json" } }, LIMITS)
    if not response then
        return nil, message, err
    elseif response.status ~= 200 then
        return http.refused(what, response)
    end
    local reply
    reply, message, err = http.object(what, response)
    if not reply then
        return nil, message, err
    elseif reply.Code ~= nil and reply.Code ~= "Success" then
        return failure("credentials", "unavailable",
            ("%s: the service answers %s"):format(what, tostring(reply.Code):sub(1, 64)))
    end
    return keys.from_reply(world, what, "credential_uri", reply)
end

--- See `emr.credentials.uri`.
---@return emr.Provider
function M.uri(given)
    local settings = options.check(given, RULES, "credentials.uri")
    return function(world)
        return M.fetch(worlds.complete(world), settings.url)
    end
end

return M
