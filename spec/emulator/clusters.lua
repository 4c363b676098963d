-- luacheck: std ngx_lua
-- EMR Serverless Spark as far as session clusters go: five operations and their life cycle.
-- A cluster's states are a script: each GET shows the next one, and the last one stays.

local cjson = require "cjson"

local canonical = require "canonical"
local reply = require "reply"
local verify = require "verify"

local VERSION = "2023-08-08"
local HERE = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local SAMPLE = assert(io.open(HERE .. "sample.json")):read("*a")
local FIELDS = cjson.decode(SAMPLE).sessionCluster
local REASONS = { Error = { code = "2000001", message = "the driver exited with status 137" } }
local OK = { code = "1000000", message = "ok" }

local clusters, order, serial, by_client_token

local M = { name = "emr" }


local function id_of(workspace_id, cluster_id)
    return workspace_id .. "\n" .. cluster_id
end


-- A state in a script is "Running" or {state =, code =, message =, seconds =}: with `seconds` it
-- stays for that long, whatever the number of requests.
local function set_script(cluster, states)
    cluster.script, cluster.step, cluster.since = {}, 1, ngx.now()
    for i, state in ipairs(states) do
        cluster.script[i] = type(state) == "table" and state or { state = state }
    end
end


local function advance(cluster)
    local now = ngx.now()
    local entry = cluster.script[cluster.step]
    local following = cluster.script[cluster.step + 1]
    while following and entry.seconds and now >= cluster.since + entry.seconds do
        cluster.step, cluster.since = cluster.step + 1, cluster.since + entry.seconds
        entry, following = following, cluster.script[cluster.step + 1]
    end
    return entry
end


local function consume(cluster)
    local entry = advance(cluster)
    if not entry.seconds and cluster.script[cluster.step + 1] then
        cluster.step, cluster.since = cluster.step + 1, ngx.now()
    end
    return entry
end


