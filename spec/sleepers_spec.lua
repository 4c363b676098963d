local sleepers = require "emr.await.sleepers"

describe("sleepers", function()
    it("nobody is due never", function()
        assert.equal(math.huge, sleepers.new():first_due())
    end)

    it("are handed out in order, whoever leaves meanwhile", function()
        local heap, there, seed = sleepers.new(), {}, 7
        local function random(n)  -- the same on every Lua
            seed = seed * 16807 % 2147483647
            return seed % n + 1
        end
        for _ = 1, 2000 do
            if #there > 0 and random(3) == 1 then
                heap:remove(table.remove(there, random(#there)))
            else
                there[#there + 1] = {}
                heap:add(there[#there], random(50))
            end
        end
        assert.is_true(#there > 500)
        local count, last = 0, 0
        while heap[1] do
            local sleeper, due = heap[1], heap:first_due()
            assert.equal(due, sleeper.due)
            assert.is_true(due >= last)
            heap:remove(sleeper)
            assert.is_nil(sleeper.due)
            count, last = count + 1, due
        end
        assert.equal(#there, count)
    end)
end)
