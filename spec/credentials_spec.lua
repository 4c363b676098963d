local credentials = require "emr.credentials"
local failure = require "emr.failure"
local worlds = require "spec.support.world"

local SECRET, TOKEN = worlds.SECRET, worlds.TOKEN

local function environment_of(id, secret, token)
    return {
        ALIBABA_CLOUD_ACCESS_KEY_ID = id,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET = secret,
        ALIBABA_CLOUD_SECURITY_TOKEN = token,
    }
end

-- Nothing answers at the metadata address, as on any machine that is no ECS instance.
local function nobody()
    return failure("network", "connect", "connection refused")
end

describe("credentials.static", function()
    it("returns the key it was given", function()
        local key = credentials.static {
            access_key_id = "LTAIexample", access_key_secret = SECRET }()
        assert.equal("LTAIexample", key.access_key_id)
        assert.equal(SECRET, key.access_key_secret)
        assert.is_nil(key.security_token)
        assert.equal("static_ak", key.source)
    end)

    it("is not changed by later changes of the options", function()
        local options = { access_key_id = "LTAIexample", access_key_secret = SECRET,
            security_token = TOKEN }
        local provider = credentials.static(options)
        options.access_key_id = "other"
        assert.equal("LTAIexample", provider().access_key_id)
        assert.equal("static_sts", provider().source)
    end)

    it("B1: raises for a value that no key can hold, and does not show it", function()
        local bad = { "", "CANARY x", "CANARY\n", "CANARY\r", "CANARY\0", "CANARY\195\164",
            ("CANARY"):rep(1000), 5, {}, true }
        for _, field in ipairs { "access_key_id", "access_key_secret" } do
            for _, value in ipairs(bad) do
                local options = { access_key_id = "LTAIexample", access_key_secret = "s" }
                options[field] = value
                local ok, message = pcall(credentials.static, options)
                assert.is_false(ok)
                assert.matches(field, message)
                worlds.assert_no_secret(message)
            end
        end
    end)

    it("takes an id of 1024 and a token of 16384 bytes, and no more", function()
        local function with(id, token)
            return pcall(credentials.static, { access_key_id = ("a"):rep(id),
                access_key_secret = ("b"):rep(id), security_token = ("t"):rep(token) })
        end
        assert.is_true((with(1024, 16384)))
        assert.is_false((with(1025, 16384)))
        assert.is_false((with(1024, 16385)))
    end)

    it("names the line of the caller in what it raises", function()
        for _, constructor in ipairs { "static", "environment", "oidc", "profile", "ini", "ecs",
            "uri", "process", "assume_role", "chain", "default", "cached" } do
            local ok, message = pcall(function()
                assert(credentials[constructor](5))
            end)
            assert.is_false(ok)
            assert.matches("^[^:]*credentials_spec.lua:%d+: ", message)
        end
        for _, constructor in ipairs { "static", "process", "assume_role" } do
            local _, message = pcall(function() assert(credentials[constructor] {}) end)
            assert.matches("^[^:]*credentials_spec.lua:%d+: ", message)
        end
        local _, message = pcall(function() assert(credentials.chain { 5 }) end)
        assert.matches("^[^:]*credentials_spec.lua:%d+: ", message)
    end)

    it("raises for half a pair, an unknown option and no table", function()
        assert.error_matches(function() credentials.static { access_key_id = "a" } end,
            "access_key_secret")
        assert.error_matches(function() credentials.static { acces_key_id = "a" } end,
            "acces_key_id")
        assert.error_matches(function() credentials.static "LTAI" end, "table")
        assert.error(function() credentials.static() end)
    end)
end)

