-- The benchmark. `make bench` and its like build what it needs and run it:
--
--     lua5.4 spec/bench/run.lua bench          the table, and what is promised of it
--     lua5.4 spec/bench/run.lua bench-nginx    nginx and other event loops, many calls, many waits
--     lua5.4 spec/bench/run.lua bench-growth   against calls in flight and the size of replies
--     lua5.4 spec/bench/run.lua bench-check    instructions only, against what is recorded
--     lua5.4 spec/bench/run.lua bench-record   writes what bench-check compares with
--     lua5.4 spec/bench/run.lua bench-readme   what these three print goes into README.md
--
-- What is measured. Each row (rows.lua) is a program of its own, which makes calls to a plain nginx
-- (server.lua) over https on kept connections, after some that do not count:
--
--     client.c     the same work in C with the same libraries: the floor is one fixed request sent
--                  through libcurl, then signing is added, then reading the reply into a Lua table
--     calls.lua    emr, under Lua, LuaJIT and inside nginx (worker.lua)
--     peers.lua    what one would write by hand
--     spawn.c      runs whole processes
--
-- How. CPU is what the client's process takes, user and system, over the calls of one measurement;
-- p50 and p99 are of single calls; connections are counted by the server, whose own processor time
-- for a call stands in the last column: it has a core of its own where there are two, and is never
-- the slower one as long as it takes less than the client. Peak memory is that of the process.
-- Instructions come from callgrind, two runs' difference; they repeat where times do not.
--
-- Rows are measured in turn, BENCH_ROUNDS (31) rounds of them; ratios are taken within a round, so
-- what else the machine does meets both sides: many short rounds say more than few long ones. A
-- table has medians, spread is half of the middle half. Limits are judged, but not enforced: that
-- is for bench-check, which counts instructions.

local check = require "spec.bench.check"
local growth = require "spec.bench.growth"
local measure = require "spec.bench.measure"
local rows = require "spec.bench.rows"
local stats = require "spec.bench.stats"
local write_readme = require "tools.readme"

local ROUNDS = tonumber(os.getenv "BENCH_ROUNDS" or 31)
local RECORDED = "spec/bench/recorded.lua"
local REPORT = "build/bench/%s.md"

