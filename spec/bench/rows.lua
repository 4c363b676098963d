-- What `make bench` measures, and what is promised of it. Data only.
--
-- A row is {key, label, command, n = calls of one measurement, base = the row that its ratios are
-- to, whole = the command whose instructions are those of a whole process (false: not counted)}. In
-- a command @floor, @decode and @spawn are the C programs, @lua and @luajit run calls.lua, @n and
-- @j are the calls and how many of them are in flight.

local CURL = "curl -s --cacert @ca -H accept:application/json @url@path"
local COLD_C = "@floor sign 1"
local COLD = "@interpreter spec/bench/cold.lua"
local NOTHING = "@interpreter -e ''"
local REQUIRE = [[@interpreter -e 'require "emr"']]
local LOAD = [[@interpreter -e 'assert(package.loadlib("libcurl.so.4", "*"))]]
    .. [[ assert(package.loadlib("libcrypto.so.3", "*")) require "cjson"']]

local M = {}

M.groups = {
    {
        title = "https, one call after the other", inflight = 1, base = "floor", n = 500,
        { "floor", "C floor", "@floor floor @n @j" },
        { "sign", "C with signing", "@floor sign @n @j" },
        { "decode", "C with signing and lua-cjson", "@decode decode @n @j" },
        { "call", "emr.get_session_cluster", "@lua call @n @j" },
        { "client", "emr.client", "@lua client @n @j" },
        { "jit", "emr.get_session_cluster, LuaJIT", "@luajit call @n @j" },
        { "jitclient", "emr.client, LuaJIT", "@luajit client @n @j" },
        { "luasec", "by hand: LuaSec, luaossl, lua-cjson", "@lua luasec @n @j" },
        { "curl", "a curl process for each call", "@spawn @n " .. CURL, n = 10, whole = CURL },
    },
    {
        title = "https, 32 in flight", inflight = 32, base = "floor32", n = 1600,
        { "floor32", "C floor", "@floor floor @n @j" },
        { "sign32", "C with signing", "@floor sign @n @j" },
        { "decode32", "C with signing and lua-cjson", "@decode decode @n @j" },
        { "flight32", "emr.start, step, finished", "@lua flight @n @j" },
        { "all32", "client:all", "@lua all @n @j" },
        { "jit32", "emr.start, step, finished, LuaJIT", "@luajit flight @n @j" },
    },
    {
        title = "signing alone", inflight = 1, base = "hash", n = 20000,
        { "hash", "C: one-shot hashing of the same strings", "@floor hash @n" },
        { "emrsign", "emr.sign", "@lua sign @n" },
        { "prepare", "emr.prepare", "@lua prepare @n" },
        { "luaossl", "by hand: luaossl", "@lua luaossl @n", n = 5000 },
    },
    {
        title = "reading the documented reply alone", inflight = 1, base = "cjson", n = 10000,
        { "cjson", "cjson.decode", "@lua cjson @n" },
        { "parse", "emr.parse", "@lua parse @n" },
    },
    {
        title = "a whole process", inflight = 1, n = 5,
        { "nothing", "Lua", "@spawn @n " .. NOTHING, whole = NOTHING },
        { "load", "Lua loads libcurl, libcrypto, lua-cjson", "@spawn @n " .. LOAD, whole = LOAD },
        { "require", 'Lua: require "emr"', "@spawn @n " .. REQUIRE, whole = REQUIRE,
            base = "load" },
        { "coldc", "C with signing, one call", "@spawn @n " .. COLD_C, whole = COLD_C,
            base = "coldc" },
        { "coldnow", "the same, LD_BIND_NOW", "env LD_BIND_NOW=1 @spawn @n " .. COLD_C,
            whole = false, base = "coldc" },
        { "cold", "emr.get_session_cluster, one call", "@spawn @n " .. COLD, whole = COLD,
            base = "coldc" },
    },
}

-- {text, limit, aim =, of =}: `ratio(field, row, base)` and `median(field, row)` give what was
-- measured.
M.limits = {
    { "CPU over C with signing and lua-cjson, one by one", 1.15, aim = 1.05,
        of = function(ratio) return ratio("cpu", "call", "decode") end },
    { "CPU over C with signing and lua-cjson, 32 in flight", 1.15, aim = 1.05,
        of = function(ratio) return ratio("cpu", "flight32", "decode32") end },
    { "CPU over the floor, one by one", 1.50, aim = 1.37,
        of = function(ratio) return ratio("cpu", "call", "floor") end },
    { "CPU over the floor, 32 in flight", 1.60, aim = 1.45,
        of = function(ratio) return ratio("cpu", "flight32", "floor32") end },
    { "connections, 32 in flight", 32,
        of = function(_, median) return median("connections", "flight32") end },
    { "instructions over the floor, one by one", 1.95, aim = 1.80,
        of = function(ratio) return ratio("instructions", "call", "floor") end },
    { "emr.client adds, of the floor's CPU", 0.20,
        of = function(ratio)
            return ratio("cpu", "client", "floor") - ratio("cpu", "call", "floor")
        end },
    { "emr.sign over one-shot hashing in C", 1.25,
        of = function(ratio) return ratio("cpu", "emrsign", "hash") end },
    { "the same in instructions", 1.25,
        of = function(ratio) return ratio("instructions", "emrsign", "hash") end },
    { "emr.parse over cjson.decode", 1.50,
        of = function(ratio) return ratio("cpu", "parse", "cjson") end },
    { "require over loading its libraries", 1.15,
        of = function(_, median)
            local nothing = median("cpu", "nothing")
            return (median("cpu", "require") - nothing) / (median("cpu", "load") - nothing)
        end },
    { "a cold call, whole process", 1.10,
        of = function(ratio) return ratio("cpu", "cold", "coldc") end },
    { "the same, C's symbols bound at start like Lua's", 1.10,
        of = function(ratio) return ratio("cpu", "cold", "coldnow") end },
    { "peak memory over C with signing, MiB", 2,
        of = function(_, median)
            return (median("memory", "call") - median("memory", "sign")) / 1024
        end },
    { "p50 over C with signing", 1.12,
        of = function(ratio) return ratio("p50", "call", "sign") end },
}

-- How it grows: with the calls in flight, and with the reply.
M.growth = {
    inflight = { 1, 8, 64, 512, 2000 },
    configs = { 1, 10, 100, 1000 },
}

-- `make bench-check`: instructions a call, as a ratio to the base row's in the same run.
M.checked = { "call", "client", "parse" }

-- The session cluster of the emulator that always runs.
M.verified = "/api/v1/workspaces/w-1234abcd/sessionClusters/1234abcd-12ab-34cd-56ef-1234567890ab"

return M