describe("credentials.environment", function()
    it("reads the three variables at each call", function()
        local provider = credentials.environment()
        local world, state = worlds.new { env = environment_of("LTAIenv00001", SECRET) }
        assert.equal("LTAIenv00001", provider(world).access_key_id)
        state.env = environment_of("LTAIenv00002", SECRET, TOKEN)
        local key = provider(world)
        assert.equal("LTAIenv00002", key.access_key_id)
        assert.equal(TOKEN, key.security_token)
        assert.equal("env", key.source)
        assert.is_nil(key.expiration)
    end)

    it("J1: names the variables when nothing is set; empty means not set", function()
        for _, env in ipairs { {}, environment_of("", "", "") } do
            local err = worlds.refused("none", credentials.environment(),
                (worlds.new { env = env }))
            assert.matches("ALIBABA_CLOUD_ACCESS_KEY_ID", err.message, 1, true)
            assert.matches("ALIBABA_CLOUD_ACCESS_KEY_SECRET", err.message, 1, true)
            assert.is_false(err.retryable)
        end
    end)

    it("J2: half a pair is incomplete and names the missing half", function()
        local err = worlds.refused("incomplete", credentials.environment(),
            (worlds.new { env = environment_of("LTAIexample", "") }))
        assert.matches("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not", err.message, 1, true)
        err = worlds.refused("incomplete", credentials.environment(),
            (worlds.new { env = environment_of(nil, SECRET) }))
        assert.matches("ALIBABA_CLOUD_ACCESS_KEY_ID is not", err.message, 1, true)
    end)

    it("B1, B2: CR, LF, NUL, blank and non-ASCII are malformed, never shown", function()
        for _, ending in ipairs { "\r", "\n", "\0", " ", "\t", "\127", "\195\164" } do
            for _, env in ipairs {
                environment_of("CANARY" .. ending, SECRET),
                environment_of("LTAIexample", "CANARY" .. ending .. "x"),
                environment_of("LTAIexample", SECRET, "CANARY" .. ending),
            } do
                worlds.refused("malformed", credentials.environment(), (worlds.new { env = env }))
            end
        end
    end)

    it("M6: inside nginx the message mentions the env directive", function()
        local before = rawget(_G, "ngx")
        rawset(_G, "ngx", {})
        local _, inside = credentials.environment()((worlds.new()))
        rawset(_G, "ngx", before)
        local _, outside = credentials.environment()((worlds.new()))
        assert.matches("env NAME;", inside, 1, true)
        assert.not_matches("nginx", outside)
    end)
end)

describe("a credentials table", function()
    it("L2: shows no secret in tostring", function()
        local key = credentials.static { access_key_id = "LTAI5tABCDEF", security_token = TOKEN,
            access_key_secret = SECRET }()
        assert.equal("credentials(static_sts, LTAI...)", tostring(key))
    end)

    it("L2: shows nothing of an id that is hardly longer than what would be shown", function()
        local key = credentials.static { access_key_id = "LTAI5", access_key_secret = SECRET }()
        assert.equal("credentials(static_ak, ...)", tostring(key))
    end)
end)

