-- luacheck: std ngx_lua
-- A reply is a table {status, headers, body}, or {bytes, reset} for one that is not quite HTTP:
-- exact bytes, after which the connection is closed (with a RST when `reset`). M.send sends either.

local cjson = require "cjson"

local world = require "world"

local JSON = "application/json;charset=utf-8"
local EMPTY_ARRAY = "@empty array@"   -- lua-cjson 2.1 cannot write an empty array

local STATUS = {
    ["InvalidApi.NotFound"] = 404,
    ["InvalidAccessKeyId.NotFound"] = 404,
    ["InvalidAccessKeyId.Inactive"] = 403,
    ["UnsupportedHTTPMethod"] = 403,
    ["EntityNotExist.Role"] = 404,
    ["NoPermission"] = 403,
    ["ResourceNotFound"] = 404,
}

local M = { EMPTY_ARRAY = EMPTY_ARRAY }


function M.encode(value)
    return (cjson.encode(value):gsub('"' .. EMPTY_ARRAY .. '"', "[]"))
end


function M.json(status, value)
    local body = type(value) == "string" and value or M.encode(value)
    return { status = status, headers = { ["content-type"] = JSON }, body = body }
end


--- An error in the gateway's shape; its status follows from the code unless it is given.
function M.gateway_error(request, code, message, status)
    return M.json(status or STATUS[code] or 400, {
        RequestId = request.request_id,
        HostId = request.headers.host or "",
        Code = code,
        Message = message,
        Recommend = "https://api.aliyun.com/troubleshoot?q=" .. tostring(code),
    })
end


--- An error in the service's own shape.
function M.service_error(request, code, message, status)
    return M.json(status or STATUS[code] or 400, {
        requestId = request.request_id,
        code = code,
        message = message,
    })
end


-- A raw socket takes the connection out of nginx's hands: it is closed when we return.
local function send_bytes(reply)
    if reply.bytes ~= "" or not reply.reset then
        assert(assert(ngx.req.socket(true)):send(reply.bytes))
    end
    if reply.reset then
        return ngx.exit(444)
    end
end


function M.send(request, reply)
    request.status = reply.status
    if reply.bytes then
        return send_bytes(reply)
    end
    ngx.status = reply.status
    ngx.header["x-acs-request-id"] = request.request_id
    ngx.header["date"] = ngx.http_time(world.now())
    for name, value in pairs(reply.headers) do
        ngx.header[name] = value
    end
    if type(reply.body) == "function" then      -- writes its body piece by piece
        return reply.body()
    end
    if reply.status ~= 204 and reply.status ~= 304 then
        ngx.header["content-length"] = #reply.body
    end
    ngx.print(reply.body)
end


return M