-- Prints, and keeps it for the README.
local report = {}
local function say(text)
    print(text)
    report[#report + 1] = text
end

local function write(name, text)
    local file = assert(io.open(name, "w"))
    file:write(text)
    file:close()
end

local function read(name)
    local file = io.open(name)
    local text = file and file:read "*a"
    return file and file:close() and text
end

local has_terminal = os.execute "test -t 2"
local function progress(...)
    if has_terminal then
        io.stderr:write(("%-70s\r"):format(string.format(...)))
    end
end

local function each_row(groups, visit)
    for _, group in ipairs(groups) do
        for _, row in ipairs(group) do
            visit(row, group)
        end
    end
end

local function find(key)
    local found
    each_row(rows.reports.bench.groups, function(row)
        found = row[1] == key and row or found
    end)
    return found
end

local function instructions(row)
    return measure.instructions(row, 100 + 10 * row.inflight, row.inflight)
end

local function measure_all(groups)
    local results = stats.new()
    for round = 1, ROUNDS do
        each_row(groups, function(row)
            if round <= (row.rounds or ROUNDS) then
                progress("round %d of %d: %s", round, ROUNDS, row[2])
                results:add(row[1], measure.run(row, row.n, row.inflight))
            end
        end)
    end
    each_row(groups, function(row)
        if row.counted ~= false then
            progress("instructions: %s", row[2])
            results:set(row[1], "instructions", instructions(row))
        end
    end)
    progress ""
    return results
end

local function say_setting()
    say(("%s. Client and server on %s; medians of %d rounds at most.\n"):format(stats.machine(),
        measure.cores > 1 and "cores of their own" or "one core", ROUNDS))
end

-- The two tables of a report.
local function tables(name)
    local data = rows.reports[name]
    say_setting()
    local results = measure_all(data.groups)
    for _, group in ipairs(data.groups) do
        say(stats.group(results, group))
    end
    say(stats.limits(results, data.limits))
end

local commands = {}

function commands.bench(name)
    tables(name)
    local seen, refused = measure.verified()
    say(("The emulator verified %d requests in full and rejected %d.\n"):format(seen, refused))
    return seen > 0 and refused == 0
end

commands["bench-nginx"] = function(name)
    tables(name)
    return true
end

-- Measures rows for each of `values`; gives a function that gives a column of medians.
local function grow(values, keys, sample)
    local results = stats.new()
    for round = 1, math.min(ROUNDS, 5) do
        for _, value in ipairs(values) do
            for _, key in ipairs(keys) do
                progress("round %d: %s, %d", round, key, value)
                results:add(key .. value, sample(find(key), value))
            end
        end
    end
    progress ""
    return function(field, key, factor, base)
        local column = {}
        for i, value in ipairs(values) do
            column[i] = factor * stats.summary(results:values(function(at)
                return at(field, key .. value) / (base and at(field, base .. value) or 1)
            end))
        end
        return column
    end
end

local function say_plot(what, values, keys, fields, column)
    local heads, columns = { what }, { values }
    for _, field in ipairs(fields) do
        for _, key in ipairs(keys) do
            heads[#heads + 1] = field[1] .. ", " .. find(key)[2]
            columns[#columns + 1] = column(field[2], key, field[3])
        end
    end
    say(growth.plot(heads, columns))
end

local CPU, MEMORY = { "CPU µs a call", "cpu", 1e6 }, { "peak MiB", "memory", 1 / 1024 }
local INSTRUCTIONS = { "instructions a call", "instructions", 1 }

-- What grows in C, too, is libcurl's, lua-cjson's and the processor's caches.
local OVER_C = "CPU a call over that of C with signing and lua-cjson"

-- So many calls that it does not matter much how many rounds of garbage collection fall among them.
local COUNTED = 100

local function grow_in_flight(values)
    local keys = { "floor32", "decode32", "flight32" }
    local column = grow(values, keys, function(row, inflight)
        return measure.run(row, math.max(4000, 4 * inflight), inflight)
    end)
    say_plot("calls in flight", values, keys, { CPU, MEMORY }, column)
    say(growth.words(OVER_C, values, column("cpu", "flight32", 1, "decode32")))
    say(growth.words("peak memory", values, column("memory", "flight32", 1)) .. "\n")
end

local function grow_replies(values)
    local keys, counts = { "decode", "call" }, {}
    local column = grow(values, keys, function(row, n)
        local reply, what = "configs-" .. n, row[1] .. n
        counts[what] = counts[what] or measure.instructions(row, COUNTED, 1, reply)
        local sample = measure.run(row, row.n, 1, reply)
        sample.instructions = counts[what]
        return sample
    end)
    say_plot("applicationConfigs", values, keys, { CPU, MEMORY, INSTRUCTIONS }, column)
    say(growth.words(OVER_C, values, column("cpu", "call", 1, "decode")))
    say(growth.words("instructions a call", values, column("instructions", "call", 1)))
    say(growth.words("peak memory", values, column("memory", "call", 1)) .. "\n")
end

commands["bench-growth"] = function()
    say_setting()
    grow_in_flight(rows.growth.inflight)
    grow_replies(rows.growth.configs)
    return true
end

-- As COUNTED; a check has to be surer.
local CHECKED = 400

local function checked_ratios()
    local bases, ratios = {}, {}
    for _, key in ipairs(rows.checked) do
        local row = find(key)
        bases[row.base] = bases[row.base] or instructions(find(row.base))
        ratios[key] = measure.instructions(row, CHECKED, row.inflight) / bases[row.base]
    end
    return ratios
end

commands["bench-check"] = function()
    local failed, lines = check.compare(checked_ratios(), dofile(RECORDED))
    print("instructions a call, as a ratio to the base row's (make bench shows where they stand):")
    print(table.concat(lines, "\n"))
    print(("%d passed, %d failed, 0 skipped"):format(#lines - failed, failed))
    return failed == 0
end

commands["bench-record"] = function()
    local lines, ratios = {}, checked_ratios()
    for i, key in ipairs(rows.checked) do
        lines[i] = ("    %s = %.3f,\n"):format(key, ratios[key])
    end
    write(RECORDED, "-- Instructions a call as a ratio to the base row's, which `make bench-check`"
        .. " compares with.\n-- Written by `make bench-record` on\n-- "
        .. stats.machine():gsub("; ", ";\n-- ")
        .. ".\nreturn {\n" .. table.concat(lines) .. "}\n")
    return true
end

commands["bench-readme"] = function()
    for _, name in ipairs { "bench", "bench-nginx", "bench-growth" } do
        local measured = read(REPORT:format(name))
        if measured then
            write_readme(name, measured)
        end
    end
    return true
end

local function run(name)
    if name == "bench-readme" then
        return commands[name]()
    end
    local served = measure.serve(rows.growth.configs)
    local ok, result = xpcall(commands[name], debug.traceback, name)
    served.stop()
    if not ok then
        io.stderr:write(tostring(result), "\n")
    elseif report[1] then
        write(REPORT:format(name), table.concat(report, "\n"))
    end
    return ok and result
end

os.exit(run(arg[1]) and 0 or 1, true)
