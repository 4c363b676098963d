local cjson = require "cjson"
local emr = require "emr"
local fake = require "spec.support.time"
local support = require "spec.support.client"

local IDS, KEYS, cluster, new, raises, refuse, reply = support.IDS, support.KEYS, support.cluster,
    support.new, support.raises, support.refuse, support.reply

describe("client:", function()
    describe("hooks", function()
        it("on_attempt tells what happened, of client or call, and no secret", function()
            local seen = {}
            local function note(info) seen[#seen + 1] = info end
            local hint = { ["x-acs-retry-after"] = "1000", ["x-acs-request-id"] = "7C" }
            local c = new({ refuse("Throttling", 400, hint), cluster "Running" },
                { on_attempt = note }, 0)
            c.client:get_session_cluster(IDS)
            assert.same({ "GetSessionCluster", 1, "throttled", "Throttling", 400, 1, true },
                { seen[1].operation, seen[1].attempt, seen[1].kind, seen[1].code, seen[1].status,
                    seen[1].delay, seen[1].verified })
            assert.same({ 2, 200 }, { seen[2].attempt, seen[2].status })
            local own = 0
            c.client:get_session_cluster(IDS, { on_attempt = function() own = own + 1 end })
            assert.same({ 2, 1 }, { #seen, own })
            assert.is_nil(cjson.encode(seen):find("CANARY", 1, true))
        end)

        it("K6: a broken one passes its object through; the client works on", function()
            local mine, armed = {}, true
            local c = new({ cluster "Running" }, { on_attempt = function()
                if armed then
                    error(mine)
                end
            end })
            local ok, object = pcall(c.client.get_session_cluster, c.client, IDS)
            assert.is_false(ok)
            assert.equal(mine, object)
            armed = false
            assert.truthy(c.client:get_session_cluster(IDS))
        end)

        for _, name in ipairs { "clock", "wall_clock", "sleep", "random", "getenv", "credentials",
            "transport" } do
            it("K6: a broken " .. name .. " does so, too", function()
                local mine, armed = {}, false
                local time = fake.new()
                local good = {
                    clock = time.clock, wall_clock = os.time, sleep = time.sleep,
                    random = time.random, getenv = function() end,
                    credentials = function()
                        return { access_key_id = "i", access_key_secret = "s" }
                    end,
                    transport = function() return reply(503, "") end,
                }
                local options = {}
                for key, value in pairs(good) do
                    options[key] = value
                end
                options.read_file = function() return nil, "none", { kind = "credentials" } end
                options[name] = function(...)
                    if armed then
                        error(mine)
                    end
                    return good[name](...)
                end
                local client = emr.client.new(options)
                local request = { workspaceId = "w", sessionClusterId = "s",
                    regionId = name ~= "getenv" and "cn-hangzhou" or nil }
                armed = true
                local ok, object = pcall(client.get_session_cluster, client, request)
                assert.is_false(ok)
                assert.equal(mine, object)
                armed = false
                request.regionId = "cn-hangzhou"
                assert.equal(503, select(3, client:get_session_cluster(request)).status)
            end)
        end
    end)

    describe("A8, A9: options", function()
        local NAN = 0 / 0
        local bad = {
            timeout = { 0, -1, NAN, 1 / 0, 1e300, 1e-9, "30" },
            connect_timeout = { 0, -1, NAN, 3601, "5" },
            deadline = { 0, -1, NAN, 604801, "30" },
            max_response_bytes = { 0, 1.5, 2 ^ 31, "1" },
            clock_offset = { NAN, 1e12 },
            retry = { true, 3, "x" },
            await = { "sync", 7 },
            credentials = { 7, "x" },
            region = { "", "CN", 7, "a/b" },
            endpoint = { 7, "user:pw@host", "ftp://x" },
            network = { "private" },
            headers = { 7 },
            on_attempt = { 7 }, on_warning = { {} }, clock = { 1 }, wall_clock = { 1 },
            sleep = { 1 }, random = { 1 }, getenv = { {} }, read_file = { 1 }, transport = { 1 },
            allow_http = { "yes" }, blocking = { 1 },
            access_key_id = { "", "a b", 7 },
        }
        for name, values in pairs(bad) do
            it(name .. " of a wrong type or range raises and is named", function()
                for _, value in ipairs(values) do
                    local options = { region = "cn-hangzhou" }
                    options[name] = value
                    raises(name, emr.client.new, options)
                end
            end)
        end

        it("the limits themselves are taken", function()
            for name, limits in pairs {
                deadline = { 0.001, 604800 }, timeout = { 0.001, 3600 },
                connect_timeout = { 0.001, 3600 }, max_response_bytes = { 1, 2 ^ 30 },
            } do
                for _, value in ipairs(limits) do
                    assert.truthy(new({}, { [name] = value }))
                end
            end
            local c = new { cluster "Running" }
            for _, seconds in ipairs { 0.001, 3600 } do
                assert.truthy(c.client:get_session_cluster(IDS, { timeout = seconds }))
            end
            raises("options.timeout", c.client.get_session_cluster, c.client, IDS,
                { timeout = 3600.1 })
        end)

        it("nested and exclusive ones too", function()
            raises("options.retry.attempts", emr.client.new, { retry = { attempts = 0 } })
            raises("'atempts'", emr.client.new, { retry = { atempts = 2 } })
            raises("options.await.wait", emr.client.new,
                { await = { sleep = print, spawn = print } })
            raises("credentials", emr.client.new, { access_key_id = "a", access_key_secret = "b",
                credentials = print })
            raises("access_key_secret", emr.client.new, { access_key_id = "a" })
            raises("access_key_secret", emr.client.new, { credentials = { access_key_id = "a" } })
            raises("options", emr.client.new, 7)
        end)

        it("an unknown name raises with the name; of a call, too", function()
            raises("'regoin'", emr.client.new, { regoin = "x" })
            local c = new { cluster "Running" }
            raises("'timeot'", c.client.get_session_cluster, c.client, IDS, { timeot = 1 })
            raises("'region'", c.client.get_session_cluster, c.client, IDS, { region = "x" })
            raises("'quota'", c.client.get_session_cluster, c.client, IDS,
                { retry = { quota = 1 } })
            raises("options.timeout", c.client.get_session_cluster, c.client, IDS, { timeout = 0 })
            assert.equal(0, #c.sent)
        end)

        it("a table whose __index raises passes its error through", function()
            local mine = {}
            local ok, object = pcall(emr.client.new,
                setmetatable({}, { __index = function() error(mine) end }))
            assert.is_false(ok)
            assert.equal(mine, object)
        end)

        it("later changes of the tables have no effect", function()
            local options = { headers = { ["x-mine"] = "1" }, retry = { attempts = 2 } }
            local c = new({ reply(503, "") }, options)
            options.headers["x-mine"], options.retry.attempts = "2", 9
            assert.equal(2, select(3, c.client:get_session_cluster(IDS)).attempts)
            assert.equal("1", c.sent[1].headers["x-mine"])
        end)

        it("headers of client and call are sent together", function()
            local c = new({ cluster "Running" }, { headers = { ["x-a"] = "1", ["x-b"] = "1" } })
            c.client:get_session_cluster(IDS, { headers = { ["x-b"] = "2" } })
            c.client:get_session_cluster(IDS)
            assert.same({ "1", "2" }, { c.sent[1].headers["x-a"], c.sent[1].headers["x-b"] })
            assert.same({ "1", "1" }, { c.sent[2].headers["x-a"], c.sent[2].headers["x-b"] })
        end)
    end)

    describe("A1, A2, A9: misuse", function()
        it("requests that are wrong raise, name the field, and send nothing", function()
            local c = new { cluster "Running" }
            for _, request in ipairs { 7, "x", true } do
                raises("request", c.client.get_session_cluster, c.client, request)
            end
            raises("request", c.client.get_session_cluster, c.client)
            raises("sessionClusterId", c.client.get_session_cluster, c.client,
                { workspaceId = "w" })
            raises("workspaceId", c.client.get_session_cluster, c.client,
                { workspaceId = "", sessionClusterId = "s" })
            raises("workspaceID", c.client.get_session_cluster, c.client,
                { workspaceId = "w", sessionClusterId = "s", workspaceID = "w" })
            raises("sessionClusterId", c.client.start_session_cluster, c.client,
                { workspaceId = "w" })
            assert.equal(0, #c.sent)
        end)

        it("even when there are no credentials", function()
            local c = new({}, { credentials = function() return nil, "none" end })
            raises("workspaceId", c.client.get_session_cluster, c.client,
                { sessionClusterId = "s" })
        end)

        it("a wrong self raises", function()
            local c = new { cluster "Running" }
            for _, self in ipairs { {}, 7, "x", IDS } do
                raises("client:get_session_cluster", c.client.get_session_cluster, self, IDS)
            end
            raises("client:all", c.client.all)
            raises("client:close", c.client.close, {})
        end)

        it("a closed client raises; closing twice is silent", function()
            local c = new { cluster "Running" }
            c.client:close()
            c.client:close()
            for _, name in ipairs { "get_session_cluster", "call", "pages", "items", "wait", "all",
                "wait_session_cluster", "start_and_wait_session_cluster" } do
                raises("closed", c.client[name], c.client, IDS)
            end
            assert.equal("emr.client(closed)", tostring(c.client))
        end)
    end)

    describe("credentials", function()
        it("that fail end the call, and nothing is sent", function()
            local c = new({}, { credentials = "none", getenv = function(name)
                return name:find "DISABLED" and "true" or nil
            end, read_file = function()
                return nil, "none", { kind = "credentials", code = "none" }
            end })
            local _, _, err = c.client:get_session_cluster(IDS)
            assert.equal("credentials", err.kind)
            assert.equal(1, err.attempts)
            assert.equal(0, #c.sent)
        end)

        it("of the environment that the client is given", function()
            local env = {
                ALIBABA_CLOUD_ACCESS_KEY_ID = "fromenv", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "s",
            }
            local c = new({ cluster "Running" }, { credentials = "none",
                getenv = function(name) return env[name] end })
            assert.truthy(c.client:get_session_cluster(IDS))
            assert.truthy(c.sent[1].headers.authorization:find("Credential=fromenv,", 1, true))
        end)

        it("get the client's world and its deadline", function()
            local world
            local c = new({ cluster "Running" }, { deadline = 8, credentials = function(given)
                world = given
                return { access_key_id = "i", access_key_secret = "s" }
            end })
            assert.truthy(c.client:get_session_cluster(IDS))
            assert.equal(c.time.now + 8, world.deadline)
            assert.equal(c.time.clock, world.clock)
            local answer = world.fetch({ method = "GET", url = "https://sts.example/" },
                { timeout = 3 })
            assert.equal(200, answer.status)
            assert.equal(3, c.seconds[2])
            assert.is_true(#answer.body > 0)
        end)

        it("may ask for what has no headers and no body", function()
            local seen
            local c = new({ { status = 204 } }, { credentials = function(world)
                seen = world.fetch({ method = "GET", url = "https://sts.example/" }, {})
                return nil, "none"
            end })
            c.client:get_session_cluster(IDS)
            assert.same({ status = 204, headers = {}, body = "" }, seen)
        end)

        it("H1: that take too long leave no time for an attempt", function()
            local time
            local c = new({ cluster "Running" }, { credentials = function()
                time.now = time.now + 100
                return { access_key_id = "i", access_key_secret = "s" }
            end })
            time = c.time
            local _, _, err = c.client:get_session_cluster(IDS)
            assert.same({ "timeout", "deadline", 0 }, { err.kind, err.code, #c.sent })
        end)
    end)

    it("L2: tostring, concatenation and pairs show no secret", function()
        local c = new {}
        assert.equal("emr.client(cn-hangzhou)", tostring(c.client))
        for name, value in pairs(c.client) do
            assert.same({ "table", "function" }, { type(name), type(value) })
            assert.is_nil(next(name))
        end
        local ok, message = pcall(function() return "x" .. c.client end)
        assert.is_false(ok)
        assert.is_nil(tostring(message):find("CANARY", 1, true))
    end)

    it("L2: the traceback of what raises inside a call shows no secret", function()
        local function raise()
            error "mine"
        end
        for _, options in ipairs { { transport = raise }, { credentials = raise } } do
            local c = new({}, options)
            local ok, trace = xpcall(function()
                return (c.client:get_session_cluster(IDS))
            end, debug.traceback)
            assert.is_false(ok)
            assert.truthy(trace:find("mine", 1, true) and trace:find("traceback", 1, true))
            assert.is_nil(trace:find("CANARY", 1, true))
        end
    end)

    it("K7: a client that nobody holds is collected", function()
        local weak = setmetatable({}, { __mode = "k" })
        for _ = 1, 20 do
            weak[new({}).client] = true
        end
        collectgarbage()
        collectgarbage()
        local left = 0
        for _ in pairs(weak) do
            left = left + 1
        end
        assert.is_true(left <= 1)  -- the last one may still be in a register
    end)

    it("holds no more after many calls than after a few", function()
        local c = new({ cluster "Running" })
        local function run(count)
            for _ = 1, count do
                c.client:get_session_cluster(IDS)
                c.sent, c.seconds = {}, {}
            end
            collectgarbage()
            collectgarbage()
            return collectgarbage "count"
        end
        run(200)
        local before = run(200)
        assert.is_true(run(5000) - before < 16)  -- KiB
    end)

    it("yields where its own sleep and transport yield", function()
        local time = fake.new()
        local client = emr.client.new {
            region = "cn-hangzhou", credentials = KEYS, clock = time.clock, random = time.random,
            sleep = function() coroutine.yield "sleep" end,
            transport = function() return coroutine.yield "transport" end,
        }
        local co = coroutine.create(function() return client:get_session_cluster(IDS) end)
        local steps = {}
        local _, step = coroutine.resume(co)
        for _, answer in ipairs { reply(503, ""), false, cluster "Running" } do
            steps[#steps + 1] = step
            _, step = coroutine.resume(co, answer)
        end
        assert.same({ "transport", "sleep", "transport" }, steps)
        assert.equal("Running", step.sessionCluster.state)
    end)
end)
