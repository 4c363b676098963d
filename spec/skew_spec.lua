local skew = require "emr.skew"
local fake = require "spec.support.time"

local NOW = 1735689600  -- 2025-01-01T00:00:00Z

describe("skew.parse_date", function()
    it("reads the Date header of HTTP", function()
        assert.equal(784111777, skew.parse_date "Sun, 06 Nov 1994 08:49:37 GMT")
        assert.equal(NOW, skew.parse_date "Wed, 01 Jan 2025 00:00:00 GMT")
        assert.equal(1709208000, skew.parse_date "Thu, 29 Feb 2024 12:00:00 GMT")
    end)

    it("gives nil for anything else", function()
        for _, text in ipairs { "", "yesterday", "2025-01-01T00:00:00Z", "0",
            "Wed, 01 Jan 2025 00:00:00 CET", "Wed, 32 Jan 2025 00:00:00 GMT",
            "Wed, 01 Foo 2025 00:00:00 GMT", "Wed, 29 Feb 2025 00:00:00 GMT",
            "Wedn, 01 Jan 2025 00:00:00 GMT" } do
            assert.is_nil(skew.parse_date(text), text)
        end
        assert.is_nil(skew.parse_date(nil))
        assert.is_nil(skew.parse_date(7))
    end)
end)

describe("skew", function()
    local time, wall, s

    before_each(function()
        time, wall = fake.new(), NOW
        s = skew.new(time.clock, function() return wall end)
    end)

    it("is the wall clock at first, plus what is known to be missing", function()
        assert.equal(NOW, s:now())
        assert.equal(NOW + 5, skew.new(time.clock, function() return wall end, 5):now())
    end)

    it("2.5: follows the monotonic clock once it has learned", function()
        assert.is_true(s:learn(NOW + 1000))
        time.now, wall = time.now + 10, wall - 99999
        assert.equal(NOW + 1010, s:now())
    end)

    it("2.5: believes the years 2020 to 2100 only", function()
        for _, year in ipairs { 0, 1577836799, 4133980800, 1e15 } do
            assert.is_false(s:learn(year))
        end
        assert.is_false(s:learn(nil))
        assert.is_true(s:learn(1577836800))
    end)

    it("takes no correction that the native module would refuse", function()
        wall = 0
        assert.is_false(s:learn(NOW))
    end)

    it("2.5: forgets after one hour", function()
        s:learn(NOW + 1000)
        time.now = time.now + 3599
        assert.equal(NOW + 1000 + 3599, s:now())
        time.now = time.now + 1
        assert.equal(wall, s:now())
    end)

    it("2.5: forgets when a reply shows the wall clock right within 60 s", function()
        for off, forgotten in pairs { [60] = true, [-60] = true, [61] = false, [-61] = false } do
            s:learn(NOW + 1000)
            s:compare(wall + off)
            assert.equal(forgotten and wall or NOW + 1000, s:now(), off)
        end
        s:learn(NOW + 1000)
        s:compare(nil)
        assert.equal(NOW + 1000, s:now())
    end)
end)
