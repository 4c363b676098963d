-- The rows of `make bench-nginx`: emr.client inside an nginx worker, beside a client written by
-- hand on cosockets, and what the worker's other requests feel of it.
--
-- A second nginx is the client: its worker runs calls.lua and tells what it cost.

local measure = require "spec.bench.measure"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local stats = require "spec.bench.stats"

local ROUNDS = tonumber(os.getenv "BENCH_ROUNDS" or 15)
local PINGS = 8000

local HTTP = "lua_ssl_trusted_certificate @ca@; lua_ssl_verify_depth 3;"
local SERVER = [[
    location = /ping { return 204; }
    location = /run {
        content_by_lua_block {
            local n, inflight = tonumber(ngx.var.arg_n), tonumber(ngx.var.arg_j)
            ngx.print(require("spec.bench.calls").measure(ngx.var.arg_row, n, inflight))
        }
    }
]]

-- Rows: {key, label, command} of a C program, or {key, label, row = of calls.lua}.
local GROUPS = {
    { title = "https, one call after the other", base = "floor", inflight = 1, n = 500,
        { "floor", "C floor", "@floor floor @n @j" },
        { "decode", "C with signing and lua-cjson", "@decode decode @n @j" },
        { "client", "emr.client in nginx", row = "client" },
        { "cosocket", "by hand in nginx: cosocket, luaossl, cjson", row = "cosocket" } },
    { title = "https, 32 in flight", base = "floor32", inflight = 32, n = 1600,
        { "floor32", "C floor", "@floor floor @n @j" },
        { "decode32", "C with signing and lua-cjson", "@decode decode @n @j" },
        { "all32", "client:all in nginx", row = "all" },
        { "cosocket32", "by hand in nginx: cosocket, luaossl, cjson", row = "cosocket" } },
}

local function start_client(served, reply)
    local environment = {
        BENCH_URL = served.url, BENCH_CA = served.ca_file, BENCH_PATH = served.path(reply),
    }
    local names = {}
    for name in pairs(environment) do
        names[#names + 1] = "env " .. name .. ";"
    end
    return nginx.start {
        main = (measure.cores > 1 and "worker_cpu_affinity 01; " or "") .. table.concat(names, " "),
        http = HTTP:gsub("@ca@", served.ca_file), server = SERVER, env = environment,
    }
end

local opened = {}  -- by row: the connections of all rounds, since the worker keeps them

local function ask(client, row, n, inflight)
    local before = measure.server.accepted()
    local line, status = client:get(("/run?row=%s&n=%d&j=%d"):format(row.row, n, inflight))
    assert(status == 200, client:log())
    local sample = measure.parse(line)
    opened[row] = (opened[row] or 0) + measure.server.accepted() - before
    sample.connections = opened[row]
    return sample
end

local function print_rows(client)
    local results = stats.new()
    for round = 1, ROUNDS do
        io.stderr:write(("\rround %d of %d"):format(round, ROUNDS))
        for _, group in ipairs(GROUPS) do
            for _, row in ipairs(group) do
                results:add(row[1], row.row and ask(client, row, group.n, group.inflight)
                    or measure.run(row, group.n, group.inflight))
            end
        end
    end
    io.stderr:write "\r                    \r"
    for _, group in ipairs(GROUPS) do
        stats.print_group(results, group)
    end
end

-- While 8 calls that take 100 ms are in flight all the time.
local function busy_p99(client)
    local reply = client:request "/run?row=all&n=240&j=8"
    socket.sleep(0.3)
    local p99 = client:p99(PINGS)
    assert(reply():find "calls=240")
    return p99
end

local function print_pings(client)
    local results = stats.new()
    for _ = 1, math.min(ROUNDS, 5) do
        results:add("ping", { idle = client:p99(PINGS), busy = busy_p99(client) })
    end
    local idle, busy = results:median("idle", "ping"), results:median("busy", "ping")
    print(("/ping, p99: %.2f ms with an idle worker, %.2f ms with 8 calls of 100 ms in flight: "
        .. "+ %.2f ms (at most + 3 ms)"):format(idle * 1000, busy * 1000, (busy - idle) * 1000))
end

local served = measure.serve {}
local client, slow
local ok, message = xpcall(function()
    print(("%s; client and server on %s; medians of %d rounds\n"):format(stats.machine(),
        measure.cores > 1 and "cores of their own" or "one core", ROUNDS))
    client = start_client(served, "documented")
    print_rows(client)
    client:stop()
    slow = start_client(served, "after-100")
    print_pings(slow)
end, debug.traceback)
for _, one in pairs { client or false, slow or false, served } do
    if one then
        one:stop()
    end
end
if not ok then
    io.stderr:write(tostring(message), "\n")
end
os.exit(ok, true)
