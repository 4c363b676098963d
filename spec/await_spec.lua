-- The scheduler runs here over an engine made of a table: its clock moves only when it steps.
local await = require "emr.await"

local function new_engine()
    local engine = { time = 100, running = {}, ended = {}, steps = 0 }

    function engine.now()
        return engine.time
    end

    -- A transfer that ends at the given time with the given value.
    function engine.start(at, value)
        local transfer = { at = engine.time + at }
        function transfer.result()
            if transfer.over then
                return value
            end
        end
        engine.running[#engine.running + 1] = transfer
        return transfer
    end

    -- As the native one: returns when a transfer has ended or the seconds have passed.
    function engine.step(seconds)
        engine.steps = engine.steps + 1
        assert(seconds >= 0 and seconds < math.huge)
        local target = engine.time + seconds
        for _, transfer in ipairs(engine.running) do
            target = math.min(target, math.max(transfer.at, engine.time))
        end
        engine.time = target
        for i = #engine.running, 1, -1 do
            local transfer = engine.running[i]
            if transfer.at <= engine.time then
                transfer.over = true
                table.remove(engine.running, i)
                engine.ended[#engine.ended + 1] = transfer
            end
        end
        return #engine.running
    end

    function engine.finished()
        return table.remove(engine.ended, 1)
    end

    return engine
end

describe("await.stepping", function()
    local engine, blocking

    before_each(function()
        engine = new_engine()
        blocking = await.stepping(engine)
    end)

    it("sleeps the whole time, though transfers end meanwhile", function()
        engine.start(1, "a")
        engine.start(2, "b")
        blocking.sleep(5)
        assert.equal(105, engine.time)
    end)

    it("sleeps not at all for 0, but lets the engine move", function()
        blocking.sleep(0)
        assert.same({ 100, 1 }, { engine.time, engine.steps })
    end)

    it("waits for its transfer and no other, at most so long", function()
        engine.start(1, "other")
        local mine = engine.start(3, "mine")
        blocking.wait(mine, 10)
        assert.equal(103, engine.time)
        assert.equal("mine", mine:result())
        blocking.wait(engine.start(50, "late"), 2)
        assert.equal(105, engine.time)
    end)

    it("waits not for what has ended", function()
        local mine = engine.start(0, "mine")
        blocking.wait(mine, 10)
        local steps = engine.steps
        blocking.wait(mine, 10)
        assert.equal(steps, engine.steps)
    end)

    it("says so where waiting is impossible", function()
        local err = { kind = "unsupported" }
        engine.step = function() return nil, "not here", err end
        assert.same({ nil, "not here", err }, { blocking.sleep(1) })
        assert.same({ nil, "not here", err }, { blocking.wait(engine.start(1), 2) })
        local join = blocking.spawn(function() blocking.sleep(1) end)
        local other = blocking.spawn(function() blocking.sleep(1) end)
        assert.same({ nil, "not here", err }, { join() })
        assert.same({ nil, "not here", err }, { other() })
    end)

    describe("spawn", function()
        it("hands on what the function returns, nils too", function()
            local join = blocking.spawn(function() return 1, nil, 3, nil end)
            assert.equal(4, select("#", join()))
            assert.same({ 1, nil, 3 }, { join() })
        end)

        it("runs tasks beside each other", function()
            local joins = {}
            for i = 1, 3 do
                joins[i] = blocking.spawn(function()
                    local transfer = engine.start(4 - i, "t" .. i)
                    blocking.wait(transfer, 10)
                    blocking.sleep(1)
                    return transfer:result(), engine.time
                end)
            end
            assert.same({ "t1", 104 }, { joins[1]() })
            assert.same({ "t3", 102 }, { joins[3]() })
            assert.same({ "t2", 103 }, { joins[2]() })
            assert.equal(104, engine.time)
        end)

        it("a task waits at most so long", function()
            local join = blocking.spawn(function()
                blocking.wait(engine.start(50), 2)
                return engine.time
            end)
            assert.equal(102, join())
        end)

        it("a task sleeps no longer than it asked for", function()
            local join = blocking.spawn(function()
                blocking.sleep(0.25)
                return engine.time
            end)
            assert.equal(100.25, join())
        end)

        it("a transfer that ends unheard does not wake another wait", function()
            local join = blocking.spawn(function()
                blocking.wait(engine.start(5), 1)  -- given up; it ends during the sleep
                blocking.sleep(10)
                return engine.time
            end)
            assert.equal(111, join())
        end)

        it("1 000 tasks sleep as long as one", function()
            local joins = {}
            for i = 1, 1000 do
                joins[i] = blocking.spawn(function()
                    for _ = 1, 5 do
                        blocking.sleep(i % 10 + 1)
                    end
                end)
            end
            for _, join in ipairs(joins) do
                join()
            end
            assert.equal(150, engine.time)
        end)

        it("a task may spawn and join others", function()
            local join = blocking.spawn(function()
                local inner = {}
                for i = 1, 3 do
                    inner[i] = blocking.spawn(function()
                        blocking.sleep(i)
                        return i
                    end)
                end
                return inner[1]() + inner[2]() + inner[3]()
            end)
            assert.equal(6, join())
            assert.equal(103, engine.time)
        end)

        it("a yield of the task's own only gives way", function()
            local order = {}
            local function task(name)
                return blocking.spawn(function()
                    order[#order + 1] = name
                    coroutine.yield()
                    order[#order + 1] = name
                end)
            end
            local a, b = task "a", task "b"
            a()
            b()
            assert.same({ "a", "b", "a", "b" }, order)
            assert.equal(100, engine.time)
        end)

        it("K6: join raises the very object, again and again; others go on", function()
            local mine = {}
            local bad = blocking.spawn(function() error(mine) end)
            local good = blocking.spawn(function() blocking.sleep(1) return "good" end)
            for _ = 1, 2 do
                local ok, object = pcall(bad)
                assert.is_false(ok)
                assert.equal(mine, object)
            end
            assert.equal("good", good())
        end)

        it("I8: what interrupts a join ends all tasks, and the next ones work", function()
            local step, ran = engine.step, 0
            engine.step = function() error("interrupted!", 0) end
            local function task()
                blocking.sleep(1)
                ran = ran + 1
            end
            local a, b = blocking.spawn(task), blocking.spawn(task)
            assert.same({ false, "interrupted!" }, { pcall(a) })
            engine.step = step
            assert.same({ false, "interrupted!" }, { pcall(b) })
            blocking.spawn(task)()
            assert.equal(1, ran)
        end)

        it("K7: a task that nobody joins holds nothing up", function()
            blocking.spawn(function() error "never run" end)
            blocking.sleep(1)
            assert.equal(101, engine.time)
        end)

        it("a coroutine of the user's inside a task blocks, but works", function()
            local join = blocking.spawn(function()
                local inner = coroutine.wrap(function()
                    blocking.sleep(2)
                    return "slept"
                end)
                return inner()
            end)
            assert.equal("slept", join())
        end)

        it("two tasks that wait for each other raise instead of hanging", function()
            local a, b
            a = blocking.spawn(function() return b() end)
            b = blocking.spawn(function() return a() end)
            local ok, message = pcall(a)
            assert.is_false(ok)
            assert.truthy(message:find("never end", 1, true))
        end)
    end)
end)

describe("await.choose", function()
    local function nothing() end

    it("takes a name, a table of functions, or what suits", function()
        assert.equal(await.blocking, await.choose())
        assert.equal(await.blocking, await.choose "blocking")
        local own = { sleep = nothing, wait = nothing, spawn = nothing }
        assert.same(own, await.choose(own))
    end)

    it("raises and names what is missing, wrong or unknown", function()
        for expected, own in pairs {
            ["options.await.spawn"] = { sleep = nothing, wait = nothing },
            ["options.await.sleep"] = { sleep = 1, wait = nothing, spawn = nothing },
            ["'slep'"] = { slep = nothing },
        } do
            local ok, message = pcall(await.choose, own)
            assert.is_false(ok)
            assert.truthy(message:find(expected, 1, true), message)
        end
    end)
end)
