-- luacheck: std ngx_lua
-- The way of a request: read it raw, find its service, check it, let a fault have it or serve it.
-- A service has match(request), verify(request) -> code, message (nil when fine), serve(request).

local canonical = require "canonical"
local control = require "control"
local faults = require "faults"
local log = require "log"
local reply = require "reply"

local SERVICES = { require "clusters", require "sources", require "sts" }

local M = {}


local function read_body()
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    local name = not body and ngx.req.get_body_file()
    if name then
        local file = assert(io.open(name, "rb"))
        body = file:read("*a")
        file:close()
    end
    return body or ""
end


local function read_headers()
    local list, map = {}, {}
    for line in ngx.req.raw_header(true):gmatch("[^\r\n]+") do
        local name, value = line:match("^([^:]*):[ \t]*(.-)[ \t]*$")
        if name then
            list[#list + 1] = { name, value }
            name = name:lower()
            map[name] = map[name] and map[name] .. "," .. value or value
        end
    end
    return list, map
end


local function new_request_id()
    local digits = ngx.var.request_id:upper()
    return ("%s-%s-%s-%s-%s"):format(digits:sub(1, 8), digits:sub(9, 12), digits:sub(13, 16),
        digits:sub(17, 20), digits:sub(21))
end


local function read_request()
    local uri = ngx.var.request_uri
    local path, query = uri:match("^([^?]*)%??(.*)$")
    local header_list, headers = read_headers()
    local args = {}
    for _, pair in ipairs(canonical.pairs_of(query)) do
        args[pair[1]] = pair[2]
    end
    return {
        time = ngx.now(),
        scheme = ngx.var.scheme,
        connection = tonumber(ngx.var.connection),
        method = ngx.var.request:match("^%S*"),
        uri = uri, path = path, query = query, args = args,
        headers = headers, header_list = header_list,
        body = read_body(),
        request_id = new_request_id(),
    }
end


local function find_service(request)
    for _, service in ipairs(SERVICES) do
        if service.match(request) then
            return service
        end
    end
end


local function answer(request)
    local service = find_service(request)
    if not service then
        request.verdict = "InvalidApi.NotFound"
        return reply.gateway_error(request, request.verdict, "Specified api is not found.")
    end
    request.service = service
    local code, message = service.verify(request)
    request.verdict = code or "ok"
    if code then
        return reply.gateway_error(request, code, message)
    end
    local fault = faults.take(request)
    if fault then
        return faults.answer(fault, request, function()
            return service.serve(request)
        end)
    end
    return service.serve(request)
end


function M.handle()
    local request = read_request()
    if control.match(request) then
        return reply.send(request, control.serve(request))
    end
    log.add(request)
    reply.send(request, answer(request))
end


return M
