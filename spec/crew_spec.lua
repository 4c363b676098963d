-- Jobs over an adapter whose time passes only while all of them sleep.
local await = require "emr.await"
local crew = require "emr.crew"
local fake = require "spec.support.time"

-- On PUC 5.1 a job keeps its place until it ends.
local it_if_free = await.yields_anywhere and it or pending

for _, has_gates in ipairs { true, false } do
    describe(has_gates and "a crew" or "a crew of an adapter without gates", function()
        local time, rest, working, most

        before_each(function()
            time = fake.of_tasks()
            if not has_gates then
                time.await.gate = nil
            end
            rest = crew.resting(time.await.sleep)
            working, most = 0, 0
        end)

        -- A call of so many seconds, in a place.
        local function call(seconds)
            local ok, message, err = crew.take_place(1e6)
            assert(ok, message)
            working = working + 1
            most = math.max(most, working)
            time.await.sleep(seconds)
            working = working - 1
            return ok, message, err
        end

        local function run(count, places, job)
            return crew.run(time.await, count, places, job)
        end

        it("does every job once, in order, so many at a time", function()
            local begun = {}
            run(20, 3, function(i)
                begun[#begun + 1] = i
                call(1)
            end)
            assert.same({ 20, 1, 20 }, { #begun, begun[1], begun[20] })
            assert.equal(3, most)
            assert.equal(1007, time.now)
        end)

        it("begins no job before there is a place for it", function()
            local begun, ended = 0, 0
            run(500, 5, function()
                begun = begun + 1
                assert(begun - ended <= 5)
                time.await.sleep(1)
                ended = ended + 1
            end)
            assert.equal(500, ended)
        end)

        it("has nothing to do where there are no jobs", function()
            run(0, 5, error)
            assert.equal(1000, time.now)
        end)

        it_if_free("who rests leaves the place to others", function()
            run(10, 2, function()
                call(1)
                rest(90)
                call(1)
            end)
            assert.equal(2, most)
            assert.is_true(time.now >= 1092 and time.now < 1102, time.now - 1000)
        end)

        it_if_free("places go round in the order in which they are asked for", function()
            local order = {}
            run(4, 1, function(i)
                rest(i == 4 and 1 or 5 - i)  -- 4, 3, 2 and 1 s
                call(10)
                order[#order + 1] = i
            end)
            assert.same({ 4, 3, 2, 1 }, order)
            assert.equal(1, most)
        end)

        it_if_free("neither those who wait nor new jobs are put off for ever", function()
            local begun, turns = {}, 0
            run(20, 2, function(i)
                begun[#begun + 1] = i
                for _ = 1, 20 do  -- more wants than two places can serve
                    call(1)
                    rest(0.1)
                    turns = turns + (#begun < 20 and 1 or 0)
                end
            end)
            assert.equal(20, #begun)
            assert.is_true(turns > 20 and turns < 80, turns)
            assert.equal(2, most)
        end)

        it_if_free("who gets no place in time is told so, and disturbs no other", function()
            local told, ended = nil, 0
            run(4, 1, function(i)
                if i == 1 then
                    rest(1)
                    local began, _, message, err = time.now, crew.take_place(3)
                    told = { err.kind, err.code, math.floor(time.now - began), type(message) }
                else
                    call(5)
                end
                ended = ended + 1
            end)
            assert.same({ "timeout", "deadline", 3, "string" }, told)
            assert.equal(4, ended)
            assert.is_true(time.now >= 1015 and time.now < 1016)
        end)

        it_if_free("I9: who breaks gives the place back; its error comes last", function()
            local mine, ended = {}, 0
            local ok, object = pcall(run, 10, 2, function(i)
                call(1)
                rest(1)
                call(1)
                if i <= 2 then
                    error(mine)
                end
                ended = ended + 1
            end)
            assert.is_false(ok)
            assert.equal(mine, object)
            assert.equal(8, ended)
        end)
    end)
end

describe("a crew", function()
    it("says so where waiting is impossible", function()
        local err = { kind = "unsupported" }
        local adapter = fake.of_tasks().await
        adapter.gate = nil
        adapter.sleep = function() return nil, "not here", err end
        local done = 0
        local results = { crew.run(adapter, 3, 1, function()
            coroutine.yield()
            done = done + 1
        end) }
        -- On PUC 5.1 nobody has to wait for a place.
        assert.same(await.yields_anywhere and { nil, "not here", err } or {}, results)
        assert.equal(await.yields_anywhere and 1 or 3, done)
    end)

    it("outside, there is nothing to wait for", function()
        assert.is_true(crew.take_place(0))
        local slept
        crew.resting(function(seconds) slept = seconds end)(7)
        assert.equal(7, slept)
    end)
end)
