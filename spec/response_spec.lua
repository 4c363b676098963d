-- Good replies, and those that should have been (design section 4, response; fault catalogue, rows
-- E10 to E12, F1, F3, F9). Errors of the service: service_error_spec.lua; JSON: decode_spec.lua.

local cjson = require "cjson"
local emr = require "emr"

local attempt = require "spec.support.attempt"
local emulator = require "spec.support.emulator"
local growth = require "spec.support.growth"
local wrong = require "spec.support.wrong"

local GET = emr.operations.GetSessionCluster

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

local SAMPLE = read "spec/emulator/sample.json" -- the reference page's, byte for byte

-- What the reference page documents, with the values of its sample.
local DOCUMENTED = {
    requestId = "DD6B1B2A-5837-5237-ABE4-FF0C8944****",
    sessionCluster = {
        workspaceId = "w-1234abcd",
        sessionClusterId = "1234abcd-12ab-34cd-56ef-1234567890ab",
        userId = "123xxxxxxxx",
        queueName = "dev_queue",
        state = "Running",
        stateChangeReason = { code = "1000000", message = "ok" },
        autoStartConfiguration = { enable = false },
        autoStopConfiguration = { enable = false, idleTimeoutMinutes = 60 },
        applicationConfigs = {
            {
                configFileName = "spark-defaults.conf",
                configItemKey = "spark.app.name",
                configItemValue = "test",
            },
        },
        releaseVersion = "esr-4.0.0 (Spark 3.5.2, Scala 2.12)",
        name = "test",
        userName = "user1",
        kind = "SQL",
        webUI = "https://spark-ui/link",
        draftId = "TSK-xxxxxxxx",
        domain = "your.domain.com",
        displayReleaseVersion = "esr-4.0.0 (Spark 3.5.2, Scala 2.12)",
        fusion = false,
        envId = "env-cpv569tlhtgndjl8****",
        gmtCreate = 0,
        startTime = 0,
        domainInner = "emr-spark-gateway-cn-hangzhou-internal.data.aliyuncs.com",
        extra = '{"extraInfoKey":"extraInfoValue"}',
        publicEndpointEnabled = false,
        connectionToken = "",
    },
}

-- JSON values of each type, and what they are in Lua.
local VALUES = {
    { '"x"', "x" }, { '""', "" }, { "1", 1 }, { "1.5", 1.5 }, { "true", true }, { "false", false },
    { '{"a":1}', { a = 1 } }, { "[1,2]", { 1, 2 } }, { "[]", {} }, { "{}", {} }, { "null", nil },
}

local function parse(body, status, headers)
    return emr.parse(GET, { status = status or 200, headers = headers, body = body })
end

