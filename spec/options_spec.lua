-- The options of a native call: names, types, ranges (fault catalogue, rows A1, A8, A9, B1, B2).

local emr = require "emr"

local attempt = require "spec.support.attempt"
local call = require "spec.support.call"
local emulator = require "spec.support.emulator"
local wrong = require "spec.support.wrong"

local request, options = attempt.request, attempt.options

local STRINGS = {
    "region", "endpoint", "network", "access_key_id", "access_key_secret", "security_token",
    "ca_file", "ca_path", "client_cert", "client_key", "proxy", "no_proxy", "user_agent",
}
local NAN, INF = 0 / 0, 1 / 0
local TEN_YEARS = 10 * 365 * 86400

-- Numbers that must be refused, and numbers that must be taken.
local NEVER = { NAN, INF, -INF, 1e300, -1e300, -1e9 }
local NUMBERS = {
    timeout = { refused = { 0, -1, 1e-9, 0.0009, 3600.1, 1e9 }, taken = { 0.001, 0.5, 3600 } },
    connect_timeout = { refused = { 0, -1, 1e-9, 0.0009, 3600.1 }, taken = { 0.001, 0.5, 3600 } },
    max_response_bytes = {
        refused = { 0, -1, 1e-9, 0.5, 2.5, 2 ^ 30 + 1, 2 ^ 53 }, taken = { 1, 1024, 2 ^ 30 },
    },
    clock_offset = {
        refused = { 2 * TEN_YEARS, -2 * TEN_YEARS },
        taken = { 0, -1, 1e-9, 2.5, TEN_YEARS, -TEN_YEARS },
    },
}


