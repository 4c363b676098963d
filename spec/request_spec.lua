-- What a request may hold, and how it travels (fault catalogue, rows A1 to A7).

local emr = require "emr"

local attempt = require "spec.support.attempt"
local emulator = require "spec.support.emulator"
local wrong = require "spec.support.wrong"

local request, options = attempt.request, attempt.options

-- Where an id may stand: a field, and whether it is mandatory.
local IDS = { "workspaceId", "sessionClusterId" }
local PATH = "/api/v1/workspaces/w-1/sessionClusters/"
local MIB = ("CANARY!!"):rep(131072)


describe("a request", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    for type_name, value in pairs(wrong.types "table") do
        it("A1: raises when it is a " .. type_name, function()
            attempt.refused("request", value, options())
        end)
    end

    it("A1: raises when it is missing", function()
        attempt.refused("request", nil, options())
    end)

    for type_name, value in pairs(wrong.types()) do
        it("A1: raises when the operation is a " .. type_name, function()
            for _, f in ipairs { emr.prepare, emr.call, emr.start } do
                local ok, message = pcall(f, value, request(), options())
                assert.is_false(ok)
                assert.truthy(message:find("operation", 1, true) or
                    f == emr.start and message:find("http_request", 1, true), message)
            end
            assert.same({}, emu:requests())
        end)
    end

    for _, name in ipairs { "workspaceId", "sessionClusterId", "regionId" } do
        for type_name, value in pairs(wrong.types "string") do
            it(("A1: raises when %s is a %s"):format(name, type_name), function()
                attempt.refused(name, request { [name] = value }, options())
                attempt.refused(name, request { [name] = emr.null }, options())
            end)
        end

        it("A5: raises on control bytes in " .. name, function()
            for byte = 0, 32 do
                local control = string.char(byte == 32 and 127 or byte)
                for _, value in ipairs { control, "CANARY" .. control, control .. "CANARY",
                    "CAN" .. control .. "CANARY" } do
                    local ok, message = pcall(emr.prepare, emr.operations.GetSessionCluster,
                        request { [name] = value }, options())
                    assert.is_false(ok)
                    assert.truthy(message:find(name, 1, true), message)
                    assert.is_nil(message:find("CANARY", 1, true))
                    assert.is_nil(message:find("[%c\127]"))
                end
            end
            attempt.refused(name, request { [name] = "CANARY\0CANARY" }, options())
            attempt.refused(name, request { [name] = "CANARY\r\nx: CANARY" }, options())
        end)
    end

    for _, name in ipairs(IDS) do
        it("A2: raises without " .. name, function()
            attempt.refused(name, request { [name] = false }, options())
            attempt.refused(name, request { [name] = "" }, options())
        end)

        it("A3: raises when " .. name .. " would climb", function()
            attempt.refused(name, request { [name] = "." }, options())
            attempt.refused(name, request { [name] = ".." }, options())
        end)

        it("A7: raises when " .. name .. " is longer than 1 KiB", function()
            attempt.refused(name, request { [name] = ("C"):rep(1025) }, options())
            attempt.accepted(request { [name] = ("C"):rep(1024) })
        end)
    end

    describe("A8: raises when an int32 of the query is", function()
        for _, value in ipairs { 0 / 0, 1 / 0, -1 / 0, 1e300, 1.5, 1e-9, 2 ^ 31, "30", true } do
            it(type(value) .. " " .. tostring(value), function()
                attempt.refused("maxResults", { workspaceId = "w-1", maxResults = value },
                    options(), "ListSessionClusters")
            end)
        end
    end)

    it("A2: raises when an id that travels in the body is missing or empty", function()
        for _, name in ipairs { "StartSessionCluster", "StopSessionCluster" } do
            for _, id in ipairs { false, "" } do
                attempt.refused("sessionClusterId", request { sessionClusterId = id }, options(),
                    name)
            end
        end
    end)

    it("A3: lets dots be where they do not climb", function()
        for _, id in ipairs { "...", "a.", ".a", "..a", "a..b" } do
            local got = attempt.accepted(request { sessionClusterId = id })
            assert.equal(PATH .. id, got.path)
            emu:reset()
        end
    end)

    describe("A4: encodes", function()
        local cases = {
            ["/"] = "%2F", ["?"] = "%3F", ["#"] = "%23", ["%"] = "%25", ["&"] = "%26",
            ["+"] = "%2B", ["*"] = "%2A", ["~"] = "~", ['"'] = "%22", ["<"] = "%3C",
            [">"] = "%3E", ["["] = "%5B", ["]"] = "%5D", [" "] = "%20", ["\\"] = "%5C",
            ["{"] = "%7B", ["{workspaceId}"] = "%7BworkspaceId%7D", ["%s"] = "%25s",
            ["a%2Fb"] = "a%252Fb", ["%2e%2e"] = "%252e%252e", ["../x"] = "..%2Fx",
            ["./."] = ".%2F.", ["/.."] = "%2F..", ["a//b"] = "a%2F%2Fb",
        }
        for id, encoded in pairs(cases) do
            it(("%q once, and it is received so"):format(id), function()
                local got = attempt.accepted(request { sessionClusterId = id })
                assert.equal(PATH .. encoded, got.path)
                emu:reset()
                got = attempt.accepted(request { workspaceId = id })
                assert.equal("/api/v1/workspaces/" .. encoded .. "/sessionClusters/s-1", got.path)
            end)
        end

        it("every byte but the unreserved ones, in upper case", function()
            local id, encoded = {}, {}
            for byte = 0x20, 0xFF do
                local char = string.char(byte)
                if byte ~= 0x7F then
                    id[#id + 1] = char
                    encoded[#encoded + 1] = char:find("[A-Za-z0-9_.~-]") and byte < 0x80 and char
                        or ("%%%02X"):format(byte)
                end
            end
            local got = attempt.accepted(request { sessionClusterId = table.concat(id) })
            assert.equal(PATH .. table.concat(encoded), got.path)
        end)

        it("the values of a query once, and they are received so", function()
            local got = attempt.accepted(
                { workspaceId = "w-1", nextToken = "a+b/c==&d e%2F~*'", maxResults = 10 }, nil,
                "ListSessionClusters")
            assert.equal("maxResults=10&nextToken=a%2Bb%2Fc%3D%3D%26d%20e%252F~%2A%27"
                .. "&regionId=cn-hangzhou", got.query)
        end)
    end)

    describe("A6: sends as percent bytes", function()
        local cases = {
            ["Chinese"] = { "\230\181\139\232\175\149", "%E6%B5%8B%E8%AF%95" },
            ["an emoji"] = { "\240\159\152\128", "%F0%9F%98%80" },
            ["a combining mark"] = { "e\204\129", "e%CC%81" },
            ["a byte that is never UTF-8"] = { "a\255b", "a%FFb" },
            ["an overlong form"] = { "\192\175", "%C0%AF" },
            ["half a surrogate pair"] = { "\237\160\128", "%ED%A0%80" },
            ["a cut sequence"] = { "\230\181", "%E6%B5" },
        }
        for name, case in pairs(cases) do
            it(name, function()
                assert.equal(PATH .. case[2],
                    attempt.accepted(request { sessionClusterId = case[1] }).path)
            end)
        end
    end)

    -- The catalogue gives 10 ms to each; a copy would show in the Lua heap as 1 024 KiB.
    it("A7: raises at once on 1 MiB, and copies nothing", function()
        local cases = {
            workspaceId = { request { workspaceId = MIB }, options() },
            sessionClusterId = { request { sessionClusterId = MIB }, options() },
            regionId = { request { regionId = MIB }, options { region = false } },
            region = { request(), options { region = MIB } },
            security_token = { request(), options { security_token = MIB } },
        }
        for name, arguments in pairs(cases) do
            local best, heap = math.huge, nil
            collectgarbage()
            collectgarbage("stop")
            for _ = 1, 5 do
                heap = collectgarbage("count")
                local before = emr.now()
                pcall(emr.prepare, emr.operations.GetSessionCluster, arguments[1], arguments[2])
                best = math.min(best, emr.now() - before)
                heap = collectgarbage("count") - heap
            end
            collectgarbage("restart")
            assert.is_true(best < 0.01, name)
            assert.is_true(heap < 256, name)
            attempt.refused(name, arguments[1], arguments[2])
        end
    end)

    describe("raises on an unknown name", function()
        for _, name in ipairs { "workspaceid", "workspace_id", "sessionClusterID", "region", "",
            "workspaceId ", "states" } do
            it(("%q, and shows it"):format(name), function()
                attempt.refused("'" .. name .. "'", request { [name] = "x" }, options())
            end)
        end

        it("that is no text", function()
            attempt.refused("request", request { [1] = "x" }, options())
            attempt.refused("request", request { [true] = "x" }, options())
        end)

        it("without its control bytes, and cut", function()
            attempt.refused("unknown", request { ["a\r\nb\0\27[31m"] = "x" }, options())
            attempt.refused("unknown", request { [("x"):rep(100000)] = "x" }, options())
        end)
    end)

    it("A9: lets an error of its __index through unchanged", function()
        local mistake = {}
        local hostile = setmetatable({}, { __index = function() error(mistake) end })
        for _, f in ipairs { emr.prepare, emr.call, emr.start } do
            local ok, message = pcall(f, emr.operations.GetSessionCluster, hostile, options())
            assert.is_false(ok)
            assert.equal(mistake, message)
        end
        assert.same({}, emu:requests())
    end)

    it("is not changed, nor are the options", function()
        local r, o = request { regionId = "cn-beijing" }, options()
        attempt.prepared(r)
        emr.call(emr.operations.GetSessionCluster, r, o)
        assert.same(request { regionId = "cn-beijing" }, r)
        assert.same(options(), o)
    end)

    it("is the same through get_session_cluster", function()
        local response = assert(emr.get_session_cluster(request(), options()))
        assert.equal("s-1", response.sessionCluster.sessionClusterId)
        local seen = emu:requests()
        assert.equal(1, #seen)
        assert.equal("GetSessionCluster", seen[1].operation)
        assert.equal(PATH .. "s-1?regionId=cn-hangzhou", seen[1].uri)
        assert.equal("ok", seen[1].verdict)
        local ok, message = pcall(emr.get_session_cluster, { workspaceId = "w-1" }, options())
        assert.is_false(ok)
        assert.truthy(message:find("sessionClusterId", 1, true))
    end)

    it("may have a flag in its query", function()
        local operation = { name = "X", version = "1", product = "x", method = "GET", path = "/",
            hosts = { public = "example.com" }, query = { { name = "deep", type = "boolean" } } }
        local function prepare(deep)
            return pcall(emr.prepare, operation, { deep = deep },
                { access_key_id = "id", access_key_secret = "secret" })
        end
        for _, value in ipairs { true, false } do
            local _, prepared = prepare(value)
            assert.equal("https://example.com/?deep=" .. tostring(value), prepared.url)
        end
        for _, value in pairs(wrong.types "boolean") do
            local ok, message = prepare(value)
            assert.is_false(ok)
            assert.truthy(message:find("request.deep", 1, true), message)
        end
    end)

    it("may be prepared, and sent by fetch, once", function()
        local prepared = attempt.prepared(request())
        assert.equal(200, assert(emr.fetch(prepared)).status)
        assert.equal(400, assert(emr.fetch(prepared)).status)
        local seen = emu:requests()
        assert.same({ "ok", "SignatureNonceUsed" }, { seen[1].verdict, seen[2].verdict })
    end)

    describe("prepared", function()
        it("has a method, a URL, headers, and no body where there is none", function()
            local prepared = attempt.prepared(request())
            assert.equal("GET", prepared.method)
            assert.equal(emu.http .. PATH .. "s-1?regionId=cn-hangzhou", prepared.url)
            assert.is_nil(prepared.body)
            local headers = prepared.headers
            assert.equal("GetSessionCluster", headers["x-acs-action"])
            assert.equal("2023-08-08", headers["x-acs-version"])
            assert.equal("application/json", headers.accept)
            assert.is_nil(headers["content-type"])
            assert.matches("^%x+$", headers["x-acs-signature-nonce"])
            assert.equal(32, #headers["x-acs-signature-nonce"])
        end)

        it("is signed for now, in UTC, moved by clock_offset", function()
            for _, offset in ipairs { 0, 3600, -86400, 0.25, 315360000 } do
                local format = "!%Y-%m-%dT%H:%M:%SZ"
                local before = os.date(format, os.time() + math.floor(offset))
                local date = attempt.prepared(request(), { clock_offset = offset })
                    .headers["x-acs-date"]
                -- os.time may be some milliseconds late
                local after = os.date(format, os.time() + math.ceil(offset) + 1)
                assert.is_true(before <= date and date <= after, date)
            end
        end)

        it("has a nonce that was never used", function()
            local seen = {}
            for _ = 1, 10000 do
                local prepared = emr.prepare(emr.operations.GetSessionCluster, request(), options())
                local nonce = prepared.headers["x-acs-signature-nonce"]
                assert(not seen[nonce])
                seen[nonce] = true
            end
        end)
    end)
end)
