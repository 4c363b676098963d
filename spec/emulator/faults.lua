-- luacheck: std ngx_lua
-- What can go wrong, by name. A spec queues {name =, times =, ...}; each request that passed the
-- checks takes the first fault that is meant for it. TABLE holds the defaults of every fault, and
-- a spec may give any member:
--   times (1), skip (0)         for how many requests, and how many pass before
--   operation, sessionClusterId only for these; without `operation`, only for the EMR API
--   seconds                     wait before answering
--   executed                    carry the operation out first, then answer with the fault
--   status, headers, type, body the reply; body is text or a function(fault, request) -> text
--   code, message               for the bodies that are errors
--   retry_after_ms, retry_after, time_left      throttle hints

local clusters = require "clusters"
local reply = require "reply"
local world = require "world"

local GZIP = ngx.decode_base64(
    "H4sIAAAAAAACA6tWKk4tLs7Mz3POKS0uSS1SsqpWKi5JLElVslIKKs3Ly8xLV6rV"
    .. "USpKLSxNLS7xTAEKp1dlFijVAgBj2dZMOQAAAA==")
local HUGE_PIECE = ("x"):rep(65536)

local queue

local M = {}


local function gateway(fault, request)
    return reply.gateway_error(request, fault.code, fault.message).body
end


local function service(fault, request)
    return reply.service_error(request, fault.code, fault.message).body
end


local function xml(fault, request)
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<Error><RequestId>%s</RequestId>'
        .. "<HostId>%s</HostId><Code>%s</Code><Message>%s</Message></Error>"):format(
        request.request_id, request.headers.host or "", fault.code, fault.message)
end


local function html(fault)
    return ("<html>\r\n<head><title>%d</title></head>\r\n"
        .. "<body><center><h1>%d from a balancer</h1></center></body>\r\n</html>\r\n"):format(
        fault.status, fault.status)
end


-- All that the client has sent comes back in the message, secrets included.
local function echo(fault, request)
    local lines = {}
    for i, header in ipairs(request.header_list) do
        lines[i] = header[1] .. ": " .. header[2]
    end
    local message = fault.message .. "\n" .. table.concat(lines, "\n")
    return reply.gateway_error(request, fault.code, message).body
end


local function text(body)
    return function(_, request)
        return (body:gsub("@REQUEST_ID@", request.request_id))
    end
end


-- fault.bytes of body, sent in pieces so that neither side needs to hold them.
local function huge(fault)
    return function()
        if fault.declared then
            ngx.header["content-length"] = fault.bytes
        end
        local left = fault.bytes
        while left > 0 do
            local piece = left >= #HUGE_PIECE and HUGE_PIECE or HUGE_PIECE:sub(1, left)
            ngx.print(piece)
            if not ngx.flush(true) then
                return
            end
            left = left - #piece
        end
    end
end


