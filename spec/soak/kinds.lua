--- The calls of the soak run, good and bad, each with what has to come of it. The same in a plain
-- process and inside nginx: `batch` makes one of each kind, beside each other.

local emr = require "emr"

local WORKSPACE = "w-1"
local FOREVER = 1e9  -- requests

-- A session cluster for each fault, which happens to every request for it. `expects` is a pattern
-- of `word` below.
local CLUSTERS = {
    { id = "soak-good", expects = "Running" },
    { id = "soak-error", fault = { name = "status" }, expects = "service/ServiceUnavailable" },
    { id = "soak-code", fault = { name = "service" }, expects = "service/InvalidParameter" },
    { id = "soak-html", fault = { name = "html" }, expects = "service/nil" },
    { id = "soak-throttled", fault = { name = "throttling", retry_after_ms = 2 },
        expects = "throttled/Throttling.User" },
    { id = "soak-reset", fault = { name = "reset" }, expects = "network/reset" },
    { id = "soak-truncated", fault = { name = "truncated" }, expects = "network/truncated" },
    { id = "soak-empty", fault = { name = "empty" }, expects = "protocol/empty" },
    { id = "soak-garbage", fault = { name = "garbage" }, expects = "protocol/json" },
    { id = "soak-gzip", fault = { name = "gzip" }, expects = "protocol/encoding" },
    { id = "soak-redirect", fault = { name = "redirect" }, expects = "protocol/redirect" },
    { id = "soak-huge", fault = { name = "huge", bytes = 2097152, declared = true },
        expects = "protocol/too_large" },
    { id = "soak-slow", fault = { name = "slow", seconds = 1 },
        expects = "timeout/%a+",  -- a busy machine may not even connect in that time
        options = { timeout = 0.05, retry = { attempts = 1 } } },
}

local M = {}

--- Has the emulator make the clusters and their faults.
function M.prepare(emu)
    emu:cluster { workspaceId = WORKSPACE, sessionClusterId = "soak-stopped",
        on_stop = { "Running" } }  -- it can be stopped again
    for _, cluster in ipairs(CLUSTERS) do
        emu:cluster { workspaceId = WORKSPACE, sessionClusterId = cluster.id,
            states = { "Running" } }
        if cluster.fault then
            cluster.fault.sessionClusterId, cluster.fault.times = cluster.id, FOREVER
            emu:fault(cluster.fault)
        end
    end
end

--- Options of a client of the emulator, which can go into another process.
function M.options(emu)
    return {
        region = "cn-hangzhou", endpoint = emu.http, ca_file = emu.ca_file,
        access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
    }
end

local function with(options, changes)
    local copy = { retry = { attempts = 2, base_delay = 0.001, throttle_base_delay = 0.001 } }
    for _, source in ipairs { options, changes or {} } do
        for name, value in pairs(source) do
            copy[name] = value or nil
        end
    end
    return copy
end

local function ids(id)
    return { workspaceId = WORKSPACE, sessionClusterId = id or "soak-good" }
end

-- What is no plain get: name -> what is expected, and a function(client, settings).
local OTHERS = {
    https = { "Running", function(_, settings)
        return emr.client.new(with(settings.options, { endpoint = settings.https }))
            :get_session_cluster(ids())
    end },
    untrusted = { "tls/verify", function(_, settings)
        local options = with(settings.options, { endpoint = settings.https, ca_file = false })
        return emr.client.new(options):get_session_cluster(ids())
    end },
    nobody = { "network/connect", function(_, settings)
        return emr.client.new(with(settings.options, { endpoint = "http://127.0.0.1:1" }))
            :get_session_cluster(ids())
    end },
    role = { "Running", function(_, settings)
        local credentials = emr.credentials.assume_role {
            source = emr.credentials.static(settings.key), sts_endpoint = settings.options.endpoint,
            role_arn = "acs:ram::123456789012:role/soak", role_session_name = "soak",
        }
        local options = with(settings.options, { access_key_id = false, access_key_secret = false,
            credentials = credentials })
        return emr.client.new(options):get_session_cluster(ids())
    end },
    wait = { "Running", function(client)
        return client:wait_session_cluster(ids(), { state = "Running", timeout = 5 })
    end },
    list = { "ok", function(client)
        for cluster, message, err in client:items("ListSessionClusters",
            { workspaceId = WORKSPACE }) do
            if not cluster then
                return nil, message, err
            end
        end
        return {}
    end },
    stop = { "ok", function(client)
        return client:stop_session_cluster { workspaceId = WORKSPACE,
            sessionClusterId = "soak-stopped" }
    end },
    cancel = { "cancelled/nil", function(_, settings)
        local transfer = emr.start(emr.operations.GetSessionCluster, ids "soak-slow",
            settings.options)
        emr.step(0)
        transfer:cancel()
        return transfer:result()
    end },
    abandon = { "ok", function(_, settings)  -- for the collector
        emr.start(emr.operations.GetSessionCluster, ids "soak-slow", settings.options)
        return {}
    end },
    mistake = { "ok", function(client)
        return not pcall(client.get_session_cluster, client, { workspaceId = WORKSPACE }) and {}
    end },
    pure = { "protocol/json", function(_, settings)
        local request = emr.prepare(emr.operations.CreateSessionCluster,
            { workspaceId = WORKSPACE, name = "soak" }, settings.options)
        emr.sign({ path = "/", headers = request.headers }, settings.key)
        return emr.parse(emr.operations.GetSessionCluster, { status = 200, body = '{"a":[1,}' })
    end },
}

--- A call that lasts a second, for callers that do not wait so long.
function M.slow(settings)
    return emr.client.new(settings.options):get_session_cluster(ids "soak-slow")
end

-- The state, or kind/code.
local function word(result, message, err)
    if result then
        return result.sessionCluster and result.sessionCluster.state or "ok"
    end
    return err and ("%s/%s"):format(err.kind, tostring(err.code)) or tostring(message)
end

local function kinds(client, settings)
    local list = {}
    for _, cluster in ipairs(CLUSTERS) do
        list[#list + 1] = { cluster.id, cluster.expects, function()
            return client:get_session_cluster(ids(cluster.id), cluster.options)
        end }
    end
    for name, other in pairs(OTHERS) do
        list[#list + 1] = { name, other[1], function()
            return other[2](client, settings)
        end }
    end
    return list
end

--- One call of each kind. Adds to `counts`: `calls`, and `wrong`, a map from what went wrong to how
--- often. Settings: {options, https}.
function M.batch(settings, counts)
    settings.key = settings.key or { access_key_id = settings.options.access_key_id,
        access_key_secret = settings.options.access_key_secret }
    local client = emr.client.new(with(settings.options))
    local list, works = kinds(client, settings), {}
    for i, kind in ipairs(list) do
        works[i] = function()
            local got = word(kind[3]())
            counts.calls = counts.calls + 1
            if not got:find("^" .. kind[2] .. "$") then
                local what = ("%s: %s"):format(kind[1], got)
                counts.wrong[what] = (counts.wrong[what] or 0) + 1
            end
            return true
        end
    end
    local _, errors = client:all(works, { concurrency = 8 })
    for _, err in pairs(errors) do
        counts.wrong[tostring(err)] = (counts.wrong[tostring(err)] or 0) + 1
    end
    client:close()
end

return M
