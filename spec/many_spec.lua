-- Many waits in one plain script: one thread, one engine, little memory, few connections.

local cjson = require "cjson"
local emr = require "emr"
local emulator = require "spec.support.emulator"
local fake = require "spec.support.time"

-- On PUC 5.1 a wait in a function of `client:all` blocks: they come one after the other.
local BLOCKS = _VERSION == "Lua 5.1" and not rawget(_G, "jit")
local COUNT = 1000
local READY = 90  -- seconds until the clusters run
local MAX_DELAY = 15  -- the longest between two polls

-- The body that a cluster of the API has, as large as the documented one.
local function sample()
    local file = assert(io.open("spec/emulator/sample.json"))
    local body = cjson.decode(file:read("*a"))
    file:close()
    return body
end

describe("1 000 waits in one script", function()
    -- A client without a network: a call takes `latency` seconds, its clusters run after READY.
    -- Also gives how many calls were in flight at the most.
    local function new_client(time, latency)
        local calls = { in_flight = 0, most = 0 }
        local bodies, reply = {}, sample()
        for _, state in ipairs { "Starting", "Running" } do
            reply.sessionCluster.state = state
            bodies[state] = cjson.encode(reply)
        end
        local ready = time.now + READY
        return emr.client.new {
            region = "cn-hangzhou", access_key_id = "id", access_key_secret = "secret",
            await = time.await, clock = time.clock, getenv = function() end,
            transport = function()
                local state = time.now < ready and "Starting" or "Running"
                calls.in_flight = calls.in_flight + 1
                calls.most = math.max(calls.most, calls.in_flight)
                time.await.sleep(latency)
                calls.in_flight = calls.in_flight - 1
                return { status = 200, headers = {}, body = bodies[state] }
            end,
        }, calls
    end

    local function waits_of(client, on_poll)
        local list = {}
        for i = 1, COUNT do
            local request = { workspaceId = "w-1", sessionClusterId = "s-" .. i }
            list[i] = function()
                return client:wait_session_cluster(request, {
                    timeout = 300, on_poll = on_poll and on_poll(i),
                })
            end
        end
        return list
    end

    local it_if_beside = BLOCKS and pending or it

    it_if_beside("take at most 20 KiB of Lua memory each while they sleep", function()
        local before, most = nil, 0
        local time = fake.of_tasks(function()
            if most == 0 then  -- the first time, when all sleep
                collectgarbage()
                collectgarbage()
                most = collectgarbage("count") - before
            end
        end)
        local client = new_client(time, 0)
        local list = waits_of(client)
        collectgarbage()
        collectgarbage()
        before = collectgarbage("count")
        local results, errors = client:all(list)
        assert.same({}, errors)
        for i = 1, COUNT do
            assert.equal("Running", results[i].sessionCluster.state)
        end
        assert.is_true(most / COUNT > 0.5, "nothing was measured")
        assert.is_true(most / COUNT <= 20, ("%.1f KiB each"):format(most / COUNT))
    end)

    it_if_beside("take about as long as one, with `concurrency` calls in flight", function()
        local time = fake.of_tasks()
        local client, calls = new_client(time, 0.2)
        local began = time.now
        local results, errors = client:all(waits_of(client))
        assert.same({}, errors)
        for i = 1, COUNT do
            assert.equal("Running", results[i].sessionCluster.state)
        end
        local seconds = time.now - began
        assert.is_true(seconds >= READY and seconds < READY + MAX_DELAY + 5, seconds .. " s")
        assert.equal(64, calls.most)
    end)

    it_if_beside("I9: one that breaks disturbs no other", function()
        local time = fake.of_tasks()
        local client, running, mine = new_client(time, 0.1), 0, {}
        local list = waits_of(client, function(i)
            return function(info)
                if i == 500 then
                    error(mine)
                end
                running = running + (info.state == "Running" and 1 or 0)
            end
        end)
        local ok, object = pcall(client.all, client, list)
        assert.is_false(ok)
        assert.equal(mine, object)
        assert.equal(COUNT - 1, running)
        assert.is_true(time.now < 1000 + READY + MAX_DELAY + 5)
    end)

    it("use no more connections than `concurrency`", function()
        local emu = emulator.get()
        emu:reset()
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { "Running" } }
        if not BLOCKS then  -- however slow we are here, all places are taken before a reply comes
            emu:fault { name = "slow", seconds = 0.5, times = 64 }
        end
        local client = emr.client.new {
            region = "cn-hangzhou", endpoint = emu.http, getenv = function() end,
            access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
        }
        local list, in_flight, most = {}, 0, 0
        for i = 1, 300 do
            list[i] = function()
                in_flight = in_flight + 1
                most = math.max(most, in_flight)
                local response, message, err = client:wait_session_cluster(
                    { workspaceId = "w-1", sessionClusterId = "s-1" }, { timeout = 60 })
                in_flight = in_flight - 1
                return response, message, err
            end
        end
        local _, errors = client:all(list)
        assert.same({}, errors)
        assert.equal(BLOCKS and 1 or 64, most)
        assert.equal(300, #emu:requests())
        assert.is_true(emu:connections() <= 64, emu:connections() .. " connections")
    end)
end)
