-- The rows of `make bench` that are written in Lua, one measurement each:
--
--     lua5.4 spec/bench/calls.lua ROW CALLS [IN_FLIGHT]
--
-- BENCH_URL, BENCH_CA and BENCH_PATH say where to, and may name another key. Inside nginx `measure`
-- is called instead, and `warm` tells when the calls that do not count are over.

local KEY_ID = os.getenv "BENCH_KEY_ID" or "bench-id"
local KEY = os.getenv "BENCH_KEY" or "bench-secret-of-30-characters!"
local WARM = 64

local path = os.getenv "BENCH_PATH"
local workspace, cluster = path:match "/workspaces/(.-)/sessionClusters/(.-)$"

local target = {
    url = os.getenv "BENCH_URL", ca_file = os.getenv "BENCH_CA", path = path,
    query = "regionId=cn-hangzhou", key_id = KEY_ID, key = KEY,
    request = { workspaceId = workspace, sessionClusterId = cluster },
}
target.host = target.url:match "//(.*)"

local function options()
    return {
        region = "cn-hangzhou", endpoint = target.url, ca_file = target.ca_file,
        access_key_id = KEY_ID, access_key_secret = KEY,
        connect_timeout = 60, timeout = 60,  -- valgrind takes its time
    }
end

local function read_file(name)
    local file = assert(io.open(name, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

-- Each row makes ready, and returns how to make `n` calls; `note` takes the start of each.
local function sequential(once)
    return function(n, _, note, now)
        for _ = 1, n do
            local began = now()
            once()
            note(began)
        end
    end
end

-- The same for what takes so little time that the clock would count: no single calls are timed.
local function untimed(once)
    return function(n)
        for _ = 1, n do
            once()
        end
    end
end

local rows = {}

function rows.call(emr)
    local request, o = target.request, options()
    return sequential(function()
        assert(assert(emr.get_session_cluster(request, o)).sessionCluster.state == "Running")
    end)
end

function rows.flight(emr)
    local request, o, get = target.request, options(), emr.operations.GetSessionCluster
    return function(n, inflight, note, now)
        local began, started, ended = {}, 0, 0
        local function start()
            local t = now()
            started = started + 1
            began[emr.start(get, request, o)] = t
        end
        while ended < n do
            while started < n and started - ended < inflight do
                start()
            end
            emr.step(1)
            for transfer in emr.finished do
                assert(assert(transfer:result()).sessionCluster.state == "Running")
                ended = ended + 1
                note(began[transfer])
                began[transfer] = nil
            end
        end
    end
end

function rows.client(emr)
    local client, request = emr.client.new(options()), target.request
    return sequential(function()
        assert(assert(client:get_session_cluster(request)).sessionCluster.state == "Running")
    end)
end

function rows.all(emr)
    local client, request = emr.client.new(options()), target.request
    return function(n, inflight, note, now)
        local list = {}
        for i = 1, n do
            list[i] = function()
                local began = now()
                local reply, message = client:get_session_cluster(request)
                note(began)
                return reply, message
            end
        end
        local _, errors = client:all(list, { concurrency = inflight })
        assert(next(errors) == nil)
    end
end

function rows.sign(emr)
    local http = emr.prepare(emr.operations.GetSessionCluster, target.request, options())
    http.headers.authorization = nil
    local what = {
        method = "GET", path = path, query = { regionId = "cn-hangzhou" }, headers = http.headers,
    }
    local key = { access_key_id = KEY_ID, access_key_secret = KEY }
    return untimed(function() emr.sign(what, key) end)
end

function rows.prepare(emr)
    local request, o, get = target.request, options(), emr.operations.GetSessionCluster
    return untimed(function() emr.prepare(get, request, o) end)
end

function rows.parse(emr)
    local reply = {
        status = 200, headers = { ["content-type"] = "application/json" },
        body = read_file(os.getenv "BENCH_BODY"),
    }
    local get = emr.operations.GetSessionCluster
    return untimed(function() emr.parse(get, reply) end)
end

function rows.cjson()
    local decode, body = require "cjson".decode, read_file(os.getenv "BENCH_BODY")
    return untimed(function() decode(body) end)
end

function rows.luasec()
    return sequential(require "spec.bench.peers".luasec(target))
end

function rows.luaossl()
    return untimed(require "spec.bench.peers".luaossl(target))
end

-- Inside nginx: in as many light threads.
function rows.cosocket()
    local once, ngx = require "spec.bench.peers".cosocket(target), require "ngx"
    return function(n, inflight, note, now)
        local left, threads = n, {}
        for i = 1, inflight do
            threads[i] = ngx.thread.spawn(function()
                while left > 0 do
                    left = left - 1
                    local began = now()
                    once()
                    note(began)
                end
            end)
        end
        for i = 1, inflight do
            assert(ngx.thread.wait(threads[i]))
        end
    end
end

-- Each of the calls in flight begins its own time later, so that they are spread evenly over the
-- time that the server takes; then they go on one after the other.
local SERVER_SECONDS = 2

function rows.steady(emr)
    local ngx = require "ngx"
    local o = options()
    o.deadline = 60
    local client, request = emr.client.new(o), target.request
    return function(n, inflight, note, now)
        local list = {}
        for i = 1, inflight do
            list[i] = function()
                ngx.sleep((i - 1) / inflight * SERVER_SECONDS)
                for _ = 1, n / inflight do
                    local began = now()
                    assert(client:get_session_cluster(request))
                    note(began)
                end
                return true
            end
        end
        local _, errors = client:all(list, { concurrency = inflight })
        assert(next(errors) == nil)
    end
end

local function lua_memory()
    collectgarbage()
    return collectgarbage "count"
end

-- Seconds between the polls of a wait, for each of the waits beside each other.
local PAUSE = 0.0005

-- `n` waits for a cluster each, which runs at the fourth poll. What counts is polls, and the
-- memory of a wait: that of Lua when all sleep for the first time, less what it was before.
function rows.waits(emr)
    local client, round, each = emr.client.new(options()), 0, nil
    return function(n, inflight)
        round = round + 1
        local polls, list, before = 0, {}, lua_memory()
        local function on_poll()
            polls = polls + 1
            if polls == n and not each then
                each = (lua_memory() - before) / n
            end
        end
        for i = 1, n do
            local wanted = {
                workspaceId = workspace, sessionClusterId = ("wait-%d-%d"):format(round, i),
            }
            list[i] = function()
                return client:wait_session_cluster(wanted, {
                    timeout = 120, on_poll = on_poll,
                    min_delay = n * PAUSE, max_delay = 2 * n * PAUSE,
                })
            end
        end
        local _, errors = client:all(list, { concurrency = inflight })
        assert(next(errors) == nil)
        return polls, (" each=%.3f"):format(each)
    end
end

local function peak_memory()
    for line in io.lines "/proc/self/status" do
        local kib = line:match "^VmHWM:%s*(%d+)"
        if kib then
            return kib
        end
    end
end

-- The rows that stand for other software do not load emr.
local function clock_of(name)
    local ok, socket = false, nil
    if name == "luasec" then
        ok, socket = pcall(require, "socket")
    end
    return ok and socket.gettime or require "emr".now
end

local M = {}

--- Makes the calls of a row, after some that do not count.
---@return string line   seconds, and KiB of memory at the most
function M.measure(name, n, inflight)
    local now = clock_of(name)
    local run = rows[name](name ~= "luasec" and require "emr" or nil)
    if n > 1 then
        run(math.max(WARM, inflight), inflight, function() end, now)
    end
    M.warm = true
    local took = {}
    local function note(began)
        took[#took + 1] = now() - began
    end
    collectgarbage()
    local cpu, wall = os.clock(), now()
    local calls, more = run(n, inflight, note, now)
    cpu, wall = os.clock() - cpu, now() - wall
    table.sort(took)
    local function quantile(q)
        return took[math.floor(#took * q) + 1] or 0
    end
    return ("calls=%d cpu=%.9f wall=%.9f p50=%.9f p99=%.9f memory=%d%s"):format(calls or n, cpu,
        wall, quantile(0.5), quantile(0.99), peak_memory(), more or "")
end

if arg and arg[1] then
    print(M.measure(arg[1], tonumber(arg[2]), tonumber(arg[3] or 1)))
end

return M
