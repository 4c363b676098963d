local failure = require "emr.failure"
local operations = require "emr.operations"
local waiter = require "emr.waiter"
local fake = require "spec.support.time"

local function reply(state, extra)
    local cluster = { state = state, connectionToken = "CANARYTOKEN" }
    for name, value in pairs(extra or {}) do
        cluster[name] = value
    end
    return { sessionCluster = cluster, requestId = "R" }
end

-- A poll that answers with the given rows in turn, the last one for ever: a state, a reply, or a
-- list of arguments of `failure`; `takes` seconds pass first.
local function server(time, rows)
    local polls = { at = {}, limit = {} }
    return function(limit)
        polls.at[#polls.at + 1] = time.now - 1000
        polls.limit[#polls.limit + 1] = limit
        local row = rows[math.min(#polls.at, #rows)]
        if type(row) == "string" then
            return reply(row)
        elseif not row[1] then
            return row
        end
        time.now = time.now + (row.takes or 0)
        return failure(row[1], row[2], row[3] or "it failed", row[4])
    end, polls
end

local S503 = { "service", nil, "busy", { status = 503 } }

local function wait(rows, options, wanted, draws)
    local time = fake.new(draws)
    local poll, polls = server(time, rows)
    options = options or {}
    options.timeout = options.timeout or 300
    options.clock, options.sleep, options.random = time.clock, time.sleep, time.random
    local seen = {}
    options.on_poll = options.on_poll or function(info) seen[#seen + 1] = info end
    local w = waiter.of(operations.GetSessionCluster, wanted)
    local response, info, err = waiter.wait(w, poll, options)
    return {
        response = response, info = info, message = info, err = err,
        time = time, polls = polls, seen = seen,
    }
end

describe("waiter", function()
    it("I1: already there: one request, no sleep", function()
        local w = wait { "Running" }
        assert.equal("Running", w.response.sessionCluster.state)
        assert.same({ polls = 1, elapsed = 0, states = { "Running" } }, w.info)
        assert.same({}, w.time.slept)
    end)

    it("I1: Starting ... Running: delays from 2 s to min(15, 2 x 2^(n-1)), exact", function()
        local rows = { "Starting", "Starting", "Starting", "Starting", "Starting", "Running" }
        local w = wait(rows, nil, nil, 1)
        assert.same({ 2, 4, 8, 15, 15 }, w.time.slept)
        assert.same({ polls = 6, elapsed = 44, states = { "Starting", "Running" } }, w.info)
        assert.same({ 2, 2, 2, 2, 2 }, wait(rows, nil, nil, 0).time.slept)
        assert.same({ 2, 3, 5, 8.5, 8.5 }, wait(rows, nil, nil, 0.5).time.slept)
    end)

    it("takes other bounds of the delay", function()
        local rows = { "Starting", "Starting", "Starting", "Running" }
        local w = wait(rows, { min_delay = 0.5, max_delay = 1.5 }, nil, 1)
        assert.same({ 0.5, 1, 1.5 }, w.time.slept)
    end)

    it("I2: Error while waiting for Running ends at once, with reason and last cluster", function()
        local w = wait {
            "Starting",
            reply("Error", { stateChangeReason = { code = "E7", message = "no quota" } }),
        }
        assert.is_nil(w.response)
        assert.same({ "state", "Error", "Error", 2, 2 },
            { w.err.kind, w.err.code, w.err.state, w.err.polls, w.err.elapsed })
        assert.same({ code = "E7", message = "no quota" }, w.err.reason)
        assert.equal("Error", w.err.last.sessionCluster.state)
        assert.truthy(w.message:find("E7: no quota", 1, true))
        assert.is_false(w.err.retryable)
    end)

    it("L1: the last response in an error has no connection token", function()
        local w = wait { "Error" }
        assert.is_nil(w.err.last.sessionCluster.connectionToken)
        assert.equal("R", w.err.last.requestId)
    end)

    for _, state in ipairs { "Stopping", "Stopped", "NotStarted", "STOPPED" } do
        it("I3: " .. state .. " while waiting for Running is borne for 30 s", function()
            local w = wait({ state }, nil, nil, 1)
            assert.same({ "state", state }, { w.err.kind, w.err.code })
            assert.equal(44, w.err.elapsed)  -- polls at 0, 2, 6, 14, 29, 44: the first past 30
            assert.equal("Running", wait({ state, state, state, state, state, "Running" }, nil,
                nil, 1).response.sessionCluster.state)
        end)
    end

    it("I3: the grace is over at 30 s", function()
        local w = wait({ "Stopped" }, { min_delay = 10, max_delay = 10 })
        assert.equal(30, w.err.elapsed)
    end)

    it("I3: another grace", function()
        assert.equal(1, wait({ "Stopped" }, { grace = 0 }).err.polls)
        assert.equal(6, wait({ "Stopped" }, { grace = 6 }, nil, 1).err.elapsed)
    end)

    it("I3: after the grace being down ends at once", function()
        local rows = { "Starting", "Starting", "Starting", "Starting", "Starting", "Stopped" }
        assert.same({ "state", 44 },
            { wait(rows, nil, nil, 1).err.kind, wait(rows, nil, nil, 1).err.elapsed })
    end)

    it("waits for Stopped: only Error fails", function()
        local w = wait({ "Running", "Stopping", "NotStarted", "Whatever", "Stopped" }, nil,
            "Stopped")
        assert.equal("Stopped", w.response.sessionCluster.state)
        assert.equal("state", wait({ "Running", "Error" }, nil, "Stopped").err.kind)
        assert.equal("timeout", wait({ "NotStarted" }, nil, "Stopped").err.kind)
    end)

    it("waits for any of several states", function()
        local w = wait({ "Starting", "Stopped" }, nil, { "Running", "Stopped" })
        assert.equal("Stopped", w.response.sessionCluster.state)
        assert.equal("Error", wait({ "Error" }, nil, { "Running", "Error" })
            .response.sessionCluster.state)
    end)

    describe("I4:", function()
        it("letter case does not matter", function()
            assert.truthy(wait({ "starting", "RUNNING" }).response)
            assert.truthy(wait({ "Running" }, nil, "running").response)
            assert.equal("state", wait({ "ERROR" }).err.kind)
        end)

        it("an unknown state polls on until the deadline and is named", function()
            local w = wait({ "Hibernating" }, { timeout = 60 })
            assert.same({ "timeout", "deadline", "Hibernating" },
                { w.err.kind, w.err.code, w.err.state })
            assert.truthy(w.message:find("Hibernating", 1, true))
        end)

        it("flapping: the first sight of the target wins", function()
            local w = wait { "Starting", "Stopping", "Starting", "Running", "Error" }
            assert.same({ "Starting", "Stopping", "Starting", "Running" }, w.info.states)
        end)
    end)

    describe("I5: the deadline", function()
        it("the last poll happens at it; the error knows state and polls", function()
            local w = wait({ "Starting" }, { timeout = 60 }, nil, 1)
            -- 2, 6, 14, 29, 44, then 59 would leave 1 s: so 60
            assert.same({ 0, 2, 6, 14, 29, 44, 60 }, w.polls.at)
            assert.same({ "timeout", "deadline", "Starting", 7, 60 },
                { w.err.kind, w.err.code, w.err.state, w.err.polls, w.err.elapsed })
            assert.is_false(w.err.retryable)
            assert.equal("Starting", w.err.last.sessionCluster.state)
        end)

        it("exactly 2 s left after a delay: the delay becomes all that is left", function()
            local w = wait({ "Starting" }, { timeout = 46 }, nil, 1)
            assert.same({ 0, 2, 6, 14, 29, 46 }, w.polls.at)
            w = wait({ "Starting" }, { timeout = 46.25 }, nil, 1)
            assert.same({ 0, 2, 6, 14, 29, 44, 46.25 }, w.polls.at)
        end)

        it("the poll at it may still succeed", function()
            local w = wait({ "Starting", "Running" }, { timeout = 3 })
            assert.same({ 0, 3 }, w.polls.at)
            assert.truthy(w.response)
        end)

        it("bounds every request, so that the call ends within 0.2 s of it", function()
            local w = wait({ "Starting" }, { timeout = 60 }, nil, 1)
            for i, limit in ipairs(w.polls.limit) do
                assert.is_true(w.polls.at[i] + limit <= 60.2, i)
            end
        end)

        it("is not followed by one more when the sleep comes back a little early", function()
            local time = fake.new()
            local poll, polls = server(time, { "Starting" })
            local _, _, err = waiter.wait(waiter.of(operations.GetSessionCluster), poll, {
                timeout = 3, clock = time.clock, random = time.random,
                sleep = function(seconds) time.now = time.now + seconds - 0.001 end,
            })
            assert.same({ "deadline", 2, 2 }, { err.code, err.polls, #polls.at })
        end)

        it("a poll that used up the time is the last", function()
            local w = wait({ "Starting", { "timeout", "deadline", "late", takes = 100 } },
                { timeout = 50 })
            assert.same({ "timeout", "deadline", 2 }, { w.err.kind, w.err.code, w.err.polls })
            assert.equal("Starting", w.err.state)
            assert.truthy(w.message:find("late", 1, true))
        end)

        it("no timeout raises; A8: nor does one out of range go", function()
            local w = waiter.of(operations.GetSessionCluster)
            for _, options in ipairs { {}, { timeout = 0 }, { timeout = -1 }, { timeout = 0 / 0 },
                { timeout = 1 / 0 }, { timeout = 604801 }, { timeout = "30" } } do
                local ok, message = pcall(waiter.wait, w, error, options)
                assert.is_false(ok)
                assert.truthy(message:find("options.timeout", 1, true), message)
            end
            assert.is_false(pcall(waiter.wait, w, error))
        end)
    end)

    describe("I6: trouble while polling", function()
        it("503, resets and throttling do not end it", function()
            local w = wait { "Starting", S503, { "network", "reset" }, { "timeout", "attempt" },
                { "timeout", "deadline" }, { "throttled", "Throttling" }, S503, "Running" }
            assert.equal(8, w.info.polls)
            assert.truthy(w.response)
        end)

        it("a hint is respected: never sooner", function()
            local hinted = { "throttled", "Throttling", "slow", { retry_after = 25 } }
            local w = wait({ "Starting", hinted, "Running" }, nil, nil, 0)
            assert.same({ 2, 25 }, w.time.slept)
            w = wait({ "Starting", hinted, "Running" }, nil, nil, 1)
            assert.same({ 2, 25 * 1.1 }, w.time.slept)
        end)

        it("a hint beyond the deadline gives the last error now", function()
            local hinted = { "throttled", "Throttling", "slow", { retry_after = 400 } }
            local w = wait { "Starting", hinted }
            assert.same({ 2 }, w.time.slept)
            assert.same({ "throttled", 400, "Starting", 2 },
                { w.err.kind, w.err.retry_after, w.err.state, w.err.polls })
        end)

        it("five failures before any success end with the last error", function()
            local fifth = { "network", "reset", "the fifth" }
            local w = wait { S503, S503, S503, S503, fifth, "Running" }
            assert.same({ "network", "the fifth", 5 }, { w.err.kind, w.message, w.err.polls })
            assert.is_nil(w.err.last)
            assert.truthy(wait({ S503, S503, S503, S503, "Running" }).response)
        end)

        it("after one success any number of them does not", function()
            local rows = { "Starting" }
            for _ = 1, 20 do
                rows[#rows + 1] = S503
            end
            rows[#rows + 1] = "Running"
            assert.truthy(wait(rows).response)
        end)

        for _, row in ipairs {
            { "service", "Forbidden.RAM", "no", { status = 403 } },
            { "service", "NotFound", "no", { status = 404 } },
            { "credentials", "malformed" }, { "tls", "verify" }, { "protocol", "json" },
        } do
            it(row[1] .. " " .. row[2] .. " ends at once", function()
                local w = wait { "Starting", row, "Running" }
                assert.same({ row[1], row[2], 2, "Starting" },
                    { w.err.kind, w.err.code, w.err.polls, w.err.state })
            end)
        end

        it("unless such errors are ignored for a while", function()
            local missing = { "service", "NotFound", "no", { status = 404 } }
            local w = wait({ missing, missing, "Running" }, { ignore_errors_for = 10 })
            assert.truthy(w.response)
            w = wait({ missing }, { ignore_errors_for = 5 }, nil, 1)
            assert.same({ "NotFound", 6 }, { w.err.code, w.err.elapsed })  -- 0, 2, then 6
        end)

        it("but not what says that waiting makes no sense", function()
            for _, kind in ipairs { "cancelled", "memory", "unsupported" } do
                local w = wait({ { kind } }, { ignore_errors_for = 10 })
                assert.same({ kind, 1 }, { w.err.kind, w.err.polls })
            end
        end)

        it("does not change the error of the poll: others may hold it", function()
            local _, _, shared = failure("credentials", "none", "no key")
            local w = waiter.of(operations.GetSessionCluster)
            local time = fake.new()
            local _, _, err = waiter.wait(w, function() return nil, "no key", shared end, {
                timeout = 9, clock = time.clock, sleep = time.sleep, random = time.random,
            })
            assert.equal(1, err.polls)
            assert.is_nil(shared.polls)
        end)
    end)

    it("F9: a state that is no text is protocol, shape; it does not raise", function()
        for _, cluster in ipairs { { state = 7 }, { state = true }, { state = {} }, {} } do
            local w = wait { { sessionCluster = cluster } }
            assert.same({ "protocol", "shape", 1 }, { w.err.kind, w.err.code, w.err.polls })
        end
    end)

    it("on_poll tells state, number, elapsed and next delay", function()
        local w = wait({ "Starting", S503, "Running" }, nil, nil, 1)
        assert.same({
            { poll = 1, state = "Starting", elapsed = 0, next_delay = 2 },
            { poll = 2, state = "Starting", elapsed = 2, next_delay = 4, kind = "service" },
            { poll = 3, state = "Running", elapsed = 6 },
        }, w.seen)
    end)

    it("on_poll hears of the poll that ends the wait in failure", function()
        local w = wait { "Starting", "Error" }
        assert.equal("Error", w.seen[2].state)
        assert.is_nil(w.seen[2].next_delay)
    end)

    describe("K6: a broken callback", function()
        local mine = {}
        for _, name in ipairs { "on_poll", "sleep", "random", "clock" } do
            it(name .. ": its error object passes through", function()
                local time = fake.new()
                local options = {
                    timeout = 60, clock = time.clock, sleep = time.sleep, random = time.random,
                }
                options[name] = function() error(mine) end
                local ok, err = pcall(waiter.wait, waiter.of(operations.GetSessionCluster),
                    (server(time, { "Starting" })), options)
                assert.is_false(ok)
                assert.equal(mine, err)
            end)
        end
    end)

    it("I9: a yielding sleep lets 1 000 waits share one thread, each its own", function()
        local time = fake.new()
        local waits, done = {}, 0
        for i = 1, 1000 do
            waits[i] = coroutine.create(function()
                local poll = server(time, { "Starting", "Starting", "Running" })
                local response = waiter.wait(waiter.of(operations.GetSessionCluster), poll, {
                    timeout = 60, clock = time.clock, random = time.random,
                    sleep = coroutine.yield,
                })
                done = done + (response and 1 or 0)
            end)
        end
        for round = 1, 3 do
            for i = 1, 1000 do
                if i ~= 500 or round == 1 then  -- the 500th is forgotten in the middle
                    assert.is_true(coroutine.resume(waits[i]))
                end
            end
        end
        assert.equal(999, done)
    end)

    it("returns what a sleep that cannot sleep says", function()
        local time = fake.new()
        local _, message, err = waiter.wait(waiter.of(operations.GetSessionCluster),
            (server(time, { "Starting" })), {
                timeout = 60, clock = time.clock, random = time.random,
                sleep = function() return failure("unsupported", "phase", "cannot wait here") end,
            })
        assert.same({ "cannot wait here", "phase", 1 }, { message, err.code, err.polls })
    end)

    describe("start", function()
        -- A starter that answers with the rows in turn: true or arguments of `failure`.
        local function start_and_wait(rows, answers, options)
            local time = fake.new(1)
            local poll, polls = server(time, rows)
            local starts = {}
            options = options or {}
            options.timeout = options.timeout or 300
            options.clock, options.sleep, options.random = time.clock, time.sleep, time.random
            local w = waiter.of(operations.GetSessionCluster)
            local limits = {}
            local response, info, err = waiter.wait(w, poll, options, function(limit)
                starts[#starts + 1] = time.now - 1000
                limits[#limits + 1] = limit
                local row = answers[math.min(#starts, #answers)]
                if row == true then
                    return {}
                end
                return failure(row[1], row[2], row[3] or "start failed", row[4])
            end)
            return { response = response, info = info, err = err, starts = starts, polls = polls,
                limits = limits }
        end

        it("is not called when it runs already, or is on its way", function()
            assert.same({}, start_and_wait({ "Running" }, { true }).starts)
            assert.same({}, start_and_wait({ "Starting", "Running" }, { true }).starts)
        end)

        it("is called once from Stopped, NotStarted or Error", function()
            for _, state in ipairs { "Stopped", "NotStarted", "Error" } do
                local w = start_and_wait({ state, state, "Starting", "Running" }, { true })
                assert.same({ 0 }, w.starts)
                assert.truthy(w.response)
            end
        end)

        it("waits until Stopping is over", function()
            local w = start_and_wait({ "Stopping", "Stopping", "Stopped", "Starting", "Running" },
                { true })
            assert.same({ 6 }, w.starts)
            assert.same({ 294 }, w.limits)
            assert.truthy(w.response)
        end)

        it("Error after it moved is a failure at once, and starts nothing again", function()
            local w = start_and_wait({ "Error", "Starting", "Error" }, { true })
            assert.same({ "state", 3, 1 }, { w.err.kind, w.err.polls, #w.starts })
            w = start_and_wait({ "Starting", "Error" }, { true })
            assert.same({ "state", 2, 0 }, { w.err.kind, w.err.polls, #w.starts })
        end)

        it("a start that has no effect within the grace is a failure", function()
            local w = start_and_wait({ "Stopped" }, { true })
            assert.same({ "state", "Stopped", 44 }, { w.err.kind, w.err.code, w.err.elapsed })
            w = start_and_wait({ "Error" }, { true })
            assert.same({ "state", "Error", 44 }, { w.err.kind, w.err.code, w.err.elapsed })
        end)

        it("a refused start ends the wait", function()
            local w = start_and_wait({ "Stopped" },
                { { "service", "OperationDenied", "no", { status = 400 } } })
            assert.same({ "OperationDenied", "Stopped", 1 },
                { w.err.code, w.err.state, w.err.polls })
        end)

        it("one of which it is not known whether it worked: the state is read first", function()
            local w = start_and_wait({ "Stopped", "Starting", "Running" },
                { { "timeout", "attempt" } })
            assert.same({ 0 }, w.starts)
            assert.truthy(w.response)
            w = start_and_wait({ "Stopped", "Stopped", "Starting", "Running" },
                { { "timeout", "attempt" }, true })
            assert.same({ 0, 2 }, w.starts)
            assert.truthy(w.response)
        end)

        it("one throttled with a hint waits as long as that says", function()
            local w = start_and_wait({ "Stopped", "Stopped", "Running" },
                { { "throttled", "Throttling", "slow", { retry_after = 25 } }, true })
            assert.is_true(math.abs(w.starts[2] - 27.5) < 1e-9)
        end)
    end)

    describe("as data", function()
        local job = {
            operation = "GetJobRun", state = "jobRun.state", reason = "jobRun.stateChangeReason",
            success = { "Success" }, failure = { "Failed", "Cancelled" },
        }
        local function poll_job(state)
            return function() return { jobRun = { state = state } } end
        end
        local function options()
            local time = fake.new()
            return { timeout = 9, clock = time.clock, sleep = time.sleep, random = time.random }
        end

        it("any other resource can be waited for", function()
            assert.truthy(waiter.wait(job, poll_job "Success", options()))
            local _, message, err = waiter.wait(job, poll_job "Cancelled", options())
            assert.equal("Cancelled", err.code)
            assert.truthy(message:find("GetJobRun", 1, true))
        end)

        it("what is missing or wrong raises and is named", function()
            for field, bad in pairs {
                operation = { operation = 7, state = "s", success = { "x" } },
                state = { operation = "o", success = { "x" } },
                success = { operation = "o", state = "s", success = {} },
                failure = { operation = "o", state = "s", success = { "x" }, failure = { 7 } },
                tolerated = { operation = "o", state = "s", success = { "x" }, tolerated = "y" },
                sucess = { operation = "o", state = "s", sucess = { "x" } },
            } do
                local ok, message = pcall(waiter.wait, bad, error, { timeout = 1 })
                assert.is_false(ok)
                assert.truthy(message:find(field, 1, true), message)
            end
        end)

        it("wanted states that are none raise", function()
            for _, wanted in ipairs { 7, {}, "", { "Running", 7 }, { "" }, true } do
                local ok, message = pcall(waiter.of, operations.GetSessionCluster, wanted)
                assert.is_false(ok)
                assert.truthy(message:find("options.state", 1, true), message)
            end
        end)

        it("complaints point at the caller's line", function()
            local line = debug.getinfo(1, "l").currentline
            for _, f in ipairs {
                function() local r = waiter.wait(job, error, {}) return r end,
                function() local r = waiter.wait(job, error, { timeot = 1 }) return r end,
                function() local r = waiter.wait({}, error, { timeout = 1 }) return r end,
                function() local r = waiter.of(operations.GetSessionCluster, 7) return r end,
                function() local r = waiter.of(operations.GetSessionCluster, {}) return r end,
            } do
                line = line + 1
                local _, message = pcall(f)
                assert.truthy(message:find("waiter_spec.lua:" .. line + 1 .. ":", 1, true), message)
            end
        end)

        it("min_delay above max_delay raises", function()
            assert.has_error(function()
                waiter.wait(job, error, { timeout = 1, min_delay = 16 })
            end)
        end)
    end)
end)
