-- Runs one row: starts the server under the bench, pins the client to a core of its own, and reads
-- what the program prints. See rows.lua for what a row is.

local server = require "spec.bench.server"

local PROGRAMS = {
    floor = "build/bench/floor",
    decode = "build/bench/decode",
    spawn = "build/bench/spawn",
    interpreter = os.getenv "BENCH_LUA" or "lua5.4",
    lua = "@interpreter spec/bench/calls.lua",
    luajit = "luajit spec/bench/calls.lua",
}

local function output(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read "*a"
    if not pipe:close() then
        error(command .. "\n" .. text, 0)
    end
    return text
end

local cores = tonumber(output "nproc")

local M = { cores = cores, output = output }

--- The server; @param sizes as for server.start.
function M.serve(sizes)
    M.server = server.start(sizes, cores > 1 and "worker_cpu_affinity 10;" or "")
    return M.server
end

local function environment(reply)
    local served = M.server
    return ("env LUA_CPATH_5_4='build/5.4/?.so;;' LUA_CPATH='build/luajit/?.so;;' BENCH_URL=%s "
        .. "BENCH_CA=%s BENCH_PATH=%s BENCH_BODY=%s/documented.json "):format(
        served.url, served.ca_file, served.path(reply), served.dir)
end

local function expand(command, n, inflight, reply)
    local words = {
        n = n, j = inflight, url = M.server.url, ca = M.server.ca_file,
        path = M.server.path(reply) .. "'?regionId=cn-hangzhou'",
    }
    local function fill(text)
        return (text:gsub("@(%l+)", function(word) return words[word] or fill(PROGRAMS[word]) end))
    end
    return fill(command)
end

--- The fields of a line that a program prints, of one call where they are sums.
function M.parse(line)
    local sample = {}
    for key, value in line:gmatch "(%w+)=(%S+)" do
        sample[key] = tonumber(value)
    end
    sample.rate = sample.calls / sample.wall
    sample.cpu = sample.cpu / sample.calls
    return sample
end

--- One measurement: {cpu, wall, p50, p99, rate, memory, connections}.
---@param row table
---@param n integer          calls
---@param inflight integer
---@param reply? string      what is asked for; "documented"
function M.run(row, n, inflight, reply)
    reply = reply or "documented"
    local before = M.server.accepted()
    local pinned = cores > 1 and "taskset -c 0 " or ""
    local sample = M.parse(output(environment(reply) .. pinned
        .. expand(row[3], n, inflight, reply)))
    sample.connections = M.server.accepted() - before
    return sample
end

-- The reply comes a little later, so that the client always waits for it: else chance decides
-- which way it goes.
local LATER = "after-3"

local function collected(command)
    local text = output(environment(LATER) .. "valgrind --tool=callgrind"
        .. " --callgrind-out-file=/dev/null " .. command .. " 2>&1")
    return tonumber(text:match "Collected : (%d+)") or error(text)
end

--- Instructions a call: what as many calls again cost more, so that starting up does not count; or
-- those of the whole process.
function M.instructions(row, n, inflight)
    if row.whole then
        return collected(expand(row.whole, 1, 1, LATER))
    end
    return (collected(expand(row[3], 2 * n, inflight, LATER))
        - collected(expand(row[3], n, inflight, LATER))) / n
end

return M