describe("credentials.chain", function()
    local function failing(code, log)
        return function()
            log[#log + 1] = code
            return failure("credentials", code, code .. " here")
        end
    end

    it("asks in turn and remembers only the source that worked", function()
        local log, works = {}, false
        local provider = credentials.chain {
            failing("none", log),
            function()
                log[#log + 1] = "second"
                if works then
                    return { access_key_id = "LTAIsecond", access_key_secret = SECRET }
                end
                return failure("credentials", "unavailable", "later")
            end,
            failing("none", log),
        }
        local world = worlds.new()
        worlds.refused("unavailable", provider, world)
        works = true
        assert.equal("LTAIsecond", provider(world).access_key_id)
        assert.same({ "none", "second", "none", "none", "second" }, log)
        works = false
        local err = worlds.refused("unavailable", provider, world)
        assert.equal("later", err.message) -- no fall back to the others
        assert.equal(6, #log)
    end)

    it("J1: tells every reason when all fail", function()
        local log = {}
        local err = worlds.refused("none", credentials.chain {
            failing("none", log), failing("none", log) }, (worlds.new()))
        assert.same({ "none here", "none here" }, err.sources)
        assert.equal("no credentials found: none here; none here", err.message)
        assert.is_false(err.retryable)
    end)

    it("names every source although the reasons are too long for one message", function()
        local providers = {}
        for i = 1, 6 do
            providers[i] = function()
                return failure("credentials", "none", "source " .. i .. (" why"):rep(100))
            end
        end
        local err = worlds.refused("none", credentials.chain(providers), (worlds.new()))
        for i = 1, 6 do
            assert.matches("source " .. i, err.message)
        end
        assert.is_true(#err.sources[6] > 400)
        assert.matches("%.%.%.$", err.message) -- cut by us, each alike, not at the end alone
        assert.is_true(#err.message > 480)
    end)

    it("J2: a mistake in a source that was set up decides the code", function()
        local log = {}
        for _, code in ipairs { "incomplete", "malformed", "unreadable", "expired" } do
            local err = worlds.refused(code, credentials.chain { failing("none", log),
                failing(code, log), failing("unavailable", log) }, (worlds.new()))
            assert.is_false(err.retryable)
        end
        assert.is_true(worlds.refused("unavailable", credentials.chain { failing("none", log),
            failing("unavailable", log) }, (worlds.new())).retryable)
    end)

    it("J2: never puts halves of two sources together", function()
        worlds.refused("incomplete", credentials.chain {
            function() return { access_key_id = "LTAIfirst" } end,
            function() return { access_key_secret = SECRET } end,
        }, (worlds.new()))
    end)

    it("ends at the deadline instead of asking further sources", function()
        local asked = false
        worlds.refused("deadline", credentials.chain {
            function() return failure("timeout", "deadline", "late") end,
            function() asked = true end,
        }, (worlds.new()))
        assert.is_false(asked)
    end)

    it("ends when the call was given up", function()
        for _, kind in ipairs { "cancelled", "memory" } do
            local _, _, err = credentials.chain {
                function() return failure(kind, nil, "over") end,
                function() error("asked although the call is over", 0) end,
            }((worlds.new()))
            assert.equal(kind, err.kind)
        end
    end)

    it("goes on past a source that cannot work in this place", function()
        local key = credentials.chain {
            function() return failure("unsupported", "blocking", "not in nginx") end,
            function() return { access_key_id = "LTAI", access_key_secret = SECRET } end,
        }((worlds.new()))
        assert.equal("LTAI", key.access_key_id)
    end)

    it("J11, K6: passes through what a provider raises", function()
        local object = {}
        local provider = credentials.chain { function() error(object) end }
        local ok, raised = pcall(provider, (worlds.new()))
        assert.is_false(ok)
        assert.equal(object, raised)
    end)

    it("J11: wrong results of a stranger's provider are credentials errors", function()
        local cases = {
            { "malformed", function() return "LTAI", SECRET end },
            { "malformed", function()
                return { access_key_id = "a\n", access_key_secret = "b" }
            end },
            { "none", function() return {} end },
            { "incomplete", function() return { access_key_id = "a" } end },
            { "malformed", function()
                return { access_key_id = "a", access_key_secret = SECRET .. "\r" }
            end },
            { "unavailable", function() end },
            { "unavailable", function() return false end },
            { "unavailable", function() return nil, "out of order" end },
            { "unavailable", function() return nil, {}, 5 end },
            { "expired", function()
                return nil, "x", { kind = "credentials", code = "expired" }
            end },
        }
        for _, case in ipairs(cases) do
            worlds.refused(case[1], credentials.chain { case[2] }, (worlds.new()))
        end
    end)

    it("raises for anything but a list of functions", function()
        assert.error(function() credentials.chain() end)
        assert.error(function() credentials.chain {} end)
        assert.error_matches(function() credentials.chain { credentials.default(), "env" } end,
            "entry 2")
    end)
end)

describe("credentials.default", function()
    it("J1: lists every source, none of them set up, in the vendor's order", function()
        local world, state = worlds.new { env = { HOME = "/home/u" }, fetch = nobody }
        local err = worlds.refused("none", credentials.default(), world)
        local order = { "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
            "/home/u/.aliyun/config.json", "/home/u/.alibabacloud/credentials", "ECS metadata",
            "ALIBABA_CLOUD_CREDENTIALS_URI" }
        local from = 1
        for i, word in ipairs(order) do
            local first, last = err.message:find(word, from, true)
            assert.is_truthy(first, word .. " is not in: " .. err.message)
            assert.matches(word, err.sources[i], 1, true)
            from = last
        end
        assert.same({ "/home/u/.aliyun/config.json", "/home/u/.alibabacloud/credentials",
            "/home/u/.alibabacloud/credentials.ini" }, state.reads)
        assert.is_false(err.retryable)
    end)

    it("takes the first source that has a key", function()
        local ini = "[default]\ntype = access_key\naccess_key_id = LTAIini\naccess_key_secret = x"
        local json = '{"current":"d","profiles":[{"name":"d","mode":"AK",'
            .. '"access_key_id":"LTAIcli","access_key_secret":"x"}]}'
        local env = environment_of("LTAIenv", SECRET)
        env.HOME, env.ALIBABA_CLOUD_CREDENTIALS_URI = "/h", "http://127.0.0.1/key"
        local world, state = worlds.new { env = env, files = {
            ["/h/.aliyun/config.json"] = json,
            ["/h/.alibabacloud/credentials.ini"] = ini,
        } }
        local function source()
            return credentials.default()(world).source
        end
        assert.equal("env", source())
        env.ALIBABA_CLOUD_ACCESS_KEY_ID, env.ALIBABA_CLOUD_ACCESS_KEY_SECRET = nil, nil
        assert.equal("cli_profile/static_ak", source())
        env.ALIBABA_CLOUD_CLI_PROFILE_DISABLED = "TRUE"
        assert.equal("profile/static_ak", source())
        state.files["/h/.alibabacloud/credentials.ini"] = nil
        env.ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true"
        state.fetch = function(request)
            assert.equal("http://127.0.0.1/key", request.url)
            return { status = 200, headers = {}, body = ([[{"Code":"Success","AccessKeyId":"STS.u",
                "AccessKeySecret":"s","SecurityToken":"t","Expiration":"%s"}]])
                :format(worlds.stamp(60)) }
        end
        assert.equal("credential_uri", source())
    end)

    it("J2: half a pair in the environment and nothing else is incomplete", function()
        local env = environment_of("LTAIenv", nil)
        env.HOME = "/h"
        worlds.refused("incomplete", credentials.default(),
            (worlds.new { env = env, fetch = nobody }))
    end)

    it("J2: half a pair in the environment is not completed from a file", function()
        local env = environment_of("LTAIenv", nil)
        env.HOME = "/h"
        local key = credentials.default()((worlds.new { env = env, files = {
            ["/h/.alibabacloud/credentials"] =
                "[default]\ntype=access_key\naccess_key_id=LTAIini\naccess_key_secret=x" } }))
        assert.equal("LTAIini", key.access_key_id)
        assert.equal("x", key.access_key_secret)
    end)

    it("asks nobody over the network when told that this is no ECS instance", function()
        local world, state = worlds.new { env = { HOME = "/h",
            ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true" } }
        worlds.refused("none", credentials.default(), world)
        assert.equal(0, #state.requests)
    end)

    it("an ECS instance without a role has no key either", function()
        local world = worlds.new { env = { HOME = "/h" }, fetch = function()
            return { status = 404, headers = {}, body = "" }
        end }
        assert.matches("no RAM role",
            worlds.refused("none", credentials.default(), world).message)
    end)

    it("a metadata service that fails, or a role that was named, is no absence", function()
        local world, state = worlds.new { env = { HOME = "/h" }, fetch = function()
            return { status = 500, headers = {}, body = "" }
        end }
        assert.is_true(worlds.refused("unavailable", credentials.default(), world).retryable)
        state.fetch = nobody
        state.env.ALIBABA_CLOUD_ECS_METADATA = "spark"
        assert.is_true(worlds.refused("unavailable", credentials.default(), world).retryable)
    end)

    it("a file that was named is no absence", function()
        for _, variable in ipairs { "ALIBABA_CLOUD_CONFIG_FILE",
            "ALIBABA_CLOUD_CREDENTIALS_FILE" } do
            worlds.refused("unreadable", credentials.default(), (worlds.new { fetch = nobody,
                env = { HOME = "/h", [variable] = "/gone" } }))
        end
    end)

    it("'1' switches nothing off", function()
        local world, state = worlds.new { fetch = nobody, env = { HOME = "/h",
            ALIBABA_CLOUD_ECS_METADATA_DISABLED = "1" } }
        worlds.refused("none", credentials.default(), world)
        assert.is_true(#state.requests > 0)
    end)

    it("takes no options", function()
        assert.error_matches(function() credentials.default { profile = "x" } end, "profile")
    end)
end)
