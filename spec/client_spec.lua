local cjson = require "cjson"
local emr = require "emr"
local support = require "spec.support.client"

local IDS, KEYS, cluster, new, raises, refuse, reply = support.IDS, support.KEYS, support.cluster,
    support.new, support.raises, support.refuse, support.reply

describe("client", function()
    it("makes a signed call and returns the response", function()
        local c = new { cluster "Running" }
        local response, message = c.client:get_session_cluster(IDS)
        assert.is_nil(message)
        assert.equal("Running", response.sessionCluster.state)
        local http = c.sent[1]
        assert.equal("GET", http.method)
        assert.equal("https://emr-serverless-spark.cn-hangzhou.aliyuncs.com/api/v1/workspaces/w-1"
            .. "/sessionClusters/s-1?regionId=cn-hangzhou", http.url)
        assert.equal("GetSessionCluster", http.headers["x-acs-action"])
        assert.truthy(http.headers.authorization:find("Credential=id,", 1, true))
    end)

    it("has every operation of the catalogue as a method, and by name", function()
        for name in pairs(emr.operations) do
            local method = name:gsub("(%l)(%u)", "%1_%2"):lower()
            assert.is_function(new({}).client[method], method)
        end
        local c = new { cluster "Running" }
        assert.truthy(c.client:call("GetSessionCluster", IDS))
        raises("no operation 'GetNothing'", c.client.call, c.client, "GetNothing", IDS)
    end)

    it("takes a descriptor of one's own", function()
        local c = new { reply(200, { fine = true }) }
        local response = c.client:call({
            name = "GetThing", version = "2020-01-01", product = "thing", method = "GET",
            hosts = { public = "thing.aliyuncs.com" }, path = "/things/{id}", retry = "safe",
        }, { id = "t" })
        assert.is_true(response.fine)
        assert.equal("https://thing.aliyuncs.com/things/t", c.sent[1].url)
    end)

    describe("retries", function()
        it("G3, G9: a 503, then success: two requests, two nonces", function()
            local c = new({ reply(503, ""), cluster "Running" }, nil, 0.5)
            assert.truthy(c.client:get_session_cluster(IDS))
            assert.equal(2, #c.sent)
            assert.same({ 0.025 }, c.time.slept)
            assert.not_equal(c.sent[1].headers["x-acs-signature-nonce"],
                c.sent[2].headers["x-acs-signature-nonce"])
        end)

        it("G3: the last error after three, with attempts, status and request id", function()
            local c = new { reply(500, { Code = "InternalError", RequestId = "7A" }) }
            local response, message, err = c.client:get_session_cluster(IDS)
            assert.is_nil(response)
            assert.equal(message, tostring(err))
            assert.same({ "service", "InternalError", 500, "7A", 3, true },
                { err.kind, err.code, err.status, err.request_id, err.attempts, err.retryable })
            assert.equal(3, #c.sent)
        end)

        it("G2: 400 Throttling is retried, 404 with a key error is not", function()
            local c = new { refuse "Throttling.User", cluster "Running" }
            assert.truthy(c.client:get_session_cluster(IDS))
            assert.same({ 0.5 }, c.time.slept)
            c = new { refuse("InvalidAccessKeyId.NotFound", 404) }
            assert.equal(1, select(3, c.client:get_session_cluster(IDS)).attempts)
        end)

        it("G5: x-acs-retry-after is milliseconds", function()
            local hint = { ["x-acs-retry-after"] = "1500" }
            local c = new({ refuse("Throttling", 400, hint), cluster "Running" }, nil, 0.5)
            assert.truthy(c.client:get_session_cluster(IDS))
            assert.is_true(c.time.slept[1] >= 1.5 and c.time.slept[1] < 2)
        end)

        it("retry = false, of the client or a call, is one attempt", function()
            local c = new({ reply(503, "") }, { retry = false })
            assert.equal(1, select(3, c.client:get_session_cluster(IDS)).attempts)
            c = new { reply(503, "") }
            local _, _, err = c.client:get_session_cluster(IDS, { retry = false })
            assert.equal(1, err.attempts)
            assert.equal(3, select(3, c.client:get_session_cluster(IDS)).attempts)
        end)

        it("other numbers, of the client or a call", function()
            local c = new({ reply(503, "") }, { retry = { attempts = 4, base_delay = 2 } }, 1)
            c.client:get_session_cluster(IDS)
            assert.same({ 2, 4, 8 }, c.time.slept)
            c.time.slept = {}
            c.client:get_session_cluster(IDS, { retry = { attempts = 2 } })
            assert.same({ 2 }, c.time.slept)
        end)

        it("H1: one deadline; each attempt gets min(attempt limit, time left)", function()
            local it_takes
            local c = new({ function()
                it_takes.now = it_takes.now + 12
                return nil, "slow", nil
            end }, { retry = { attempts = 10 } }, 0)
            it_takes = c.time
            local _, _, err = c.client:get_session_cluster(IDS)
            assert.same({ 10, 10, 6 }, c.seconds)
            assert.equal(3, err.attempts)
        end)

        it("H1: deadlines of client and call", function()
            local c = new({ cluster "Running" }, { deadline = 7 })
            c.client:get_session_cluster(IDS)
            c.client:get_session_cluster(IDS, { deadline = 4 })
            c.client:get_session_cluster(IDS, { timeout = 3 })
            assert.same({ 7, 4, 3 }, c.seconds)
        end)

        it("H3: the quota is the client's", function()
            local c = new { reply(500, "") }
            for _ = 1, 1000 do
                c.client:get_session_cluster(IDS)
            end
            assert.equal(1035, #c.sent)
        end)

        it("a failing transport is a network error", function()
            local c = new { function() return nil, "cable cut" end }
            local _, message, err = c.client:get_session_cluster(IDS)
            assert.same({ "network", 3 }, { err.kind, err.attempts })
            assert.truthy(message:find("cable cut", 1, true))
        end)

        it("an error of the transport's own passes through", function()
            local mine = { kind = "tls", code = "verify", retryable = false }
            local c = new { function() return nil, "bad cert", mine end }
            local _, message, err = c.client:get_session_cluster(IDS)
            assert.equal(mine, err)
            assert.equal("bad cert", message)
            assert.equal(1, #c.sent)
        end)

        it("a transport that returns nonsense raises", function()
            local c = new { function() return true end }
            raises("options.transport", c.client.get_session_cluster, c.client, IDS)
        end)

        it("reply headers may come in any case", function()
            local hint = { ["X-Acs-Retry-After"] = "2000", ["X-ACS-Request-Id"] = "7B" }
            local c = new({ reply(400, { Code = "Throttling" }, hint), cluster "Running" }, nil, 0)
            local seen = {}
            c.client:get_session_cluster(IDS, { on_attempt = function(i) seen[#seen + 1] = i end })
            assert.same({ 2 }, c.time.slept)
            assert.equal("7B", seen[1].request_id)
        end)
    end)

    describe("repairs", function()
        it("G10: a used nonce: one immediate repeat with a fresh one; twice is an error", function()
            local c = new { refuse "SignatureNonceUsed", cluster "Running" }
            assert.truthy(c.client:get_session_cluster(IDS))
            assert.same({}, c.time.slept)
            assert.not_equal(c.sent[1].headers["x-acs-signature-nonce"],
                c.sent[2].headers["x-acs-signature-nonce"])
            c = new { refuse "SignatureNonceUsed" }
            assert.equal(2, select(3, c.client:get_session_cluster(IDS)).attempts)
        end)

        -- 2025-01-01T00:00:00Z by the server; the wall clock is `off` seconds wrong.
        local NOW, DATE = 1735689600, "Wed, 01 Jan 2025 00:00:00 GMT"
        local function with_clock(off, rows, options)
            local wall = { now = NOW + off }
            options = options or {}
            options.wall_clock = function() return wall.now end
            local c = new(rows, options)
            c.wall = wall
            return c
        end
        local function expired(date)
            return refuse("InvalidTimeStamp.Expired", 400, { Date = date })
        end
        -- The native module reads the clock once more, up to a second later.
        local function assert_signed_at(expected, http)
            local day, second = http.headers["x-acs-date"]:match "^(.*):(%d%d)Z$"
            local wanted_day, wanted = expected:match "^(.*):(%d%d)Z$"
            assert.equal(wanted_day, day)
            assert.is_true(second - wanted == 0 or second - wanted == 1, second)
        end

        for _, off in ipairs { 960, -960, 3600, -3600, 86400, -86400 } do
            it(("G11: clock %d s off: one repeat, then right at first try"):format(off), function()
                local c = with_clock(off, { expired(DATE), cluster "Running" })
                assert.truthy(c.client:get_session_cluster(IDS))
                assert.same({}, c.time.slept)
                assert_signed_at("2025-01-01T00:00:00Z", c.sent[2])
                c.time.now, c.wall.now = c.time.now + 60, c.wall.now + 60
                assert.truthy(c.client:get_session_cluster(IDS))
                assert.equal(3, #c.sent)
                assert_signed_at("2025-01-01T00:01:00Z", c.sent[3])
            end)
        end

        it("G11: no Date, an unreadable or an absurd one: error, no repeat", function()
            for _, date in ipairs { "", "yesterday", "Wed, 01 Jan 2014 00:00:00 GMT",
                "Wed, 01 Jan 2101 00:00:00 GMT", "Wed, 41 Jan 2025 00:00:00 GMT" } do
                local c = with_clock(3600, { expired(date), cluster "Running" })
                local _, _, err = c.client:get_session_cluster(IDS)
                assert.same({ "InvalidTimeStamp.Expired", 1 }, { err.code, err.attempts })
            end
        end)

        it("G11: a reply over plain http teaches nothing", function()
            local c = with_clock(3600, { expired(DATE), cluster "Running" },
                { endpoint = "http://127.0.0.1:9" })
            assert.equal(1, select(3, c.client:get_session_cluster(IDS)).attempts)
        end)

        it("2.5: the offset holds though the wall clock steps", function()
            local c = with_clock(3600, { expired(DATE), cluster "Running" })
            c.client:get_session_cluster(IDS)
            c.wall.now = c.wall.now - 315360000
            c.time.now = c.time.now + 5
            c.client:get_session_cluster(IDS)
            assert_signed_at("2025-01-01T00:00:05Z", c.sent[3])
        end)

        it("2.5: and is forgotten after an hour", function()
            local c = with_clock(3600, { expired(DATE), cluster "Running" })
            c.client:get_session_cluster(IDS)
            c.time.now, c.wall.now = c.time.now + 3600, c.wall.now + 3600
            c.client:get_session_cluster(IDS)
            assert_signed_at("2025-01-01T02:00:00Z", c.sent[3])
        end)

        it("2.5: or when a later reply shows the wall clock right within 60 s", function()
            local function fine(date)
                return reply(200, { sessionCluster = { state = "Running" } }, { date = date })
            end
            local c = with_clock(3600, { expired(DATE), fine(DATE),
                fine "Wed, 01 Jan 2025 00:01:00 GMT", fine "" })
            c.client:get_session_cluster(IDS)
            c.wall.now = NOW  -- somebody has set the clock
            c.time.now = c.time.now + 1
            c.client:get_session_cluster(IDS)
            assert_signed_at("2025-01-01T00:00:01Z", c.sent[3])  -- still the learned time
            c.wall.now = NOW + 7
            c.client:get_session_cluster(IDS)
            assert_signed_at("2025-01-01T00:00:07Z", c.sent[4])
        end)

        local function rotating()
            local asked = 0
            return function()
                asked = asked + 1
                return { access_key_id = "id" .. asked, access_key_secret = "s",
                    security_token = "t" .. asked }
            end, function() return asked end
        end

        it("G12: an expired token: one forced refresh, one repeat", function()
            local provider, asked = rotating()
            local c = new({ refuse "InvalidSecurityToken.Expired", cluster "Running" },
                { credentials = provider })
            assert.truthy(c.client:get_session_cluster(IDS))
            assert.same({ "t1", "t2" }, { c.sent[1].headers["x-acs-security-token"],
                c.sent[2].headers["x-acs-security-token"] })
            assert.equal(2, asked())
            assert.same({}, c.time.slept)
            c.client:get_session_cluster(IDS)
            assert.equal(2, asked())
        end)

        it("G12: twice expired is an error", function()
            local provider, asked = rotating()
            local c = new({ refuse "InvalidSecurityToken.Expired" }, { credentials = provider })
            local _, _, err = c.client:get_session_cluster(IDS)
            assert.equal("InvalidSecurityToken.Expired", err.code)
            assert.same({ 2, 2 }, { err.attempts, asked() })
        end)

        it("J5: a fixed token that is expired: one request, no loop", function()
            local keys = { access_key_id = "id", access_key_secret = "s", security_token = "t" }
            for _, options in ipairs {
                { credentials = keys },
                { credentials = "none", access_key_id = "id", access_key_secret = "s",
                    security_token = "t" },
                { credentials = emr.credentials.static(keys) },
            } do
                local c = new({ refuse "InvalidSecurityToken.Expired" }, options)
                local _, _, err = c.client:get_session_cluster(IDS)
                assert.same({ "service", 1 }, { err.kind, err.attempts })
            end
        end)

        it("G12: SignatureDoesNotMatch is not repeated", function()
            local c = new { refuse "SignatureDoesNotMatch" }
            assert.equal(1, select(3, c.client:get_session_cluster(IDS)).attempts)
        end)
    end)

    describe("writing operations", function()
        local made = reply(200, { sessionClusterId = "s-9", requestId = "R" })
        local TARGET = { workspaceId = "w-1", sessionClusterId = "s-1" }

        it("check_first: repeated when throttled or unsent, never after a 500", function()
            local c = new { refuse "Throttling", made }
            assert.truthy(c.client:start_session_cluster(TARGET))
            local unsent = { kind = "network", code = "connect", retryable = true }
            c = new { function() return nil, "refused", unsent end, made }
            assert.truthy(c.client:start_session_cluster(TARGET))
            c = new { reply(500, ""), made }
            assert.equal(1, select(3, c.client:start_session_cluster(TARGET)).attempts)
            c = new { function() return nil, "cut" end, made }
            assert.equal(1, select(3, c.client:stop_session_cluster(TARGET)).attempts)
        end)

        it("a client token is made, and the same in all attempts; each call has its own", function()
            local c = new { reply(500, ""), reply(503, ""), made }
            local request = { workspaceId = "w-1", name = "n", kind = "SQL" }
            assert.equal("s-9", c.client:create_session_cluster(request).sessionClusterId)
            c.client:create_session_cluster(request)
            local tokens = {}
            for i, http in ipairs(c.sent) do
                tokens[i] = cjson.decode(http.body).clientToken
            end
            assert.truthy(tokens[1]:find "^%x+$")
            assert.equal(32, #tokens[1])
            assert.same({ tokens[1], tokens[1] }, { tokens[2], tokens[3] })
            assert.not_equal(tokens[1], tokens[4])
            assert.is_nil(request.clientToken)
        end)

        it("a client token that is given is kept", function()
            local c = new { made }
            c.client:create_session_cluster { workspaceId = "w-1", clientToken = "mine" }
            assert.equal("mine", cjson.decode(c.sent[1].body).clientToken)
        end)
    end)

    describe("region", function()
        local function env(values)
            return function(name) return values[name] end
        end
        local function unreadable()
            return nil, "no such file", { kind = "credentials", code = "unreadable" }
        end

        it("comes from the options, else the variable, else the CLI profile", function()
            local variable = env { ALIBABA_CLOUD_REGION_ID = "cn-beijing", HOME = "/h" }
            local c = new({ cluster "Running" }, { getenv = variable })
            c.client:get_session_cluster(IDS)
            c = new({ cluster "Running" }, { region = "none", getenv = variable })
            c.client:get_session_cluster(IDS)
            c.client:get_session_cluster(IDS)
            assert.truthy(c.sent[1].url:find("cn-beijing.aliyuncs.com", 1, true))
            assert.truthy(c.sent[2].url:find("regionId=cn-beijing", 1, true))
            local profile = cjson.encode { current = "p", profiles = {
                { name = "p", mode = "AK", access_key_id = "a", access_key_secret = "b",
                    region_id = "eu-central-1" },
            } }
            c = new({ cluster "Running" }, { region = "none", getenv = env { HOME = "/h" },
                read_file = function() return profile, 384 end })
            c.client:get_session_cluster(IDS)
            assert.truthy(c.sent[1].url:find("eu-central-1", 1, true))
        end)

        it("of the request is enough", function()
            local c = new({ cluster "Running" }, { region = "none", read_file = unreadable })
            assert.truthy(c.client:get_session_cluster {
                workspaceId = "w-1", sessionClusterId = "s-1", regionId = "cn-beijing",
            })
        end)

        it("is needed, too, by an operation that has it in the query only", function()
            local c = new({ reply(200, {}) }, { region = "none", read_file = unreadable })
            local operation = {
                name = "GetThing", version = "2020-01-01", product = "thing", method = "GET",
                hosts = { public = "thing.aliyuncs.com" }, path = "/things", retry = "safe",
                query = { { name = "colour", type = "string" } },
            }
            assert.truthy(c.client:call(operation, {}))
            operation = setmetatable({ query = { { name = "regionId", type = "string" } } },
                { __index = operation })
            raises("ALIBABA_CLOUD_REGION_ID", c.client.call, c.client, operation, {})
        end)

        it("nowhere: raises, says where it was looked for, and sends nothing", function()
            local c = new({ cluster "Running" }, { region = "none", read_file = unreadable })
            raises("ALIBABA_CLOUD_REGION_ID", c.client.get_session_cluster, c.client, IDS)
            raises("region_id", c.client.get_session_cluster, c.client, IDS)
            assert.equal(0, #c.sent)
        end)
    end)

    describe("B9: a proxy of the environment", function()
        -- What the native module is asked to start; nothing is sent.
        local function proxy_of(env, options)
            local seen
            local native = emr.call
            options.region = "cn-hangzhou"
            options.credentials = options.credentials or KEYS
            options.retry = false
            options.getenv = function(name) return env[name] end
            options.read_file = function() return nil, "none", { kind = "credentials" } end
            emr.call = function(...)
                local given = select(select("#", ...), ...)
                seen = seen or { given.proxy, given.no_proxy }
                error "seen"
            end
            pcall(function() emr.client.new(options):get_session_cluster(IDS) end)
            emr.call = native
            return seen
        end

        it("is used for the API", function()
            assert.same({ "http://p:1" }, proxy_of({ https_proxy = "http://p:1" }, {}))
            assert.same({ "http://p:2" }, proxy_of({ HTTPS_PROXY = "http://p:2" }, {}))
            assert.same({ "http://p:1", "a,b" },
                proxy_of({ https_proxy = "http://p:1", no_proxy = "a,b" }, {}))
        end)

        it("is used for what providers ask, too, on the same terms", function()
            local seen = {}
            local start = emr.start
            emr.start = function(_, given)
                seen[#seen + 1] = given.proxy or "none"
                error "seen"
            end
            for _, options in ipairs { {}, { proxy = "http://o:1" } } do
                options.region = "cn-hangzhou"
                options.getenv = function(name)
                    return name == "https_proxy" and "http://p:1" or nil
                end
                options.credentials = function(world)
                    for _, url in ipairs { "https://sts.aliyuncs.com/", "https://127.0.0.1:1/",
                        "http://100.100.100.200/" } do
                        pcall(world.fetch, { method = "GET", url = url }, {})
                    end
                    return nil, "none"
                end
                emr.client.new(options):get_session_cluster(IDS)
            end
            emr.start = start
            assert.equal("http://p:1 none none http://o:1 http://o:1 http://o:1",
                table.concat(seen, " "))
        end)

        it("gives way to the options", function()
            assert.same({ "http://o:1" },
                proxy_of({ https_proxy = "http://p:1" }, { proxy = "http://o:1" }))
        end)

        it("is never used for loopback, the metadata service or plain http", function()
            for _, endpoint in ipairs { "localhost:1", "https://127.0.0.1:1", "https://[::1]:1",
                "http://127.0.0.1:1", "https://LOCALHOST:1", "127.9.9.9", "100.100.100.200" } do
                assert.same({}, proxy_of({ https_proxy = "http://p:1" }, { endpoint = endpoint }))
            end
            assert.same({ "http://p:1" },
                proxy_of({ https_proxy = "http://p:1" }, { endpoint = "localhost.example.com" }))
        end)

        it("other variables do nothing", function()
            assert.same({}, proxy_of({ all_proxy = "http://p:1", http_proxy = "http://p:1" }, {}))
        end)
    end)
end)