--- Makes or replaces a cluster. spec: workspaceId, sessionClusterId, states, on_start, on_stop
--- (the scripts that Start and Stop set off), fields (members that differ from the sample's), body
--- (exact text, until Start or Stop).
function M.put(spec)
    local id = id_of(spec.workspaceId, spec.sessionClusterId)
    local cluster = { id = id, on_start = spec.on_start or { "Starting", "Running" },
        on_stop = spec.on_stop or { "Stopping", "Stopped" }, body = spec.body, fields = {} }
    for name, value in pairs(FIELDS) do
        cluster.fields[name] = value
    end
    cluster.fields.connectionToken = "CANARYCONNECTIONTOKEN0000000001"
    cluster.fields.gmtCreate, cluster.fields.startTime = 1735689600000, 1735689660000
    for name, value in pairs(spec.fields or {}) do
        cluster.fields[name] = value
    end
    cluster.fields.workspaceId = spec.workspaceId
    cluster.fields.sessionClusterId = spec.sessionClusterId
    set_script(cluster, spec.states or { "Running" })
    if not clusters[id] then
        order[#order + 1] = id
    end
    clusters[id] = cluster
end


local function view(cluster, entry)
    local out = {}
    for name, value in pairs(cluster.fields) do
        out[name] = value
    end
    local reason = REASONS[entry.state] or OK
    out.state = entry.state
    out.stateChangeReason = {
        code = entry.code or reason.code,
        message = entry.message or reason.message,
    }
    if #out.applicationConfigs == 0 then
        out.applicationConfigs = reply.EMPTY_ARRAY
    end
    return out
end


local function not_found(request, id)
    return reply.service_error(request, "ResourceNotFound",
        "session cluster " .. tostring(id) .. " does not exist")
end


local function get(request)
    local cluster = clusters[id_of(request.params[1], request.params[2])]
    if not cluster then
        return not_found(request, request.params[2])
    end
    local entry = consume(cluster)
    if cluster.body then
        return reply.json(200, cluster.body)
    end
    return reply.json(200, {
        sessionCluster = view(cluster, entry),
        requestId = request.request_id,
    })
end


local function matches(fields, query)
    for _, name in ipairs { "kind", "queueName", "sessionClusterId" } do
        if query[name] and query[name] ~= fields[name] then
            return false
        end
    end
    return true
end


-- A page token is the number of entries before the page, dressed up so that nobody reckons with it.
local function list(request)
    local query, found = request.args, {}
    for _, id in ipairs(order) do
        local cluster = clusters[id]
        if cluster.fields.workspaceId == request.params[1] and matches(cluster.fields, query) then
            found[#found + 1] = cluster
        end
    end
    local limit = tonumber(query.maxResults or 20)
    local token = ngx.decode_base64(query.nextToken or "") or "bad"
    local start = token == "" and 0 or tonumber(token:match("^after (%d+)$"))
    if not limit or limit < 1 or limit > 100 or not start then
        return reply.gateway_error(request, "InvalidParameter", "The page is not valid.")
    end
    local page = {}
    for i = start + 1, math.min(start + limit, #found) do
        page[#page + 1] = view(found[i], advance(found[i]))
    end
    return reply.json(200, {
        sessionClusters = #page > 0 and page or reply.EMPTY_ARRAY,
        maxResults = limit,
        totalCount = #found,
        nextToken = start + limit < #found and ngx.encode_base64("after " .. start + limit) or nil,
        requestId = request.request_id,
    })
end


local function decode_body(request)
    local ok, body = pcall(cjson.decode, request.body)
    return ok and type(body) == "table" and body or nil
end


local function done(request, cluster_id)
    return reply.json(200, { sessionClusterId = cluster_id, requestId = request.request_id })
end


local function create(request)
    local body = decode_body(request)
    if not body then
        return reply.gateway_error(request, "InvalidParameter", "The body is not valid.")
    end
    if not body.name then
        return reply.gateway_error(request, "MissingParameter.name", "name is mandatory.")
    end
    local token = body.clientToken
    local known = token and by_client_token[token]
    if known then
        return done(request, known)
    end
    serial = serial + 1
    local cluster_id = ("sc-%06d"):format(serial)
    body.clientToken = nil
    M.put { workspaceId = request.params[1], sessionClusterId = cluster_id, fields = body,
        states = { "Starting", "Running" } }
    if token then
        by_client_token[token] = cluster_id
    end
    return done(request, cluster_id)
end


-- Start and Stop: one script from some states, refused in the others.
local function change(script_name, allowed)
    return function(request)
        local body = decode_body(request)
        local cluster_id = body and body.sessionClusterId
        if not cluster_id then
            return reply.gateway_error(request, "MissingParameter.sessionClusterId",
                "sessionClusterId is mandatory.")
        end
        local cluster = clusters[id_of(request.params[1], cluster_id)]
        if not cluster then
            return not_found(request, cluster_id)
        end
        local state = advance(cluster).state
        if not allowed[state] then
            return reply.service_error(request, "OperationDenied",
                "the session cluster is in the state " .. state)
        end
        cluster.body = nil
        set_script(cluster, cluster[script_name])
        return done(request, cluster_id)
    end
end


local start = change("on_start", { Stopped = true, NotStarted = true, Error = true })
local stop = change("on_stop", { Running = true, Starting = true })

local CLUSTERS = "^/api/v1/workspaces/([^/]+)/sessionClusters"

local OPERATIONS = {
    { name = "GetSessionCluster", method = "GET", path = CLUSTERS .. "/([^/]+)$", serve = get },
    { name = "ListSessionClusters", method = "GET", path = CLUSTERS .. "$", serve = list },
    { name = "CreateSessionCluster", method = "POST", path = CLUSTERS .. "$", serve = create },
    { name = "StartSessionCluster", method = "POST", serve = start,
        path = CLUSTERS .. "/action/startSessionCluster$" },
    { name = "StopSessionCluster", method = "POST", serve = stop,
        path = CLUSTERS .. "/action/stopSessionCluster$" },
}


-- The operation of a method and path, with its path parameters; or nil and whether the path exists.
local function route(request)
    local path_exists = false
    for _, operation in ipairs(OPERATIONS) do
        local first, second = request.path:match(operation.path)
        if first then
            path_exists = true
            if operation.method == request.method then
                return operation, { canonical.unescape(first), canonical.unescape(second or "") }
            end
        end
    end
    return nil, path_exists
end


function M.match(request)
    return request.path:match("^/api/v1/") ~= nil
end


--- nil when the request may be served, else the error code and a message.
function M.verify(request)
    local operation, found = route(request)
    if not operation and found then
        return "UnsupportedHTTPMethod", "The HTTP method is not supported."
    end
    if not operation or request.headers["x-acs-action"] ~= operation.name
        or request.headers["x-acs-version"] ~= VERSION then
        return "InvalidApi.NotFound", "Specified api is not found."
    end
    request.operation, request.serve, request.params = operation.name, operation.serve, found
    local code, message = verify.acs3(request)
    if code then
        return code, message
    end
    if (request.args.regionId or "") == "" then
        return "MissingParameter.regionId", "regionId is mandatory for this action."
    end
end


function M.serve(request)
    return request.serve(request)
end


function M.reset()
    clusters, order, serial, by_client_token = {}, {}, 0, {}
    M.put { workspaceId = "w-1", sessionClusterId = "s-1",
        states = { "Starting", "Starting", "Running" } }
    M.put { workspaceId = "w-1234abcd", sessionClusterId = FIELDS.sessionClusterId, body = SAMPLE,
        fields = FIELDS }
end


M.reset()

return M
