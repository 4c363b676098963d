-- A second, independent ACS3 signer and a bare HTTP client, for specs of the emulator itself.
-- Nothing here is shared with src/ or with spec/emulator/.

local cjson = require "cjson"
local digest = require "openssl.digest"
local hmac = require "openssl.hmac"
local mime = require "mime"
local socket = require "socket"

local M = {}


local function hex(bytes)
    return (bytes:gsub(".", function(c)
        return ("%02x"):format(c:byte())
    end))
end


function M.sha256(data)
    return hex(digest.new("sha256"):final(data))
end


function M.hmac_sha256(secret, text)
    return hex(hmac.new(secret, "sha256"):final(text))
end


function M.escape(text)
    return (text:gsub("[^A-Za-z0-9_.~-]", function(c)
        return ("%%%02X"):format(c:byte())
    end))
end


--- "a=1&b=2" from a map, sorted by name and encoded: good for the URL and for signing.
function M.query(map)
    local names, pieces = {}, {}
    for name in pairs(map) do
        names[#names + 1] = name
    end
    table.sort(names)
    for i, name in ipairs(names) do
        pieces[i] = M.escape(name) .. "=" .. M.escape(map[name])
    end
    return table.concat(pieces, "&")
end


function M.now(offset)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + (offset or 0))
end


function M.nonce()
    local file = assert(io.open("/dev/urandom", "rb"))
    local bytes = file:read(16)
    file:close()
    return hex(bytes)
end


--- Adds `authorization` to request.headers. request: method, path, query (text), headers (with
--- lower-case names), body; key: access_key_id, access_key_secret; names: those to sign (all).
function M.sign(request, key, names)
    if not names then
        names = {}
        for name in pairs(request.headers) do
            names[#names + 1] = name
        end
    end
    table.sort(names)
    local lines = {}
    for i, name in ipairs(names) do
        lines[i] = name .. ":" .. request.headers[name] .. "\n"
    end
    local signed = table.concat(names, ";")
    local canonical = table.concat({ request.method, request.path, request.query,
        table.concat(lines), signed, M.sha256(request.body) }, "\n")
    local text = "ACS3-HMAC-SHA256\n" .. M.sha256(canonical)
    local signature = M.hmac_sha256(key.access_key_secret, text)
    request.headers.authorization = "ACS3-HMAC-SHA256 Credential=" .. key.access_key_id
        .. ",SignedHeaders=" .. signed .. ",Signature=" .. signature
    return request
end


--- The older RPC signature of a sorted and encoded query.
function M.rpc_signature(method, query, secret)
    local text = method .. "&%2F&" .. M.escape(query)
    return (mime.b64(hmac.new(secret .. "&", "sha1"):final(text)))
end


--- A request to the server at `base`, not signed yet: GetSessionCluster of w-1/s-1, but for what
--- `with` says (method, path, query as a map, body, action, version, date, headers).
function M.request(base, with)
    with = with or {}
    local body = with.body or ""
    local request = {
        method = with.method or "GET",
        path = with.path or "/api/v1/workspaces/w-1/sessionClusters/s-1",
        query = M.query(with.query or { regionId = "cn-hangzhou" }),
        body = body,
        headers = {
            host = base:match("//(.*)"),
            ["x-acs-action"] = with.action or "GetSessionCluster",
            ["x-acs-version"] = with.version or "2023-08-08",
            ["x-acs-date"] = with.date or M.now(),
            ["x-acs-signature-nonce"] = M.nonce(),
            ["x-acs-content-sha256"] = M.sha256(body),
        },
    }
    for name, value in pairs(with.headers or {}) do
        request.headers[name] = value
    end
    return request
end


--- The bytes of a request, for one reply on a connection of its own.
function M.bytes(request)
    local target = request.path .. (request.query ~= "" and "?" .. request.query or "")
    local lines = { request.method .. " " .. target .. " HTTP/1.1" }
    for name, value in pairs(request.headers) do
        lines[#lines + 1] = name .. ": " .. value
    end
    lines[#lines + 1] = "connection: close"
    if request.body ~= "" then
        lines[#lines + 1] = "content-length: " .. #request.body
    end
    return table.concat(lines, "\r\n") .. "\r\n\r\n" .. request.body
end


--- {status, headers, body} from the bytes of a reply; nil when they are none.
function M.parse(bytes)
    local head, body = bytes:match("^(.-\r\n)\r\n(.*)$")
    local status = head and head:match("^HTTP/1%.1 (%d%d%d)")
    if not status then
        return nil
    end
    local headers = {}
    for name, value in head:gmatch("\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
        headers[name:lower()] = value
    end
    return { status = tonumber(status), headers = headers, body = body }
end


--- Connects to a base URL; `tls` holds LuaSec's parameters for https.
function M.connect(base, tls)
    local scheme, host, port = base:match("^(https?)://([^:/]+):(%d+)$")
    local connection = assert(socket.connect("127.0.0.1", tonumber(port)))
    connection:settimeout(10)
    if scheme == "http" then
        return connection
    end
    local ssl = require "ssl"
    connection = assert(ssl.wrap(connection, tls))
    connection:settimeout(10)
    connection:sni(host)
    local ok, message = connection:dohandshake()
    if not ok then
        connection:close()
        return nil, message
    end
    return connection
end


--- Sends bytes and returns all that comes back until the end, and why it ended ("closed", a reset).
function M.exchange(base, bytes, tls)
    local connection, message = M.connect(base, tls)
    if not connection then
        return nil, message
    end
    connection:send(bytes)
    local all, reason, rest = connection:receive("*a")
    connection:close()
    return all or rest, reason
end


--- Sends a request and returns its reply {status, headers, body, json = the body if it is JSON};
--- when there is none, nil, why the connection ended, and what came instead.
function M.send(base, request, tls)
    local bytes, reason = M.exchange(base, M.bytes(request), tls)
    local reply = bytes and M.parse(bytes)
    if not reply then
        return nil, reason, bytes
    end
    local ok, value = pcall(cjson.decode, reply.body)
    reply.json = ok and type(value) == "table" and value or {}
    return reply
end


return M
