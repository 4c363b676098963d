-- Errors of the service: their bodies, kinds and hints (wire.md 3; fault catalogue, section 0, rows
-- F1, F2, F10, G1, G2, and 2.3, 2.4).

local emr = require "emr"

local GET = emr.operations.GetSessionCluster
local KNOWN = { kind = true, code = true, message = true, status = true, request_id = true,
    retryable = true, retry_after = true, access_denied_detail = true }
local ENCODED = ("AQIDBAUGBwgJCgsMDQ4P+/="):rep(60) -- such messages are over 1 000 characters

-- Is UTF-8, as a message that was cut inside a character is not.
local function is_utf8(text)
    return emr.decode('["' .. text:gsub('[\\"]', " ") .. '"]') ~= nil
end

-- Whatever came: an error like every other.
local function fails(reply)
    local value, message, err = emr.parse(GET, reply)
    assert.is_nil(value)
    assert.equal("table", type(err))
    for name in pairs(err) do
        assert.is_true(KNOWN[name], name)
    end
    assert.same({ message, message }, { err.message, tostring(err) })
    assert.is_nil(message:find("[%c\127]"), message)
    assert.is_true(is_utf8(message), message)
    assert.is_true(#message > 0 and #message <= 512, #message)
    assert.is_nil(message:find("CANARY", 1, true), message)
    assert.is_boolean(err.retryable)
    assert.is_true(err.code == nil or type(err.code) == "string" and #err.code > 0)
    assert.is_true(err.request_id == nil or type(err.request_id) == "string")
    assert.equal(reply.status, err.status)
    return err
end

local function contains(text, part)
    assert.truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end


describe("an error body", function()
    local full = {
        ["the gateway's"] = [[{"RequestId":"R-1","HostId":"h.example","Code":"OperationDenied",
            "Message":"You may not.","Recommend":"https://x.example/"}]],
        ["the service's"] = [[{"code":"OperationDenied","message":"You may not.",
            "requestId":"R-1","httpStatusCode":403}]],
        ["with requestid"] =
            '{"code":"OperationDenied","message":"You may not.","requestid":"R-1"}',
        ["F2: in XML"] = [[<?xml version="1.0" encoding="UTF-8"?><Error><RequestId>R-1</RequestId>
            <HostId>h</HostId><Code>OperationDenied</Code><Message>You may not.</Message></Error>]],
    }
    for what, body in pairs(full) do
        it(what .. " gives code, message, request id and status", function()
            local err = fails { status = 403, body = body }
            assert.same({ "service", "OperationDenied", "R-1", false },
                { err.kind, err.code, err.request_id, err.retryable })
            for _, part in ipairs { "OperationDenied", "You may not", "403", "R-1" } do
                contains(err.message, part)
            end
        end)
    end

    local header = { ["X-Acs-Request-Id"] = "H-1" }

    -- F10: status, body; the code, and the request id when the header has H-1.
    local partial = {
        ["null members"] = { '{"code":null,"message":null,"requestId":null}', nil, "H-1" },
        ["empty members"] = { '{"code":"","message":"","requestId":""}', nil, "H-1" },
        ["no members"] = { "{}", nil, "H-1" },
        ["only a code"] = { '{"code":"X"}', "X", "H-1" },
        ["only a message"] = { '{"Message":"m"}', nil, "H-1" },
        ["only a request id"] = { '{"requestId":"B-1"}', nil, "B-1" },
        ["nothing"] = { "", nil, "H-1" },
        ["blanks"] = { " \r\n", nil, "H-1" },
        ["HTML"] = { "<html><h1>502 CANARY</h1></html>", nil, "H-1" },
        ["cut JSON"] = { '{"code":"X","message":"CANARY', nil, "H-1" },
        ["an array"] = { '[{"code":"CANARY"}]', nil, "H-1" },
        ["a string"] = { '"CANARY"', nil, "H-1" },
        ["garbage"] = { "\0\1\255CANARY", nil, "H-1" },
        ["XML of another kind"] = { "<Problem><Code>CANARY</Code></Problem>", nil, "H-1" },
        ["cut XML"] = { "<Error><Code>CANARY</Co", nil, "H-1" },
        ["objects"] = { '{"code":{"a":1},"message":[],"requestId":{}}', nil, "H-1" },
        ["booleans"] = { '{"code":true,"message":false,"requestId":true}', nil, "H-1" },
    }
    for what, case in pairs(partial) do
        it("F10: with " .. what .. " keeps the status, and the id of the header", function()
            for _, status in ipairs { 400, 403, 404, 500, 502, 503, 504 } do
                local err = fails { status = status, body = case[1], headers = header }
                assert.same({ "service", case[2], case[3] }, { err.kind, err.code, err.request_id })
                assert.is_nil(err.message:find("<", 1, true))
                contains(err.message, tostring(status))
                assert.is_nil(fails { status = status, body = "" }.request_id)
            end
        end)
    end

    it("F10: with numbers for texts is read without a raise", function()
        local err = fails { status = 400, headers = header,
            body = '{"code":1000001,"message":12,"requestId":13}' }
        assert.equal("service", err.kind)
        assert.is_true(err.code == nil or err.code == "1000001")
        assert.is_string(err.request_id)
        err = fails { status = 400, body = '{"code":1e300,"message":-0.5,"requestId":1e-9}' }
        assert.equal("service", err.kind)
    end)

    it("F10: inside a 2xx counts when there is no cluster", function()
        for _, name in ipairs { "code", "Code" } do
            local err = fails { status = 200, headers = header,
                body = ('{"%s":"ResourceNotFound","message":"gone"}'):format(name) }
            assert.same({ "service", "ResourceNotFound", "H-1", false },
                { err.kind, err.code, err.request_id, err.retryable })
            contains(err.message, "gone")
            err = fails { status = 200, body = ('{"%s":"Throttling.User"}'):format(name) }
            assert.same({ "throttled", "Throttling.User", true },
                { err.kind, err.code, err.retryable })
        end
    end)

    it("tells what permission is missing, in the API's own names", function()
        for _, name in ipairs { "AccessDeniedDetail", "accessDeniedDetail" } do
            local err = fails { status = 403, body = ([[{"Code":"NoPermission","Message":"m",
                "%s":{"PolicyType":"AccountLevelIdentityBasedPolicy","NoPermissionType":
                "ImplicitDeny","AuthAction":"emr-serverless-spark:GetSessionCluster",
                "AuthPrincipalOwnerId":"123","AuthPrincipalType":"SubUser","Empty":null,
                "AuthPrincipalDisplayName":"\u6d4b","EncodedDiagnosticMessage":"%s"}}]])
                :format(name, ENCODED) }
            assert.same({
                PolicyType = "AccountLevelIdentityBasedPolicy", NoPermissionType = "ImplicitDeny",
                AuthAction = "emr-serverless-spark:GetSessionCluster",
                AuthPrincipalOwnerId = "123", AuthPrincipalType = "SubUser",
                AuthPrincipalDisplayName = "\230\181\139", EncodedDiagnosticMessage = ENCODED,
            }, err.access_denied_detail)
        end
    end)

    it("has no such detail when that is no object", function()
        for _, value in ipairs { '"CANARY"', "1", "null", "true" } do
            local err = fails { status = 403,
                body = '{"Code":"NoPermission","AccessDeniedDetail":' .. value .. "}" }
            assert.is_nil(err.access_denied_detail)
        end
    end)

    local long = ("\230\181\139x"):rep(262144)
    local texts = {
        ["1 MiB"] = long, ["1 MiB in one word"] = ("x"):rep(1048576),
        ["many lines"] = ("line\\n"):rep(200), ["CR and LF"] = "a\\r\\nb", ["NUL"] = "a\\u0000b",
        ["control characters"] = "\\u0001\\u001b[31mred\\u007f\\u009b\\u0085",
        ["UTF-8"] = "\230\181\139", ["line separators"] = "a\\u2028b\\u2029c",
        ["percent signs"] = "%s%d%n%1", ["emoji at every offset"] = ("\240\159\152\128"):rep(200),
    }
    for what, text in pairs(texts) do
        it("F10: with " .. what .. " gives one line of at most 512 bytes", function()
            for shift = 0, 3 do
                local padded = ("p"):rep(shift) .. text
                for _, name in ipairs { "code", "message", "requestId" } do
                    local err = fails { status = 400,
                        body = ('{"code":"C","%s":"%s"}'):format(name, padded) }
                    assert.is_nil(err.message:find("\226\128\168", 1, true))
                    assert.is_nil(err.message:find("\194\155", 1, true))
                end
                fails { status = 400, headers = { ["retry-after"] = "86400" },
                    body = ('{"code":"%s","message":"%s","requestId":"%s"}'):format(padded, padded,
                        padded) }
            end
        end)
    end

    it("with a header id of any length and bytes stays one line", function()
        for _, id in ipairs { ("R"):rep(100000), "a\27[31mb", "\255\254", "" } do
            fails { status = 500, body = "", headers = { ["x-acs-request-id"] = id } }
        end
    end)

    it("G12, L1: of SignatureDoesNotMatch is not quoted, wherever that text stands", function()
        local quote = "server string to sign is:ACS3-HMAC-SHA256\\nCANARYHASH server canonical "
            .. "request is:GET\\n/CANARY\\nx-acs-security-token:CANARYTOKEN"
        for _, body in ipairs {
            '{"Code":"SignatureDoesNotMatch","Message":"no. ' .. quote .. '"}',
            '{"code":"SignatureDoesNotMatch","message":"StringToSign: CANARY"}',
            '{"Code":"IncompleteSignature","Message":"' .. quote .. '"}',
            '{"Code":"Other","Message":"' .. quote .. '"}',
            "<Error><Code>SignatureDoesNotMatch</Code><Message>ACS3-HMAC-SHA256 CANARY</Message>"
                .. "</Error>",
        } do
            for _, status in ipairs { 400, 403 } do
                local err = fails { status = status, body = body }
                assert.equal("service", err.kind)
                assert.is_false(err.retryable)
                contains(err.message, err.code)
            end
        end
    end)

    it("shows nothing but its code, its message and its id", function()
        fails { status = 400, body = [[{"code":"C","message":"m","connectionToken":"CANARY",
            "sessionCluster":{"connectionToken":"CANARY"},"HostId":"CANARY"}]] }
    end)
end)


describe("2.3, G1, G2, G3: the kind of an error is", function()
    -- kind, retryable, status, code, headers
    local rows = {
        -- G1: ordinary codes
        { "service", false, 400, "InvalidParameter" },
        { "service", false, 400, "MissingParameter" }, { "service", false, 401, "Unauthorized" },
        { "service", false, 403, "Forbidden.RAM" },
        { "service", false, 403, "Forbidden.RiskControl" }, { "service", false, 404 },
        { "service", false, 404, "ResourceNotFound" }, { "service", false, 409, "Conflict" },
        { "service", false, 403, "UnsupportedHTTPMethod" }, { "service", false, 418 },
        { "service", false, 400, "OperationDenied" },
        { "service", false, 404, "InvalidApi.NotFound" },
        { "service", false, 400, "InvalidTimeStamp.Format" },
        { "service", false, 400, "IllegalTimestamp" },
        -- G2: code before status
        { "service", false, 404, "InvalidAccessKeyId.NotFound" },
        { "service", false, 403, "InvalidAccessKeyId.Inactive" },
        { "service", false, 400, "InvalidSecurityToken.Malformed" },
        { "throttled", true, 400, "Throttling" }, { "throttled", true, 400, "Throttling.User" },
        { "throttled", true, 400, "Throttling.Api" }, { "throttled", true, 503, "Throttling.User" },
        { "throttled", true, 400, "ThrottlingException" },
        { "throttled", true, 403, "Throttling.X" }, { "service", false, 400, "NoThrottling" },
        { "service", true, 400, "ServiceUnavailable" },
        { "service", true, 400, "ServiceUnavailable.Zone" },
        { "service", true, 400, "InternalError" }, { "service", true, 404, "InternalError.Foo" },
        -- statuses
        { "throttled", true, 429 }, { "throttled", true, 429, "InvalidParameter" },
        { "service", true, 408 }, { "service", true, 500 }, { "service", true, 502 },
        { "service", true, 503 }, { "service", true, 504 }, { "service", true, 500, "Whatever" },
        { "service", false, 501 }, { "service", false, 505 }, { "service", false, 507 },
        { "service", false, 599 }, { "service", true, 503, "ServiceUnavailable" },
        -- a vendor hint makes it throttling, whatever the code
        { "throttled", true, 400, "InvalidParameter", { ["x-acs-retry-after"] = "1500" } },
        { "throttled", true, 503, nil, { ["X-Acs-Retry-After"] = "1" } },
        { "service", false, 400, "InvalidParameter", { ["x-acs-retry-after"] = "0" } },
        { "service", false, 400, "InvalidParameter", { ["x-acs-retry-after"] = "soon" } },
        { "service", false, 400, "InvalidParameter", { ["retry-after"] = "5" } },
    }
    for i, row in ipairs(rows) do
        local title = ("%s for %d %s"):format(row[1], row[3], row[4] or "without a code")
        it(title .. (row[2] and ", retryable" or "") .. " (" .. i .. ")", function()
            for _, name in ipairs { "Code", "code" } do
                local err = fails { status = row[3], headers = row[5],
                    body = row[4] and ('{"%s":"%s"}'):format(name, row[4]) or "" }
                assert.same({ row[1], row[4], row[2] }, { err.kind, err.code, err.retryable })
            end
        end)
    end
end)


describe("2.4: retry_after is", function()
    local THROTTLED, BUSY = { 400, '{"Code":"Throttling.User"}' }, { 503, "" }
    local DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
    local FIELDS = "Limit:1,Remain:0,TimeLeft:%s,Reset:1234"

    local function hint(reply, headers)
        return fails { status = reply[1], body = reply[2], headers = headers }.retry_after
    end

    -- The seconds, or nil: ignored.
    local vendor = {
        ["1500"] = 1.5, ["1"] = 0.001, ["2000"] = 2, ["86400000"] = 86400, ["0"] = false,
        ["-1"] = false, ["+5"] = false, ["1.5"] = false, ["2000ms"] = false, ["2s"] = false,
        [""] = false, ["soon"] = false, ["86400001"] = false, ["1e3"] = false, ["0x10"] = false,
        ["1 2"] = false, ["99999999999999999999"] = false, [DATE] = false, ["1,2"] = false,
        ["NaN"] = false, [("1"):rep(400)] = false, [" 1500 "] = 1.5,
    }
    for value, seconds in pairs(vendor) do
        local shown = value:sub(1, 30)
        it(("G5: %s for x-acs-retry-after: %q (ms)"):format(tostring(seconds), shown), function()
            for _, reply in ipairs { THROTTLED, BUSY, { 400, "" } } do
                assert.equal(seconds or nil, hint(reply, { ["x-acs-retry-after"] = value }))
                assert.equal(seconds or nil, hint(reply, { ["X-Acs-Retry-After"] = value }))
            end
        end)
    end

    local time_left = {
        ["2000"] = 2, ["1"] = 0.001, ["86400000"] = 86400, ["0"] = false, ["-1"] = false,
        ["86400001"] = false, ["2s"] = false, [""] = false, ["1.5"] = false,
    }
    for value, seconds in pairs(time_left) do
        it(("G6: %s for TimeLeft:%s (ms)"):format(tostring(seconds), value), function()
            for _, name in ipairs { "x-ratelimit-user", "X-RateLimit-User-Api" } do
                assert.equal(seconds or nil, hint(THROTTLED, { [name] = FIELDS:format(value) }))
            end
        end)
    end

    for _, value in ipairs { "", "TimeLeft", "TimeLeft:", "2000", "Limit:1", "XTimeLeft:2000",
        "TimeLeft=2000", ",,,:::", "TimeLeft:2000ms,Limit:1" } do
        it(("G6: nil for x-ratelimit-user: %q"):format(value), function()
            assert.is_nil(hint(THROTTLED, { ["x-ratelimit-user"] = value }))
        end)
    end

    it("G6: TimeLeft wherever it stands in its header", function()
        for _, value in ipairs { "TimeLeft:2000", "TimeLeft:2000,Reset:1", "A:1,TimeLeft:2000" } do
            assert.equal(2, hint(THROTTLED, { ["x-ratelimit-user"] = value }))
        end
    end)

    it("G6: the larger of the two TimeLefts", function()
        for _, pair in ipairs { { "2000", "3000" }, { "3000", "2000" }, { "3000", "x" },
            { "0", "3000" } } do
            assert.equal(3, hint(THROTTLED, { ["x-ratelimit-user"] = FIELDS:format(pair[1]),
                ["x-ratelimit-user-api"] = FIELDS:format(pair[2]) }))
        end
    end)

    it("G6: not TimeLeft without a throttling code", function()
        assert.is_nil(hint(BUSY, { ["x-ratelimit-user"] = FIELDS:format("2000") }))
        assert.is_nil(hint({ 400, '{"Code":"InvalidParameter"}' },
            { ["x-ratelimit-user"] = FIELDS:format("2000") }))
    end)

    local standard = {
        ["5"] = 5, ["120"] = 120, ["86400"] = 86400, ["0"] = false, ["-5"] = false, ["+5"] = false,
        ["1.5"] = false, ["5s"] = false, [""] = false, ["soon"] = false, ["86401"] = false,
        ["1e2"] = false, ["99999999999999999999"] = false,
        ["Sun, 06 Nov 1994 08:49:57 GMT"] = 20, ["Mon, 07 Nov 1994 08:49:37 GMT"] = 86400,
        [DATE] = false, ["Sun, 06 Nov 1994 08:49:36 GMT"] = false,
        ["Mon, 07 Nov 1994 08:49:38 GMT"] = false, ["Sun, 06 Nov 1994"] = false,
        ["Sun, 06 Foo 1994 08:49:57 GMT"] = false, ["Sun, 06 Nov 1994 08:49:57 PST"] = false,
        ["Sun, 06 Nov 1994 25:49:57 GMT"] = false, ["Fri, 31 Dec 9999 23:59:59 GMT"] = false,
        ["Thu, 01 Jan 1970 00:00:00 GMT"] = false, ["xun, 06 Nov 1994 0a:49:57 GMT"] = false,
    }
    for value, seconds in pairs(standard) do
        it(("G7: %s for Retry-After: %s"):format(tostring(seconds), value), function()
            for _, reply in ipairs { THROTTLED, BUSY } do
                assert.equal(seconds or nil, hint(reply, { ["Retry-After"] = value, Date = DATE }))
            end
        end)
    end

    it("G7: a date counted from this machine's clock where the reply has no date", function()
        local now = os.time()
        local seconds = hint(BUSY, { ["retry-after"] = os.date("!%a, %d %b %Y %H:%M:%S GMT",
            now + 100) })
        assert.is_true(seconds <= 100 and seconds >= 98 - (os.time() - now), seconds)
        for _, value in ipairs { "", "yesterday", "1" } do
            assert.is_nil(hint(BUSY, { ["retry-after"] = DATE, date = value }))
        end
    end)

    it("G5, G6, G7: the first valid one in the order of 2.4", function()
        local all = { ["x-acs-retry-after"] = "1000", ["x-ratelimit-user"] = FIELDS:format("2000"),
            ["retry-after"] = "3" }
        assert.equal(1, hint(THROTTLED, all))
        all["x-acs-retry-after"] = "x"
        assert.equal(2, hint(THROTTLED, all))
        all["x-ratelimit-user"] = "x"
        assert.equal(3, hint(THROTTLED, all))
        all["retry-after"] = "x"
        assert.is_nil(hint(THROTTLED, all))
    end)

    it("one of both where a header is given twice, in two letter cases", function()
        local seconds = hint(THROTTLED, { ["x-acs-retry-after"] = "1000",
            ["X-Acs-Retry-After"] = "2000" })
        assert.is_true(seconds == 1 or seconds == 2)
    end)

    it("read from a 2xx that holds an error, too", function()
        assert.equal(1.5,
            hint({ 200, '{"code":"Throttling"}' }, { ["x-acs-retry-after"] = "1500" }))
    end)
end)
