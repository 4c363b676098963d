-- Inside a real nginx: where a call works, that it holds nobody up, and what it says elsewhere.

local socket = require "socket"

local emulator = require "spec.support.emulator"
local nginx = require "spec.support.nginx"

-- Where in the configuration each phase stands, and whether a call works there.
local PHASES = {
    init = { "init", "%s", false },
    init_worker = { "http", "init_worker_by_lua_block { %s }", false },
    server_rewrite = { "server", "server_rewrite_by_lua_block { %s }", true },
    set = { "location", "set_by_lua_block $ignored { %s }", false },
    rewrite = { "location", "rewrite_by_lua_block { %s }", true },
    access = { "location", "access_by_lua_block { %s }", true },
    content = { "location", "content_by_lua_block { %s }", true },
    header_filter = { "location", "header_filter_by_lua_block { %s }", false },
    body_filter = { "location", "body_filter_by_lua_block { %s }", false },
    log = { "location", "log_by_lua_block { %s }", false },
}

nginx.describe("inside nginx", function()
    local emu, server

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    after_each(function()
        if server then
            server:stop()
            server = nil
        end
    end)

    local function start(o)
        server = nginx.with_client(emu, o)
        return server
    end

    it("works in every phase that may wait; the others say so and send nothing", function()
        local text = { init = "", http = "", server = "", location = "" }
        for phase, where in pairs(PHASES) do
            local lua = ("if ngx.shared.marks:add(%q, '') then t.mark(%q, t.ask()) end"):format(
                phase, phase)
            text[where[1]] = text[where[1]] .. where[2]:format(lua)
        end
        start {
            init = text.init, http = text.http,
            server = text.server .. "location /phases { " .. text.location .. "}",
        }
        server:get("/phases")
        local marks = server:marks()
        for phase, where in pairs(PHASES) do
            if where[3] then
                assert.equal("Starting", marks[phase] and "Starting", phase)
                assert.truthy(marks[phase]:find("^%u%a+$"), phase .. ": " .. marks[phase])
            else
                assert.truthy(marks[phase]:find("^unsupported/phase: .*phase " .. phase .. "[; ]"),
                    phase .. ": " .. marks[phase])
            end
        end
        assert.equal(4, #emu:requests())
        nginx.check(server)
    end)

    it("works in a coroutine of the user's own", function()
        start { server = [[location /coroutine { content_by_lua_block {
            local words = {}
            local wrapped = coroutine.wrap(function()
                words[1] = t.ask()
                coroutine.yield()
                words[2] = t.ask()
            end)
            wrapped()
            wrapped()
            ngx.print(table.concat(words, " "))
        } }]] }
        assert.equal("Starting Starting", (server:get("/coroutine")))
        nginx.check(server)
    end)

    it("wakes who waits as soon as the reply is there", function()
        start { server = [[location /calls { content_by_lua_block {
            local began = t.emr.now()
            for _ = 1, 20 do
                t.ask()
            end
            ngx.print(t.emr.now() - began)
        } }]] }
        server:get("/ask")
        emu:fault { name = "slow", seconds = 1 }
        local other = server:request("/ask")  -- while this one is in flight, the pump runs
        server:wait_until(function() return #emu:requests() == 2 end, "the slow request")
        local seconds = tonumber((server:get("/calls")))
        assert.is_true(seconds < 0.5, seconds .. " s for 20 calls")
        other()
        nginx.check(server)
    end)

    it("K6: what a function of client:all raises arrives as it is; the log stays empty", function()
        start { server = [[location /raise { content_by_lua_block {
            local mine = {}
            local ok, object = pcall(t.client.all, t.client, {
                function() return t.client:get_session_cluster(t.ids) end,
                function() error(mine) end,
            })
            ngx.print(tostring(ok), " ", tostring(object == mine))
        } }]] }
        assert.equal("false true", (server:get("/raise")))
        nginx.check(server)
    end)

    it("waits that sleep take no place from others", function()
        start { server = [[location /waits { content_by_lua_block {
            local list = {}
            for i = 1, 12 do
                list[i] = function()
                    return t.client:wait_session_cluster(
                        { workspaceId = "w-1", sessionClusterId = "s-" .. i },
                        { timeout = 5, min_delay = 0.3, max_delay = 0.3 })
                end
            end
            local began = t.emr.now()
            local results = t.client:all(list, { concurrency = 2 })
            for i, result in ipairs(results) do
                results[i] = t.word(result)
            end
            ngx.print(t.emr.now() - began, " ", t.tally(results))
        } }]] }
        for i = 1, 12 do
            emu:cluster {
                workspaceId = "w-1", sessionClusterId = "s-" .. i,
                states = { "Starting", "Running" },
            }
        end
        emu:fault { name = "slow", seconds = 0.02, times = 24 }
        local seconds, words = server:get("/waits"):match("^(%S+) (.*)$")
        assert.equal("12 Running", words)
        assert.is_true(tonumber(seconds) < 1.5, seconds)  -- in two rows they take 2
        assert.equal(2, emu:connections())
        nginx.check(server)
    end)

    it("works in a timer", function()
        start { server = [[location /timer { content_by_lua_block {
            ngx.timer.at(0, function() t.mark("timer", t.ask()) end)
        } }]] }
        server:get("/timer")
        server:wait_until(function() return server:marks().timer == "Starting" end, "the timer")
        nginx.check(server)
    end)

    it("blocks where it must and is told to, in the master before the workers, too", function()
        emu:fault { name = "slow", seconds = 0.1, times = 3 }
        start {
            options = { blocking = true },
            init = 't.mark("init", t.ask())',
            http = 'init_worker_by_lua_block { t.mark("worker", t.ask()) }',
            server = 'location /log { return 200; log_by_lua_block { t.mark("log", t.ask()) } }',
        }
        server:get("/log")
        assert.equal("Running", server:get("/ask"))
        local marks = server:marks()
        assert.same({ "Starting", "Starting", "Running" }, { marks.init, marks.worker, marks.log })
        nginx.check(server)
    end)

    it("await = \"blocking\" holds the worker up, as it says", function()
        start { server = [[location /block { content_by_lua_block {
            ngx.print(t.ask({ timeout = 2 }, t.new { await = "blocking" }))
        } }]] }
        emu:fault { name = "slow", seconds = 0.2 }
        local blocked = server:request("/block")
        server:wait_until(function() return #emu:requests() > 0 end, "the request")
        local began = socket.gettime()
        server:get("/ping")
        assert.is_true(socket.gettime() - began > 0.1)
        assert.equal("Starting", blocked())
        nginx.check(server)
    end)

    it("what blocks takes no light thread's end away", function()
        start { server = [[location /both { content_by_lua_block {
            local thread = ngx.thread.spawn(t.ask)
            local began = t.emr.now()
            ngx.sleep(0.03)
            local blocking = t.new { await = "blocking" }
            local results = blocking:all {  -- its turns meet the end of the light thread's call
                function() return blocking:get_session_cluster(t.ids) end,
            }
            local _, word = ngx.thread.wait(thread)
            ngx.print(word, " ", t.word(results[1]), " ", t.emr.now() - began < 0.7)
        } }]] }
        emu:fault { name = "slow", seconds = 0.1 }
        emu:fault { name = "slow", seconds = 0.3 }
        assert.equal("Starting Starting true", (server:get("/both")))
        nginx.check(server)
    end)

    it("sleeps for less than a millisecond without a complaint of nginx", function()
        start { server = [[location /sleep { content_by_lua_block {
            local adapter = require("emr.await").choose()
            for _, seconds in ipairs { 0, 0.0001, 0.0009, 0.001 } do
                adapter.sleep(seconds)
                adapter.wait(t.emr.start({ url = t.options.endpoint }), seconds)
            end
            ngx.print("slept")
        } }]] }
        assert.equal("slept", (server:get("/sleep")))
        nginx.check(server)
    end)

    it("refuses the native calls that block, and names emr.client", function()
        start { server = [[location /native { content_by_lua_block {
            local o, emr = t.options, t.emr
            local options = {
                region = o.region, endpoint = o.endpoint, access_key_id = o.access_key_id,
                access_key_secret = o.access_key_secret,
            }
            for name, f in pairs {
                get_session_cluster = function() return emr.get_session_cluster(t.ids, options) end,
                call = function()
                    return emr.call(emr.operations.GetSessionCluster, t.ids, options)
                end,
                fetch = function() return emr.fetch({ url = o.endpoint }) end,
                step = function() return emr.step(0.1) end,
                run = function() return emr.run({ "true" }) end,
            } do
                ngx.say(name, " ", t.word(f()))
            end
        } }]] }
        local count = 0
        for name, word in server:get("/native"):gmatch("(%S+) ([^\n]*)\n") do
            count = count + 1
            assert.truthy(word:find("^unsupported/blocking: "), name .. ": " .. word)
            assert.truthy(word:find("emr.client", 1, true), name .. ": " .. word)
        end
        assert.equal(5, count)
        assert.same({}, emu:requests())
        nginx.check(server)
    end)

    it("M5: a client made in init_by_lua works in each of 4 workers", function()
        start { workers = 4, http = [[init_worker_by_lua_block {
            ngx.timer.at(0, function() t.mark("worker" .. ngx.worker.id(), t.ask()) end)
        }]] }
        server:wait_until(function()
            local marks = server:marks()
            return marks.worker0 and marks.worker1 and marks.worker2 and marks.worker3
        end, "four workers")
        for _, request in ipairs(emu:requests()) do
            assert.equal("ok", request.verdict)
        end
        assert.equal(4, emu:connections())
        nginx.check(server)
    end)

    it("M6: without its variables, the message names the env directive", function()
        local key = {
            ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
            ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret,
        }
        local locations = [[
            location /client { content_by_lua_block {
                local keys = { access_key_id = "none", access_key_secret = "none",
                    credentials = t.emr.credentials.environment {} }
                ngx.print(t.ask(nil, t.new(keys)))
            } }
            location /native { content_by_lua_block {
                local transfer = t.emr.start(t.emr.operations.GetSessionCluster, t.ids,
                    { region = "cn-hangzhou", endpoint = t.options.endpoint })
                ngx.print(t.word(transfer:result()))
            } }]]
        start { env = key, server = locations }
        local client, native = server:get("/client"), server:get("/native")
        assert.truthy(client:find("^credentials/none: .*env"), client)
        assert.truthy(native:find("^credentials/none: .*`env` directive"), native)
        nginx.check(server)
        server:stop()
        start {
            env = key, server = locations,
            main = "env ALIBABA_CLOUD_ACCESS_KEY_ID; env ALIBABA_CLOUD_ACCESS_KEY_SECRET;",
        }
        assert.equal("Starting", (server:get("/client")))
        nginx.check(server)
    end)

    it("J9: 100 light threads without a key fetch one", function()
        start { server = [[location /crowd { content_by_lua_block {
            local client = t.new { access_key_id = "none", access_key_secret = "none",
                credentials = t.emr.credentials.uri { url = t.options.endpoint .. "/credentials" } }
            ngx.print(t.tally(t.crowd(100, function() return t.ask(nil, client) end)))
        } }]] }
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { "Running" } }
        emu:fault { name = "slow", seconds = 0.2, operation = "CredentialsURI" }
        assert.equal("100 Running", (server:get("/crowd")))
        assert.equal(1, #emu:requests("CredentialsURI"))
        nginx.check(server)
    end)

    it("C2: a name lookup that never ends costs the deadline, and holds nobody up", function()
        start {
            env = { LD_PRELOAD = nginx.hanging_names() },
            server = [[location /lookup { content_by_lua_block {
                local client = t.new { endpoint = "http://hangs-long.test", allow_http = true,
                    deadline = 1 }
                local began = t.emr.now()
                local word = t.ask(nil, client)
                ngx.print(t.emr.now() - began, " ", word)
            } }]],
        }
        local lookup, connection = server:request("/lookup")
        local slowest, count = server:ping_until(connection)
        local seconds, word = lookup():match("^(%S+) (.*)$")
        assert.truthy(word:find("^timeout/"), word)
        assert.is_true(tonumber(seconds) < 1.2, seconds)
        assert.is_true(slowest < 0.3 and count > 20, slowest .. " s, " .. count .. " pings")
        server:signal "QUIT"
        server:wait_until(function() return not server:is_running() end, "its end", 2)
        nginx.check(server)
    end)

    -- What a call leaves in OpenSSL's error queue, nginx tells of at its own next handshake.
    it("M7: after calls that fail in many ways, the error log has nothing to tell", function()
        local urls = {}
        for i, scenario in ipairs {
            "expired", "wrong_host", "self_signed", "tls11_only", "handshake_garbage",
            "handshake_alert", "handshake_rst", "client_certificate", "silence",
        } do
            urls[i] = ("%q"):format(emu.raw(scenario))
        end
        start { server = ([[location /calls { content_by_lua_block {
            local words = {}
            for i, url in ipairs { %s } do
                words[i] = t.ask(nil, t.new { endpoint = url, ca_file = %q, deadline = 0.5 })
                local tcp = ngx.socket.tcp()
                tcp:connect("127.0.0.1", %s)
                assert(tcp:sslhandshake(nil, nil, false))
                tcp:close()
            end
            ngx.print(t.tally(words))
        } }]]):format(table.concat(urls, ", "), emu.ca_file, emu.https:match "%d+$") }
        assert.equal("1 network/reset, 1 timeout/deadline, 1 tls/client_cert, 3 tls/handshake, "
            .. "3 tls/verify", (server:get("/calls")))
        assert.is_nil(server:log():find(emu.access_key_secret, 1, true))
        nginx.check(server)
    end)

    it("M1: with 100 calls in flight the event loop stays free", function()
        start { server = [[location /fire { content_by_lua_block {
            ngx.timer.at(0, function()
                t.mark("calls", t.tally(t.crowd(100, function() return t.ask() end)))
            end)
        } }]] }
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { "Running" } }
        local idle, busy = math.huge, math.huge
        for _ = 1, 3 do  -- the best of three: the machine may be busy with other things
            emu:fault { name = "slow", seconds = 0.6, times = 100 }
            idle = math.min(idle, server:p99(300))
            server:get("/fire")
            server:wait_until(function() return server:get("/in_flight") == "100" end, "100 calls")
            busy = math.min(busy, server:p99(300))
            assert.equal("100", (server:get("/in_flight")))
            server:wait_until(function() return server:marks().calls end, "the calls' end")
            assert.equal("100 Running", server:marks().calls)
            server:get("/clear")
        end
        assert.is_true(busy <= idle + 0.01, ("p99 %.4f s, idle %.4f s"):format(busy, idle))
        nginx.check(server)
    end)

    it("M2: 1 000 light threads, good and bad servers: all end in time, nothing leaks", function()
        local refusing = "http://127.0.0.1:" .. nginx.free_port()
        start { server = ([[location /crowd { content_by_lua_block {
            local clients = {
                t.new { endpoint = %q, deadline = 1.5 }, t.new { endpoint = %q, deadline = 1.5 },
            }
            local slowest = 0
            local words = t.crowd(1000, function(i)
                local began = t.emr.now()
                local word = t.ask(nil, clients[i %% 10])
                slowest = math.max(slowest, t.emr.now() - began)
                return word
            end)
            ngx.print(slowest, " ", t.tally(words))
        } }]]):format(refusing, emu.raw("silence")) }
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { "Running" } }
        local before = server:descriptors()
        for _ = 1, 3 do
            local slowest, words = server:get("/crowd"):match("^(%S+) (.*)$")
            assert.equal("800 Running, 100 network/connect, 100 timeout/deadline", words)
            assert.is_true(tonumber(slowest) < 5.2, slowest)
        end
        -- One connection for each call to the good server may be kept, and nothing else.
        assert.is_true(server:descriptors() <= before + 810, server:descriptors() - before)
        nginx.check(server)
    end)
end)
