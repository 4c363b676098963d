--- A server inside this process, for what must happen between two steps of a call: the spec
-- accepts, reads and answers itself, and emr is stepped meanwhile.

local socket = require "socket"

local call = require "spec.support.call"

local Connection = {}
Connection.__index = Connection

local Peer = {}
Peer.__index = Peer

local M = {}


function Connection:_read()
    local all, reason, some = self.socket:receive("*a")
    self.received = self.received .. (all or some)
    return all and "closed" or reason
end


--- Steps until one more request (without a body) is here; returns its bytes.
function Connection:request()
    return call.step_until(function()
        self:_read()
        local head, rest = self.received:match("^(.-\r\n\r\n)(.*)$")
        self.received = rest or self.received
        return head
    end, "a request")
end


--- Steps until the other side has closed the connection.
function Connection:wait_closed()
    call.step_until(function()
        return self:_read() == "closed"
    end, "the end of a connection")
end


function Connection:send(bytes)
    assert(self.socket:send(bytes))
end


--- Ends the connection: with a FIN, or at once with a RST.
function Connection:close(how)
    if how == "rst" then
        self.socket:setoption("linger", { on = true, timeout = 0 })
    end
    self.socket:close()
end


--- The next connection if there is one already, without a step.
function Peer:poll()
    local accepted = self.socket:accept()
    if accepted then
        accepted:settimeout(0)
        accepted:setoption("tcp-nodelay", true)
        return setmetatable({ socket = accepted, received = "" }, Connection)
    end
end


--- Steps until somebody connects.
function Peer:accept()
    return call.step_until(function()
        return self:poll()
    end, "a connection")
end


function Peer:close()
    self.socket:close()
end


--- Listens; `url` says where.
function M.new()
    local listener = assert(socket.bind("127.0.0.1", 0, 128))
    listener:settimeout(0)
    local _, port = listener:getsockname()
    return setmetatable({ socket = listener, url = "http://127.0.0.1:" .. port }, Peer)
end


--- The bytes of a reply with this body and these header lines.
function M.reply(body, lines)
    lines = lines or { "Content-Length: " .. #body }
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-acs-request-id: P-1\r\n"
        .. table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end


--- The documented body.
function M.sample()
    local file = assert(io.open("spec/emulator/sample.json", "rb"))
    local body = file:read("*a")
    file:close()
    return body
end


return M
