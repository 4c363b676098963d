-- The benchmark; `make bench`, `bench-growth` and `bench-check` build what it needs and run it:
--
--     lua5.4 spec/bench/run.lua table    the table, and what is promised of it
--     lua5.4 spec/bench/run.lua growth   against calls in flight and the size of replies
--     lua5.4 spec/bench/run.lua check    instructions only, against what is recorded
--     lua5.4 spec/bench/run.lua record   writes what `check` compares with
--
-- Rows are measured in turn, BENCH_ROUNDS (15) rounds of all, and ratios taken within a round: so
-- what else the machine does meets all of them.

local data = require "spec.bench.rows"
local measure = require "spec.bench.measure"
local stats = require "spec.bench.stats"

local ROUNDS = tonumber(os.getenv "BENCH_ROUNDS" or 15)
local TOLERANCE = 1.05
local RECORDED = "spec/bench/recorded.lua"

local function each_row(visit)
    for _, group in ipairs(data.groups) do
        for _, row in ipairs(group) do
            visit(row, group)
        end
    end
end

local function find(key)
    local found, its_group
    each_row(function(row, group)
        if row[1] == key then
            found, its_group = row, group
        end
    end)
    return found, its_group
end

local function measure_all()
    local results = stats.new()
    for round = 1, ROUNDS do
        io.stderr:write(("\rround %d of %d"):format(round, ROUNDS))
        each_row(function(row, group)
            results:add(row[1], measure.run(row, row.n or group.n, group.inflight))
        end)
    end
    io.stderr:write "\rinstructions     \n"
    each_row(function(row, group)
        if row.whole ~= false then
            results:set(row[1], "instructions",
                measure.instructions(row, 200 + 10 * group.inflight, group.inflight))
        end
    end)
    return results
end

local function print_limits(results)
    local lines = { { "promised", "at most", "aim", "measured", "" } }
    local function ratio(...) return results:ratio(...) end
    local function median(...) return results:median(...) end
    for _, limit in ipairs(data.limits) do
        local measured = limit.of(ratio, median)
        lines[#lines + 1] = { limit[1], ("%.2f"):format(limit[2]),
            limit.aim and ("%.2f"):format(limit.aim) or "", ("%.2f"):format(measured),
            measured <= limit[2] and "met" or "NOT MET" }
    end
    stats.print_table(lines)
end

-- One row against the emulator, which checks every request as the service does.
local function print_verified()
    local emulator = require "spec.support.emulator".get()
    local n, refused = 1000, 0
    measure.output(("env LUA_CPATH_5_4='build/5.4/?.so;;' BENCH_URL=%s BENCH_CA=%s BENCH_KEY_ID=%s "
        .. "BENCH_KEY=%s BENCH_PATH=%s lua5.4 spec/bench/calls.lua call %d"):format(emulator.https,
        emulator.ca_file, emulator.access_key_id, emulator.access_key_secret, data.verified, n))
    local requests = emulator:requests()
    for _, request in ipairs(requests) do
        refused = refused + (request.verdict == "ok" and 0 or 1)
    end
    print(("%d calls to the emulator, each verified: %d refused\n"):format(#requests, refused))
    return #requests >= n and refused == 0
end

local commands = {}

commands["table"] = function()
    print(("%s; client and server on %s; medians of %d rounds\n"):format(stats.machine(),
        measure.cores > 1 and "cores of their own" or "one core", ROUNDS))
    local results = measure_all()
    for _, group in ipairs(data.groups) do
        stats.print_group(results, group)
    end
    print_limits(results)
    return print_verified()
end

-- How one figure grows: each of `rows` for each of `values`.
local function grow(title, values, rows, sample)
    local results, group = stats.new(), { title = title, base = rows[1] }
    for _ = 1, math.min(ROUNDS, 5) do
        for _, value in ipairs(values) do
            for _, key in ipairs(rows) do
                results:add(key .. value, sample(find(key), value))
            end
        end
    end
    for _, value in ipairs(values) do
        for _, key in ipairs(rows) do
            group[#group + 1] = { key .. value, ("%5d  %s"):format(value, find(key)[2]),
                base = rows[1] .. value }
        end
    end
    stats.print_group(results, group)
end

function commands.growth()
    grow("calls in flight", data.growth.inflight, { "floor32", "decode32", "flight32" },
        function(row, j) return measure.run(row, math.max(4000, 4 * j), j) end)
    grow("applicationConfigs in the reply", data.growth.configs, { "decode", "call" },
        function(row, n) return measure.run(row, 500, 1, "configs-" .. n) end)
    return true
end

local function checked_ratios()
    local bases, ratios = {}, {}
    for _, key in ipairs(data.checked) do
        local row, group = find(key)
        bases[group] = bases[group] or measure.instructions(find(group.base), 200, 1)
        ratios[key] = measure.instructions(row, 200, 1) / bases[group]
    end
    return ratios
end

function commands.check()
    local recorded, ok = dofile(RECORDED), true
    local ratios = checked_ratios()
    for _, key in ipairs(data.checked) do
        local fits = ratios[key] <= recorded[key] * TOLERANCE
        ok = ok and fits
        print(("instructions of %s: %.3f x %s, recorded %.3f%s"):format(find(key)[2], ratios[key],
            select(2, find(key)).base, recorded[key],
            fits and "" or ": more than 5 % above (`make bench` shows where it stands)"))
    end
    return ok
end

function commands.record()
    local file, ratios = assert(io.open(RECORDED, "w")), checked_ratios()
    file:write("-- Instructions a call as a ratio to the base row's. Recorded on\n",
        "-- ", stats.machine(), ".\n",
        "-- `lua5.4 spec/bench/run.lua record` writes this, `make bench-check` compares.\n",
        "return {\n")
    for _, key in ipairs(data.checked) do
        file:write(("    %s = %.3f,\n"):format(key, ratios[key]))
    end
    file:write "}\n"
    file:close()
    return true
end

local served = measure.serve(data.growth.configs)
local ok, result = xpcall(commands[arg[1] or "table"], debug.traceback)
served.stop()
if not ok then
    io.stderr:write(tostring(result), "\n")
end
os.exit(ok and result and 0 or 1, true)
