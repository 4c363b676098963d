-- What the benchmark measures, and what is promised of it. Data only.
--
-- A row is {key, label, command}, or {key, label, nginx = a row of calls.lua, which runs inside
-- nginx} and then perhaps pings = {how many, seconds between them}, requests beside it. In a
-- command @floor, @decode and @spawn are the C programs, @lua and @luajit run calls.lua, @n and @j
-- are the calls and how many of them are in flight. More fields, of a row or of its whole group:
--
--     n = calls of one measurement      inflight = how many of them at a time
--     base, judge = the rows that the two ratios are to
--     rounds = at most so many          reply = what the server is asked for
--     whole = the command whose instructions are those of a whole process
--     counted = false: instructions are not counted
--     env = more variables              verified = true: the emulator is asked

local CURL = "curl -s --cacert @ca -H accept:application/json @url@path"
local COLD_C = "@floor sign 1"
local COLD = "@interpreter spec/bench/cold.lua"
local NOTHING = "@interpreter -e ''"
local REQUIRE = [[@interpreter -e 'require "emr"']]
local LOAD = [[@interpreter -e 'assert(package.loadlib("libcurl.so.4", "*"))]]
    .. [[ assert(package.loadlib("libcrypto.so.3", "*")) require "cjson"']]

local M = {}

local everything = {
    {
        title = "https, one call after the other", inflight = 1, n = 500,
        base = "floor", judge = "decode",
        { "floor", "C floor", "@floor floor @n @j" },
        { "sign", "C with signing", "@floor sign @n @j" },
        { "decode", "C with signing and lua-cjson", "@decode decode @n @j" },
        { "call", "emr.get_session_cluster", "@lua call @n @j" },
        { "client", "emr.client", "@lua client @n @j" },
        { "jit", "emr.get_session_cluster, LuaJIT", "@luajit call @n @j" },
        { "jitclient", "emr.client, LuaJIT", "@luajit client @n @j" },
        { "nginx", "emr.client in nginx", nginx = "client" },
        { "cosocket", "by hand in nginx: cosocket, luaossl, lua-cjson", nginx = "cosocket" },
        { "luasec", "by hand: LuaSec, luaossl, lua-cjson", "@lua luasec @n @j" },
        { "curl", "a curl process for each call", "@spawn @n " .. CURL, n = 10, whole = CURL },
        { "verified", "emr.get_session_cluster, each request verified", "@lua call @n @j", n = 100,
            verified = true, counted = false },
    },
    {
        title = "https, 32 in flight", inflight = 32, n = 1600,
        base = "floor32", judge = "decode32",
        { "floor32", "C floor", "@floor floor @n @j" },
        { "sign32", "C with signing", "@floor sign @n @j" },
        { "decode32", "C with signing and lua-cjson", "@decode decode @n @j" },
        { "flight32", "emr.start, step, finished", "@lua flight @n @j" },
        { "all32", "client:all", "@lua all @n @j" },
        { "jit32", "emr.start, step, finished, LuaJIT", "@luajit flight @n @j" },
        { "nginx32", "client:all in nginx", nginx = "all" },
        { "cosocket32", "by hand in nginx: cosocket, luaossl, lua-cjson", nginx = "cosocket" },
    },
    {
        title = "signing alone", inflight = 1, base = "hash", n = 20000, rounds = 15,
        { "hash", "C: one-shot hashing of the same strings", "@floor hash @n" },
        { "emrsign", "emr.sign", "@lua sign @n" },
        { "prepare", "emr.prepare", "@lua prepare @n" },
        { "luaossl", "by hand: luaossl", "@lua luaossl @n", n = 5000 },
    },
    {
        title = "reading the documented reply alone", inflight = 1, base = "cjson", n = 10000,
        rounds = 15,
        { "cjson", "cjson.decode", "@lua cjson @n" },
        { "parse", "emr.parse", "@lua parse @n" },
    },
    {
        title = "a whole process", inflight = 1, n = 5, rounds = 15,
        { "nothing", "Lua", "@spawn @n " .. NOTHING, whole = NOTHING },
        { "load", "Lua loads libcurl, libcrypto, lua-cjson", "@spawn @n " .. LOAD, whole = LOAD },
        { "require", 'Lua: require "emr"', "@spawn @n " .. REQUIRE, whole = REQUIRE,
            base = "load" },
        { "coldc", "C with signing, one call", "@spawn @n " .. COLD_C, whole = COLD_C,
            base = "coldc" },
        { "coldnow", "the same, LD_BIND_NOW=1", "@spawn @n " .. COLD_C, whole = COLD_C,
            env = "LD_BIND_NOW=1", base = "coldc" },
        { "cold", "emr.get_session_cluster, one call", "@spawn @n " .. COLD, whole = COLD,
            base = "coldc" },
    },
    {
        title = "nginx, 8 calls of 100 ms in flight", inflight = 8, n = 240, rounds = 5,
        reply = "after-100", counted = false,
        { "pings8", "client:all", nginx = "all", pings = { 2000, 0.001 } },
    },
}

local loops = {
    {
        title = "nginx, 1 000 calls of 2 s in flight, 500 a second", inflight = 1000, n = 10000,
        rounds = 3, reply = "after-2000", counted = false,
        { "steady", "emr.client", nginx = "steady", pings = { 6000, 0.002 } },
    },
    {
        title = "nginx, 256 calls of 50 ms in flight", inflight = 256, n = 10000, rounds = 5,
        reply = "after-50", counted = false, base = "cosocket256",
        { "nginx256", "client:all", nginx = "all" },
        { "cosocket256", "by hand: cosocket, luaossl, lua-cjson", nginx = "cosocket" },
    },
    {
        title = "1 000 waits of four polls in one script", inflight = 64, n = 1000, rounds = 5,
        counted = false, base = "sequential",
        { "sequential", "emr.client, one call after the other", "@lua client @n 1", n = 2000 },
        { "waits", "client:all of waits, 64 at a time", "@lua waits @n @j" },
        { "allwaits", "client:all of waits, all at a time", "@lua waits @n @n", inflight = 1000 },
    },
}

-- {text, limit, aim =, of =, why =}: `at(field, row)` is what was measured in one round; `why`
-- tells of a limit that is not met.
local function ratio(field, row, base)
    return function(at) return at(field, row) / at(field, base) end
end

local function measured(field, row)
    return function(at) return at(field, row) end
end

local function added(field, row, base, factor)
    return function(at) return (at(field, row) - at(field, base)) * factor end
end

-- From callgrind's profiles of the rows.
local COLD_CACHES = "in instructions the call is level with C's row, and with 32 in flight it takes"
    .. " little more time. One by one, each call finds the processor's caches emptied while the"
    .. " reply was waited for, and Lua and emr have more code and data to fetch again than C."
local POLICY = "it takes 24 thousand instructions of Lua, 0.15 of the floor's, which are as cold."
local BINDING = "of 8.7 million instructions more than C's, 5.9 are the dynamic linker's: Lua loads"
    .. " modules with RTLD_NOW, which binds each symbol of libcurl and its 25 libraries, and looks"
    .. " for it in the program first. 2.1 are Lua's own, 0.04 those of emr."
local CROWD = "1 000 connections at a time cost more each than one, in C as well: see how it grows"
    .. " with the calls in flight."
local READING = "C that reads the reply into a Lua table comes out above it, too: see the table."
local HASHING = "the processor hashes in few, long instructions, so that the tables that go in and"
    .. " come out weigh more in time than in instructions."

local promised = {
    { "CPU over C with signing and lua-cjson, one by one", 1.15, aim = 1.05, why = COLD_CACHES,
        of = ratio("cpu", "call", "decode") },
    { "CPU over C with signing and lua-cjson, 32 in flight", 1.15, aim = 1.05, why = COLD_CACHES,
        of = ratio("cpu", "flight32", "decode32") },
    { "CPU over the floor, one by one", 1.50, aim = 1.37, why = COLD_CACHES,
        of = ratio("cpu", "call", "floor") },
    { "CPU over the floor, 32 in flight", 1.60, aim = 1.45,
        of = ratio("cpu", "flight32", "floor32") },
    { "connections, 32 in flight", 32, of = measured("connections", "flight32") },
    { "instructions over the floor, one by one", 1.95, aim = 1.80,
        of = ratio("instructions", "call", "floor") },
    { "emr.client adds, of the floor's CPU", 0.20, why = POLICY,
        of = function(at)
            return (at("cpu", "client") - at("cpu", "call")) / at("cpu", "floor")
        end },
    { "emr.sign over one-shot hashing in C", 1.25, why = HASHING,
        of = ratio("cpu", "emrsign", "hash") },
    { "the same in instructions", 1.25, of = ratio("instructions", "emrsign", "hash") },
    { "emr.parse over cjson.decode", 1.50, of = ratio("cpu", "parse", "cjson") },
    { 'require "emr" over loading its libraries', 1.15,
        of = function(at)
            local nothing = at("cpu", "nothing")
            return (at("cpu", "require") - nothing) / (at("cpu", "load") - nothing)
        end },
    { "a cold call over C's, whole process", 1.10, why = BINDING,
        of = ratio("cpu", "cold", "coldc") },
    { "the same, C with LD_BIND_NOW=1", 1.10, of = ratio("cpu", "cold", "coldnow") },
    { "peak memory over C with signing, MiB", 2,
        of = added("memory", "call", "sign", 1 / 1024) },
    { "the same, 32 in flight", 2, of = added("memory", "flight32", "sign32", 1 / 1024) },
    { "p50 over C with signing, one by one", 1.12, why = READING,
        of = ratio("p50", "call", "sign") },
    { "nginx, 8 calls of 100 ms: /ping p99 later by, ms", 3,
        of = function(at) return 1000 * (at("ping99", "pings8") - at("idle99", "pings8")) end },
}

local promised_of_loops = {
    { "1 000 calls of 2 s: /ping p99 later by, ms", 3,
        of = function(at) return 1000 * (at("ping99", "steady") - at("idle99", "steady")) end },
    { "1 000 calls of 2 s: /ping median over the idle worker's", 1.3,
        of = function(at) return at("ping50", "steady") / at("idle50", "steady") end },
    { "1 000 calls of 2 s: median later than the server's, ms", 10,
        of = function(at) return 1000 * (at("p50", "steady") - 2) end },
    { "256 in flight: the cosockets' calls/s over ours", 1 / 0.9,
        of = ratio("rate", "cosocket256", "nginx256") },
    { "1 000 waits asleep: KiB of Lua memory each", 20,
        of = measured("each", "allwaits") },
    { "1 000 waits, 64 at a time: connections", 64,
        of = measured("connections", "waits") },
    { "1 000 waits, 64 at a time: CPU a poll over a call's", 1.3,
        of = ratio("cpu", "waits", "sequential") },
    { "1 000 waits, all at a time: CPU a poll over a call's", 1.3, why = CROWD,
        of = ratio("cpu", "allwaits", "sequential") },
}

--- By command.
M.reports = {
    bench = { groups = everything, limits = promised },
    ["bench-nginx"] = { groups = loops, limits = promised_of_loops },
}

local INHERITED = {
    "n", "inflight", "base", "judge", "rounds", "reply", "counted",
}
for _, report in pairs(M.reports) do
    for _, group in ipairs(report.groups) do
        for _, row in ipairs(group) do
            for _, name in ipairs(INHERITED) do
                if row[name] == nil then
                    row[name] = group[name]
                end
            end
        end
    end
end

-- How it grows: with the calls in flight, and with the reply.
M.growth = {
    inflight = { 1, 8, 64, 512, 2000 },
    configs = { 1, 10, 100, 1000 },
}

-- `make bench-check`: instructions a call, as a ratio to the base row's in the same run.
M.checked = { "call", "flight32", "client", "parse" }

return M
