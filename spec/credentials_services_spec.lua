local cjson = require "cjson"
local credentials = require "emr.credentials"
local failure = require "emr.failure"
local worlds = require "spec.support.world"

local SECRET, TOKEN = worlds.SECRET, worlds.TOKEN
local ROLES = "/latest/meta-data/ram/security-credentials/"

local function answer(status, body)
    return { status = status, headers = {}, body = body or "" }
end

local function key_body(fields)
    local reply = worlds.reply("STS.ecs")
    reply.Code = "Success"
    for name, value in pairs(fields or {}) do
        reply[name] = value ~= "none" and value or nil
    end
    return cjson.encode(reply)
end

-- A metadata service; `rows` replaces what it answers at "token", "role" or "key": a reply, a
-- function, or a list of them, the last one for ever.
local function service(rows, state)
    local good = { token = answer(200, "session-1"), role = answer(200, "spark\n"),
        key = answer(200, key_body()) }
    local asked = {}
    state = state or {}
    function state.fetch(request, options)
        local step = request.method == "PUT" and "token"
            or request.url:find("credentials/$") and "role" or "key"
        asked[#asked + 1] = step .. (request.headers["x-aliyun-ecs-metadata-token"] and "+" or "")
        asked[step] = (asked[step] or 0) + 1
        local row = rows and rows[step] or good[step]
        if type(row) == "table" and row[1] then
            row = row[math.min(asked[step], #row)]
        end
        if type(row) == "function" then
            return row(options)
        end
        return row
    end
    local world
    world, state = worlds.new(state)
    state.asked = asked
    return world, state
end

local function steps(state)
    return table.concat(state.asked, " ")
end

local function refusing()
    return failure("network", "connect", "connection refused")
end

describe("credentials.ecs", function()
    it("fetches a session token, the role's name and the key", function()
        local world, state = service()
        local key = credentials.ecs()(world)
        assert.equal("STS.ecs", key.access_key_id)
        assert.equal(SECRET, key.access_key_secret)
        assert.equal(TOKEN, key.security_token)
        assert.equal(worlds.WALL + 3600, key.expiration)
        assert.equal("ecs_ram_role", key.source)
        assert.equal("token role+ key+", steps(state))
        local token, role, last = state.requests[1], state.requests[2], state.requests[3]
        assert.equal("PUT", token.request.method)
        assert.equal("http://100.100.100.200/latest/api/token", token.request.url)
        assert.equal("21600", token.request.headers["x-aliyun-ecs-metadata-token-ttl-seconds"])
        assert.equal("GET", role.request.method)
        assert.equal("http://100.100.100.200" .. ROLES, role.request.url)
        assert.equal("session-1", role.request.headers["x-aliyun-ecs-metadata-token"])
        assert.equal("http://100.100.100.200" .. ROLES .. "spark", last.request.url)
    end)

    it("J6: 1 s each, no proxy, plain http, 64 KiB at most", function()
        local world, state = service()
        credentials.ecs()(world)
        for _, entry in ipairs(state.requests) do
            assert.equal(1, entry.options.connect_timeout)
            assert.equal(1, entry.options.timeout)
            assert.equal("*", entry.options.no_proxy)
            assert.is_true(entry.options.allow_http)
            assert.equal(65536, entry.options.max_response_bytes)
        end
    end)

    it("saves the question for the role when it is known", function()
        local world, state = service()
        credentials.ecs { role_name = "mine", endpoint = "http://127.0.0.1:1/" }(world)
        assert.equal("token key+", steps(state))
        assert.equal("http://127.0.0.1:1" .. ROLES .. "mine", state.requests[2].request.url)
        world, state = service()
        state.env.ALIBABA_CLOUD_ECS_METADATA = "from-env"
        credentials.ecs()(world)
        assert.matches("/from%-env$", state.requests[2].request.url)
    end)

    it("J7: without a session token it goes on in the older mode", function()
        for _, row in ipairs { answer(403), answer(404), answer(500), refusing, answer(200, ""),
            answer(200, "a\r\nb") } do
            local world, state = service { token = row }
            assert.equal("STS.ecs", credentials.ecs()(world).access_key_id)
            assert.equal("token role key", steps(state))
        end
    end)

    it("J7: not where the older mode is forbidden", function()
        for _, row in ipairs { answer(403), answer(404), answer(200, "") } do
            local world, state = service { token = row }
            local found, _, err = credentials.ecs { disable_imdsv1 = true }(world)
            assert.is_nil(found)
            assert.equal("credentials", err.kind)
            assert.equal("token", steps(state))
            world, state = service { token = row }
            state.env.ALIBABA_CLOUD_IMDSV1_DISABLED = "true"
            assert.is_nil((credentials.ecs()(world)))
            assert.equal("token", steps(state))
        end
    end)

    it("J6: repeats one request, once", function()
        for _, bad in ipairs { refusing, answer(500), answer(503) } do
            local world, state = service { role = { bad, answer(200, "spark") } }
            assert.is_table(credentials.ecs()(world))
            assert.equal("token role+ role+ key+", steps(state))
            world, state = service { role = { bad, answer(200, "spark") }, key = bad }
            worlds.refused("unavailable", credentials.ecs(), world)
            assert.equal("token role+ role+ key+", steps(state))
            world, state = service { token = { bad, answer(200, "session-2") } }
            assert.is_table(credentials.ecs { disable_imdsv1 = true }(world))
            assert.equal("token token role+ key+", steps(state))
        end
    end)

    it("repeats without the session token when that is refused, unless forbidden", function()
        local rows = { role = { answer(401), answer(200, "spark") } }
        local world, state = service(rows)
        assert.is_table(credentials.ecs()(world))
        assert.equal("token role+ role key", steps(state))
        world, state = service(rows)
        credentials.ecs { disable_imdsv1 = true }(world)
        assert.equal("token role+ role+ key+", steps(state))
    end)

    it("J6: a black hole costs 2 s in all", function()
        local state = {}
        local function silent(options)
            state:pass(options.timeout)
            return failure("timeout", "connect", "no answer")
        end
        local world = service({ token = silent, role = silent, key = silent }, state)
        for _, options in ipairs { {}, { disable_imdsv1 = true }, { role_name = "r" } } do
            local start = state.now
            local err = worlds.refused("unavailable", credentials.ecs(options), world)
            assert.matches("100.100.100.200", err.message, 1, true)
            assert.is_true(err.retryable)
            assert.is_true(state.now - start <= 2.0001)
        end
    end)

    it("J6: a service that drips is given up after 2 s", function()
        local state = {}
        local function slow(body)
            return function(options)
                local takes = 0.9
                assert(options.timeout >= takes or state.now > 1001)
                state:pass(math.min(takes, options.timeout))
                if options.timeout < takes then
                    return failure("timeout", "attempt", "too slow")
                end
                return answer(200, body)
            end
        end
        local world = service({ token = slow "t", role = slow "spark", key = slow "{}" }, state)
        worlds.refused("unavailable", credentials.ecs(), world)
        assert.is_true(state.now <= 1002.0001)
    end)

    it("H1: ends at the caller's deadline, as such", function()
        local state = {}
        local world = service({ token = function(options)
            state:pass(options.timeout)
            return failure("timeout", "attempt", "too slow")
        end }, state)
        world.deadline = state.now + 0.5
        worlds.refused("deadline", credentials.ecs(), world)
        assert.is_true(state.now <= 1000.5001)
    end)

    it("J6: does not follow a redirect", function()
        for _, step in ipairs { "token", "role", "key" } do
            local redirect = answer(302)
            redirect.headers.location = "http://evil.example.com/"
            local world, state = service { [step] = redirect }
            credentials.ecs { disable_imdsv1 = true }(world)
            for _, entry in ipairs(state.requests) do
                assert.matches("^http://100%.100%.100%.200/", entry.request.url)
            end
        end
    end)

    it("J7: strange answers are unavailable or malformed", function()
        local rows = {
            { "unavailable", { role = answer(404) }, "token role+" },
            { "unavailable", { role = answer(500) } },
            { "unavailable", { key = answer(404) }, "token role+ key+" },
            { "unavailable", { key = answer(500) } },
            { "malformed", { role = answer(200, "<html>CANARY</html>") } },
            { "malformed", { role = answer(200, "") } },
            { "malformed", { role = answer(200, "a/b") } },
            { "malformed", { role = answer(200, "..") } },
            { "malformed", { role = answer(200, "a\r\nb") } },
            { "malformed", { role = answer(200, ("a"):rep(65)) } },
            { "malformed", { key = answer(200, "<html>CANARY</html>") } },
            { "malformed", { key = answer(200, "") } },
            { "unavailable", { key = answer(200, "{}") } },
            { "unavailable", { key = answer(200, key_body { Code = "Failed" }) } },
            { "unavailable", { key = answer(200, key_body { Code = ("x"):rep(600) }) } },
            { "unavailable", { key = answer(200, key_body { Code = 5 }) } },
            { "malformed", { key = answer(200, key_body { AccessKeyId = "none" }) } },
            { "malformed", { key = answer(200, key_body { AccessKeySecret = "none" }) } },
            { "malformed", { key = answer(200, key_body { SecurityToken = "" }) } },
            { "malformed", { key = answer(200, key_body { SecurityToken = "CANARY\r\n" }) } },
        }
        for i, row in ipairs(rows) do
            local world, state = service(row[2])
            local ok, err = pcall(worlds.refused, row[1], credentials.ecs(), world)
            assert(ok, "row " .. i .. ": " .. tostring(err))
            assert(not row[3] or row[3] == steps(state), "row " .. i .. " asked " .. steps(state))
        end
        worlds.refused("malformed", credentials.ecs(),
            (service(nil, { env = { ALIBABA_CLOUD_ECS_METADATA = "../x" } })))
    end)

    it("J7: an instance without a role is told, with status, and is not tried again", function()
        local err = worlds.refused("unavailable", credentials.ecs(),
            (service { role = answer(404) }))
        assert.matches("no RAM role", err.message)
        assert.equal(404, err.status)
        assert.is_false(err.retryable)
    end)

    it("J6: repeats the session token once at most", function()
        local world, state = service { token = answer(503), role = answer(503) }
        worlds.refused("unavailable", credentials.ecs { disable_imdsv1 = true }, world)
        assert.equal("token token", steps(state))
        world, state = service { token = { answer(503), answer(200, "t") }, role = answer(503) }
        worlds.refused("unavailable", credentials.ecs { disable_imdsv1 = true }, world)
        assert.equal("token token role+", steps(state))
    end)

    it("J8: an end that is missing or unreadable is now", function()
        for _, value in ipairs { "none", "soon" } do
            local key = credentials.ecs()((service {
                key = answer(200, key_body { Expiration = value }) }))
            assert.equal(worlds.WALL, key.expiration)
        end
    end)

    it("raises for a wrong option and names it", function()
        for name, value in pairs { role_name = "a/b", endpoint = "100.100.100.200",
            disable_imdsv1 = 1, guess = true } do
            assert.error_matches(function() credentials.ecs { [name] = value } end, name)
        end
    end)
end)

describe("credentials.uri", function()
    local function serving(row, env)
        return worlds.new { env = env, fetch = function()
            if type(row) == "function" then
                return row()
            end
            return row
        end }
    end

    it("gets the key from the URL given or from the variable's", function()
        local world, state = serving(answer(200, key_body()),
            { ALIBABA_CLOUD_CREDENTIALS_URI = "http://sidecar:8080/k?a=b" })
        local key = credentials.uri()(world)
        assert.equal("STS.ecs", key.access_key_id)
        assert.equal("credential_uri", key.source)
        assert.equal(worlds.WALL + 3600, key.expiration)
        credentials.uri { url = "https://h/other" }(world)
        local first, second = state.requests[1], state.requests[2]
        assert.equal("http://sidecar:8080/k?a=b", first.request.url)
        assert.equal("GET", first.request.method)
        assert.is_true(first.options.allow_http)
        assert.equal(5, first.options.connect_timeout)
        assert.equal(10, first.options.timeout)
        assert.equal("https://h/other", second.request.url)
    end)

    it("J1: is none when nothing is set", function()
        worlds.refused("none", credentials.uri(), (worlds.new()))
    end)

    it("asks no URL that is none, and does not show it", function()
        for _, url in ipairs { "file:///etc/passwd", "ftp://h/CANARY", "h/CANARY", "http://",
            "http:///CANARY", "http://u:CANARY@h/", "http://h/a CANARY", "http://h/#CANARY",
            "http://h/\r\nCANARY: x", "http://h:0/", "http://h:99999/", "http://h:/",
            "http://a..b/", "http://127.1/", "http://0x7f.0.0.1/", "http://[::1/" } do
            worlds.refused("malformed", credentials.uri(),
                (worlds.new { env = { ALIBABA_CLOUD_CREDENTIALS_URI = url } }))
        end
    end)

    it("shows neither path nor query of the URL, as they may be a secret", function()
        local err = worlds.refused("unavailable", credentials.uri(), (serving(answer(500),
            { ALIBABA_CLOUD_CREDENTIALS_URI = "http://h:81/CANARY?x=CANARY" })))
        assert.matches("http://h:81", err.message, 1, true)
        assert.equal(500, err.status)
    end)

    it("J7: strange answers are unavailable or malformed", function()
        local rows = {
            { "unavailable", answer(404) }, { "unavailable", answer(302) },
            { "unavailable", refusing }, { "malformed", answer(200, "CANARY") },
            { "malformed", answer(200, "{}") },
            { "unavailable", answer(200, key_body { Code = "Failed" }) },
            { "malformed", answer(200, key_body { SecurityToken = "none" }) },
        }
        for _, row in ipairs(rows) do
            worlds.refused(row[1], credentials.uri { url = "http://h/" }, (serving(row[2])))
        end
    end)

    it("does without a Code, as half of the vendor's SDKs do", function()
        assert.is_table(credentials.uri { url = "http://h/" }(
            (serving(answer(200, key_body { Code = "none" })))))
    end)

    it("raises for an option that is no URL", function()
        assert.error_matches(function() credentials.uri { url = "h" } end, "url")
    end)
end)
