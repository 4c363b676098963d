-- The gateway of examples/nginx: what it lets through, whom it asks how often, and what it reports.

local cjson = require "cjson"
local socket = require "socket"

local emulator = require "spec.support.emulator"
local nginx = require "spec.support.nginx"

nginx.describe("the gateway of examples/nginx", function()
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

    local function start(options)
        options = options or {}
        server = nginx.with_client(emu, {
            workers = 4,
            options = { deadline = 1 },
            http = "lua_shared_dict session 1m; lua_shared_dict attempts 1m;",
            init = ([[
                package.path = package.path .. ";%s/examples/nginx/?.lua"
                attempts = require "attempts"
                session = require("session").new {
                    client = t.new { on_attempt = attempts.count },
                    request = t.ids, every = %g, keep = %g, start = %s,
                }]]):format(nginx.root(), options.every or 0.2, options.keep or 300,
                tostring(options.start or false)),
            server = [[
                location = /gate {
                    access_by_lua_block { session:guard() }
                    content_by_lua_block { ngx.print("through") }
                }
                location = /status { content_by_lua_block { session:status() } }
                location = /metrics { content_by_lua_block { attempts.report(session) } }
            ]],
        })
    end

    local function cluster(...)
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { ... } }
    end

    it("refuses while the cluster starts, then lets through", function()
        cluster("Starting", "Running")
        start()
        local body, status, headers = server:get("/gate")
        assert.equal(503, status)
        assert.equal("1", headers["retry-after"])
        assert.truthy(body:find("Starting", 1, true))
        server:wait_until(function()
            return select(2, server:get("/gate")) == 200
        end, "the cluster")
        nginx.check(server)
    end)

    it("asks from one worker at a time, at most as often as it should", function()
        cluster("Running")
        emu:fault { name = "slow", seconds = 0.3 }
        start { every = 60 }
        local replies = {}
        for i = 1, 20 do
            replies[i] = server:request("/gate")
        end
        for i = 1, 20 do
            replies[i]()
        end
        assert.equal(1, #emu:requests())
        assert.equal(200, select(2, server:get("/gate")))
        nginx.check(server)
    end)

    it("goes on with the last answer while the API is down, but not for ever", function()
        cluster("Running")
        start { keep = 0.8 }
        assert.equal(200, select(2, server:get("/gate")))
        emu:fault { name = "status", status = 503, times = 1000 }
        server:wait_until(function()
            server:get("/gate")
            return cjson.decode((server:get("/status"))).error
        end, "a failed question")
        assert.equal(200, select(2, server:get("/gate")))
        server:wait_until(function()
            return select(2, server:get("/gate")) == 503
        end, "the end of its patience")
        nginx.check(server, "ServiceUnavailable", "HTTP 503")
    end)

    it("makes no request wait for an answer once there is one", function()
        cluster("Running")
        start()
        server:get("/gate")
        emu:fault { name = "slow", seconds = 0.6 }
        server:wait_until(function()
            local began = socket.gettime()
            assert.equal(200, select(2, server:get("/gate")))
            assert.is_true(socket.gettime() - began < 0.3)
            return #emu:requests() == 2
        end, "the next question")
        assert.equal(200, select(2, server:get("/gate")))
        nginx.check(server)
    end)

    it("starts a cluster that is stopped, once, if it may", function()
        emu:cluster {
            workspaceId = "w-1", sessionClusterId = "s-1", states = { "Stopped" },
            on_start = { "Running" },
        }
        start { start = true }
        server:wait_until(function()
            return select(2, server:get("/gate")) == 200
        end, "the cluster")
        assert.equal(1, #emu:requests("StartSessionCluster"))
        nginx.check(server)
    end)

    it("does not start one otherwise", function()
        cluster("Stopped")
        start()
        server:wait_until(function()
            server:get("/gate")
            return #emu:requests() >= 3
        end, "three questions")
        assert.equal(0, #emu:requests("StartSessionCluster"))
        nginx.check(server)
    end)

    it("reports as JSON and for Prometheus", function()
        cluster("Running")
        start { every = 60 }
        server:get("/gate")
        local status = cjson.decode((server:get("/status")))
        assert.same({ "Running", true, "s-1" }, { status.state, status.open, status.cluster })
        assert.is_true(status.age < 5)
        local text = server:get("/metrics")
        local labels = '{operation="GetSessionCluster",outcome="ok"}'
        assert.truthy(text:find("emr_attempts_total" .. labels .. " 1\n", 1, true), text)
        assert.truthy(text:find("\nemr_session_open 1\n", 1, true), text)
        assert.is_nil(text:find("CANARY", 1, true))
        for line in text:gmatch("[^\n]+") do
            assert.truthy(line:gsub("%b{}", ""):find("^[%a_]+ [%d.e+-]+$"), line)
        end
        nginx.check(server)
    end)

    it("make demo-nginx shows refused, let through, and served from the last answer", function()
        local pipe = assert(io.popen("tools/demo-nginx 2>&1; echo status $?"))
        local output = pipe:read("*a")
        pipe:close()
        local refused = output:find("HTTP/1.1 503", 1, true)
        local passed = output:find("Hello from behind the gateway", refused or 1, true)
        local down = output:find("the API goes down", passed or 1, true)
        local stale = output:find("HTTP/1.1 200 OK\n  Hello from behind", down or 1, true)
        assert.truthy(refused and passed and down and stale, output)
        assert.truthy(output:find('"error":"GetSessionCluster: ', stale, true), output)
        assert.truthy(output:find("\nstatus 0\n$"), output)
        assert.is_nil(output:find("CANARY", 1, true))
    end)
end)
