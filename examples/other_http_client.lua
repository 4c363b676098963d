-- Somebody else sends: `prepare` signs a request, LuaSocket and LuaSec carry it, `parse` reads the
-- reply. Neither of the two does any I/O.
--
--     lua5.4 examples/other_http_client.lua WORKSPACE CLUSTER
--
-- Needs LuaSocket and LuaSec (Debian: lua-socket lua-sec).
-- Keys come from ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET.
-- Exit status: 0, or 1 when the call failed, or 2 when an argument is missing.

local emr = require "emr"
local http = require "socket.http"
local https = require "ssl.https"
local ltn12 = require "ltn12"
local socket = require "socket"

local CA_FILE = os.getenv "EMR_CA_FILE" or "/etc/ssl/certs/ca-certificates.crt"

local workspace, cluster = arg[1], arg[2]
if not cluster then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER\n")
    os.exit(2)
end

local function is_for(certificate, host)
    local names = certificate:extensions()["2.5.29.17"] or {}  -- subjectAltName
    for _, name in ipairs(names.dNSName or {}) do
        local suffix = name:match "^%*(%..+)$"
        if name == host or suffix and host:match "^[^.]+(.*)$" == suffix then
            return true
        end
    end
    return false
end

-- LuaSec checks that somebody who is trusted has signed the certificate, but not for which host.
local function connection()
    local conn = https.tcp { verify = "peer", cafile = CA_FILE }()
    local connect = conn.connect
    function conn:connect(host, port)
        connect(self, host, port)
        socket.try(is_for(self:getpeercertificate(), host), "the certificate is not for " .. host)
        return 1
    end
    return conn
end

-- As the client's option `transport` has it: `emr.client.new { transport = send }` would sign,
-- retry and wait as ever, and send through this.
local function send(request, seconds)
    https.TIMEOUT = seconds
    request.headers["content-length"] = request.body and #request.body
    local body = {}
    local ok, status, headers = http.request {
        method = request.method, url = request.url, headers = request.headers,
        source = request.body and ltn12.source.string(request.body),
        sink = ltn12.sink.table(body),
        create = connection,
        redirect = false,
    }
    if not ok then
        return nil, status
    end
    return { status = status, headers = headers, body = table.concat(body) }
end

local operation = emr.operations.GetSessionCluster
local request = assert(emr.prepare(operation, {
    workspaceId = workspace,
    sessionClusterId = cluster,
}, {
    region = os.getenv "ALIBABA_CLOUD_REGION_ID" or "cn-hangzhou",
    endpoint = os.getenv "EMR_ENDPOINT",
}))
local reply, message = send(request, 10)
local response
if reply then
    response, message = emr.parse(operation, reply)
end
if not response then
    io.stderr:write(message, "\n")
    os.exit(1)
end
print(("%s is %s"):format(cluster, response.sessionCluster.state))
