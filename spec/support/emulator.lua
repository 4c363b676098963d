-- The cloud of the specs: starts spec/emulator, steers it, and asks what it has seen.
-- It ends with this process, however that ends.

local cjson = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local mime = require "mime"

local HERE = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local RUN = HERE .. "../emulator/run"

local Emulator = { __name = "emr.spec.Emulator" }
Emulator.__index = Emulator

local M = {}
local running   -- one per process


local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end


local function post(base, action, argument)
    local body = argument and next(argument) ~= nil and cjson.encode(argument) or "{}"
    local parts = {}
    local ok, status = http.request {
        method = "POST",
        url = base .. "/_emulator/" .. action,
        headers = { ["content-length"] = #body },
        source = ltn12.source.string(body),
        sink = ltn12.sink.table(parts),
    }
    local reply = table.concat(parts)
    if not ok or status ~= 200 then
        error(("emulator, %s: %s %s"):format(action, tostring(status), reply), 4)
    end
    return cjson.decode(reply)
end


function Emulator:_post(action, argument)
    return post(self.http, action, argument)
end


--- Makes or replaces a session cluster: {workspaceId =, sessionClusterId =, states = {...},
--- on_start = {...}, on_stop = {...}, fields = {...}, body = "exact text"}.
function Emulator:cluster(spec)
    self:_post("cluster", spec)
end


--- Queues a fault for the next requests: {name =, times = 1, skip = 0, ...}; see faults.lua.
function Emulator:fault(spec)
    self:_post("fault", spec)
end


--- Sets the emulator's clock `seconds` ahead of ours.
function Emulator:clock(seconds)
    self:_post("clock", { seconds = seconds })
end


--- What the documents with fresh keys look like from now on (STS, metadata, credentials URI,
--- CloudSSO, OAuth): {lifetime = seconds, expiration = "text", omit = {"SecurityToken"},
--- code = "Failed"}.
function Emulator:handout(settings)
    self:_post("handout", settings)
end


--- How the metadata service behaves: {v1 = boolean, v2 = boolean, role = name}.
function Emulator:metadata(settings)
    self:_post("metadata", settings)
end


--- Temporary keys are expired from now on: one, or all that there are.
function Emulator:expire(access_key_id)
    self:_post("expire", { access_key_id = access_key_id })
end


--- The requests seen since the last reset, oldest first; if given, only those of one operation.
function Emulator:requests(operation)
    return self:_post("requests", { operation = operation })
end


--- On how many connections they came.
function Emulator:connections()
    local seen, count = {}, 0
    for _, request in ipairs(self:requests()) do
        count = count + (seen[request.connection] and 0 or 1)
        seen[request.connection] = true
    end
    return count
end


--- The emulator's own {canonical_request, string_to_sign, signature} of a request.
function Emulator:canonical(request)
    return self:_post("canonical", request)
end


--- Starts a scenario of the raw server on a port of its own and returns its base URL. Bound to the
--- emulator: emu.raw("cut", {at = "body", bytes = 10}). `bytes` as text are exact bytes to answer.
local function raw(self, scenario, argument)
    local copy = { scenario = scenario }
    for name, value in pairs(argument or {}) do
        copy[name] = value
    end
    if type(copy.bytes) == "string" then
        copy.base64, copy.bytes = mime.b64(copy.bytes), nil
    end
    return post(self._raw, "open", { name = scenario, argument = copy }).url
end


--- The connections that the raw server saw, oldest first: {scenario, port, connection, received
--- (all bytes), requests (each as bytes), handshake (the TLS version, if one was completed), ended
--- (why)}. Only those of one base URL if it is given.
function Emulator:raw_log(url)
    local list = {}
    for _, entry in ipairs(post(self._raw, "log")) do
        if not url or url:match(":(%d+)$") == ("%d"):format(entry.port) then
            entry.handshake = entry.handshake ~= cjson.null and entry.handshake or nil
            entry.received = mime.unb64(entry.received) or ""
            for i, request in ipairs(entry.requests) do
                entry.requests[i] = mime.unb64(request)
            end
            list[#list + 1] = entry
        end
    end
    return list
end


--- Closes the ports of the raw server and forgets its log.
function Emulator:raw_reset()
    post(self._raw, "reset")
end


--- Paths of a certificate and its key, made on demand: "client", or an odd one of certs.py.
function Emulator:certificate(name)
    local paths = post(self._raw, "certificate", { name = name })
    return paths.cert, paths.key
end


function Emulator:reset()
    self:_post("reset")
end


--- Ends it now and waits until it has gone; at exit this happens by itself.
function Emulator:stop()
    if self._pipe then
        self._pipe:close()
        self._pipe = nil
    end
    if running == self then
        running = nil
    end
end


local function from_info(info, pipe)
    local key = info.keys.permanent
    local self = setmetatable({
        _raw = info.raw,
        http = info.http, https = info.https, ca_file = info.ca_file,
        dir = info.dir, pid = math.floor(info.pid),
        access_key_id = key.access_key_id, access_key_secret = key.access_key_secret,
        sts = info.keys.sts, keys = info.keys,
        oidc_token = info.oidc_token, access_tokens = info.access_tokens,
        _pipe = pipe,
    }, Emulator)
    function self.raw(scenario, argument)
        return raw(self, scenario, argument)
    end
    return self
end


--- An emulator that "spec/emulator/run start DIR" has started.
function M.attach(dir)
    local file = assert(io.open(dir .. "/emulator.json"))
    local info = cjson.decode(file:read("*a"))
    file:close()
    return from_info(info)
end


--- The emulator of this process; starts it when there is none yet.
function M.get()
    if not running then
        local pipe = assert(io.popen("exec " .. quoted(RUN) .. " serve", "r"))
        local line = pipe:read("*l")
        if not line then
            pipe:close()
            error("the emulator did not start; its reason is above", 2)
        end
        running = from_info(cjson.decode(line), pipe)
    end
    return running
end


return M
