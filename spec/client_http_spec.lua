-- A client against the emulated cloud: real signatures, real HTTP, an injected clock and sleep.
local cjson = require "cjson"
local emr = require "emr"
local emulator = require "spec.support.emulator"
local growth = require "spec.support.growth"
local fake = require "spec.support.time"
local support = require "spec.support.client"

local IDS = { workspaceId = "w-1", sessionClusterId = "s-1" }

describe("client against the emulator", function()
    local emu, time, messages

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
        time = fake.new(0.5)
        messages = {}
    end)

    local function new(options)
        local all = { on_warning = function(text) messages[#messages + 1] = text end }
        for name, value in pairs(options or {}) do
            all[name] = value
        end
        return (support.against(emu.https, all, time))
    end

    local function nonces(requests)
        local seen, count = {}, 0
        for _, request in ipairs(requests) do
            local nonce = request.headers["x-acs-signature-nonce"]
            if not seen[nonce] then
                seen[nonce], count = true, count + 1
            end
        end
        return count
    end

    describe("K2: 10 000 clients", function()
        -- Less than a Lua value or a C block in each client of a quarter.
        local function leave_nothing(what, program, times)
            it(what, function()
                local heap, process, open = growth.of([[
                    local support = require "spec.support.client"
                    return function()
                        local client = support.against(HTTP)
                        ]] .. program .. [[
                    end
                ]], 1000, times)
                assert(heap < 16, ("the Lua heap has grown by %g KiB"):format(heap))
                assert(process < 100, ("the process has grown by %g KiB"):format(process))
                assert(open <= 0, open .. " descriptors are left open")
            end)
        end

        leave_nothing("called and closed leave nothing", [[
            assert(client:get_session_cluster(call.IDS))
            client:close()
        ]], rawget(_G, "jit") and 10000 or 4000)
        leave_nothing("never closed leave nothing", "assert(client)", 10000)
    end)

    it("gets a session cluster, over one kept connection", function()
        local client = new()
        for _ = 1, 3 do
            assert.truthy(client:get_session_cluster(IDS))
        end
        local requests = emu:requests()
        assert.equal(3, #requests)
        for _, request in ipairs(requests) do
            assert.equal("ok", request.verdict)
            assert.equal(requests[1].connection, request.connection)
        end
    end)

    it("waits through two 503s, a throttle with a hint and an expired token", function()
        local keys = { emu.sts, {
            access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
        } }
        local asked, attempts, polls = 0, {}, {}
        local client = new {
            credentials = function()
                asked = asked + 1
                return keys[math.min(asked, #keys)]
            end,
            on_attempt = function(info) attempts[#attempts + 1] = info end,
        }
        emu:cluster {
            workspaceId = "w-1", sessionClusterId = "s-1", states = { "Starting", "Running" },
        }
        emu:fault { name = "status", status = 503, times = 2 }
        local response, info = client:wait_session_cluster(IDS, {
            timeout = 300,
            on_poll = function(poll)
                polls[#polls + 1] = poll.state
                if poll.poll == 1 then  -- before the second poll
                    emu:fault { name = "throttling", retry_after_ms = 1500 }
                    emu:expire(emu.sts.access_key_id)
                end
            end,
        })
        assert.equal("Running", response.sessionCluster.state)
        assert.same({ "Starting", "Running" }, polls)
        assert.equal(2, info.polls)
        -- 0.5 x 0.05 s, 0.5 x 0.1 s; the poll's 2 s; the hint of 1.5 s stretched by 5 %
        assert.same({ 0.025, 0.05, 2 }, { time.slept[1], time.slept[2], time.slept[3] })
        assert.is_true(math.abs(time.slept[4] - 1.575) < 1e-9)
        assert.is_nil(time.slept[5])

        local requests, verdicts = emu:requests(), {}
        for i, request in ipairs(requests) do
            verdicts[i] = ("%s %d"):format(request.verdict, request.status)
        end
        assert.same({ "ok 503", "ok 503", "ok 200", "InvalidSecurityToken.Expired 400", "ok 400",
            "ok 200" }, verdicts)
        assert.equal(6, nonces(requests))
        assert.equal(6, #attempts)
        assert.equal(2, asked)
        assert.equal(emu.sts.security_token, requests[4].headers["x-acs-security-token"])
        assert.is_nil(requests[5].headers["x-acs-security-token"])
        assert.is_nil(cjson.encode(attempts):find("CANARY", 1, true))
    end)

    for _, skew in ipairs { 960, -960, 86400, -86400 } do
        it(("G11: a clock %d s wrong is corrected by one repeat, once"):format(skew), function()
            local client = new()
            emu:clock(skew)
            assert.truthy(client:get_session_cluster(IDS))
            assert.truthy(client:get_session_cluster(IDS))
            local requests = emu:requests()
            assert.same({ "InvalidTimeStamp.Expired", "ok", "ok" },
                { requests[1].verdict, requests[2].verdict, requests[3].verdict })
            assert.equal(3, #requests)
        end)
    end

    it("G11: also where the first to complain is STS", function()
        local client = new { credentials = emr.credentials.assume_role {
            source = emr.credentials.static {
                access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
            },
            role_arn = "acs:ram::123456789012:role/spark", sts_endpoint = emu.https,
        } }
        emu:clock(3600)
        assert(client:get_session_cluster(IDS))
        assert.equal(2, #emu:requests "AssumeRole")
        assert.equal(1, #emu:requests "GetSessionCluster")
    end)

    it("G11: over plain http the clock is not corrected", function()
        local client = new { endpoint = emu.http }
        emu:clock(3600)
        local _, _, err = client:get_session_cluster(IDS)
        assert.same({ "InvalidTimeStamp.Expired", 1 }, { err.code, err.attempts })
    end)

    it("on_attempt hears of the attempt, whatever a provider asks in between", function()
        local keys, asked, infos = { emu.sts, emu }, 0, {}
        local client = new {
            credentials = function()
                asked = asked + 1
                emr.fetch { url = emu.http .. "/keys" }
                return {
                    access_key_id = keys[asked].access_key_id,
                    access_key_secret = keys[asked].access_key_secret,
                    security_token = keys[asked].security_token,
                }
            end,
            on_attempt = function(info) infos[#infos + 1] = info end,
        }
        emu:fault { name = "error", status = 403, code = "InvalidSecurityToken.Expired" }
        assert.truthy(client:get_session_cluster(IDS))
        assert.same({ 2, 403, 200 }, { #infos, infos[1].status, infos[2].status })
        for _, info in ipairs(infos) do
            assert.is_true(info.verified)  -- the provider's was over plain http
            assert.truthy(info.request_id)
        end
    end)

    it("J5: a fixed token that is expired: one request", function()
        local expired = emu.keys.expired
        local _, _, err = new { credentials = {
            access_key_id = expired.access_key_id, access_key_secret = expired.access_key_secret,
            security_token = expired.security_token,
        } }:get_session_cluster(IDS)
        assert.same({ "InvalidSecurityToken.Expired", 1, 1 },
            { err.code, err.attempts, #emu:requests() })
    end)

    it("G12: SignatureDoesNotMatch is not repeated, and shows no string-to-sign", function()
        local _, message, err = new { credentials = {
            access_key_id = emu.access_key_id, access_key_secret = "CANARYWRONG",
        } }:get_session_cluster(IDS)
        assert.same({ "SignatureDoesNotMatch", 1 }, { err.code, err.attempts })
        assert.is_nil(message:find("ACS3", 1, true))
        assert.is_nil(message:find("CANARY", 1, true))
    end)

    it("the life of a session cluster: create, start, list, wait, stop", function()
        local client = new()
        local made = assert(client:create_session_cluster {
            workspaceId = "w-7", name = "n", kind = "SQL", queueName = "q",
            applicationConfigs = {}, autoStopConfiguration = { enable = true,
                idleTimeoutMinutes = 60 },
        })
        local ids = { workspaceId = "w-7", sessionClusterId = made.sessionClusterId }
        assert.truthy(cjson.decode(emu:requests()[1].body).clientToken)
        assert(client:wait_session_cluster(ids, { timeout = 300 }))
        assert(client:stop_session_cluster(ids))
        assert(client:wait_session_cluster(ids, { state = "Stopped", timeout = 300 }))
        local response, info = client:start_and_wait_session_cluster(ids, { timeout = 300 })
        assert.equal("Running", response.sessionCluster.state)
        assert.same({ "Stopped", "Starting", "Running" }, info.states)
        assert(client:start_and_wait_session_cluster(ids, { timeout = 300 }))
        assert.equal(1, #emu:requests "StartSessionCluster")
        for _, request in ipairs(emu:requests()) do
            assert.equal("ok", request.verdict)
        end
    end)

    it("a create whose reply is lost is repeated with the same client token", function()
        emu:fault { name = "reset", executed = true, operation = "CreateSessionCluster" }
        local made = assert(new():create_session_cluster { workspaceId = "w-7", name = "n" })
        local requests = emu:requests "CreateSessionCluster"
        assert.equal(2, #requests)
        assert.equal(cjson.decode(requests[1].body).clientToken,
            cjson.decode(requests[2].body).clientToken)
        local found = 0
        for item in new():items("ListSessionClusters", { workspaceId = "w-7" }) do
            found = found + 1
            assert.equal(made.sessionClusterId, item.sessionClusterId)
        end
        assert.equal(1, found)
    end)

    it("a start whose reply is lost is not repeated", function()
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = { "Stopped" } }
        emu:fault { name = "reset", executed = true, operation = "StartSessionCluster" }
        local _, _, err = new():start_session_cluster(IDS)
        assert.same({ "network", 1 }, { err.kind, err.attempts })
        assert.equal(1, #emu:requests "StartSessionCluster")
    end)

    it("but start_and_wait reads the state and goes on", function()
        emu:cluster {
            workspaceId = "w-1", sessionClusterId = "s-1", states = { "Stopped" },
            on_start = { "Starting", "Running" },
        }
        emu:fault { name = "reset", executed = true, operation = "StartSessionCluster" }
        local response = assert(new():start_and_wait_session_cluster(IDS, { timeout = 300 }))
        assert.equal("Running", response.sessionCluster.state)
        assert.equal(1, #emu:requests "StartSessionCluster")
    end)

    it("I2: a cluster that breaks tells why", function()
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = {
            "Starting", { state = "Error", code = "E7", message = "no quota" },
        } }
        local _, message, err = new():wait_session_cluster(IDS, { timeout = 300 })
        assert.same({ "state", "Error", 2 }, { err.kind, err.code, err.polls })
        assert.truthy(message:find("E7: no quota", 1, true))
        assert.is_nil(cjson.encode(err.last):find("CANARY", 1, true))
    end)

    it("F9: a state that is no text is protocol, shape", function()
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1",
            body = '{"sessionCluster":{"state":7},"requestId":"R"}' }
        local _, _, err = new():wait_session_cluster(IDS, { timeout = 300 })
        assert.same({ "protocol", "shape" }, { err.kind, err.code })
    end)

    it("lists all clusters, page by page", function()
        for i = 1, 7 do
            emu:cluster { workspaceId = "w-9", sessionClusterId = "s-" .. i }
        end
        local ids = {}
        for item, message in new():items("ListSessionClusters", {
            workspaceId = "w-9", maxResults = 3,
        }) do
            assert.truthy(item, message)
            ids[#ids + 1] = item.sessionClusterId
        end
        table.sort(ids)
        assert.equal("s-1 s-2 s-3 s-4 s-5 s-6 s-7", table.concat(ids, " "))
        assert.equal(3, #emu:requests())
    end)

    it("all: many calls beside each other", function()
        emu:fault { name = "slow", seconds = 0.1, times = 8 }
        local list = {}
        for i = 1, 8 do
            list[i] = { "GetSessionCluster", IDS }
        end
        local began = emr.now()
        local results, errors = new():all(list)
        local took = emr.now() - began
        assert.is_nil(next(errors))
        for i = 1, 8 do
            assert.equal("s-1", results[i].sessionCluster.sessionClusterId)
        end
        assert.is_true(took < 0.5, took)  -- one after another: 0.8 s
    end)

    it("all: waits, good and bad calls mixed, with real sleeps of a few milliseconds", function()
        local client = new { clock = "none", sleep = "none", random = "none" }
        local list = {}
        for i = 1, 20 do
            local id = "s-" .. i
            emu:cluster { workspaceId = "w-8", sessionClusterId = id,
                states = { "Starting", "Starting", i % 5 == 0 and "Error" or "Running" } }
            list[i] = function()
                return client:wait_session_cluster({
                    workspaceId = "w-8", sessionClusterId = id,
                }, { timeout = 10, min_delay = 0.005, max_delay = 0.01 })
            end
        end
        list[21] = { "GetSessionCluster", { workspaceId = "w-8", sessionClusterId = "none" } }
        local results, errors = client:all(list, { concurrency = 10 })
        for i = 1, 20 do
            if i % 5 == 0 then
                assert.same({ false, "Error" }, { results[i], errors[i].code })
            else
                assert.equal("Running", results[i].sessionCluster.state)
            end
        end
        assert.equal(404, errors[21].status)
    end)

    it("a slow server: the attempt's time, then retries, then the deadline", function()
        local client = new { clock = "none", sleep = "none", random = "none", timeout = 0.2,
            deadline = 0.5 }
        emu:fault { name = "slow", seconds = 2, times = 5 }
        local began = emr.now()
        local _, _, err = client:get_session_cluster(IDS)
        local took = emr.now() - began
        assert.equal("timeout", err.kind)
        assert.is_true(took <= 0.7, took)
        emu:reset()
        assert.truthy(client:get_session_cluster(IDS))
    end)

    describe("an await of one's own", function()
        local waited
        local function with(own)
            waited = {}
            own.sleep = own.sleep or function() end
            own.spawn = own.spawn or function(f) return f end
            return new { await = own, timeout = 3 }
        end
        local function waits(transfer, seconds)
            waited[#waited + 1] = seconds
            emr.await.blocking.wait(transfer, seconds)
        end

        it("is asked to wait for the attempt's time, and a little more", function()
            assert.truthy(with { wait = waits }:get_session_cluster(IDS))
            assert.is_true(waited[1] >= 3 and waited[1] <= 3.2)
        end)

        it("that comes back too early ends the attempt, not the client", function()
            local early = true
            local client = with { wait = function(...)
                if not early then
                    waits(...)
                end
            end }
            emu:fault { name = "slow", seconds = 0.2 }
            local _, _, err = client:get_session_cluster(IDS, { retry = false })
            assert.same({ "timeout", "attempt" }, { err.kind, err.code })
            early = false
            assert.truthy(client:get_session_cluster(IDS))
        end)

        it("that cannot wait is the result, and nothing is retried", function()
            local mine = { kind = "unsupported", code = "phase" }
            local _, message, err = with { wait = function() return nil, "not here", mine end }
                :get_session_cluster(IDS)
            assert.equal("not here", message)
            assert.equal(mine, err)
            assert.equal(1, err.attempts)
        end)

        it("that refuses beforehand sends nothing", function()
            local mine = { kind = "unsupported", code = "phase" }
            local client = with { wait = waits, refuse = function() return nil, "no", mine end }
            assert.equal(mine, select(3, client:start_session_cluster(IDS)))
            assert.equal(0, #emu:requests())
        end)
    end)

    describe("the same call with keys from", function()
        local keys_file = os.tmpname()

        teardown(function()
            os.remove(keys_file)
        end)

        local function write(text)
            local file = assert(io.open(keys_file, "w"))
            file:write(text)
            file:close()
        end

        local function check(options, token)
            options.credentials = options.credentials or "none"
            local env = options.getenv or {}
            options.getenv = function(name) return env[name] end
            local response, message = new(options):wait_session_cluster(IDS, { timeout = 60 })
            assert.truthy(response, message)
            local request = emu:requests "GetSessionCluster"[1]
            assert.equal("ok", request.verdict)
            assert.equal(token, request.headers["x-acs-security-token"] ~= nil)
        end

        it("the environment", function()
            check({ getenv = {
                ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
                ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret,
            } }, false)
        end)

        it("a CLI profile", function()
            write(cjson.encode { current = "p", profiles = { {
                name = "p", mode = "AK", region_id = "cn-beijing",
                access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
            } } })
            check({ region = "none", getenv = { ALIBABA_CLOUD_CONFIG_FILE = keys_file } }, false)
                assert.equal("regionId=cn-beijing", emu:requests()[1].query)
        end)

        it("an INI file", function()
            write(("[default]\ntype = access_key\naccess_key_id = %s\naccess_key_secret = %s\n")
                :format(emu.access_key_id, emu.access_key_secret))
            check({ getenv = {
                ALIBABA_CLOUD_CREDENTIALS_FILE = keys_file,
                ALIBABA_CLOUD_CLI_PROFILE_DISABLED = "true",
            } }, false)
        end)

        it("the metadata service", function()
            check({ credentials = emr.credentials.ecs { endpoint = emu.http } }, true)
        end)

        it("AssumeRole over another source", function()
            check({ credentials = emr.credentials.assume_role {
                source = emr.credentials.environment {},
                role_arn = "acs:ram::123456789012:role/spark", sts_endpoint = emu.https,
            }, getenv = {
                ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
                ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret,
            } }, true)
        end)
    end)

    it("J9: 50 calls at once with no key yet make one request for it", function()
        local client = new { credentials = emr.credentials.ecs { endpoint = emu.http },
            clock = "none", sleep = "none", random = "none" }
        local list = {}
        for i = 1, 50 do
            list[i] = { "GetSessionCluster", IDS }
        end
        local _, errors = client:all(list)
        assert.is_nil(next(errors))
        assert.equal(1, #emu:requests "MetadataKey")
    end)
end)
