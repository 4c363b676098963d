local credentials = require "emr.credentials"
local expiry = require "emr.credentials.expiry"
local failure = require "emr.failure"
local text = require "emr.credentials.text"
local worlds = require "spec.support.world"

local SECRET, TOKEN = worlds.SECRET, worlds.TOKEN
local ROLE = "acs:ram::123456:role/spark"

describe("the time stamp of a key", function()
    it("is read as UTC, whatever the local time zone", function()
        local known = {
            ["1970-01-01T00:00:00Z"] = 0,
            ["1999-12-31T23:59:59Z"] = 946684799,
            ["2000-02-29T12:00:00Z"] = 951825600,
            ["2000-03-01T00:00:00Z"] = 951868800,
            ["2026-07-01T12:00:00Z"] = 1782907200,
            ["2026-07-01T12:00:00.123Z"] = 1782907200,
            ["2100-03-01T00:00:00Z"] = 4107542400,
            ["9999-12-31T23:59:59Z"] = 253402300799,
        }
        for stamp, seconds in pairs(known) do
            assert.equal(seconds, expiry.parse(stamp), stamp)
        end
    end)

    it("agrees with the C library on every day of 130 years", function()
        for day = 0, 130 * 365 do
            local seconds = day * 86400 + day % 86400
            assert(expiry.parse(os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)) == seconds)
        end
    end)

    it("is nothing when it is no time stamp", function()
        for month, days in ipairs { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 } do
            assert.is_number(expiry.parse(("2026-%02d-%02dT00:00:00Z"):format(month, days)))
            assert.is_nil(expiry.parse(("2026-%02d-%02dT00:00:00Z"):format(month, days + 1)))
        end
        for _, stamp in ipairs { "", "soon", "2026-07-01", "2026-07-01T12:00:00",
            "2026-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2026-07-01T12:00:61Z",
            "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z", "2026-07-00T00:00:00Z", "2026-07-01T24:00:00Z",
            "2026-07-01T00:60:00Z", "2026-07-01T12:00:00+08:00", " 2026-07-01T12:00:00Z", 5, {} } do
            assert.is_nil(expiry.parse(stamp))
        end
        assert.is_nil(expiry.parse(nil))
    end)
end)

local function source()
    return { access_key_id = "LTAIsource", access_key_secret = SECRET }
end

local function assuming(reply)
    return worlds.new { call = function()
        return { Credentials = reply or worlds.reply("STS.assumed") }
    end }
end

