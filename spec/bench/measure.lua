-- Runs one row (rows.lua says what that is) and reads what it prints: a program, calls.lua inside
-- an nginx, or what other requests to that nginx feel. Client and server have a core each, where
-- there are two.

local emulator = require "spec.support.emulator"
local server = require "spec.bench.server"
local worker = require "spec.bench.worker"

local BUILD = "build/bench/"
local PROGRAMS = {
    floor = BUILD .. "floor",
    decode = BUILD .. "decode",
    spawn = BUILD .. "spawn",
    interpreter = os.getenv "BENCH_LUA" or "lua5.4",
    lua = "@interpreter spec/bench/calls.lua",
    luajit = "luajit spec/bench/calls.lua",
}
local CALLGRIND = "valgrind --tool=callgrind --callgrind-out-file=/dev/null "

-- The session cluster of the emulator that always runs.
local VERIFIED = "/api/v1/workspaces/w-1234abcd"
    .. "/sessionClusters/1234abcd-12ab-34cd-56ef-1234567890ab"

local function output(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read "*a"
    if not pipe:close() then
        error(command .. "\n" .. text, 0)
    end
    return text
end

local cores = tonumber(output "nproc")

local M = { cores = cores }

--- Starts the server; @param sizes as for server.start.
function M.serve(sizes)
    M.server = server.start(sizes, cores > 1 and "worker_cpu_affinity 10;" or "")
    return M.server
end

-- What a row's program is told. A verified one asks the emulator, which checks every request as the
-- service does.
local function environment(row, reply)
    if row.verified then
        local emu = emulator.get()
        return {
            BENCH_URL = emu.https, BENCH_CA = emu.ca_file, BENCH_PATH = VERIFIED,
            BENCH_KEY_ID = emu.access_key_id, BENCH_KEY = emu.access_key_secret,
        }
    end
    return {
        BENCH_URL = M.server.url, BENCH_CA = M.server.ca_file, BENCH_PATH = M.server.path(reply),
        BENCH_BODY = M.server.dir .. "/documented",
    }
end

-- The shell's words for `row` of `n` calls; `under` is a command that runs it.
local function command_of(row, what, under, n, inflight, reply)
    local words = {
        n = n, j = inflight, url = M.server.url, ca = M.server.ca_file,
        path = M.server.path(reply) .. "'?regionId=cn-hangzhou'",
    }
    local function fill(text)
        return (text:gsub("@(%l+)", function(word) return words[word] or fill(PROGRAMS[word]) end))
    end
    local variables = "LUA_CPATH_5_4='build/5.4/?.so;;' LUA_CPATH='build/luajit/?.so;;'"
    for name, value in pairs(environment(row, reply)) do
        variables = ("%s %s='%s'"):format(variables, name, value)
    end
    return ("env %s %s %s %s"):format(variables, row.env or "", under, fill(what))
end

-- The fields of a line that a program prints, of one call where they are sums.
local function parse(line)
    local sample = {}
    for key, value in line:gmatch "(%w+)=(%S+)" do
        sample[key] = tonumber(value)
    end
    sample.rate = sample.calls / sample.wall
    sample.cpu = sample.cpu / sample.calls
    return sample
end

local function run_program(row, n, inflight, reply)
    local pinned = cores > 1 and "taskset -c 0 " or ""
    return parse(output(command_of(row, row[3], pinned, n, inflight, reply)))
end

local function start_worker(row, reply, under)
    local main = cores > 1 and "worker_cpu_affinity 01;" or ""
    return worker.start(environment(row, reply), main, under)
end

local function run_in_nginx(row, n, inflight, reply)
    local client = start_worker(row, reply)
    local line = client:run(row.nginx, n, inflight)
    client:stop()
    return parse(line)
end

-- What /ping of an idle worker takes, and while the row's calls are in flight all the time.
local function run_beside(row, n, inflight, reply)
    local client = start_worker(row, reply)
    local p50, p99 = client:ping(row.pings)
    local sample
    local busy50, busy99 = client:ping_during(row.pings, row.nginx, n, inflight, function(line)
        sample = parse(line)
    end)
    client:stop()
    sample.cpu = nil  -- that of the pings is in it
    sample.idle50, sample.idle99, sample.ping50, sample.ping99 = p50, p99, busy50, busy99
    return sample
end

--- One measurement: {cpu, wall, p50, p99, rate, memory, connections, server}; with `pings` also
-- {idle50, idle99, ping50, ping99}.
---@param row table
---@param n integer          calls
---@param inflight integer
---@param reply? string      what is asked for; "documented"
function M.run(row, n, inflight, reply)
    local run = row.pings and run_beside or row.nginx and run_in_nginx or run_program
    local before, busy = M.server.accepted(), M.server.cpu()
    local sample = run(row, n, inflight, reply or row.reply or "documented")
    sample.connections = M.server.accepted() - before
    sample.server = sample.connections > 0 and (M.server.cpu() - busy) / sample.calls or nil
    return sample
end

-- This reply comes a little later, so that the client always waits for it: else chance decides
-- which way it goes.
local LATER = "after-3"

local function collected(text)
    return tonumber(text:match "Collected : (%d+)") or error(text)
end

local function count(row, what, n, inflight, reply)
    if not row.nginx then
        return collected(output(command_of(row, what, CALLGRIND, n, inflight, reply) .. " 2>&1"))
    end
    local log = M.server.dir .. "/callgrind.log"
    local client = start_worker(row, reply, CALLGRIND .. "--log-file=" .. log)
    client:run(row.nginx, n, inflight)
    client:stop()
    return collected(output("cat " .. log))
end

--- Instructions a call: what as many calls again cost more, so that starting up does not count; or
-- those of the whole process. Without `reply` it is the documented one, 3 ms later.
function M.instructions(row, n, inflight, reply)
    reply = reply or LATER
    if row.whole then
        return count(row, row.whole, 1, 1, reply)
    end
    return (count(row, row[3], 2 * n, inflight, reply) - count(row, row[3], n, inflight, reply)) / n
end

--- How many requests the emulator has seen, and how many of them it refused.
function M.verified()
    local requests, refused = emulator.get():requests(), 0
    for _, request in ipairs(requests) do
        refused = refused + (request.verdict == "ok" and 0 or 1)
    end
    return #requests, refused
end

return M
