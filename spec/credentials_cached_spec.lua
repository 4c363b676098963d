local credentials = require "emr.credentials"
local failure = require "emr.failure"
local worlds = require "spec.support.world"

local SECRET = worlds.SECRET

-- A provider whose keys are numbered and live `life` seconds (nil: without end). `source.fails`
-- makes it fail, `source.takes` is how long it takes, `source.count` how often it was asked.
local function numbered(state, life)
    local source = { count = 0, life = life }
    function source.provider(world)
        source.count = source.count + 1
        local number = source.count
        if source.takes then
            world.sleep(source.takes)
        end
        if source.fails then
            return failure("credentials", source.fails, "out of order")
        end
        return {
            access_key_id = "STS." .. number,
            access_key_secret = SECRET .. number,
            security_token = "token" .. number,
            expiration = source.life and state.wall + source.life,
            source = "numbered",
        }
    end
    return source
end

local function setup(life, state)
    local world
    world, state = worlds.new(state)
    local source = numbered(state, life)
    return credentials.cached(source.provider), world, state, source
end

local function id(provider, world, rejected)
    local key, message = provider(world, rejected)
    return key and key.access_key_id or message
end

-- Coroutines that share the world's time: `sleep` yields, time jumps to the next wake-up.
local function scheduler(world, state)
    local tasks = {}
    function world.sleep(seconds)
        coroutine.yield(state.now + seconds)
    end
    local M = {}
    function M.spawn(fn)
        local co = coroutine.create(fn)
        local ok, wake = coroutine.resume(co)
        assert(ok, wake)
        if coroutine.status(co) ~= "dead" then
            tasks[#tasks + 1] = { co = co, wake = wake }
        end
        return co
    end
    function M.drop(co)
        for i, task in ipairs(tasks) do
            if task.co == co then
                table.remove(tasks, i)
                return
            end
        end
    end
    function M.run()
        while #tasks > 0 do
            local wake = math.huge
            for _, task in ipairs(tasks) do
                wake = math.min(wake, task.wake)
            end
            state:pass(math.max(0, wake - state.now))
            local due = tasks
            tasks = {}
            for _, task in ipairs(due) do
                local ok, later = true, task.wake
                if task.wake <= wake then
                    ok, later = coroutine.resume(task.co)
                end
                assert(ok, later)
                if coroutine.status(task.co) ~= "dead" then
                    tasks[#tasks + 1] = { co = task.co, wake = later }
                end
            end
        end
    end
    return M
end

describe("credentials.cached", function()
    it("asks the provider once and keeps the key", function()
        local provider, world, _, source = setup(3600)
        for _ = 1, 100 do
            assert.equal("STS.1", id(provider, world))
        end
        assert.equal(1, source.count)
    end)

    it("2.7: begins to renew 300 s before the end, up to 60 s earlier by chance", function()
        for draw, begin in pairs { [0] = 3300, [0.5] = 3270, [1] = 3240 } do
            local provider, world, state = setup(3600, { draw = draw })
            provider(world)
            state:pass(begin - 0.5)
            assert.equal("STS.1", id(provider, world))
            state:pass(1)
            assert.equal("STS.2", id(provider, world))
        end
    end)

    it("2.7: renews a key that lives under 15 minutes after 80 % of its life", function()
        for _, life in ipairs { 899, 300, 60 } do
            local provider, world, state = setup(life)
            provider(world)
            state:pass(0.8 * life - 0.5)
            assert.equal("STS.1", id(provider, world))
            state:pass(1)
            assert.equal("STS.2", id(provider, world))
        end
    end)

    it("keeps a key without an end until the API refuses it", function()
        local provider, world, state, source = setup(nil)
        local key = provider(world)
        state:pass(10 * 365 * 86400)
        assert.equal(key, provider(world))
        assert.equal("STS.2", id(provider, world, key))
        assert.equal(2, source.count)
    end)

    it("I7: reads the wall clock for a new key only, whatever it shows later", function()
        for _, jump in ipairs { 3600, -3600, 315360000, -315360000 } do
            local provider, world, state, source = setup(3600)
            provider(world)
            state.wall = state.wall + jump
            state.now = state.now + 3200
            provider(world)
            assert.equal(1, source.count)
            state.now = state.now + 100
            provider(world)
            assert.equal(2, source.count)
        end
    end)

    it("2.7: keeps a good key when renewing fails, and tries again after 10, 20, 40, 60, 60 s",
        function()
            local provider, world, state, source = setup(3600)
            provider(world)
            source.fails = "unavailable"
            state:pass(3290)
            for i, pause in ipairs { 10, 20, 40, 60, 60 } do
                assert.equal("STS.1", id(provider, world))
                assert.equal(1 + i, source.count)
                state:pass(pause - 0.5)
                assert.equal("STS.1", id(provider, world))
                assert.equal(1 + i, source.count)
                state:pass(0.5)
            end
        end)

    it("2.7: the pauses vary by 20 %", function()
        for draw, pause in pairs { [0] = 8, [1] = 12 } do
            local provider, world, state, source = setup(3600, { draw = draw })
            source.fails = "unavailable"
            provider(world)
            state:pass(pause - 0.5)
            provider(world)
            assert.equal(1, source.count)
            state:pass(1)
            provider(world)
            assert.equal(2, source.count)
        end
    end)

    it("2.7: uses the key until its end, then fails as unavailable and remembers that", function()
        local provider, world, state, source = setup(3600)
        provider(world)
        source.fails = "malformed"
        state:pass(3599)
        assert.equal("STS.1", id(provider, world))
        state:pass(2)
        local err = worlds.refused("unavailable", provider, world)
        assert.matches("out of order", err.message)
        assert.equal(2, source.count) -- remembered from the try at 3599 s
        source.fails = nil
        state:pass(10)
        assert.equal("STS.3", id(provider, world))
    end)

    it("returns the provider's own error before the first key, remembered for 10 s", function()
        local provider, world, state, source = setup(3600)
        source.fails = "none"
        local first = worlds.refused("none", provider, world)
        state:pass(9)
        local second = worlds.refused("none", provider, world)
        assert.equal(1, source.count)
        assert.not_equal(first, second) -- callers add to their error
        first.attempts = 3
        assert.is_nil(worlds.refused("none", provider, world).attempts)
        source.fails = nil
        state:pass(1.1)
        assert.equal("STS.2", id(provider, world))
    end)

    it("starts anew with the pauses after a success", function()
        local provider, world, state, source = setup(3600)
        for _ = 1, 2 do
            source.fails = "unavailable"
            provider(world)
            state:pass(10)
            provider(world)
            state:pass(20)
            source.fails = nil
            source.life = 100
            assert.is_table(provider(world))
            state:pass(101)
        end
        assert.equal(6, source.count)
    end)

    it("J8: an end that is past, far away, no number or no time is due, once per 10 s", function()
        local ends = { 0, -1, worlds.WALL - 1, 253402300799, math.huge, 0 / 0, "soon", {},
            "9999-12-31T23:59:59Z", "2020-01-01T00:00:00Z" }
        for _, expiration in ipairs(ends) do
            local world, state = worlds.new()
            local count = 0
            local provider = credentials.cached(function()
                count = count + 1
                return { access_key_id = "a" .. count, access_key_secret = "b",
                    expiration = expiration }
            end)
            for _ = 1, 99 do
                assert.is_table(provider(world))
                state:pass(0.1)
            end
            assert.equal(1, count)
            state:pass(0.2)
            assert.equal("a2", provider(world).access_key_id)
        end
    end)

    it("J8: takes an end given as a time stamp", function()
        local world, state = worlds.new()
        local count = 0
        local provider = credentials.cached(function()
            count = count + 1
            return { access_key_id = "a", access_key_secret = "b", expiration = worlds.stamp(3600) }
        end)
        provider(world)
        state:pass(3200)
        provider(world)
        assert.equal(1, count)
        state:pass(100)
        provider(world)
        assert.equal(2, count)
    end)

    it("returns a cached provider as it is", function()
        local provider = setup(3600)
        assert.equal(provider, credentials.cached(provider))
    end)

    it("lets the clocks of its own world win over those of a call", function()
        local world, state = worlds.new()
        local source = numbered(state, 3600)
        local own = { clock = world.clock, wall_clock = world.wall_clock, sleep = world.sleep,
            random = world.random }
        local provider = credentials.cached(source.provider, own)
        local other = worlds.new { now = 5e6 }
        assert.equal("STS.1", id(provider, other))
        state:pass(3300)
        assert.equal("STS.2", id(provider, other))
    end)

    it("raises for what is no provider and for an unknown member of the world", function()
        assert.error_matches(function() credentials.cached {} end, "provider")
        assert.error_matches(function() credentials.cached(print, { clok = os.time }) end, "clok")
    end)
end)

describe("credentials.cached, a key that the API refuses", function()
    it("G12: is renewed at once, by one caller; the others get the new one", function()
        local provider, world, _, source = setup(3600)
        local old = provider(world)
        for _ = 1, 50 do
            assert.equal("STS.2", id(provider, world, old))
        end
        assert.equal(2, source.count)
        assert.equal("STS.2", id(provider, world))
    end)

    it("J5: the same key again is code expired, without a loop", function()
        local world, state = worlds.new()
        local count = 0
        local provider = credentials.cached(function()
            count = count + 1
            return { access_key_id = "STS.same", access_key_secret = SECRET, security_token = "t" }
        end)
        local key = provider(world)
        for _ = 1, 50 do
            assert.is_false(worlds.refused("expired", provider, world, key).retryable)
        end
        assert.equal(2, count) -- one forced renewal
        assert.equal("STS.same", id(provider, world)) -- the API decides, each time
        state:pass(10)
        worlds.refused("expired", provider, world, key)
        assert.equal(3, count)
    end)

    it("works for a static key", function()
        local provider = credentials.cached(credentials.static { access_key_id = "LTAI",
            access_key_secret = SECRET })
        local world = worlds.new()
        worlds.refused("expired", provider, world, provider(world))
    end)

    it("is not made do with when renewing fails", function()
        local provider, world, _, source = setup(3600)
        local key = provider(world)
        source.fails = "unavailable"
        worlds.refused("unavailable", provider, world, key)
        worlds.refused("unavailable", provider, world, key)
        assert.equal(2, source.count)
        assert.equal("STS.1", id(provider, world)) -- who was not refused may still try
    end)

    it("is left alone when another one is in use by now, whatever part of it differs", function()
        local provider, world, _, source = setup(3600)
        for _, field in ipairs { "access_key_id", "access_key_secret", "security_token" } do
            local other = {}
            for name, value in pairs(provider(world)) do
                other[name] = value
            end
            other[field] = "other"
            assert.equal("STS.1", id(provider, world, other))
        end
        assert.equal(1, source.count)
    end)

    it("is known again in a copy", function()
        local provider, world = setup(3600)
        local key = provider(world)
        assert.equal("STS.2", id(provider, world, { access_key_id = key.access_key_id,
            access_key_secret = key.access_key_secret, security_token = key.security_token }))
    end)
end)

describe("credentials.cached, many callers", function()
    -- 1 000 callers at `moment` seconds after the first key; what each got and when.
    local function crowd(life, moment, takes, deadline)
        local provider, world, state, source = setup(life)
        provider(world)
        state:pass(moment)
        source.takes = takes
        local start, schedule = state.now, scheduler(world, state)
        world.deadline = deadline and start + deadline
        local got, latest = {}, 0
        for i = 1, 1000 do
            schedule.spawn(function()
                local key, message, err = provider(world)
                got[i] = key and key.access_key_id or err.code
                assert(key or message)
                if i > 1 then -- the first is the one that fetches
                    latest = math.max(latest, state.now - start)
                end
            end)
        end
        schedule.run()
        local counts = {}
        for i = 1, 1000 do
            counts[got[i]] = (counts[got[i]] or 0) + 1
        end
        return counts, source.count - 1, latest
    end

    it("J9: 1 000 callers at the end of a key cause exactly one renewal", function()
        local counts, renewals, latest = crowd(3600, 3600, 0.3)
        assert.same({ ["STS.2"] = 1000 }, counts)
        assert.equal(1, renewals)
        assert.is_true(latest < 0.6, "they poll in small steps: " .. latest)
    end)

    it("J9: go on with the old key, at once, while it is good for another minute", function()
        local counts, renewals, latest = crowd(3600, 3400, 2)
        assert.same({ ["STS.1"] = 999, ["STS.2"] = 1 }, counts)
        assert.equal(1, renewals)
        assert.equal(0, latest)
    end)

    it("J9: go on with the old key until the last minute, and wait in it", function()
        assert.same({ ["STS.1"] = 999, ["STS.2"] = 1 }, (crowd(3600, 3539.5, 2)))
        local counts, renewals = crowd(3600, 3540.5, 2)
        assert.same({ ["STS.2"] = 1000 }, counts)
        assert.equal(1, renewals)
    end)

    it("J9: wait at most 5 s, then use the old key while it is good", function()
        local counts, renewals, latest = crowd(3600, 3541, 20)
        assert.same({ ["STS.1"] = 999, ["STS.2"] = 1 }, counts)
        assert.equal(1, renewals)
        assert.is_true(latest <= 5.001, latest)
    end)

    it("J9: wait at most 5 s, then fail when there is no good key", function()
        local counts, renewals, latest = crowd(3600, 3601, 20)
        assert.same({ unavailable = 999, ["STS.2"] = 1 }, counts)
        assert.equal(1, renewals)
        assert.is_true(latest <= 5.001, latest)
    end)

    it("J9: wait no longer than their own deadline", function()
        local counts, _, latest = crowd(3600, 3601, 20, 1)
        assert.equal(999, counts.deadline)
        assert.is_true(latest <= 1.001, latest)
    end)

    it("share the failure of the one renewal", function()
        local provider, world, state, source = setup(3600)
        source.fails, source.takes = "unavailable", 0.5
        local schedule, codes = scheduler(world, state), {}
        for i = 1, 100 do
            schedule.spawn(function()
                codes[i] = select(3, provider(world)).code
            end)
        end
        schedule.run()
        assert.equal(1, source.count)
        for i = 1, 100 do
            assert.equal("unavailable", codes[i])
        end
    end)

    it("do not inherit the deadline of the one who renews", function()
        local world, state = worlds.new()
        local schedule, asked, results = scheduler(world, state), 0, {}
        local provider = credentials.cached(function(inner)
            asked = asked + 1
            inner.sleep(0.2)
            if inner.deadline then
                return failure("timeout", "deadline", "late")
            end
            return { access_key_id = "LTAI", access_key_secret = SECRET }
        end)
        local hurried = setmetatable({ deadline = state.now + 0.1 }, { __index = world })
        schedule.spawn(function() results[1] = select(3, provider(hurried)).code end)
        schedule.spawn(function() results[2] = provider(world).access_key_id end)
        schedule.run()
        assert.same({ "deadline", "LTAI" }, results)
        assert.equal(2, asked)
    end)

    it("J10: never get parts of two keys in 10 000 rotations", function()
        local provider, world, state, source = setup(15)
        source.takes = 0.1
        local schedule = scheduler(world, state)
        local seen = 0
        for i = 1, 5 do
            schedule.spawn(function()
                for _ = 1, 2500 do
                    local key = provider(world)
                    local number = key.access_key_id:match("%d+")
                    assert(key.access_key_secret == SECRET .. number)
                    assert(key.security_token == "token" .. number)
                    seen = seen + 1
                    world.sleep(11 + i / 10)
                end
            end)
        end
        schedule.run()
        assert.equal(12500, seen)
        assert.is_true(source.count > 2000)
    end)

    it("K7: go on when the coroutine that was renewing is dropped", function()
        local provider, world, state, source = setup(3600)
        source.takes = 1
        local schedule = scheduler(world, state)
        schedule.drop(schedule.spawn(function() provider(world) end))
        collectgarbage()
        collectgarbage()
        source.takes = nil
        assert.equal("STS.2", id(provider, world))
    end)

    it("K7: take over from one that is kept but never goes on", function()
        local provider, world, state, source = setup(3600)
        source.takes = 1
        local schedule = scheduler(world, state)
        local stuck = schedule.spawn(function() provider(world) end)
        schedule.drop(stuck)
        source.takes = nil
        local codes = {}
        schedule.spawn(function() codes[1] = select(3, provider(world)).code end)
        schedule.run()
        state:pass(75)
        schedule.spawn(function() codes[2] = provider(world).access_key_id end)
        schedule.run()
        assert.same({ "unavailable", "STS.2" }, codes)
        -- the late one keeps what it got to itself
        coroutine.resume(stuck)
        assert.equal("dead", coroutine.status(stuck))
        assert.equal("STS.2", id(provider, world))
    end)

    it("return the failure of a sleep instead of spinning", function()
        local provider, world, state, source = setup(3600)
        source.takes = 1
        local schedule = scheduler(world, state)
        schedule.spawn(function() provider(world) end)
        local refusing = setmetatable({
            sleep = function() return failure("unsupported", "blocking", "not here") end,
        }, { __index = world })
        local _, message, err = provider(refusing)
        assert.equal("not here", message)
        assert.equal("unsupported", err.kind)
    end)
end)

describe("credentials.cached, a broken provider or world", function()
    for _, member in ipairs { "provider", "clock", "wall_clock", "random" } do
        it("K6: passes through what " .. member .. " raises and stays usable", function()
            local object, world, state = {}, worlds.new()
            local source = numbered(state, 3600)
            local is_broken = true
            local function broken(fn)
                return function(...)
                    if is_broken then
                        error(object)
                    end
                    return fn(...)
                end
            end
            if member == "provider" then
                source.provider = broken(source.provider)
            else
                world[member] = broken(world[member])
            end
            local provider = credentials.cached(source.provider)
            local ok, raised = pcall(provider, world)
            assert.is_false(ok)
            assert.equal(object, raised)
            is_broken = false
            assert.is_table(provider(world))
        end)
    end

    it("K6: adds no position to what a provider raises as text", function()
        local ok, raised = pcall(credentials.cached(function() error("plain", 0) end),
            (worlds.new()))
        assert.is_false(ok)
        assert.equal("plain", raised)
    end)

    it("K6: passes through what sleep raises, as a waiter", function()
        local provider, world, state, source = setup(3600)
        source.takes = 1
        local schedule = scheduler(world, state)
        schedule.spawn(function() provider(world) end)
        local object = {}
        local raising = setmetatable({ sleep = function() error(object) end }, { __index = world })
        local ok, raised = pcall(provider, raising)
        assert.is_false(ok)
        assert.equal(object, raised)
        schedule.run()
        assert.equal("STS.1", id(provider, world))
    end)

    it("J11: what is wrong with a stranger's key is a credentials error", function()
        local world = worlds.new()
        for _, key in ipairs {
            { access_key_id = "a\r\nx-acs-evil: 1", access_key_secret = "b" },
            { access_key_id = 1, access_key_secret = "b" },
            { access_key_id = "a", access_key_secret = "b", security_token = "t\n" },
        } do
            worlds.refused("malformed", credentials.cached(function() return key end), world)
        end
        worlds.refused("malformed", credentials.cached(function() return 5 end), world)
        worlds.refused("unavailable", credentials.cached(function() end), world)
    end)

    it("raises for a member of the world that is no function", function()
        local provider = setup(3600)
        assert.error_matches(function() provider { getenv = {} } end, "getenv")
    end)
end)
