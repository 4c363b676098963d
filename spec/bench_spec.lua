-- What the benchmark makes of its figures: what `make bench-check` fails at, what is a knee.
-- Measuring itself takes callgrind and half a minute.

local check = require "spec.bench.check"
local growth = require "spec.bench.growth"

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

describe("the check of growth", function()
    local inflight = { 1, 8, 64, 512, 2000 }

    local function verdict(of)
        local figures = {}
        for i, n in ipairs(inflight) do
            figures[i] = of(n)
        end
        return growth.words("memory", inflight, figures)
    end

    it("calls a straight line linear, also with noise", function()
        assert.equal("- memory: linear, off a straight line by 0 % at most",
            verdict(function(n) return 12000 + 45 * n end))
        assert.truthy(verdict(function(n) return 1.2 + n % 3 / 20 end):find("linear", 1, true))
    end)

    it("sees a knee, and growth with the square", function()
        assert.truthy(verdict(function(n) return n < 1000 and 50 or 100 end):find("NOT LINEAR"))
        assert.truthy(verdict(function(n) return 100 + n * n end):find("NOT LINEAR"))
    end)
end)
