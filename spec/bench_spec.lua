-- What makes `make bench-check` fail; the measuring itself takes callgrind and half a minute.

local check = require "spec.bench.check"

describe("the check of instructions a call", function()
    it("lets pass what has fallen, or risen by less than 5 %", function()
        local failed, lines = check.compare({ call = 1.6, client = 2.09 }, { call = 2, client = 2 })
        assert.equal(0, failed)
        assert.equal(2, #lines)
    end)

    it("fails where one ratio has risen by more than 5 %", function()
        local failed, lines = check.compare({ call = 1.6, client = 2.11 }, { call = 2, client = 2 })
        assert.equal(1, failed)
        assert.truthy(lines[1]:find("^call .* ok$"))
        assert.truthy(lines[2]:find("^client .* FAILED"))
    end)

    it("fails where nothing is recorded", function()
        assert.equal(1, (check.compare({ call = 1.6 }, {})))
    end)

    it("has something recorded for each row that it counts", function()
        local recorded = dofile("spec/bench/recorded.lua")
        for _, row in ipairs(require("spec.bench.rows").checked) do
            assert.is_number(recorded[row])
        end
    end)
end)
