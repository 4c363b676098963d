local failure = require "emr.failure"
local retry = require "emr.retry"
local fake = require "spec.support.time"

-- A function that answers with the given rows in turn, the last one for ever: a string is a
-- result, a table the arguments of `failure`, with the seconds that the attempt takes as `takes`.
local function server(time, rows)
    local calls = { at = {}, left = {} }
    return function(attempt, left)
        local row = rows[math.min(attempt, #rows)]
        calls[#calls + 1] = attempt
        calls.at[#calls.at + 1] = time.now
        calls.left[#calls.left + 1] = left
        if type(row) == "string" then
            return row
        end
        time.now = time.now + (row.takes or 0)
        return failure(row[1], row[2], row[3] or "it failed", row[4])
    end, calls
end

local S500 = { "service", "InternalError", "boom", { status = 500 } }
local THROTTLED = { "throttled", "Throttling.User", "slow down", { status = 400 } }
local function hinted(seconds)
    return { "throttled", "Throttling", "slow down", { retry_after = seconds } }
end

local function policy(time, options)
    options = options or {}
    options.clock, options.sleep, options.random = time.clock, time.sleep, time.random
    return retry.new(options)
end

-- Runs one call; the values of `run` and what the server saw.
local function run(rows, options, call, draws)
    local time = fake.new(draws)
    local fn, calls = server(time, rows)
    local result, message, err = policy(time, options):run(fn, call and call(time))
    return { result = result, message = message, err = err, time = time, calls = calls }
end

describe("retry", function()
    it("asks once when all is well, and sleeps not", function()
        local r = run { "fine" }
        assert.equal("fine", r.result)
        assert.same({ 1 }, { #r.calls })
        assert.same({}, r.time.slept)
    end)

    it("hands on what else a success returns", function()
        local time = fake.new()
        local a, b, c = policy(time):run(function() return 1, "two", 3 end)
        assert.same({ 1, "two", 3 }, { a, b, c })
    end)

    it("takes false for a result", function()
        assert.is_false(policy(fake.new()):run(function() return false end))
    end)

    describe("attempts", function()
        it("G3: a 500 once, then success, in two", function()
            local r = run { S500, "fine" }
            assert.equal("fine", r.result)
            assert.same({ 1, 2 }, { r.calls[1], r.calls[2] })
        end)

        it("G3: always 500 gives the last error after three, with attempts", function()
            local r = run { S500 }
            assert.is_nil(r.result)
            assert.equal(3, #r.calls)
            assert.equal(3, r.err.attempts)
            assert.equal("InternalError", r.err.code)
            assert.equal("boom", r.message)
        end)

        it("G1, G3: what is not retryable is asked once", function()
            for _, row in ipairs {
                { "service", "NotFound", "x", { status = 404 } },
                { "service", "Forbidden.RAM", "x", { status = 403 } },
                { "service", nil, "x", { status = 501 } },
                { "tls", "verify" }, { "protocol", "json" }, { "protocol", "redirect" },
                { "timeout", "deadline" }, { "unsupported", "blocking" },
                { "credentials", "none" }, { "credentials", "unavailable" },
            } do
                local r = run { row, "fine" }
                assert.equal(1, #r.calls, row[1] .. " " .. tostring(row[2]))
                assert.equal(1, r.err.attempts)
            end
        end)

        it("what is transient is asked again", function()
            for _, row in ipairs {
                { "network", "resolve" }, { "network", "connect" }, { "network", "reset" },
                { "network", "truncated" }, { "timeout", "connect" }, { "timeout", "attempt" },
                { "protocol", "empty" }, { "service", nil, "x", { status = 503 } },
                { "service", "ServiceUnavailable" },
            } do
                assert.equal("fine", run({ row, "fine" }).result, row[1] .. tostring(row[2]))
            end
        end)

        it("H3: attempts = 1 never asks twice, not even for a repair", function()
            assert.equal(1, #run({ S500 }, { attempts = 1 }).calls)
            assert.equal(1, #run({ { "service", "SignatureNonceUsed" } }, { attempts = 1 }).calls)
        end)

        it("gives up on an error that is no table, and passes it on", function()
            local calls = 0
            local result, message, err = policy(fake.new()):run(function()
                calls = calls + 1
                return nil, "just text"
            end)
            assert.same({ 1, "just text" }, { calls, message })
            assert.is_nil(result)
            assert.is_nil(err)
        end)

        it("understands anybody's error table that says retryable", function()
            local calls = 0
            assert.equal("ok", policy(fake.new()):run(function()
                calls = calls + 1
                if calls == 1 then
                    return nil, "later", { retryable = true }
                end
                return "ok"
            end))
        end)
    end)

    describe("delays", function()
        it("H4: transient: random x 0.05 s, doubled each time, exact", function()
            local r = run({ S500 }, { attempts = 5 }, nil, { 0.5, 0.25, 1, 0 })
            assert.same({ 0.025, 0.025, 0.2 }, r.time.slept)  -- the fourth draw is 0: no sleep
            assert.equal(5, #r.calls)
        end)

        it("G4: throttled: 0 to 1 s, then 0 to 2 s", function()
            assert.same({ 1, 2 }, run({ THROTTLED }, nil, nil, 1).time.slept)
            assert.same({ 0.3, 0.6 }, run({ THROTTLED }, nil, nil, 0.3).time.slept)
        end)

        it("no delay is longer than 20 s", function()
            local r = run({ THROTTLED }, { attempts = 8, deadline = 3600 }, nil, 1)
            assert.same({ 1, 2, 4, 8, 16, 20, 20 }, r.time.slept)
        end)

        it("H4: 10 000 draws per step are flat within 20 %", function()
            for step, top in ipairs { 0.05, 0.1 } do
                local seed, counts = 42, {}
                local time = fake.new()
                time.random = function()  -- a plain generator, the same on every Lua
                    seed = (seed * 16807) % 2147483647
                    return seed / 2147483647
                end
                for _ = 1, 10000 do
                    time.slept = {}
                    local fn = server(time, { S500, S500, "fine" })
                    policy(time):run(fn)
                    local slot = math.floor(time.slept[step] / top * 10)
                    counts[slot] = (counts[slot] or 0) + 1
                end
                for slot = 0, 9 do
                    assert.is_true(counts[slot] > 800 and counts[slot] < 1200)
                end
            end
        end)
    end)

    describe("hints", function()
        it("G5: 1.5 s asked for: sleeps at least that and at most a tenth more", function()
            assert.same({ 1.5 }, run({ hinted(1.5), "fine" }, nil, nil, 0).time.slept)
            local r = run({ hinted(1.5), "fine" }, nil, nil, 0.999)
            assert.is_true(r.time.slept[1] > 1.64 and r.time.slept[1] <= 1.65)
        end)

        it("holds for a transient error too", function()
            local row = { "service", nil, "x", { status = 503, retry_after = 3 } }
            assert.same({ 3 }, run({ row, "fine" }, nil, nil, 0).time.slept)
        end)

        it("takes a hint of 20 s, G8: not one of 20.001 s", function()
            assert.same({ 20 }, run({ hinted(20), "fine" }, nil, nil, 0).time.slept)
            local r = run { hinted(20.001), "fine" }
            assert.same({}, r.time.slept)
            assert.equal(1, #r.calls)
            assert.equal(20.001, r.err.retry_after)
            assert.equal(1, r.err.attempts)
        end)

        it("G8: a hint beyond the deadline returns at once", function()
            local r = run({ hinted(5), "fine" }, { deadline = 4 })
            assert.same({}, r.time.slept)
            assert.equal(5, r.err.retry_after)
        end)

        it("the stretch of a hint does not pass the deadline", function()
            local r = run({ hinted(5), "fine" }, { deadline = 5.2 }, nil, 1)
            assert.equal("fine", r.result)
            assert.is_true(r.time.slept[1] >= 5 and r.time.slept[1] <= 5.1501)
        end)
    end)

    describe("deadline", function()
        it("H1: each attempt is told what is left for it", function()
            local slow = { "timeout", "attempt", "slow", nil, takes = 10 }
            local r = run({ slow, slow, "fine" }, nil, nil, 1)
            assert.same({ 30, 19.95, 9.85 }, {
                r.calls.left[1], tonumber(("%.2f"):format(r.calls.left[2])),
                tonumber(("%.2f"):format(r.calls.left[3])),
            })
        end)

        it("H2: a sleep longer than the time left gives the last error now", function()
            local slow = { "throttled", "Throttling", "busy", nil, takes = 29.5 }
            local r = run({ slow, "fine" }, nil, nil, 1)
            assert.same({}, r.time.slept)
            assert.equal("throttled", r.err.kind)
            assert.equal(1, r.err.attempts)
        end)

        it("no attempt begins with less than 50 ms left", function()
            local slow = { "network", "reset", "cut", nil, takes = 29.96 }
            local r = run({ slow, "fine" }, nil, nil, 0)
            assert.equal(1, #r.calls)
            assert.equal("network", r.err.kind)
            r = run({ { "network", "reset", "cut", nil, takes = 29.94 }, "fine" }, nil, nil, 0)
            assert.equal(2, #r.calls)
        end)

        it("an oversleeping sleep does not start another attempt", function()
            local time = fake.new(1)
            time.sleep = function() time.now = time.now + 100 end
            local fn, calls = server(time, { THROTTLED, "fine" })
            local _, _, err = policy(time):run(fn)
            assert.equal(1, #calls)
            assert.equal("throttled", err.kind)
        end)

        it("an attempt that the deadline ended says so", function()
            local r = run { { "timeout", "attempt", "no reply", nil, takes = 30 } }
            assert.same({ "timeout", "deadline", 1 }, { r.err.kind, r.err.code, r.err.attempts })
            assert.is_false(r.err.retryable)
            assert.truthy(r.message:find("no reply", 1, true))
            assert.equal(r.message, tostring(r.err))
        end)

        it("one given for the call holds, and one already passed makes no attempt", function()
            local r = run({ S500 }, nil, function(time) return { deadline = time.now + 7 } end)
            assert.equal(7, r.calls.left[1])
            r = run({ S500 }, nil, function(time) return { deadline = time.now } end)
            assert.same({ "timeout", "deadline", 0 }, { r.err.kind, r.err.code, r.err.attempts })
            assert.equal(0, #r.calls)
        end)
    end)

    describe("quota", function()
        it("H3: a server always at 500 costs 1 000 calls at most 1 040 requests", function()
            local time = fake.new()
            local p, requests = policy(time), 0
            local last
            for _ = 1, 1000 do
                last = select(3, p:run(function()
                    requests = requests + 1
                    return failure("service", nil, "boom", { status = 500 })
                end))
            end
            assert.equal(1000 + math.floor(500 / 14), requests)
            assert.equal(1, last.attempts)
        end)

        it("throttling pays 5", function()
            local time = fake.new()
            local p, requests = policy(time), 0
            for _ = 1, 1000 do
                p:run(function()
                    requests = requests + 1
                    return failure("throttled", "Throttling", "slow")
                end)
            end
            assert.equal(1100, requests)
        end)

        local function empty(p)
            for _ = 1, 100 do
                p:run(function() return failure("service", nil, "boom", { status = 500 }) end)
            end
        end

        local function attempts_of(p, rows)
            local fn, calls = server(fake.new(), rows)
            p:run(fn)
            return #calls
        end

        it("H3: retries come back gradually: a first-try success gives 1", function()
            local p = policy(fake.new())
            empty(p)  -- 500 - 35 x 14 leaves 10
            for _ = 1, 3 do
                attempts_of(p, { "fine" })
            end
            assert.equal(1, attempts_of(p, { S500, "fine" }))  -- 13 are not enough
            attempts_of(p, { "fine" })
            assert.equal(2, attempts_of(p, { S500, "fine" }))  -- 14 are
        end)

        it("a success after a retry gives back what the retry took", function()
            local p = policy(fake.new(), { quota = 14 })
            for _ = 1, 5 do
                assert.equal(2, attempts_of(p, { S500, "fine" }))
            end
        end)

        it("never holds more than its size", function()
            local p = policy(fake.new(), { quota = 14, attempts = 10 })
            for _ = 1, 100 do
                attempts_of(p, { "fine" })
            end
            assert.equal(2, attempts_of(p, { S500 }))
        end)

        it("is each policy's own, and shared with its variants", function()
            local p = policy(fake.new())
            empty(p)
            assert.equal(1, attempts_of(p:with { attempts = 5 }, { S500 }))
            assert.equal(3, attempts_of(policy(fake.new()), { S500 }))
        end)
    end)

    describe("repairs", function()
        local NONCE = { "service", "SignatureNonceUsed", "nonce", { status = 400 } }

        it("G10: a used nonce costs one immediate repeat; twice is an error", function()
            local r = run { NONCE, "fine" }
            assert.same({ "fine", 2, 0 }, { r.result, #r.calls, #r.time.slept })
            r = run { NONCE, NONCE, "fine" }
            assert.same({ 2, "SignatureNonceUsed", 2 }, { #r.calls, r.err.code, r.err.attempts })
        end)

        it("are made by the callback of the code, once per run", function()
            local seen = {}
            local repairs = { Stale = function(err, call)
                seen[#seen + 1] = { err.code, call.name }
                return true
            end }
            local row = { "service", "Stale", "stale", { status = 400 } }
            local function named() return { name = "x" } end
            assert.equal("fine", run({ row, "fine" }, { repairs = repairs }, named).result)
            assert.same({ { "Stale", "x" } }, seen)
            assert.equal(2, #run({ row }, { repairs = repairs }, named).calls)
        end)

        it("end the run when they cannot help", function()
            local row = { "service", "Stale", "stale", { status = 400 } }
            local r = run({ row, "fine" }, { repairs = { Stale = function() return false end } })
            assert.same({ 1, "Stale" }, { #r.calls, r.err.code })
        end)

        it("count as attempts, not as retries that cost quota or double a delay", function()
            local r = run({ NONCE, S500, "fine" }, { quota = 14 }, nil, 1)
            assert.equal("fine", r.result)
            assert.same({ 0.05 }, r.time.slept)
            r = run { NONCE, S500, S500, "fine" }
            assert.equal(3, r.err.attempts)
        end)
    end)

    describe("writing calls", function()
        local function check_first() return { retry_class = "check_first" } end

        it("are repeated when nothing was sent, or throttled", function()
            for _, row in ipairs {
                { "network", "resolve" }, { "network", "connect" }, { "timeout", "connect" },
                THROTTLED, hinted(1),
            } do
                assert.equal("fine", run({ row, "fine" }, nil, check_first).result, row[2])
            end
        end)

        it("are not repeated when the request may have been carried out", function()
            for _, row in ipairs {
                S500, { "network", "reset" }, { "network", "truncated" },
                { "timeout", "attempt" }, { "protocol", "empty" },
                { "service", nil, "x", { status = 503 } }, { "service", "SignatureNonceUsed" },
            } do
                assert.equal(1, #run({ row, "fine" }, nil, check_first).calls, row[2])
            end
        end)
    end)

    describe("on_attempt", function()
        it("tells each attempt, its trouble and the delay that follows", function()
            local seen = {}
            run({ hinted(2), S500, "fine" }, {
                on_attempt = function(info) seen[#seen + 1] = info end,
            }, nil, 0.5)
            assert.equal(3, #seen)
            assert.equal(1, seen[1].attempt)
            assert.equal("throttled", seen[1].kind)
            assert.equal("Throttling", seen[1].code)
            assert.equal(2, seen[1].retry_after)
            assert.equal(2.1, seen[1].delay)
            assert.equal(500, seen[2].status)
            assert.equal(0.05, seen[2].delay)  -- the second retry
            assert.same({ attempt = 3 }, seen[3])
        end)

        it("tells a first try that succeeds, too", function()
            local seen = {}
            run({ "fine" }, { on_attempt = function(info) seen[#seen + 1] = info end })
            assert.same({ { attempt = 1 } }, seen)
        end)

        it("says no delay after the last", function()
            local last
            run({ S500 }, { on_attempt = function(info) last = info end })
            assert.equal(3, last.attempt)
            assert.is_nil(last.delay)
        end)
    end)

    describe("K6: a broken callback", function()
        local mine = setmetatable({}, { __tostring = function() return "mine" end })
        local function broken() error(mine) end

        for _, name in ipairs { "clock", "sleep", "random", "on_attempt" } do
            it(name .. ": its error object passes through, and the policy works on", function()
                local time = fake.new()
                local armed = true
                local options = { clock = time.clock, sleep = time.sleep, random = time.random }
                local good = options[name] or function() end
                options[name] = function(...)
                    if armed then
                        broken()
                    end
                    return good(...)
                end
                local p = retry.new(options)
                local ok, err = pcall(p.run, p, (server(time, { S500, "fine" })))
                assert.is_false(ok)
                assert.equal(mine, err)
                armed = false
                assert.equal("fine", p:run((server(time, { S500, "fine" }))))
            end)
        end

        it("fn: the same", function()
            local p = policy(fake.new())
            local ok, err = pcall(p.run, p, broken)
            assert.is_false(ok)
            assert.equal(mine, err)
            assert.equal("fine", p:run(function() return "fine" end))
        end)
    end)

    it("returns what a sleep that cannot sleep says", function()
        local time = fake.new()
        time.sleep = function() return failure("unsupported", "phase", "cannot wait here") end
        local fn, calls = server(time, { S500, "fine" })
        local _, message, err = policy(time):run(fn)
        assert.same({ 1, "cannot wait here", "phase", 1 },
            { #calls, message, err.code, err.attempts })
    end)

    it("lets a coroutine yield in sleep and in fn", function()
        local time = fake.new()
        time.sleep = function(s) coroutine.yield(s) end
        local co = coroutine.create(function()
            return policy(time):run((server(time, { THROTTLED, "fine" })))
        end)
        local _, slept = coroutine.resume(co)
        assert.equal(0.5, slept)
        assert.same({ true, "fine" }, { coroutine.resume(co) })
    end)

    describe("A8: options out of range", function()
        local bad = {
            attempts = { 0, -1, 2.5, 11, 0 / 0, 1 / 0, "3" },
            base_delay = { 0, -1, 0 / 0, 1 / 0, 1e300, 1e-9, "1" },
            throttle_base_delay = { 0, -1, 0 / 0, 1e300 },
            max_delay = { 0, -1, 0 / 0, 1e300 },
            quota = { -1, 0.5, 0 / 0, 1 / 0, "500" },
            deadline = { 0, -1, 0 / 0, 1 / 0, 604801, "30" },
            clock = { 1 }, sleep = { true }, random = { "x" }, on_attempt = { {} },
            repairs = { "x" },
        }
        for name, values in pairs(bad) do
            it(name .. " raises and is named", function()
                for _, value in ipairs(values) do
                    local ok, message = pcall(retry.new, { [name] = value })
                    assert.is_false(ok, tostring(value))
                    assert.truthy(message:find("options." .. name, 1, true), message)
                end
            end)
        end

        it("the limits themselves are taken", function()
            for name, limits in pairs {
                attempts = { 1, 10 }, base_delay = { 0.001, 3600 },
                throttle_base_delay = { 0.001, 3600 }, max_delay = { 0.001, 3600 },
                quota = { 0, 1000000 }, deadline = { 0.001, 604800 },
            } do
                local time = fake.new()
                for _, value in ipairs(limits) do
                    assert.truthy(policy(time, { [name] = value }))
                end
            end
        end)

        it("an unknown name raises with the name", function()
            local ok, message = pcall(retry.new, { atempts = 3 })
            assert.is_false(ok)
            assert.truthy(message:find("atempts", 1, true))
        end)

        it("a later change of the table has no effect", function()
            local time = fake.new()
            local options = { attempts = 1, clock = time.clock, sleep = time.sleep,
                random = time.random }
            local p = retry.new(options)
            options.attempts = 10
            local fn, calls = server(time, { S500 })
            p:run(fn)
            assert.equal(1, #calls)
        end)
    end)
end)
