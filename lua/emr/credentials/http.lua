--- The small HTTP exchanges of the providers: one request, short limits, a small reply.

local emr = require "emr"
local failure = require "emr.failure"
local text = require "emr.credentials.text"
local worlds = require "emr.credentials.world"

local MAX_REPLY = 65536

local M = {}

--- The limits of every service but the metadata one, in seconds.
M.LIMITS = { connect = 5, timeout = 10 }

--- Send a request and return the reply whatever its status.
---@param world emr.World
---@param what string       the source, for messages
---@param request table     as `emr.fetch` takes it
---@param limits {connect: number, timeout: number, allow_http: boolean?, no_proxy: string?}
---@return table? response, string? message, emr.Error? err
function M.send(world, what, request, limits)
    local seconds, message, err = worlds.limit(world, what, limits.timeout)
    if not seconds then
        return nil, message, err
    end
    local response
    response, message, err = world.fetch(request, {
        timeout = seconds,
        connect_timeout = math.min(seconds, limits.connect),
        max_response_bytes = MAX_REPLY,
        allow_http = limits.allow_http,
        no_proxy = limits.no_proxy,
    })
    if not response then
        return worlds.failed(world, what, message, err)
    end
    return response
end

--- A reply that is not the wanted one.
---@param what string
---@param response table
---@return nil, string message, emr.Error err
function M.refused(what, response)
    return failure("credentials", "unavailable", ("%s: HTTP %d"):format(what, response.status), {
        status = response.status,
        retryable = response.status >= 500 or response.status == 429,
    })
end

--- The JSON object in a reply; what the reply holds is not shown.
---@param what string
---@param response table
---@return table? reply, string? message, emr.Error? err
function M.object(what, response)
    local reply = emr.decode(response.body)
    if type(reply) ~= "table" then
        return failure("credentials", "malformed", what .. ": the reply is not a JSON object")
    end
    return reply
end

--- A descriptor for `exchange`; what only the signer reads stays blank.
---@param name string       for messages
---@param path string
---@param frame table
---@return emr.Operation
function M.unsigned(name, path, frame)
    return { name = name, version = "", product = "", hosts = { public = "localhost" },
        method = "POST", path = path, frame = frame, retry = "safe" }
end

--- Send a request that is not signed, and read the reply as `emr.call` would: errors in the
-- vendor's shapes, the frame checked.
---@param world emr.World
---@param operation emr.Operation   of `unsigned`
---@param request table
---@param secret string     what the request proves itself with; taken out of the server's words
---@return table? reply, string? message, emr.Error? err
function M.exchange(world, operation, request, secret)
    local what = operation.name
    local response, message, err = M.send(world, what, request, M.LIMITS)
    if not response then
        return nil, message, err
    end
    local reply
    reply, message, err = emr.parse(operation, response)
    if not reply then
        return worlds.failed(world, what, text.without(message, secret), err)
    end
    return reply
end

return M
