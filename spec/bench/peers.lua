-- What one would write by hand without emr: HTTP/1.1 with keep-alive over LuaSec or over a cosocket
-- of nginx, signed through luaossl, read by lua-cjson. Each function takes the target (see
-- calls.lua) and returns a function that makes one call.

local cjson = require "cjson"
local digest = require "openssl.digest"
local hmac = require "openssl.hmac"
local rand = require "openssl.rand"

local SIGNED = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;"
    .. "x-acs-version"
local EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

local function hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- The signed head of a request, each time with another date and nonce.
local function signed(target)
    local before = "GET\n" .. target.path .. "\n" .. target.query .. "\nhost:" .. target.host
        .. "\nx-acs-action:GetSessionCluster\nx-acs-content-sha256:" .. EMPTY
    local head = "GET " .. target.path .. "?" .. target.query .. " HTTP/1.1\r\nhost: "
        .. target.host .. "\r\nx-acs-action: GetSessionCluster\r\nx-acs-content-sha256: " .. EMPTY
        .. "\r\nx-acs-version: 2023-08-08\r\naccept: application/json\r\nuser-agent: emr/0.1.0"
    return function()
        local date, nonce = os.date("!%Y-%m-%dT%H:%M:%SZ"), hex(rand.bytes(16))
        local canonical = before .. "\nx-acs-date:" .. date .. "\nx-acs-signature-nonce:" .. nonce
            .. "\nx-acs-version:2023-08-08\n\n" .. SIGNED .. "\n" .. EMPTY
        local text = "ACS3-HMAC-SHA256\n" .. hex(digest.new("sha256"):final(canonical))
        local signature = hex(hmac.new(target.key, "sha256"):final(text))
        return head .. "\r\nx-acs-date: " .. date .. "\r\nx-acs-signature-nonce: " .. nonce
            .. "\r\nauthorization: ACS3-HMAC-SHA256 Credential=" .. target.key_id
            .. ",SignedHeaders=" .. SIGNED .. ",Signature=" .. signature .. "\r\n\r\n"
    end
end

local function read_reply(connection)
    local status = assert(connection:receive "*l"):match "^HTTP/1.1 (%d+)"
    local length
    repeat
        local line = assert(connection:receive "*l")
        length = length or tonumber(line:match "^[Cc]ontent%-[Ll]ength: (%d+)")
    until line == ""
    local body = assert(connection:receive(length))
    assert(status == "200" and cjson.decode(body).sessionCluster.state == "Running")
end

local M = {}

function M.luasec(target)
    local socket, ssl = require "socket", require "ssl"
    local host, port = target.host:match "^(.-):(%d+)$"
    local connection = assert(socket.connect(host, tonumber(port)))
    connection:setoption("tcp-nodelay", true)
    connection = assert(ssl.wrap(connection, {
        mode = "client", protocol = "any", verify = "peer", cafile = target.ca_file,
    }))
    connection:sni(host)
    assert(connection:dohandshake())
    local head = signed(target)
    return function()
        connection:send(head())
        read_reply(connection)
    end
end

function M.cosocket(target)
    local ngx = require "ngx"
    local host, port = target.host:match "^(.-):(%d+)$"
    local head = signed(target)
    return function()
        local connection = ngx.socket.tcp()
        assert(connection:connect("127.0.0.1", tonumber(port)))
        if connection:getreusedtimes() == 0 then
            assert(connection:sslhandshake(nil, host, true))
        end
        connection:send(head())
        read_reply(connection)
        assert(connection:setkeepalive(60000, 1000))
    end
end

--- No network: only the signing.
function M.luaossl(target)
    local head = signed(target)
    return function() return head() end
end

return M