describe("credentials.assume_role", function()
    it("calls AssumeRole with the source's key and returns the role's", function()
        local world, state = assuming()
        local key = credentials.assume_role { source = source, role_arn = ROLE,
            role_session_name = "me", duration = 900, policy = "{}", external_id = "x" }(world)
        assert.equal("STS.assumed", key.access_key_id)
        assert.equal(SECRET, key.access_key_secret)
        assert.equal(TOKEN, key.security_token)
        assert.equal(worlds.WALL + 3600, key.expiration)
        assert.equal("ram_role_arn", key.source)
        local call = state.calls[1]
        assert.equal("AssumeRole", call.operation.name)
        assert.equal("2015-04-01", call.operation.version)
        assert.same({ RoleArn = ROLE, RoleSessionName = "me", DurationSeconds = 900,
            Policy = "{}", ExternalId = "x" }, call.request)
        assert.equal("https://sts.aliyuncs.com", call.options.endpoint)
        assert.equal("LTAIsource", call.options.access_key_id)
        assert.equal(SECRET, call.options.access_key_secret)
        assert.equal(5, call.options.connect_timeout)
        assert.equal(10, call.options.timeout)
    end)

    it("hands on the token of a source that is itself an STS key", function()
        local world, state = assuming()
        credentials.assume_role { role_arn = ROLE, source = function()
            return { access_key_id = "STS.a", access_key_secret = SECRET, security_token = TOKEN }
        end }(world)
        assert.equal(TOKEN, state.calls[1].options.security_token)
    end)

    it("has defaults: 3600 s, a session name, the role of the environment", function()
        local world, state = assuming()
        state.env.ALIBABA_CLOUD_ROLE_ARN = ROLE
        credentials.assume_role { source = source }(world)
        local request = state.calls[1].request
        assert.equal(ROLE, request.RoleArn)
        assert.equal(3600, request.DurationSeconds)
        assert.equal("emr-lua-1782907200", request.RoleSessionName)
        state.env.ALIBABA_CLOUD_ROLE_SESSION_NAME = "from-env"
        credentials.assume_role { source = source }(world)
        assert.equal("from-env", state.calls[2].request.RoleSessionName)
    end)

    it("chooses the host: endpoint, then region, then the central one", function()
        local cases = {
            { {}, {}, "https://sts.aliyuncs.com" },
            { {}, { ALIBABA_CLOUD_STS_REGION = "cn-beijing" },
                "https://sts.cn-beijing.aliyuncs.com" },
            { {}, { ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED = "true" }, "https://sts.aliyuncs.com" },
            { {}, { ALIBABA_CLOUD_STS_REGION = "cn-beijing",
                ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED = "True" },
                "https://sts-vpc.cn-beijing.aliyuncs.com" },
            { { sts_region = "eu-central-1" }, { ALIBABA_CLOUD_STS_REGION = "cn-beijing" },
                "https://sts.eu-central-1.aliyuncs.com" },
            { { sts_region = "eu-central-1", vpc = true }, {},
                "https://sts-vpc.eu-central-1.aliyuncs.com" },
            { { sts_endpoint = "http://127.0.0.1:8080/", sts_region = "eu-central-1" }, {},
                "http://127.0.0.1:8080" },
        }
        for _, case in ipairs(cases) do
            local options, env, endpoint = case[1], case[2], case[3]
            local world, state = assuming()
            state.env = env
            options.source, options.role_arn = source, ROLE
            credentials.assume_role(options)(world)
            assert.equal(endpoint, state.calls[1].options.endpoint)
        end
    end)

    it("B3: a region cannot change the host", function()
        for _, region in ipairs { "cn/evil", "a@b", "a.b", "a:1", "A", "a#", " a",
            ("a"):rep(65) } do
            local world, state = assuming()
            worlds.refused("malformed", credentials.assume_role { source = source,
                role_arn = ROLE, sts_region = region }, world)
            assert.equal(0, #state.calls)
        end
    end)

    it("needs a role and says where it looked", function()
        local err = worlds.refused("incomplete", credentials.assume_role { source = source },
            (worlds.new()))
        assert.matches("ALIBABA_CLOUD_ROLE_ARN", err.message)
    end)

    it("returns the failure of its source without calling", function()
        local world, state = assuming()
        worlds.refused("expired", credentials.assume_role { role_arn = ROLE, source = function()
            return failure("credentials", "expired", "log in")
        end }, world)
        assert.equal(0, #state.calls)
    end)

    it("tells what STS refused, with its status and request id", function()
        local world = worlds.new { call = function()
            return failure("service", "NoPermission", "NoPermission: not allowed (HTTP 403)",
                { status = 403, request_id = "R-1" })
        end }
        local err = worlds.refused("unavailable",
            credentials.assume_role { role_arn = ROLE, source = source }, world)
        assert.matches("AssumeRole: NoPermission", err.message)
        assert.equal(403, err.status)
        assert.equal("R-1", err.request_id)
        assert.is_false(err.retryable)
    end)

    it("may be tried again when the network failed", function()
        local world = worlds.new { call = function()
            return failure("network", "reset", "connection reset")
        end }
        assert.is_true(worlds.refused("unavailable",
            credentials.assume_role { role_arn = ROLE, source = source }, world).retryable)
    end)

    it("H1: takes no longer than the deadline", function()
        local world, state = assuming()
        local provider = credentials.assume_role { role_arn = ROLE, source = source }
        world.deadline = state.now + 3
        provider(world)
        assert.equal(3, state.calls[1].options.timeout)
        assert.equal(3, state.calls[1].options.connect_timeout)
        world.deadline = state.now + 0.04
        worlds.refused("deadline", provider, world)
        assert.equal(1, #state.calls)
    end)

    it("refuses a reply without the parts of a key", function()
        for _, field in ipairs { "AccessKeyId", "AccessKeySecret", "SecurityToken" } do
            for _, value in ipairs { false, "", 5, "CANARY\n" } do
                local reply = worlds.reply("STS.1")
                reply[field] = value or nil
                local err = worlds.refused("malformed",
                    credentials.assume_role { role_arn = ROLE, source = source }, (assuming(reply)))
                assert.matches(field, err.message)
            end
        end
    end)

    it("J8: a reply without a usable end is due at once", function()
        for _, value in ipairs { false, "", "soon", 5 } do
            local reply = worlds.reply("STS.1")
            reply.Expiration = value or nil
            local key = credentials.assume_role { role_arn = ROLE, source = source }(
                (assuming(reply)))
            assert.equal(worlds.WALL, key.expiration)
        end
    end)

    it("raises for wrong options and names them", function()
        local wrong = {
            role_arn = { "", 5 },
            duration = { 899, 43201, 900.5, "900" },
            sts_endpoint = { "", "ftp://x", "https://u:p@host", "https://host/path",
                "http://example.com", "https://host:0", "https://host:65536", "https://h?q" },
            vpc = { "true" },
            source = { "env", {} },
            rol_arn = { ROLE },
        }
        for name, values in pairs(wrong) do
            for _, value in ipairs(values) do
                local options = { source = source, role_arn = ROLE }
                options[name] = value
                assert.error_matches(function() credentials.assume_role(options) end, name)
            end
        end
        assert.error_matches(function() credentials.assume_role { role_arn = ROLE } end, "source")
    end)
end)

describe("a text that quotes a server", function()
    it("L1: loses every occurrence of the secret and nothing else", function()
        assert.equal("a *** b *** c", text.without("a s.cret b s.cret c", "s.cret"))
        assert.equal("******", text.without("s.crets.cret", "s.cret"))
        assert.equal("a secret", text.without("a secret", "s.cret"))
        assert.equal("a", text.without("a", ""))
        assert.equal("a", text.without("a", nil))
    end)
end)

describe("credentials.oidc", function()
    local ENV = {
        ALIBABA_CLOUD_OIDC_TOKEN_FILE = "/var/run/token",
        ALIBABA_CLOUD_OIDC_PROVIDER_ARN = "acs:ram::1:oidc-provider/k8s",
        ALIBABA_CLOUD_ROLE_ARN = ROLE,
    }

    local function answering(status, body)
        return worlds.new {
            env = ENV,
            files = { ["/var/run/token"] = "CANARYjwt.a+b/c=\n" },
            fetch = function()
                return { status = status or 200, headers = {}, body = body or ([[{"RequestId":"R",
                    "Credentials":{"AccessKeyId":"STS.oidc","AccessKeySecret":"%s",
                    "SecurityToken":"%s","Expiration":"%s"}}]])
                    :format(SECRET, TOKEN, worlds.stamp(3600)) }
            end,
        }
    end

    local function decoded(form)
        local fields = {}
        for name, value in form:gmatch("([^&=]+)=([^&]*)") do
            fields[name] = value:gsub("%%(%x%x)", function(hex)
                return string.char(tonumber(hex, 16))
            end)
        end
        return fields
    end

    it("posts an unsigned AssumeRoleWithOIDC with the token from the file", function()
        local world, state = answering()
        local key = credentials.oidc()(world)
        assert.equal("STS.oidc", key.access_key_id)
        assert.equal("oidc_role_arn", key.source)
        assert.equal(worlds.WALL + 3600, key.expiration)
        local request, options = state.requests[1].request, state.requests[1].options
        assert.equal("POST", request.method)
        local base, query = request.url:match("^([^?]+)%?(.*)$")
        assert.equal("https://sts.aliyuncs.com/", base)
        assert.same({ Action = "AssumeRoleWithOIDC", Version = "2015-04-01", Format = "JSON",
            Timestamp = "2026-07-01T12:00:00Z" }, decoded(query))
        assert.same({ RoleArn = ROLE, OIDCProviderArn = "acs:ram::1:oidc-provider/k8s",
            OIDCToken = "CANARYjwt.a+b/c=", RoleSessionName = "emr-lua-1782907200",
            DurationSeconds = "3600" }, decoded(request.body))
        assert.is_nil(request.headers.authorization)
        assert.equal("application/x-www-form-urlencoded", request.headers["content-type"])
        assert.matches("OIDCToken=CANARYjwt.a%2Bb%2Fc%3D", request.body, 1, true)
        assert.equal(5, options.connect_timeout)
        assert.equal(10, options.timeout)
    end)

    it("reads the token anew each time, with one line break trimmed", function()
        local world, state = answering()
        local provider = credentials.oidc { oidc_token_file = "/other", duration = 900,
            role_session_name = "pod", policy = "{}" }
        for content, token in pairs { ["one"] = "one", ["two\n"] = "two",
            ["three\r\n"] = "three" } do
            state.files["/other"] = content
            provider(world)
            local fields = decoded(state.requests[#state.requests].request.body)
            assert.equal(token, fields.OIDCToken)
            assert.equal("900", fields.DurationSeconds)
            assert.equal("pod", fields.RoleSessionName)
            assert.equal("{}", fields.Policy)
        end
        assert.equal(3, #state.reads)
    end)

    it("is none without its variables; a role alone is no OIDC setting", function()
        worlds.refused("none", credentials.oidc(), (worlds.new()))
        worlds.refused("none", credentials.oidc(),
            (worlds.new { env = { ALIBABA_CLOUD_ROLE_ARN = ROLE } }))
    end)

    it("J2: is incomplete with some of them, and names the missing", function()
        for variable in pairs(ENV) do
            local env = {}
            for name, value in pairs(ENV) do
                env[name] = name ~= variable and value or nil
            end
            local err = worlds.refused("incomplete", credentials.oidc(), (worlds.new { env = env }))
            assert.matches(variable, err.message, 1, true)
        end
    end)

    it("J3: a token file that is missing or empty is named", function()
        local world, state = answering()
        for _, content in ipairs { "", "\n" } do
            state.files["/var/run/token"] = content
            assert.matches("/var/run/token", worlds.refused("malformed", credentials.oidc(),
                world).message)
        end
        state.files["/var/run/token"] = nil
        assert.matches("/var/run/token", worlds.refused("unreadable", credentials.oidc(),
            world).message)
        assert.equal(0, #state.requests)
    end)

    it("L1: shows no token, even when the server repeats it", function()
        local world = answering(400,
            '{"Code":"AuthenticationFail","Message":"bad CANARYjwt.a+b/c= here","RequestId":"R"}')
        local err = worlds.refused("unavailable", credentials.oidc(), world)
        assert.matches("AuthenticationFail", err.message)
        assert.equal(400, err.status)
        assert.is_false(err.retryable)
    end)

    it("a reply that is no JSON, or lacks the key, is refused without being shown", function()
        for _, body in ipairs { "", "<html>CANARY</html>", "[]", '{"a":"CANARY"}', '"CANARY"',
            '{"Credentials":{"AccessKeyId":"CANARY"}}' } do
            local provider = credentials.oidc()
            local found, message, err = provider((answering(200, body)))
            assert.is_nil(found)
            assert.equal("credentials", err.kind)
            worlds.assert_no_secret(message)
        end
    end)

    it("a reply of the wrong shape is malformed, one that never was whole is unavailable",
        function()
            worlds.refused("malformed", credentials.oidc(), (answering(200, "<html>")))
            worlds.refused("malformed", credentials.oidc(), (answering(200, "{}")))
            local world, state = answering()
            for _, code in ipairs { "too_large", "redirect", "http", "encoding" } do
                state.fetch = function() return failure("protocol", code, "no reply") end
                worlds.refused("unavailable", credentials.oidc(), world)
            end
        end)

    it("H1: does nothing when the deadline has come", function()
        local world, state = answering()
        world.deadline = state.now
        worlds.refused("deadline", credentials.oidc(), world)
        assert.equal(0, #state.requests)
    end)
end)
