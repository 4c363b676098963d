--- One attempt: a request out, a reply in, waited for as the client waits. What the client's
-- `transport` is given goes through that instead of the native engine.

local emr = require "emr"
local failure = require "emr.failure"
local skew = require "emr.skew"

-- The engine ends an attempt in time by itself; this is for one that waits too long.
local SLACK = 0.1

local M = {}

local function lower(headers)
    local found = {}
    for name, value in pairs(headers) do
        found[tostring(name):lower()] = value
    end
    return found
end

-- What `transfer:info()` would say of a reply that came through a transport.
local function info_of(url, reply)
    local headers = type(reply.headers) == "table" and lower(reply.headers) or {}
    return {
        status = reply.status,
        request_id = headers["x-acs-request-id"],
        server_time = skew.parse_date(headers.date),
        verified = url:lower():find "^https:" ~= nil,
    }
end

local function transport_failure(message, err)
    if type(err) == "table" and err.kind then
        return nil, message, err
    end
    return failure("network", "reset", "transport: " .. tostring(message or "no reply"))
end

-- Through the client's own transport. `seen` gets what is known of the reply.
local function carry(transport, http, limit, seen)
    local reply, message, err = transport(http, limit)
    if not reply then
        return transport_failure(message, err)
    elseif type(reply) ~= "table" then
        error("options.transport must return {status, headers, body} or nil, message, err", 0)
    end
    if seen then
        seen.info = info_of(http.url, reply)
    end
    return reply
end

-- Through the engine; what is started is `operation, request, native` or `http_request, native`.
local function transfer(await, limit, seen, ...)
    local _, message, err
    if await.refuse then  -- nothing must be sent where nobody can wait for the reply
        _, message, err = await.refuse()
        if err then
            return nil, message, err
        end
    end
    local t = emr.start(...)
    if seen then
        seen.transfer = t
    end
    _, message, err = await.wait(t, limit + SLACK)
    if err then
        t:cancel()
        return nil, message, err
    end
    local result, text, why = t:result()
    if result == nil and text == nil then
        t:cancel()
        return failure("timeout", "attempt", ("no reply within %.3g s"):format(limit))
    end
    return result, text, why
end

-- All of it in the native engine. What is known of a failure is read before a repair makes another
-- call; of a good reply, when somebody asks.
local function block(seen, operation, request, native)
    local result, message, err = emr.call(operation, request, native)
    if seen then
        seen.info = err and emr.info()
        seen.blocked = true
    end
    return result, message, err
end

--- A signed call.
---@param by {await: emr.Await, transport: function?}
---@param operation emr.Operation
---@param request table
---@param native table     options of the native module, keys included
---@param limit number     seconds
---@param seen table?      gets what `M.info` reads
---@return table? response, string? message, emr.Error? err
function M.call(by, operation, request, native, limit, seen)
    if not by.transport then
        if by.await.blocks and by.await.blocks() then
            return block(seen, operation, request, native)
        end
        return transfer(by.await, limit, seen, operation, request, native)
    end
    local http, message, err = emr.prepare(operation, request, native)
    if not http then
        return nil, message, err
    end
    local reply
    reply, message, err = carry(by.transport, http, limit, seen)
    if not reply then
        return nil, message, err
    end
    return emr.parse(operation, reply)
end

--- A ready-made HTTP request.
---@param by {await: emr.Await, transport: function?}
---@param http table       {method, url, headers, body}
---@param native table
---@param limit number
---@param seen table?      as for `M.call`
---@return {status: integer, headers: table<string, string>, body: string}?, string?, emr.Error?
function M.fetch(by, http, native, limit, seen)
    if not by.transport then
        return transfer(by.await, limit, seen, http, native)
    end
    local reply, message, err = carry(by.transport, http, limit, seen)
    if not reply then
        return nil, message, err
    end
    return { status = reply.status, headers = lower(reply.headers or {}), body = reply.body or "" }
end

--- What is known of the reply to a call that has just ended: {status, request_id, server_time,
-- verified, ...}.
---@param seen table
---@return table
function M.info(seen)
    if seen.transfer then
        return seen.transfer:info()
    end
    return seen.info or seen.blocked and emr.info() or {}
end

return M
