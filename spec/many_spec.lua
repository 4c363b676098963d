-- Many waits in one plain script: one thread, one engine, little memory, few connections.

local cjson = require "cjson"
local emr = require "emr"
local await = require "emr.await"
local emulator = require "spec.support.emulator"

-- On PUC 5.1 a wait in a function of `client:all` blocks: they come one after the other.
local BLOCKS = _VERSION == "Lua 5.1" and not rawget(_G, "jit")
local COUNT = 1000
local READY = 60  -- seconds until the clusters run

-- Time that passes only while everybody sleeps; `on_sleep` is called whenever that happens.
local function new_time(on_sleep)
    local time = { now = 1000 }
    local engine = {
        now = function() return time.now end,
        step = function(seconds)
            if seconds > 0 then
                on_sleep()
            end
            time.now = time.now + seconds
            return 0
        end,
        finished = function() end,
    }
    time.await = await.stepping(engine)
    time.clock = engine.now
    return time
end

-- The body that a cluster of the API has, as large as the documented one.
local function sample()
    local file = assert(io.open("spec/emulator/sample.json"))
    local body = cjson.decode(file:read("*a"))
    file:close()
    return body
end

describe("1 000 waits in one script", function()
    -- A client without a network: its clusters start at 1000 and run at 1060.
    local function new_client(time)
        local bodies, reply = {}, sample()
        for _, state in ipairs { "Starting", "Running" } do
            reply.sessionCluster.state = state
            bodies[state] = cjson.encode(reply)
        end
        return emr.client.new {
            region = "cn-hangzhou", access_key_id = "id", access_key_secret = "secret",
            await = time.await, clock = time.clock, getenv = function() end,
            transport = function()
                local state = time.now < 1000 + READY and "Starting" or "Running"
                return { status = 200, headers = {}, body = bodies[state] }
            end,
        }
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
        local time = new_time(function()
            if most == 0 then  -- the first time, when all sleep
                collectgarbage()
                collectgarbage()
                most = collectgarbage("count") - before
            end
        end)
        local client = new_client(time)
        local list = waits_of(client)
        collectgarbage()
        collectgarbage()
        before = collectgarbage("count")
        local results, errors = client:all(list, { concurrency = COUNT })
        assert.same({}, errors)
        for i = 1, COUNT do
            assert.equal("Running", results[i].sessionCluster.state)
        end
        assert.is_true(most / COUNT > 0.5, "nothing was measured")
        assert.is_true(most / COUNT <= 20, ("%.1f KiB each"):format(most / COUNT))
    end)

    it_if_beside("I9: take as long as the longest; one that breaks disturbs no other", function()
        local time = new_time(function() end)
        local client, running, mine = new_client(time), 0, {}
        local list = waits_of(client, function(i)
            return function(info)
                if i == 500 then
                    error(mine)
                end
                running = running + (info.state == "Running" and 1 or 0)
            end
        end)
        local ok, object = pcall(client.all, client, list, { concurrency = COUNT })
        assert.is_false(ok)
        assert.equal(mine, object)
        assert.equal(COUNT - 1, running)
        assert.is_true(time.now >= 1000 + READY and time.now <= 1000 + READY + 15.001)
    end)

    it("use no more connections than `concurrency`", function()
        local emu = emulator.get()
        emu:reset()
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { "Running" } }
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
        local connections, requests, count = {}, emu:requests(), 0
        for _, request in ipairs(requests) do
            count = count + (connections[request.connection] and 0 or 1)
            connections[request.connection] = true
        end
        assert.equal(300, #requests)
        assert.is_true(count <= 64, count .. " connections")
    end)
end)
