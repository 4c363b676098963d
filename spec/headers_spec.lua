-- Headers of the caller's own (design section 4, `headers`).

local emr = require "emr"

local attempt = require "spec.support.attempt"
local emulator = require "spec.support.emulator"
local wrong = require "spec.support.wrong"

local request, options = attempt.request, attempt.options

local function refused(headers)
    attempt.refused("headers", request(), options { headers = headers })
end

local function signed_names(headers)
    return ";" .. headers.authorization:match("SignedHeaders=([^,]*)") .. ";"
end


describe("the option headers", function()
    before_each(function()
        emulator.get():reset()
    end)

    it("sends a header, and does not sign it", function()
        local got = attempt.accepted(request(), { headers = { ["X-Trace"] = "abc 1" } })
        assert.equal("abc 1", got.headers["x-trace"])
        assert.is_nil(signed_names(got.headers):find(";x-trace;", 1, true))
    end)

    it("sends an x-acs- header, and signs it", function()
        local got = attempt.accepted(request(),
            { headers = { ["X-Acs-Source-Ip"] = "192.0.2.1", ["x-acs-retry-attempts"] = "2" } })
        assert.equal("192.0.2.1", got.headers["x-acs-source-ip"])
        assert.truthy(signed_names(got.headers):find(";x-acs-source-ip;", 1, true))
        assert.truthy(signed_names(got.headers):find(";x-acs-retry-attempts;", 1, true))
    end)

    for what, value in pairs { ["blanks around it"] = "  a ", ["blanks inside"] = "a  b   c",
        ["commas"] = "a,b, c", ["UTF-8"] = "\230\181\139", ["a percent sign"] = "%2A*+~" } do
        it("keeps the signature right for a value with " .. what, function()
            local got = attempt.accepted(request(), { headers = { ["x-acs-test"] = value } })
            assert.equal(value:match("^%s*(.-)%s*$"), got.headers["x-acs-test"])
        end)
    end

    it("lets look-alikes of signed names pass, unsigned", function()
        local got = attempt.accepted(request(),
            { headers = { ["x-acsfoo"] = "1", ["x-ac"] = "2" } })
        assert.same({ "1", "2" }, { got.headers["x-acsfoo"], got.headers["x-ac"] })
        assert.is_nil(signed_names(got.headers):find("x-acsfoo", 1, true))
    end)

    it("gives names in lower case in prepare", function()
        local headers = attempt.prepared(request(), { headers = { ["X-TRACE"] = "1" } }).headers
        assert.equal("1", headers["x-trace"])
        for name in pairs(headers) do
            assert.equal(name:lower(), name)
        end
    end)

    describe("refuses", function()
        for _, name in ipairs { "host", "accept", "user-agent", "content-type", "authorization",
            "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
            "x-acs-content-sha256", "x-acs-security-token" } do
            for _, spelling in ipairs { name, name:upper() } do
                it(spelling .. ", which prepare sets", function()
                    attempt.refused(spelling, request(),
                        options { headers = { [spelling] = "CANARY" } })
                end)
            end
        end

        for _, name in ipairs { "content-type", "Content-Length", "transfer-encoding", "connection",
            "expect", "Accept-Encoding", "Proxy-Authorization" } do
            it(name .. ", which frames the message", function()
                refused { [name] = "1" }
            end)
        end

        for _, control in ipairs { "\0", "\r", "\n", "\r\n", "\27", "\127" } do
            it(("the control bytes %q in a value"):format(control), function()
                attempt.refused("x-trace", request(),
                    options { headers = { ["x-trace"] = "CANARY" .. control .. "x: y" } })
            end)
        end

        for _, name in ipairs { "", " ", "a b", "a:", ":", "x-trace: 1\r\nx-acs-y", "a\0", "a\n",
            "a(b)", "\195\169", "a\"", "a/b", "a{" } do
            it(("the name %q"):format(name), function()
                refused { [name] = "1" }
            end)
        end

        for type_name, value in pairs(wrong.types "string") do
            it("a value that is a " .. type_name, function()
                refused { ["x-trace"] = value }
            end)

            it("a name that is a " .. type_name, function()
                refused { [value] = "1" }
            end)
        end

        it("an empty value, which libcurl would not send", function()
            attempt.refused("x-trace", request(), options { headers = { ["x-trace"] = "" } })
        end)

        it("a name in two spellings", function()
            refused { ["x-trace"] = "1", ["X-Trace"] = "2" }
        end)

        it("more than a request can hold", function()
            local headers = {}
            for i = 1, 1000 do
                headers["x-trace-" .. i] = "1"
            end
            refused(headers)
        end)

        it("a value of 1 MiB", function()
            refused { ["x-trace"] = ("CANARY!!"):rep(131072) }
        end)
    end)

    it("is left as it is", function()
        local headers = { ["X-Trace"] = "1" }
        attempt.prepared(request(), { headers = headers })
        assert.same({ ["X-Trace"] = "1" }, headers)
        assert.is_nil(emr.prepare(emr.operations.GetSessionCluster, request(), options())
            .headers["x-trace"])
    end)
end)
