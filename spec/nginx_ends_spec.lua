-- Inside a real nginx: what ends while calls are in flight. Light threads that are killed, clients
-- that hang up, requests that are over, timers that cannot run, workers that are to exit: nothing
-- is left of it, and nobody else waits longer.

local socket = require "socket"

local emulator = require "spec.support.emulator"
local nginx = require "spec.support.nginx"

-- nginx itself says this when no more timers may run; the specs of that expect it.
local TIMERS = "lua_max_running_timers are not enough"

nginx.describe("inside nginx", function()
    local emu, server

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { "Running" } }
    end)

    after_each(function()
        if server then
            server:stop()
            server = nil
        end
    end)

    local function start(o)
        server = nginx.with_client(emu, o)
    end

    local function slow(seconds, times)
        emu:fault { name = "slow", seconds = seconds, times = times or 1 }
    end

    local function wait_for_requests(count)
        server:wait_until(function() return #emu:requests() >= count end, count .. " requests")
    end

    local function wait_until_idle(seconds)
        server:wait_until(function()
            return server:get("/in_flight") == "0"
        end, "the end of what is in flight", seconds)
    end

    -- Each ends its light thread, which waits for a slow call, in another way.
    local LOCATIONS = [[
        location = /hangs_up { lua_check_client_abort on; content_by_lua_block { t.ask() } }
        location = /killed { content_by_lua_block {
            local thread = ngx.thread.spawn(t.ask)
            ngx.sleep(0.05)
            ngx.thread.kill(thread)
            ngx.print("killed")
        } }
        location = /exits { content_by_lua_block {
            ngx.thread.spawn(t.ask)
            ngx.sleep(0.05)
            ngx.exit(200)
        } }
        location = /raises { content_by_lua_block {
            ngx.thread.spawn(t.ask)
            ngx.sleep(0.05)
            error("on purpose")
        } }
    ]]

    for _, path in ipairs { "/hangs_up", "/killed", "/exits", "/raises" } do
        it("M4: " .. path .. ": its transfer is dropped, others go on", function()
            start { server = LOCATIONS }
            server:get("/ask")
            local before = server:descriptors()
            slow(4)
            local ended = server:request(path)
            wait_for_requests(2)
            slow(0.4)
            local other, began = server:request("/ask"), socket.gettime()
            wait_for_requests(3)
            if path == "/hangs_up" then
                ended("give up")
            else
                ended()
            end
            assert.equal("Running", other())
            assert.is_true(socket.gettime() - began < 0.8)
            wait_until_idle(1)
            server:wait_until(function()
                return server:descriptors() <= before + 1
            end, "the end of its socket", 1)
            assert.equal("Running", (server:get("/ask")))
            nginx.check(server, "on purpose", "stack traceback", "^%s", "^coroutine")
        end)
    end

    it("M4: killed while it fetches the key: others fetch it again", function()
        start {
            options = { access_key_id = "none", access_key_secret = "none" },
            init = [[
                local url = t.options.endpoint .. "/credentials"
                local keys = t.emr.credentials.uri { url = url }
                t.client = t.new { deadline = 30, credentials = keys }
            ]],
            server = LOCATIONS,
        }
        emu:fault { name = "slow", seconds = 10, operation = "CredentialsURI" }
        assert.equal("killed", (server:get("/killed")))
        local began = socket.gettime()
        assert.equal("Running", (server:get("/ask")))
        assert.is_true(socket.gettime() - began < 2)
        nginx.check(server)
    end)

    it("K2: 450 killed light threads leave no memory and no descriptor behind", function()
        start { server = [[location /kill { content_by_lua_block {
            local silent = t.new { endpoint = ngx.var.arg_url, retry = false }
            for round = 1, 3 do
                local threads = {}
                for i = 1, 50 do
                    threads[i] = ngx.thread.spawn(t.ask, nil, silent)
                end
                ngx.sleep(0.01)
                for _, thread in ipairs(threads) do
                    ngx.thread.kill(thread)
                end
                while t.emr.step(0) > 0 do
                    ngx.sleep(0.01)
                end
            end
            collectgarbage()
            collectgarbage()
            ngx.print(collectgarbage("count"))
        } }]] }
        local url = "/kill?url=" .. emu.raw("silence")
        local before, kilobytes
        for _ = 1, 3 do
            local began = socket.gettime()
            kilobytes = tonumber((server:get(url)))
            before = before or { server:descriptors(), kilobytes }
            assert.is_true(socket.gettime() - began < 3)  -- dropped, not timed out after 5 s
        end
        assert.is_true(server:descriptors() <= before[1] + 1)
        assert.is_true(kilobytes < before[2] + 100, kilobytes .. " KiB, " .. before[2])
        nginx.check(server)
    end)

    describe("when no more timers may run", function()
        local LIMITED = {
            http = [[
                lua_max_running_timers 1;
                init_worker_by_lua_block {
                    ngx.timer.at(0, function()
                        while not ngx.worker.exiting() do
                            ngx.sleep(0.01)
                        end
                    end)
                }]],
            server = LOCATIONS,
        }

        it("those who wait pump, with many of them, too", function()
            start {
                http = LIMITED.http,
                server = [[location /crowd { content_by_lua_block {
                    local words, seconds = t.crowd(200, function() return t.ask() end)
                    ngx.print(seconds, " ", t.tally(words))
                } }]],
            }
            slow(0.2, 200)
            local seconds, words = server:get("/crowd"):match("^(%S+) (.*)$")
            assert.equal("200 Running", words)
            assert.is_true(tonumber(seconds) < 2, seconds)
            wait_until_idle(1)
            nginx.check(server, TIMERS)
        end)

        it("M4: the one who pumps may be killed", function()
            start(LIMITED)
            slow(4)
            local killed = server:request("/killed")
            wait_for_requests(1)
            slow(0.3, 5)
            local others, began = {}, socket.gettime()
            for i = 1, 5 do
                others[i] = server:request("/ask")
            end
            assert.equal("killed", killed())
            for i = 1, 5 do
                assert.equal("Running", others[i]())
            end
            assert.is_true(socket.gettime() - began < 0.7)
            wait_until_idle(1)
            nginx.check(server, TIMERS)
        end)

        it("all may be killed: what they waited for is collected", function()
            start {
                http = LIMITED.http,
                server = LOCATIONS .. [[location /collect { content_by_lua_block {
                    collectgarbage()
                    collectgarbage()
                    ngx.print(t.emr.step(0))
                } }]],
            }
            slow(4)
            assert.equal("killed", (server:get("/killed")))
            server:wait_until(function() return server:get("/collect") == "0" end, "the end", 1)
            nginx.check(server, TIMERS)
        end)

        it("and none may be asked for, either", function()
            start {
                http = [[
                    lua_max_pending_timers 1;
                    init_worker_by_lua_block { ngx.timer.at(3600, function() end) }]],
            }
            slow(0.1, 2)
            local other = server:request("/ask")
            assert.equal("Running", (server:get("/ask")))
            assert.equal("Running", other())
            nginx.check(server)
        end)
    end)

    -- Waits until none of these processes is there any more.
    local function wait_for_end(pids, seconds)
        server:wait_until(function()
            for _, pid in ipairs(pids) do
                if nginx.is_alive(pid) then
                    return false
                end
            end
            return true
        end, "the end of the old workers", seconds)
    end

    it("M3: HUP with calls in flight: they end well, the old worker goes", function()
        start {}
        local old = server:workers()
        slow(0.5, 10)
        local replies = {}
        for i = 1, 10 do
            replies[i] = server:request("/ask")
        end
        wait_for_requests(10)
        server:signal "HUP"
        for i = 1, 10 do
            assert.equal("Running", replies[i]())
        end
        wait_for_end(old, 2)
        assert.equal("Running", (server:get("/ask")))
        nginx.check(server)
    end)

    it("M3: HUP with worker_shutdown_timeout: the old worker does not wait for a call", function()
        start { main = "worker_shutdown_timeout 200ms;" }
        local old = server:workers()
        slow(4)
        local reply = server:request("/ask")
        wait_for_requests(1)
        server:signal "HUP"
        assert.is_nil(reply())
        wait_for_end(old, 1.5)
        assert.equal("Running", (server:get("/ask")))
        nginx.check(server)
    end)

    it("M4: a timer that fires because the worker is to exit can still call", function()
        start {
            options = { deadline = 2 },
            http = [[init_worker_by_lua_block {
                ngx.timer.at(3600, function(premature)
                    t.mark("premature " .. tostring(premature), t.ask())
                end)
            }]],
        }
        slow(0.1)
        server:signal "HUP"
        server:wait_until(function()
            return server:get("/marks"):find("^premature")
        end, "the timer")
        assert.truthy(server:get("/marks"):find("premature true Running", 1, true))
        nginx.check(server)
    end)

    it("M3: QUIT with calls in flight: they end well, then all is over", function()
        start {}
        slow(0.3)
        local reply = server:request("/ask")
        wait_for_requests(1)
        server:signal "QUIT"
        assert.equal("Running", reply())
        server:wait_until(function() return not server:is_running() end, "its end", 2)
        nginx.check(server)
    end)

    it("M3: TERM with calls in flight: over at once, and quietly", function()
        start {}
        slow(4)
        local reply = server:request("/ask")
        wait_for_requests(1)
        server:signal "TERM"
        assert.is_nil(reply())
        server:wait_until(function() return not server:is_running() end, "its end", 1)
        nginx.check(server)
    end)

    it("M3: 200 reloads with calls in flight, and the master does not grow", function()
        start { init = "collectgarbage() collectgarbage()" }
        local sizes = {}
        for i = 1, 200 do
            local old = server:workers()
            slow(0.05)
            local reply = server:request("/ask")
            server:signal "HUP"
            assert.equal("Running", reply())
            wait_for_end(old, 3)
            sizes[i] = server:resident()
        end
        -- A Lua state with the module in it is some 500 KiB.
        assert.is_true(sizes[200] - sizes[20] < 500, sizes[20] .. " to " .. sizes[200] .. " KiB")
        nginx.check(server)
    end)
end)