-- The real reply, its body cut after fault.bytes; the connection then ends with FIN or RST.
local function truncated(fault, request, proceed)
    local whole = proceed()
    local head = ("HTTP/1.1 %d OK\r\nx-acs-request-id: %s\r\nDate: %s\r\n"
        .. "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"):format(
        whole.status, request.request_id, ngx.http_time(world.now()), #whole.body)
    local bytes = head .. whole.body:sub(1, fault.bytes)
    return { status = whole.status, bytes = bytes, reset = fault.reset }
end


-- The cloud's three ways of saying "later", as members of any fault: the header and its form.
local HINTS = {
    retry_after_ms = { "x-acs-retry-after", "%s" },
    retry_after = { "retry-after", "%s" },
    time_left = { "x-ratelimit-user", "Limit:1,Remain:0,TimeLeft:%s,Reset:1234" },
}


local TABLE = {
    -- a reply of one's own: any status, headers, type, body
    status = { status = 503, body = gateway, code = "ServiceUnavailable",
        message = "The request has failed due to a temporary failure of the server." },
    -- errors in the shapes that occur
    error = { status = 400, body = gateway, code = "InvalidParameter",
        message = "A parameter is not valid." },
    service = { status = 400, body = service, code = "InvalidParameter",
        message = "a parameter is wrong" },
    code_in_200 = { status = 200, body = service, code = "Error.Internal",
        message = "something broke" },
    null_code = { status = 400,
        body = text '{"code":null,"message":null,"requestId":"@REQUEST_ID@"}' },
    empty_code = { status = 400,
        body = text '{"code":"","message":"","requestId":"@REQUEST_ID@"}' },
    xml = { status = 400, type = "text/xml;charset=utf-8", body = xml, code = "InvalidParameter",
        message = "A parameter is not valid." },
    html = { status = 502, type = "text/html", body = html },
    echo = { status = 400, body = echo, code = "SignatureDoesNotMatch",
        message = "The request was:" },
    throttling = { status = 400, body = gateway, code = "Throttling.User",
        message = "Request was denied due to user flow control." },
    redirect = { status = 302, type = "text/html", body = html,
        location = "https://127.0.0.1:9/" },
    challenge = { status = 401, body = "",
        headers = { ["www-authenticate"] = 'Basic realm="emulator"' } },
    -- odd but well-formed replies
    empty = { status = 200, body = "" },
    garbage = { status = 200, body = "\1\2{]garbage\255\254" },
    huge = { status = 200, stream = huge, bytes = 64 * 1024 * 1024, declared = false },
    gzip = { status = 200, body = GZIP, encoding = "gzip" },
    nulls = { status = 200, body = text [[{"sessionCluster":{"state":null,"name":null,
        "stateChangeReason":null,"applicationConfigs":[null,{"configItemKey":null}]},
        "requestId":"@REQUEST_ID@"}]] },
    big_integers = { status = 200, body = text [[{"sessionCluster":{"state":"Running",
        "gmtCreate":1735689600000,"startTime":9007199254740993,
        "huge":123456789012345678901234567890},"requestId":"@REQUEST_ID@"}]] },
    empty_array = { status = 200, body = text [[{"sessionCluster":{"state":"Running",
        "applicationConfigs":[],"extra":{}},"requestId":"@REQUEST_ID@"}]] },
    -- time and connection
    slow = { seconds = 1, pass = true },
    reset = { bytes_sent = "", reset = true },
    close = { bytes_sent = "" },
    truncated = { answer = truncated, bytes = 100 },
}


local function concerns(fault, request)
    if fault.operation then
        return fault.operation == request.operation
    end
    return request.service == clusters
        and (not fault.sessionClusterId or fault.sessionClusterId == request.params[2])
end


--- The fault that this request has to suffer, or nil.
function M.take(request)
    for i, fault in ipairs(queue) do
        if concerns(fault, request) then
            if fault.skip > 0 then
                fault.skip = fault.skip - 1
                return nil
            end
            fault.times = fault.times - 1
            if fault.times <= 0 then
                table.remove(queue, i)
            end
            return fault
        end
    end
end


local function built(fault, request)
    local headers = { ["content-type"] = fault.type or "application/json;charset=utf-8",
        ["content-encoding"] = fault.encoding, ["location"] = fault.location }
    for member, hint in pairs(HINTS) do
        if fault[member] then
            headers[hint[1]] = hint[2]:format(fault[member])
        end
    end
    for name, value in pairs(fault.headers or {}) do
        headers[name] = value
    end
    local body = fault.body
    if fault.stream then
        body = fault.stream(fault)
    elseif type(body) == "function" then
        body = body(fault, request)
    end
    return { status = fault.status, headers = headers, body = body }
end


--- The reply that the fault makes; `proceed` gives the one that would have been.
function M.answer(fault, request, proceed)
    request.fault = fault.name
    if fault.seconds then
        ngx.sleep(fault.seconds)
    end
    if fault.pass then
        return proceed()
    elseif fault.answer then
        return fault.answer(fault, request, proceed)
    end
    if fault.executed then
        proceed()
    end
    if fault.bytes_sent then
        return { bytes = fault.bytes_sent, reset = fault.reset }
    end
    return built(fault, request)
end


--- Queues a fault; an unknown name is a mistake in the spec.
function M.put(spec)
    local defaults = TABLE[spec.name]
    if not defaults then
        error("there is no fault called " .. tostring(spec.name), 0)
    end
    local fault = { times = 1, skip = 0 }
    for name, value in pairs(defaults) do
        fault[name] = value
    end
    for name, value in pairs(spec) do
        fault[name] = value
    end
    queue[#queue + 1] = fault
end


function M.reset()
    queue = {}
end


M.reset()

return M
