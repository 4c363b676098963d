-- The adapters for event loops, each with its real library and the emulator: one set of specs for
-- all.

local emr = require "emr"
local child = require "spec.support.child"
local emulator = require "spec.support.emulator"
local loops = require "spec.support.loops"
local example = require "spec.support.example"

local IDS = { workspaceId = "w-1", sessionClusterId = "s-1" }

for name, new_loop in pairs(loops) do
    local found, library = pcall(require, name)
    local it = found and it or pending

    describe("await = " .. name, function()
        local emu, loop, client

        setup(function()
            emu = emulator.get()
        end)

        before_each(function()
            emu:reset()
            loop = found and new_loop(library)
            client = emr.client.new {
                region = "cn-hangzhou", endpoint = emu.http, await = name, deadline = 5,
                access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
                getenv = function() end, retry = false,
            }
        end)

        local function slow(seconds, times)
            emu:fault { name = "slow", seconds = seconds, times = times or 1 }
        end

        -- Runs f in the loop, then looks at what it returns: on 5.1 an assertion inside could not
        -- pass through the loop.
        local function inside(f)
            local results
            loop.run(function()
                results = { f() }
            end)
            return results
        end

        it("makes a call", function()
            local results = inside(function() return client:get_session_cluster(IDS) end)
            assert.equal("s-1", results[1].sessionCluster.sessionClusterId)
        end)

        it("lets the loop go on meanwhile", function()
            slow(0.1)
            local ticks, over = 0, false
            inside(function()
                loop.beside(function()
                    while not over do
                        loop.pause(0.01)
                        ticks = ticks + 1
                    end
                end)
                over = client:get_session_cluster(IDS) ~= nil
            end)
            assert.is_true(over)
            assert.is_true(ticks >= 5, ticks .. " ticks")
        end)

        it("makes many calls beside each other", function()
            slow(0.1, 40)
            local list = {}
            for i = 1, 40 do
                list[i] = { "GetSessionCluster", IDS }
            end
            local began = emr.now()
            local results, errors = client.all and inside(function() return client:all(list) end)
            results, errors = results[1], results[2]
            assert.same({}, errors)
            assert.equal(40, #results)
            assert.is_true(emr.now() - began < 2)  -- one after the other they take 4
        end)

        it("lets waits run beside calls", function()
            emu:cluster {
                workspaceId = "w-1", sessionClusterId = "s-2", states = { "Starting", "Running" },
            }
            local results = inside(function()
                return client:all {
                    function()
                        return client:wait_session_cluster(
                            { workspaceId = "w-1", sessionClusterId = "s-2" },
                            { timeout = 5, min_delay = 0.05 })
                    end,
                    { "GetSessionCluster", IDS },
                }
            end)
            assert.equal("Running", results[1][1].sessionCluster.state)
            assert.equal("Starting", results[1][2].sessionCluster.state)
        end)

        -- On PUC 5.1 a wait keeps its place.
        local it_if_free = require("emr.await").yields_anywhere and it or pending

        it_if_free("waits that sleep take no place from others", function()
            local list = {}
            for i = 1, 12 do
                local id = "s-" .. i
                emu:cluster {
                    workspaceId = "w-1", sessionClusterId = id, states = { "Starting", "Running" },
                }
                list[i] = function()
                    return client:wait_session_cluster(
                        { workspaceId = "w-1", sessionClusterId = id },
                        { timeout = 5, min_delay = 0.3, max_delay = 0.3 })
                end
            end
            slow(0.02, 24)
            local began = emr.now()
            local results = inside(function()
                return client:all(list, { concurrency = 2 })
            end)
            local seconds = emr.now() - began
            assert.same({}, results[2])
            assert.equal(12, #results[1])
            assert.is_true(seconds < 1.5, seconds .. " s")  -- in two rows they take 2
            assert.equal(2, emu:connections())
        end)

        it("gives up a call in time, and nothing is left of it", function()
            slow(5)
            local began = emr.now()
            local results = inside(function()
                return client:get_session_cluster(IDS, { timeout = 0.1 })
            end)
            assert.equal("timeout", results[3].kind)
            assert.is_true(emr.now() - began < 1)  -- the loop, too, has ended
            assert.equal(0, emr.step(0))
        end)

        it("C2: a name lookup that never ends costs the deadline, and the loop goes on", function()
            child.printed("timeout\n", child.lua(([[
                local name = %q
                local loop = require("spec.support.loops")[name](require(name))
                local client = emr.client.new {
                    region = "cn-hangzhou", endpoint = "https://hangs-long.test", await = name,
                    access_key_id = "id", access_key_secret = "secret", deadline = 1,
                }
                local err, seconds, longest = nil, nil, 0
                loop.run(function()
                    loop.beside(function()
                        while not seconds do
                            longest = math.max(longest, call.seconds(loop.pause, 0.01))
                        end
                    end)
                    local began = emr.now()
                    err = select(3, client:get_session_cluster {
                        workspaceId = "w-1", sessionClusterId = "s-1",
                    })
                    seconds = emr.now() - began
                end)
                assert(seconds < 1.2, seconds .. " s")
                assert(longest > 0 and longest < 0.2, longest .. " s in one turn of the loop")
                print(err.kind)
            ]]):format(name), { preload = true }))
        end)

        it("sleeps as long as it is told", function()
            local adapter = require("emr.await").choose(name)
            local began = emr.now()
            inside(function() adapter.sleep(0.05) end)
            local slept = emr.now() - began
            assert.is_true(slept >= 0.049 and slept < 0.5, slept .. " s")
        end)

        it("wakes nobody but who waits for what has ended", function()
            slow(0.3)
            local adapter = require("emr.await").choose(name)
            local slept
            inside(function()
                loop.beside(function() client:get_session_cluster(IDS) end)
                local other = emr.start({ url = emu.http .. "/nothing" }, { timeout = 5 })
                local began = emr.now()
                adapter.wait(other, 0.2)
                adapter.sleep(0.1)
                slept = emr.now() - began
            end)
            assert.is_true(slept >= 0.099, tostring(slept))
        end)

        it("K6: join hands on what a task returns, or raises the very object", function()
            local adapter, mine = require("emr.await").choose(name), {}
            local results = inside(function()
                local good = adapter.spawn(function()
                    adapter.sleep(0.01)
                    return 1, nil, 3, nil
                end)
                local bad = adapter.spawn(function()
                    adapter.sleep(0.005)
                    error(mine)
                end)
                local count = select("#", good())
                local co = coroutine.create(function() bad() end)  -- it has ended: no yield
                adapter.sleep(0.05)
                local ok, object = coroutine.resume(co)
                return count, ok, object
            end)
            assert.same({ 4, false }, { results[1], results[2] })
            assert.equal(mine, results[3])
        end)

        it("the example waits for two clusters and lets the loop go on", function()
            for _, id in ipairs { "s-2", "s-3" } do
                emu:cluster { workspaceId = "w-1", sessionClusterId = id, states = { "Running" } }
            end
            local result = example.check("s-2 is Running\n", 0, emu, name, { "w-1", "s-2", "s-3" })
            assert.truthy(result.out:find("s-3 is Running\n", 1, true))
            assert.truthy(result.err:find("2 to go\n", 1, true))
        end)

        if name == "cqueues" then  -- a libuv loop is one that cannot be dropped
            it("K7: a loop dropped in the middle of a call leaves nothing behind", function()
                slow(5)
                local dropped = library.new()
                dropped:wrap(function() client:get_session_cluster(IDS) end)
                dropped:step(0)
                assert.equal(1, emr.step(0))
                dropped = nil
                for _ = 1, 3 do
                    collectgarbage()
                end
                assert.is_nil(dropped)
                assert.equal(0, emr.step(0))
                local results = inside(function() return client:get_session_cluster(IDS) end)
                assert.equal("Starting", results[1].sessionCluster.state)
            end)
        end

        it("says so outside a loop, and sends nothing", function()
            local result, message, err = client:get_session_cluster(IDS)
            assert.same({ nil, "unsupported", "phase" }, { result, err.kind, err.code })
            assert.truthy(message:find(name, 1, true))
            assert.same({}, emu:requests())
            local adapter = require("emr.await." .. name)
            local join = adapter.spawn(function() coroutine.yield() end)
            for _, refused in ipairs { adapter.sleep, join } do
                result, _, err = refused(0.01)
                assert.same({ nil, "unsupported", "phase" }, { result, err.kind, err.code })
            end
        end)
    end)
end