describe("options", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    describe("A1: raise when", function()
        local function each_type(names, right)
            for _, name in ipairs(names) do
                for type_name, value in pairs(wrong.types(right)) do
                    it(name .. " is a " .. type_name, function()
                        attempt.refused(name, request(), options { [name] = value })
                    end)
                end
            end
        end

        for type_name, value in pairs(wrong.types "table") do
            it("they are a " .. type_name, function()
                attempt.refused("options", request(), value)
            end)
        end

        each_type(STRINGS, "string")
        each_type({ "timeout", "connect_timeout", "max_response_bytes", "clock_offset" }, "number")
        each_type({ "headers" }, "table")

        for _, name in ipairs { "allow_http", "blocking" } do
            for type_name, value in pairs(wrong.types "boolean") do
                it(name .. " is a " .. type_name, function()
                    attempt.refused(name, request(), options { [name] = value })
                end)
            end
        end
    end)

    describe("A8:", function()
        for name, cases in pairs(NUMBERS) do
            for _, list in ipairs { NEVER, cases.refused } do
                for _, value in ipairs(list) do
                    it(("%s = %s raises"):format(name, value), function()
                        attempt.refused(name, request(), options { [name] = value })
                    end)
                end
            end
            for _, value in ipairs(cases.taken) do
                it(("%s = %s is taken"):format(name, value), function()
                    attempt.prepared(request(), { [name] = value })
                end)
            end
        end
    end)

    describe("A9: raise on an unknown name,", function()
        for _, name in ipairs { "Region", "regionId", "time_out", "timeouts", "verify", "insecure",
            "deadline", "retry", "credentials", "" } do
            it(("%q, and show it"):format(name), function()
                attempt.refused("'" .. name .. "'", request(), options { [name] = "x" })
            end)
        end

        it("one that is no text", function()
            attempt.refused("options", request(), options { [1] = "x" })
        end)
    end)

    it("A9: let an error of their __index through unchanged", function()
        local mistake = {}
        local hostile = setmetatable({}, { __index = function() error(mistake) end })
        for _, f in ipairs { emr.prepare, emr.call, emr.start } do
            local ok, message = pcall(f, emr.operations.GetSessionCluster, request(), hostile)
            assert.is_false(ok)
            assert.equal(mistake, message)
        end
        assert.same({}, emu:requests())
    end)

    it("A9: may change once a transfer has begun, as may the request", function()
        local r, o = request(), options { headers = { ["x-trace"] = "before" } }
        local transfer = emr.start(emr.operations.GetSessionCluster, r, o)
        r.workspaceId, o.access_key_secret, o.endpoint = "w-2", "another", "https://127.0.0.1:1"
        o.headers["x-trace"], o.headers = "after", nil
        collectgarbage()
        assert.equal("s-1", assert(call.finish(transfer)).sessionCluster.sessionClusterId)
        local seen = emu:requests()
        assert.same({ 1, "ok", "before" }, { #seen, seen[1].verdict, seen[1].headers["x-trace"] })
        assert.matches("/w%-1/", seen[1].uri)
    end)

    it("are read through an __index, as a table of defaults", function()
        local prepared = assert(emr.prepare(emr.operations.GetSessionCluster, request(),
            setmetatable({ region = "cn-beijing" }, { __index = options { region = false } })))
        assert.matches("regionId=cn%-beijing$", prepared.url)
        assert.equal(1, prepared.url:find(emu.http, 1, true))
    end)

    describe("B1:", function()
        for _, name in ipairs { "access_key_id", "access_key_secret", "security_token" } do
            for what, value in pairs {
                ["CR"] = "CANARY\rx", ["LF"] = "CANARY\nx", ["NUL"] = "CANARY\0x",
                ["a blank"] = "CANARY x", ["a tab"] = "CANARY\tx", ["DEL"] = "CANARY\127",
                ["non-ASCII"] = "CANARY\195\169", ["a bare high byte"] = "CANARY\255",
                ["a trailing newline"] = "CANARY\n", ["nothing"] = "",
            } do
                it(("%s with %s raises"):format(name, what), function()
                    attempt.refused(name, request(), options { [name] = value })
                end)
            end
        end

        local half_pairs = {
            ["an id without a secret"] = { "access_key_secret", { access_key_secret = false } },
            ["a secret without an id"] = { "access_key_id", { access_key_id = false } },
            ["a token alone"] = { "access_key_id",
                { access_key_id = false, access_key_secret = false, security_token = "CANARY" } },
        }
        for what, case in pairs(half_pairs) do
            it(what .. " raises, and names the other half", function()
                attempt.refused(case[1], request(), options(case[2]))
            end)
        end
    end)

    describe("B2:", function()
        for what, value in pairs { CR = "CANARY\rx", LF = "CANARY\nx: y", NUL = "CANARY\0",
            ["a header"] = "CANARY\r\nx-acs-injected: 1" } do
            it("a user agent with " .. what .. " raises", function()
                attempt.refused("user_agent", request(), options { user_agent = value })
            end)
        end

        it("a user agent of 257 bytes raises, one of 256 is appended to ours", function()
            attempt.refused("user_agent", request(), options { user_agent = ("C"):rep(257) })
            local got = attempt.accepted(request(), { user_agent = ("C"):rep(256) })
            assert.equal("emr/" .. emr._VERSION .. " " .. ("C"):rep(256), got.headers["user-agent"])
        end)

        it("a token of more than 16 KiB raises", function()
            attempt.refused("security_token", request(),
                options { security_token = ("C"):rep(16385) })
            attempt.prepared(request(), { security_token = ("C"):rep(16384) })
        end)
    end)

    for _, name in ipairs(STRINGS) do
        it("no control byte may be in " .. name, function()
            for _, control in ipairs { "\0", "\r", "\n", "\27", "\127" } do
                attempt.refused(name, request(), options { [name] = "CANARY" .. control .. "x" })
            end
        end)
    end

    it("network is public or vpc", function()
        for _, value in ipairs { "PUBLIC", "Vpc", "private", "internal", "" } do
            attempt.refused("network", request(), options { network = value })
        end
    end)

    it("network is vpc only where the operation has such a host", function()
        local operation = { name = "X", version = "1", product = "x", method = "GET", path = "/",
            hosts = { public = "example.com" } }
        local ok, message = pcall(emr.prepare, operation, {}, { network = "vpc",
            access_key_id = "id", access_key_secret = "secret" })
        assert.is_false(ok)
        assert.truthy(message:find("options.network", 1, true), message)
    end)

    it("a key of the client needs its certificate", function()
        attempt.refused("client_cert", request(), options { client_key = "/CANARY" })
    end)

    it("a token is sent and signed", function()
        local key = emu.sts
        local got = attempt.accepted(request(), { access_key_id = key.access_key_id,
            access_key_secret = key.access_key_secret, security_token = key.security_token })
        assert.equal(key.security_token, got.headers["x-acs-security-token"])
        assert.matches("[=;]x%-acs%-security%-token[;,]", got.headers.authorization)
    end)

    it("may be left out, but for the region", function()
        local ok, message = pcall(emr.prepare, emr.operations.GetSessionCluster, request())
        assert.is_false(ok)
        assert.truthy(message:find("region", 1, true), message)
    end)
end)
