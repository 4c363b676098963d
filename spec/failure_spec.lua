local failure = require "emr.failure"

local function err_of(...)
    return (select(3, failure(...)))
end

describe("failure", function()
    it("returns nil, the message and a table that prints as the message", function()
        local result, message, err = failure("network", "resolve", "no such host")
        assert.is_nil(result)
        assert.equal("no such host", message)
        assert.equal("no such host", tostring(err))
        assert.equal("network", err.kind)
        assert.equal("resolve", err.code)
        assert.equal("no such host", err.message)
    end)

    it("keeps what else is known", function()
        local err = err_of("service", "NotFound", "x", { status = 404, request_id = "7A" })
        assert.equal(404, err.status)
        assert.equal("7A", err.request_id)
    end)

    it("lets no extra field replace kind, code or message", function()
        local err = err_of("state", "Error", "x", { kind = "k", code = "c", message = "m" })
        assert.same({ "state", "Error", "x" }, { err.kind, err.code, err.message })
    end)

    it("makes one printable line", function()
        local _, message = failure("network", "reset", "a\r\nb\0c\127d\te")
        assert.equal("a  b c d e", message)
    end)

    it("cuts at 512 bytes and never inside a character", function()
        local _, message = failure("network", "reset", ("x"):rep(600))
        assert.equal(512, #message)
        _, message = failure("network", "reset", ("x"):rep(511) .. "\228\184\173\230\150\135")
        assert.equal(("x"):rep(511), message)
        _, message = failure("network", "reset", ("x"):rep(509) .. "\228\184\173\230\150\135")
        assert.equal(("x"):rep(509) .. "\228\184\173", message)
    end)

    it("survives a message of continuation bytes only", function()
        local _, message = failure("network", "reset", ("\128"):rep(2000))
        assert.is_true(#message <= 512)
    end)

    -- section 0 and 2.3 of the fault catalogue
    local yes = {
        { "network", "resolve" }, { "network", "connect" }, { "network", "reset" },
        { "network", "truncated" }, { "network", "proxy" }, { "network", "proxy", 503 },
        { "timeout", "connect" }, { "timeout", "attempt" }, { "protocol", "empty" },
        { "throttled", "Throttling.User" }, { "credentials", "unavailable" },
        { "service", "ServiceUnavailable.Zone", 400 }, { "service", "InternalError", 200 },
        { "service", nil, 408 }, { "service", nil, 500 }, { "service", nil, 502 },
        { "service", nil, 503 }, { "service", "Whatever", 504 },
    }
    local no = {
        { "network", "proxy", 407 }, { "timeout", "deadline" }, { "tls", "verify" },
        { "protocol", "json" }, { "protocol", "shape" }, { "protocol", "redirect" },
        { "unsupported", "blocking" }, { "credentials", "none" }, { "credentials", "malformed" },
        { "state", "Error" }, { "cancelled" }, { "memory" }, { "service" },
        { "service", "Forbidden", 403 }, { "service", nil, 501 }, { "service", nil, 505 },
        { "service", "OperationDenied", 400 },
    }
    for expected, rows in pairs({ [true] = yes, [false] = no }) do
        for _, row in ipairs(rows) do
            local name = table.concat({ row[1], tostring(row[2]), tostring(row[3]) }, " ")
            it("retryable is " .. tostring(expected) .. " for " .. name, function()
                assert.equal(expected, err_of(row[1], row[2], "x", { status = row[3] }).retryable)
            end)
        end
    end

    it("believes an explicit retryable", function()
        assert.is_false(err_of("network", "reset", "x", { retryable = false }).retryable)
    end)
end)
