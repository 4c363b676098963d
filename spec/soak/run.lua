--- The soak run: mixed calls, good and bad, from this process and from nginx at the same time, for
-- so many seconds or calls, whichever is over first:
--     lua spec/soak/run.lua SECONDS CALLS
-- Each call has to end as its kind must; memory and descriptors have to be flat, by the slope of
-- the line through all samples but those of the beginning.

local emr = require "emr"

local child = require "spec.support.child"
local descriptors = require "spec.support.descriptors"
local emulator = require "spec.support.emulator"
local growth = require "spec.support.growth"
local kinds = require "spec.soak.kinds"
local memory = require "spec.support.memory"
local nginx = require "spec.support.nginx"

local SECONDS, CALLS = tonumber(arg[1]), tonumber(arg[2])
local SAMPLES = 60
local WARM = 0.2  -- the part of the run that does not count
local FORK_EVERY = 10  -- batches
-- By how much each may rise in all. What is leaked in each call of one kind, 32 bytes at least, is
-- more in a full run; connections come and go.
local LIMITS = { resident = 1024, heap = 256, descriptors = 4 }

local emu = emulator.get()
local process = child.load "process"

local function quoted(value)
    return ("%q"):format(value)
end

local function settings_text(settings)
    local fields = {}
    for name, value in pairs(settings.options) do
        fields[#fields + 1] = name .. "=" .. quoted(value)
    end
    return ("{ https = %q, options = { %s } }"):format(settings.https, table.concat(fields, ", "))
end

local function start_nginx(settings)
    local server = nginx.start {
        http = ([[init_by_lua_block {
            soak = require("spec.soak.inside_nginx").open(%s)
        }]]):format(settings_text(settings)),
        server = [[
            location = /start { content_by_lua_block { soak.start() } }
            location = /say { content_by_lua_block { soak.say() } }
            location = /stop { content_by_lua_block { soak.stopped = true } }
            location = /hang { content_by_lua_block { soak.hang() } }
        ]],
    }
    server:get "/start"
    return server
end

-- A forked child makes a call of its own and ends.
local function fork(settings)
    local pid = process.fork()
    if pid == 0 then
        local ok = emr.get_session_cluster({ workspaceId = "w-1", sessionClusterId = "soak-good" },
            settings.options)
        os.exit(ok and true or false, true)
    end
    return process.wait(pid) == 0
end

-- What this process does besides the batches: forks, programs, and hanging up on nginx.
local function extras(settings, server, counts)
    local done = { fork = fork(settings), program = emr.run { "true" } == 0 }
    server:request "/hang" "give up"
    counts.calls = counts.calls + 2
    for name, ok in pairs(done) do
        if not ok then
            counts.wrong[name] = (counts.wrong[name] or 0) + 1
        end
    end
end

local function sample_here(counts)
    local resident = memory.resident()
    return { calls = counts.calls, resident = resident, heap = collectgarbage "count",
        descriptors = descriptors.count() }
end

local function sample_nginx(server)
    local said = server:get "/say"
    local calls, resident, heap = said:match "^(%d+) (%d+) (%d+)\n"
    return { calls = tonumber(calls), resident = tonumber(resident), heap = tonumber(heap),
        descriptors = server:descriptors(), wrong = said:match "\n(.*)$" }
end

local function print_sample(name, at, sample)
    print(("%6.0f s  %-5s  %8d calls  %6d KiB resident  %5.0f KiB of Lua  %3d descriptors"):format(
        at, name, sample.calls, sample.resident, sample.heap, sample.descriptors))
    io.flush()
end

-- Returns the samples of both, {at, sample}, and what went wrong.
local function run(settings, server)
    local began, counts, batches = emr.now(), { calls = 0, wrong = {} }, 0
    local samples, next_at = { plain = {}, nginx = {} }, 0
    repeat
        kinds.batch(settings, counts)
        batches = batches + 1
        if batches % FORK_EVERY == 0 then
            extras(settings, server, counts)
        end
        local at, calls = emr.now() - began, counts.calls
        if at >= next_at or at >= SECONDS then
            next_at = at + SECONDS / SAMPLES
            local sampled = { plain = sample_here(counts), nginx = sample_nginx(server) }
            calls = sampled.plain.calls + sampled.nginx.calls
            for name, sample in pairs(sampled) do
                table.insert(samples[name], { at, sample })
                print_sample(name, at, sample)
            end
        end
    until at >= SECONDS or calls >= CALLS
    return samples, counts.wrong
end

local passed, failed = 0, 0

local function check(ok, text)
    passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
    print((ok and "ok      " or "FAILED  ") .. text)
end

local function check_flat(name, samples, what, limit)
    local points = {}
    for i = math.floor(#samples * WARM) + 1, #samples do
        points[#points + 1] = { samples[i][1], samples[i][2][what] }
    end
    local rise = growth.rise(points)
    check(rise <= limit, ("%s: %s rises by %.1f in the last %.0f s, %d are allowed"):format(name,
        what, rise, points[#points][1] - points[1][1], limit))
end

local function check_run(name, samples, wrong)
    check(wrong == "", ("%s: %d calls ended as they should %s"):format(name,
        samples[#samples][2].calls, wrong ~= "" and "but\n" .. wrong or ""))
    for what, limit in pairs(LIMITS) do
        check_flat(name, samples, what, limit)
    end
end

kinds.prepare(emu)
local settings = { options = kinds.options(emu), https = emu.https }
local server = start_nginx(settings)
local samples, wrong = run(settings, server)
local lines = {}
for what, times in pairs(wrong) do
    lines[#lines + 1] = ("%d times %s\n"):format(times, what)
end
check_run("plain", samples.plain, table.concat(lines))
check_run("nginx", samples.nginx, samples.nginx[#samples.nginx][2].wrong)
server:get "/stop"
local troubles = server:troubles()
check(troubles == "", "nginx: nothing in its error log " .. troubles)
server:stop()
print(("%d passed, %d failed, 0 skipped"):format(passed, failed))
os.exit(failed == 0, true)
