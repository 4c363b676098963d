local cjson = require "cjson"
local emr = require "emr"
local support = require "spec.support.client"

local IDS, KEYS, cluster, new, raises, refuse, reply = support.IDS, support.KEYS, support.cluster,
    support.new, support.raises, support.refuse, support.reply

describe("client:", function()
    describe("waits", function()
        it("until it runs; info tells polls, elapsed, states", function()
            local c = new({ cluster "Starting", cluster "Starting", cluster "Running" }, nil, 1)
            local seen = {}
            local response, info = c.client:wait_session_cluster(IDS, {
                timeout = 60, on_poll = function(p) seen[#seen + 1] = p.next_delay or "end" end,
            })
            assert.equal("Running", response.sessionCluster.state)
            assert.same({ polls = 3, elapsed = 6, states = { "Starting", "Running" } }, info)
            assert.same({ 2, 4, "end" }, seen)
        end)

        it("I6: a 503 is retried inside the poll", function()
            local c = new({ reply(503, ""), cluster "Running" })
            local _, info = c.client:wait_session_cluster(IDS, { timeout = 60 })
            assert.equal(1, info.polls)
        end)

        it("I6: a hint beyond the retry's is left to the wait", function()
            local hint = { ["x-acs-retry-after"] = "30000" }
            local c = new({ cluster "Starting", refuse("Throttling", 400, hint),
                cluster "Running" }, nil, 0)
            local _, info = c.client:wait_session_cluster(IDS, { timeout = 60 })
            assert.same({ 2, 30 }, c.time.slept)
            assert.equal(3, info.polls)
        end)

        it("I2: Error, with what is known, but not the connection token", function()
            local c = new { cluster "Error" }
            local _, message, err = c.client:wait_session_cluster(IDS, { timeout = 60 })
            assert.same({ "state", "Error", 1 }, { err.kind, err.code, err.polls })
            assert.is_nil(err.last.sessionCluster.connectionToken)
            assert.truthy(message:find("GetSessionCluster", 1, true))
        end)

        it("for other states", function()
            local c = new { cluster "Stopping", cluster "Stopped" }
            assert.truthy(c.client:wait_session_cluster(IDS, { state = "stopped", timeout = 60 }))
        end)

        it("I5: `deadline` bounds a poll; the wait's time bounds the last one", function()
            local c = new({ cluster "Starting" }, nil, 1)
            c.client:wait_session_cluster(IDS, { timeout = 12, deadline = 5 })
            assert.same({ 5, 5, 5 }, { c.seconds[1], c.seconds[2], c.seconds[3] })
            assert.is_true(c.seconds[#c.seconds] < 0.2)
        end)

        it("I5: no timeout, or an unknown option, raises", function()
            local c = new {}
            raises("options.timeout", c.client.wait_session_cluster, c.client, IDS, {})
            raises("options.timeout", c.client.wait_session_cluster, c.client, IDS)
            raises("'stat'", c.client.wait_session_cluster, c.client, IDS,
                { timeout = 1, stat = "Running" })
            raises("options.state", c.client.wait_session_cluster, c.client, IDS,
                { timeout = 1, state = 7 })
            assert.equal(0, #c.sent)
        end)

        it("I7: steps of the wall clock do not matter", function()
            local wall = 1735689600
            local c = new({ cluster "Starting", function()
                wall = wall + 315000000
                return cluster "Starting"
            end, cluster "Running" }, { wall_clock = function() return wall end }, 1)
            local _, info = c.client:wait_session_cluster(IDS, { timeout = 60 })
            assert.equal(6, info.elapsed)
        end)

        it("by a waiter of one's own", function()
            local c = new { reply(200, { sessionCluster = { kind = "A" } }),
                reply(200, { sessionCluster = { kind = "B" } }) }
            assert.truthy(c.client:wait({ operation = "GetSessionCluster",
                state = "sessionCluster.kind", success = { "b" } }, IDS, { timeout = 60 }))
            raises("waiter", c.client.wait, c.client, {}, IDS, { timeout = 60 })
            raises("waiter.success", c.client.wait, c.client,
                { operation = "GetSessionCluster", state = "x" }, IDS, { timeout = 60 })
        end)

        it("K6: a broken on_poll passes its object through; the client works on", function()
            local c = new { cluster "Running" }
            local mine = {}
            local ok, object = pcall(c.client.wait_session_cluster, c.client, IDS,
                { timeout = 60, on_poll = function() error(mine) end })
            assert.same({ false, mine }, { ok, object })
            assert.equal(mine, object)
            assert.truthy(c.client:get_session_cluster(IDS))
        end)

        it("start and wait: starts only what is down, and shares out the request", function()
            local started = reply(200, { sessionClusterId = "s-1" })
            local c = new { cluster "Stopped", started, cluster "Starting", cluster "Running" }
            local response, info = c.client:start_and_wait_session_cluster({
                workspaceId = "w-1", sessionClusterId = "s-1", queueName = "q",
                regionId = "cn-beijing",
            }, { timeout = 60 })
            assert.equal("Running", response.sessionCluster.state)
            assert.equal(3, info.polls)
            assert.equal("POST", c.sent[2].method)
            for i = 1, 4 do
                assert.truthy(c.sent[i].url:find("regionId=cn-beijing", 1, true))
            end
            assert.same({ sessionClusterId = "s-1", queueName = "q" }, cjson.decode(c.sent[2].body))
            assert.is_nil(c.sent[1].url:find("queueName", 1, true))
            c = new { cluster "Running" }
            assert.truthy(c.client:start_and_wait_session_cluster(IDS, { timeout = 60 }))
            assert.equal(1, #c.sent)
            raises("'sesionClusterId'", c.client.start_and_wait_session_cluster, c.client,
                { workspaceId = "w", sesionClusterId = "s" }, { timeout = 60 })
        end)
    end)

    describe("lists", function()
        local function page(token, ...)
            local clusters = setmetatable({}, cjson.array_mt)
            for i, name in ipairs { ... } do
                clusters[i] = { name = name }
            end
            return reply(200, { sessionClusters = clusters, nextToken = token })
        end

        it("pages and items follow the token", function()
            local rows = { page("t 1", "a", "b"), page(nil, "c") }
            local c = new(rows)
            local names = {}
            for item in c.client:items("ListSessionClusters", { workspaceId = "w-1" }) do
                names[#names + 1] = item.name
            end
            assert.same({ "a", "b", "c" }, names)
            assert.truthy(c.sent[2].url:find("nextToken=t%201", 1, true))
            c = new(rows)
            local pages = 0
            for one in c.client:pages("ListSessionClusters", { workspaceId = "w-1" }) do
                pages = pages + #one.sessionClusters
            end
            assert.equal(3, pages)
        end)

        it("a failure comes once as false, message, err", function()
            local c = new { page("t1", "a"), refuse("Forbidden", 403) }
            local seen = {}
            local request = { workspaceId = "w" }
            for item, message, err in c.client:items("ListSessionClusters", request) do
                seen[#seen + 1] = item and item.name or err.code
                assert.equal(not item, message ~= nil)
            end
            assert.same({ "a", "Forbidden" }, seen)
        end)

        it("an operation without pages, or a request that is no table, raises", function()
            local c = new {}
            raises("GetSessionCluster", c.client.pages, c.client, "GetSessionCluster", IDS)
            raises("request", c.client.items, c.client, "ListSessionClusters")
        end)
    end)

    describe("all", function()
        it("gives results and errors by position", function()
            local c = new { function(http)
                return http.url:find("bad", 1, true) and refuse("NotFound", 404)
                    or cluster "Running"
            end }
            local results, errors = c.client:all {
                { "GetSessionCluster", IDS },
                { "GetSessionCluster", { workspaceId = "bad", sessionClusterId = "s" } },
                function() return { mine = true } end,
                function() return nil, "no", { code = "own" } end,
                function() return c.client:wait_session_cluster(IDS, { timeout = 9 }) end,
            }
            assert.equal("Running", results[1].sessionCluster.state)
            assert.is_false(results[2])
            assert.equal("NotFound", errors[2].code)
            assert.is_true(results[3].mine)
            assert.same({ false, "own" }, { results[4], errors[4].code })
            assert.equal("Running", results[5].sessionCluster.state)
            assert.is_nil(errors[1])
        end)

        it("runs at most `concurrency` at a time, and all of them", function()
            local running, most, ran = 0, 0, 0
            local list = {}
            for i = 1, 20 do
                list[i] = function()
                    running = running + 1
                    most = math.max(most, running)
                    coroutine.yield()
                    running, ran = running - 1, ran + 1
                    return i
                end
            end
            local results = new({}).client:all(list, { concurrency = 3 })
            assert.same({ 3, 20 }, { most, ran })
            assert.equal(20, results[20])
            for i = 21, 100 do
                list[i] = list[1]
            end
            most = 0
            new({}).client:all(list)
            assert.equal(64, most)
        end)

        it("says so where waiting is impossible", function()
            local err = { kind = "unsupported" }
            local client = new({}, { await = {
                sleep = function() end, wait = function() end,
                spawn = function() return function() return nil, "not here", err end end,
            } }).client
            assert.same({ nil, "not here", err },
                { client:all { { "GetSessionCluster", IDS }, { "GetSessionCluster", IDS } } })
        end)

        it("functions may use pcall and for iterators, on every Lua", function()
            local client = emr.client.new { region = "cn-hangzhou", credentials = KEYS,
                transport = function()
                    emr.await.blocking.sleep(0.001)
                    return cluster "Running"
                end }
            local function get()
                return select(2, pcall(client.get_session_cluster, client, IDS))
            end
            local results = client:all { get, get, function()
                local found
                for response in function(_, last) return not last and get() or nil end do
                    found = response
                end
                return found
            end, { "GetSessionCluster", IDS } }
            for i = 1, 4 do
                assert.equal("Running", results[i].sessionCluster.state)
            end
        end)

        it("an empty list is no work", function()
            assert.same({}, (new({}).client:all {}))
        end)

        it("K6: what a function raises is raised once the rest in flight has ended", function()
            local c = new { cluster "Running" }
            local mine, ended = {}, false
            local ok, object = pcall(c.client.all, c.client, {
                function() error(mine) end,
                function() coroutine.yield() ended = true return 1 end,
            })
            assert.is_false(ok)
            assert.equal(mine, object)
            assert.is_true(ended)
            assert.truthy(c.client:get_session_cluster(IDS))
        end)

        it("checks every entry before anything is sent", function()
            local c = new { cluster "Running" }
            for expected, entry in pairs {
                ["entry 2"] = 7, ["'Nothing'"] = { "Nothing", {} },
                ["'timeot'"] = { "GetSessionCluster", IDS, { timeot = 1 } },
            } do
                raises(expected, c.client.all, c.client, { { "GetSessionCluster", IDS }, entry })
            end
            raises("concurrency", c.client.all, c.client, {}, { concurrency = 0 })
            raises("list", c.client.all, c.client, "x")
            assert.equal(0, #c.sent)
        end)
    end)
end)