-- Fails with this kind and code, like every failure, and shows nothing of the body.
local function fails(kind, code, ...)
    local value, message, err = parse(...)
    assert.is_nil(value)
    assert.equal(kind .. "/" .. code, err.kind .. "/" .. tostring(err.code), message)
    assert.same({ message, message }, { err.message, tostring(err) })
    assert.is_nil(message:find("[%c\127]"))
    assert.is_nil(message:find("CANARY", 1, true))
    assert.is_true(#message <= 512)
    assert.equal(select(2, ...) or 200, err.status)
    assert.equal(kind == "protocol" and code == "empty", err.retryable)
    return err
end


describe("a good reply", function()
    describe("has, of the documented sample,", function()
        local function each(expected, path)
            for name, value in pairs(expected) do
                local place = path and path .. "." .. name or name
                if type(value) == "table" then
                    each(value, place)
                else
                    it(("%s = %q, a %s"):format(place, tostring(value), type(value)), function()
                        local got = assert(parse(SAMPLE))
                        for step in place:gmatch("[^.]+") do
                            got = got[tonumber(step) or step]
                        end
                        assert.equal(value, got)
                        if math.type then
                            assert.equal(type(value) == "number" and "integer" or nil,
                                math.type(got) or nil)
                        end
                    end)
                end
            end
        end
        each(DOCUMENTED)

        it("all of it, and nothing else", function()
            assert.same(DOCUMENTED, parse(SAMPLE))
        end)

        it("every element that the catalogue knows", function()
            local function check(fields, value)
                for _, field in ipairs(fields) do
                    assert.is_not_nil(value[field.name], field.name)
                    if field.fields then
                        check(field.fields, value[field.name][1] or value[field.name])
                    end
                end
            end
            check(GET.response, parse(SAMPLE))
        end)
    end)

    it("is the same over the wire", function()
        local response = assert(emr.get_session_cluster({
            workspaceId = "w-1234abcd",
            sessionClusterId = "1234abcd-12ab-34cd-56ef-1234567890ab",
        }, attempt.options()))
        assert.same(DOCUMENTED, response)
    end)

    it("F3: may have any 2xx status, any headers, any content type, blanks around it", function()
        for _, status in ipairs { 200, 201, 202, 203, 206, 226, 299 } do
            assert.same(DOCUMENTED, parse(SAMPLE, status))
        end
        for _, name in ipairs { "text/html", "text/plain;charset=gbk", "", "application/xml" } do
            assert.same(DOCUMENTED, parse(SAMPLE, 200, { ["Content-Type"] = name }))
        end
        assert.same(DOCUMENTED, parse(" \r\n\t" .. SAMPLE .. "\n\n"))
        assert.same(DOCUMENTED, parse(SAMPLE, 200, {}))
    end)

    it("keeps members that nobody knows yet", function()
        local body = SAMPLE:gsub('"name": "test"', '%0, "new": {"a": [1, {"b": null}]}')
        assert.same({ a = { 1, {} } }, parse(body).sessionCluster.new)
        assert.equal("x", parse('{"sessionCluster":{},"newer":"x"}').newer)
    end)

    it("F7: has 13-digit times as integers that print as such", function()
        local cluster = parse([[{"sessionCluster":
            {"gmtCreate":1735689600000,"startTime":1735689660000.0}}]]).sessionCluster
        assert.equal("1735689600000", tostring(cluster.gmtCreate))
        assert.equal("1735689660000", tostring(cluster.startTime))
    end)

    it("F8: null members are absent, nulls in arrays are emr.null, empties are empty", function()
        local cluster = parse([=[{"sessionCluster":{"state":null,"stateChangeReason":null,
            "applicationConfigs":[null,{"configItemKey":null},[]],"extra":[],"fusion":{}}}]=])
            .sessionCluster
        assert.same({ applicationConfigs = { emr.null, {}, {} }, extra = {}, fusion = {} }, cluster)
        assert.equal(cjson.null, cluster.applicationConfigs[1])
    end)

    it("F8: has the last of members with the same name", function()
        assert.same({ sessionCluster = { state = "b" } },
            parse '{"sessionCluster":{"state":"x"},"sessionCluster":{"state":"a","state":"b"}}')
    end)

    it("may have an error code beside its cluster", function()
        for _, code in ipairs { "code", "Code" } do
            local body = ('{"%s":"1000000","sessionCluster":{"state":"Running"}}'):format(code)
            assert.equal("Running", parse(body).sessionCluster.state)
        end
    end)

    describe("F9: has inner fields as they come:", function()
        for name in pairs(DOCUMENTED.sessionCluster) do
            it(name, function()
                for _, value in ipairs(VALUES) do
                    local body = ('{"sessionCluster":{"%s":%s}}'):format(name, value[1])
                    assert.same({ sessionCluster = { [name] = value[2] } }, parse(body))
                end
            end)
        end
    end)

    it("of a list may leave out an empty list", function()
        local list = emr.operations.ListSessionClusters
        for body, expected in pairs {
            ['{"sessionClusters":[{"state":"Running"}],"totalCount":1}'] =
                { sessionClusters = { { state = "Running" } }, totalCount = 1 },
            ['{"sessionClusters":[]}'] = { sessionClusters = {} },
        } do
            assert.same(expected, emr.parse(list, { status = 200, body = body }))
        end
        for _, body in ipairs { '{"sessionClusters":"x"}', '{"sessionClusters":{"a":1}}' } do
            assert.equal("shape", select(3, emr.parse(list, { status = 200, body = body })).code)
        end
    end)
end)


describe("a reply that should have been good", function()
    it("F3: cut at any offset is protocol/json, and never raises", function()
        for length = 1, #SAMPLE - 1 do
            fails("protocol", "json", SAMPLE:sub(1, length))
        end
    end)

    it("F3: with something after it is protocol/json", function()
        for _, rest in ipairs { "x", "}", "{}", ",", "\0", "// c", "/* c */", SAMPLE } do
            fails("protocol", "json", SAMPLE .. rest)
        end
    end)

    for _, case in ipairs {
        { "F1", "<html>CANARY</html>" }, { "F3", " " }, { "F3", "\r\n" }, { "F3", "CANARY" },
        { "F3", "\1\2{]CANARY\255\254" }, { "F3", "{'sessionCluster':{}}" },
        { "F4", '{"sessionCluster":{"a":NaN}}' }, { "F4", '{"sessionCluster":{"a":1e999}}' },
        { "F4", '{"sessionCluster":{"a":0x10}}' }, { "F4", '{"sessionCluster":{"a":012}}' },
        { "F4", '{"sessionCluster":{"a":-Infinity}}' },
        { "F5", '{"sessionCluster":' .. ("["):rep(64) .. ("]"):rep(64) .. "}" },
        { "F6", '{"sessionCluster":{"a":"\255CANARY"}}' },
        { "F6", '\239\187\191{"sessionCluster":{}}' },
    } do
        it(("%s: %q is protocol/json"):format(case[1], case[2]:sub(1, 50)), function()
            fails("protocol", "json", case[2])
        end)
    end

    for _, body in ipairs { "[]", "[1]", '"CANARY"', "1", "true", "false", "null", " [ ] ", "{}",
        '{"sessionCluster":null}', '{"sessionCluster":"CANARY"}', '{"sessionCluster":1}',
        '{"sessionCluster":true}', '{"sessionCluster":false}', '{"sessionCluster":[1]}',
        '{"sessionCluster":[{"state":"CANARY"}]}', '{"sessionCluster":[]}',
        '{"SessionCluster":{}}', '{"requestId":"CANARY","code":null}', '{"code":""}',
        '{"data":{"sessionCluster":{}}}' } do
        it(("F9: %s is protocol/shape"):format(body), function()
            fails("protocol", "shape", body)
        end)
    end

    it("E10: with nothing in it is protocol/empty, and retryable", function()
        for _, status in ipairs { 200, 201, 202, 204, 205, 299 } do
            fails("protocol", "empty", "", status)
            fails("protocol", "empty", nil, status)
        end
    end)

    it("E10, E12: with a status that makes no sense is protocol/http", function()
        for _, status in ipairs { 304, 100, 101, 199, 600, 999, 1000, 99, 2, -1, -200 } do
            fails("protocol", "http", SAMPLE, status)
        end
    end)

    it("E11: that is a redirect is protocol/redirect", function()
        for _, status in ipairs { 301, 302, 303, 307, 308 } do
            fails("protocol", "redirect", SAMPLE, status, { location = "https://CANARY.example/" })
        end
    end)

    it("E7: that is compressed is protocol/encoding", function()
        for _, name in ipairs { "gzip", "br", "deflate", "x-unknown", "GZIP" } do
            fails("protocol", "encoding", "\31\139\8\0CANARY", 200, { ["Content-Encoding"] = name })
            fails("protocol", "encoding", SAMPLE, 200, { ["content-encoding"] = name })
            fails("protocol", "encoding", SAMPLE, 200,
                { ["content-encoding"] = "identity, " .. name })
        end
        for _, name in ipairs { "", "identity", "Identity, identity", ", ", ",identity ," } do
            assert.same(DOCUMENTED, parse(SAMPLE, 200, { ["content-encoding"] = name }))
        end
    end)

    it("names the request id of the header", function()
        for _, case in ipairs { { "json", "{" }, { "shape", "{}" }, { "empty", "" } } do
            for _, name in ipairs { "x-acs-request-id", "X-Acs-Request-Id" } do
                local err = fails("protocol", case[1], case[2], 200, { [name] = "R-1" })
                assert.equal("R-1", err.request_id)
                assert.truthy(err.message:find("R-1", 1, true))
            end
        end
    end)
end)


describe("emr.parse", function()
    local function refused(name, ...)
        local ok, message = pcall(emr.parse, ...)
        assert.is_false(ok)
        assert.truthy(message:find(name, 1, true), message)
    end

    it("gives the same table every time, and changes nothing", function()
        local reply = { status = 200, headers = { ["X-A"] = "1" }, body = SAMPLE }
        assert.same(emr.parse(GET, reply), emr.parse(GET, reply))
        assert.same({ status = 200, headers = { ["X-A"] = "1" }, body = SAMPLE }, reply)
    end)

    it("raises on what is no operation", function()
        for _, value in pairs(wrong.types()) do
            refused("operation", value, { status = 200, body = "{}" })
        end
    end)

    it("raises on what is no reply, and names the field", function()
        refused("reply", GET)
        for _, value in pairs(wrong.types "table") do
            refused("reply", GET, value)
            refused("headers", GET, { status = 200, headers = value })
        end
        for _, value in pairs(wrong.types "number") do
            refused("status", GET, { status = value, body = SAMPLE })
        end
        refused("status", GET, { body = SAMPLE })
        for _, value in pairs(wrong.types "string") do
            refused("body", GET, { status = 200, body = value })
            refused("headers", GET, { status = 200, body = SAMPLE, headers = { a = value } })
            refused("headers", GET, { status = 200, body = SAMPLE, headers = { [value] = "a" } })
        end
    end)

    it("takes no status for good that is not a whole number", function()
        for _, status in ipairs { 200.5, 0 / 0, 1 / 0, -1 / 0, 1e300, 2 ^ 32 + 200, 2 ^ 64 } do
            local ok, value = pcall(emr.parse, GET, { status = status, body = SAMPLE })
            assert.is_true(not ok or value == nil, status)
        end
        assert.same(DOCUMENTED, parse(SAMPLE, 2e2))
    end)

    -- A leaked block of the smallest size (32 bytes) in each call would be 156 KiB in a quarter of
    -- the calls, one leaked Lua value 70 KiB at the least.
    it("leaves nothing behind in 20 000 calls", function()
        local heap, process = growth.of([[
            local file = assert(io.open("spec/emulator/sample.json"))
            local sample = file:read("*a")
            file:close()
            local bodies = {
                sample, sample:sub(1, 700), '{"code":"NotFound","message":"no"}', "[]", "",
                (sample:gsub('"gmtCreate": 0', '"gmtCreate": [null, 12345678901234567890]')),
            }
            return function(i)
                emr.parse(emr.operations.GetSessionCluster, {
                    status = i % 7 == 0 and 404 or 200, body = bodies[i % #bodies + 1],
                    headers = { ["x-acs-request-id"] = "R-" .. i },
                })
            end
        ]], 5000, 20000)
        assert.is_true(heap < 16, ("the Lua heap has grown by %g KiB"):format(heap))
        assert.is_true(process < 100, ("the process has grown by %g KiB"):format(process))
    end)
end)


describe("a reply over the wire", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    -- The same bytes must give the same through call as through parse.
    for name, fault in pairs {
        nulls = { name = "nulls" }, big_integers = { name = "big_integers" },
        empty_array = { name = "empty_array" }, garbage = { name = "garbage" },
        empty = { name = "empty" }, html = { name = "html", status = 200 },
        code_in_200 = { name = "code_in_200", body = '{"code":"X","message":"m"}' },
        array = { name = "status", status = 200, body = "[]" },
        redirect = { name = "redirect", body = "" },
    } do
        it("is what parse says: " .. name, function()
            fault.times = 2
            emu:fault(fault)
            local value, _, err = emr.get_session_cluster(attempt.request(), attempt.options())
            local raw = assert(emr.fetch(attempt.prepared(attempt.request()), {
                ca_file = emu.ca_file,
            }))
            local parsed, _, parse_err = emr.parse(GET, raw)
            if value then
                value.requestId, parsed.requestId = nil, nil
                assert.same(value, parsed)
            else
                assert.same({ err.kind, err.code, err.status },
                    { parse_err.kind, parse_err.code, parse_err.status })
            end
        end)
    end
end)
