-- emr.options, by which the Lua modules check theirs.
local options = require "emr.options"

local RULES = {
    name = options.a "string",
    count = options.integer(1, 10),
    seconds = options.number(0.5, 2),
    mode = options.one_of({ "fast", "slow" }, options.a "table"),
    word = options.one_of { "yes" },
}

-- What it says of `given`, without the position.
local function complaint(given)
    local ok, message = pcall(options.check, given, RULES, "options", 0)
    return not ok and message or nil
end

describe("options.check", function()
    it("gives a copy of what is known", function()
        local given = { name = "x", count = 3, mode = "fast" }
        local copy = options.check(given, RULES, "options")
        given.name = "y"
        assert.same({ name = "x", count = 3, mode = "fast" }, copy)
        assert.same({}, options.check(nil, RULES, "options"))
    end)

    it("names what is unknown, wrong or out of range, and what was expected", function()
        for expected, given in pairs {
            ["options must be a table, got string"] = "x",
            ["options: unknown option 'nmae'"] = { nmae = "x" },
            ["options: unknown option '1'"] = { "x" },
            ["options: unknown option 'a??b'"] = { ["a\n\255b"] = "x" },
            ["options.name must be a string"] = { name = 7 },
            ["options.count must be an integer from 1 to 10"] = { count = 2.5 },
            ["options.seconds must be a number from 0.5 to 2"] = { seconds = 0 / 0 },
            ['options.mode must be "fast", "slow" or a table'] = { mode = "medium" },
            ['options.word must be "yes"'] = { word = "no" },
        } do
            assert.equal(expected, complaint(given))
        end
    end)

    it("A8: takes the limits themselves, and nothing beyond them", function()
        assert.is_nil(complaint { count = 1, seconds = 0.5 })
        assert.is_nil(complaint { count = 10, seconds = 2 })
        for _, bad in ipairs { 0, 11, -1, 1 / 0, -1 / 0, 0 / 0, 1e300, "3" } do
            assert.truthy(complaint { count = bad }, bad)
        end
        for _, bad in ipairs { 0.4999, 2.0001, -1, 1 / 0, 0 / 0, "1" } do
            assert.truthy(complaint { seconds = bad }, bad)
        end
    end)

    it("takes one of the words, or what else is allowed", function()
        assert.is_nil(complaint { mode = "slow", word = "yes" })
        assert.is_nil(complaint { mode = {} })
        assert.truthy(complaint { word = {} })
    end)

    it("shows no value, and no endless name", function()
        assert.is_nil(complaint { name = { "CANARY" } }:find("CANARY", 1, true))
        assert.is_nil(complaint { count = "CANARY" }:find("CANARY", 1, true))
        assert.is_true(#complaint { [("x"):rep(100000)] = 1 } < 200)
    end)

    it("points at the caller's line", function()
        local function mine(given)
            local copy = options.check(given, RULES, "options")  -- no tail call: it would hide us
            return copy
        end
        local line = debug.getinfo(1, "l").currentline + 1
        local _, message = pcall(function() mine { bad = 1 } return nil end)
        assert.truthy(message:find("option_rules_spec.lua:" .. line .. ":", 1, true), message)
    end)
end)
