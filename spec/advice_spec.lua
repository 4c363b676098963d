-- Errors that teach: what to do next stands in the message, for a reader who has nothing else.

local emr = require "emr"

local call = require "spec.support.call"
local child = require "spec.support.child"
local emulator = require "spec.support.emulator"

local IDS = { workspaceId = "w-1", sessionClusterId = "s-9" }
local ACTION = "a RAM policy of this user or role must allow emr-serverless-spark:GetSessionCluster"
local ALL_OF_ONE = "set access_key_id, access_key_secret and security_token of one temporary key"

local function contains(text, part)
    assert.truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

describe("advice", function()
    local emu

    before_each(function()
        emu = emulator.get()
        emu:reset()
    end)

    -- A failure of one attempt against the emulator, and of the same through a client.
    local function failed(kind, code, options)
        options = call.options(emu.https, options)
        local err = call.failed(kind, code, emr.get_session_cluster(IDS, options))
        options.retry = false
        call.failed(kind, code, emr.client.new(options):get_session_cluster(IDS))
        return err.message
    end

    -- With a key that the emulator knows by that name.
    local function with_key(name, changes)
        local options = {}
        for field, value in pairs(emu.keys[name]) do
            options[field] = type(value) == "string" and value or nil
        end
        for field, value in pairs(changes) do
            options[field] = value
        end
        options.security_token = options.security_token or false
        return options
    end

    -- Refusals that the emulator comes to by itself: code, advice, the key, what is wrong with it.
    local refusals = {
        { "SignatureDoesNotMatch", "access_key_secret is not that of access_key_id", "permanent",
            { access_key_secret = "CANARYSECRETwrong" } },
        { "InvalidAccessKeyId.NotFound", "check access_key_id, and that its key was not deleted",
            "permanent", { access_key_id = "LTAI5tNobody" } },
        { "InvalidAccessKeyId.Inactive", "enable the key in the RAM console", "inactive", {} },
        { "InvalidSecurityToken.Expired", "get new temporary credentials", "expired", {} },
        { "InvalidSecurityToken.Malformed", ALL_OF_ONE, "sts",
            { security_token = "CANARYTOKENwrong" } },
        { "InvalidSecurityToken.MismatchWithAccessKey", ALL_OF_ONE, "sts",
            { security_token = "CANARYTOKENexpired/with+plus==" } },
        { "MissingSecurityToken", ALL_OF_ONE, "sts", { security_token = false } },
    }
    for _, row in ipairs(refusals) do
        it("for " .. row[1], function()
            contains(failed("service", row[1], with_key(row[3], row[4])), row[2])
        end)
    end

    -- Refusals that are put in its mouth: code, status, advice.
    local told = {
        { "IncompleteSignature", 400, "does a proxy change the headers?" },
        { "Forbidden.RAM", 403, ACTION }, { "Forbidden", 403, ACTION },
        { "NoPermission", 403, ACTION },
        { "Forbidden.RiskControl", 403, "ask the vendor's support, with the request id" },
        { "UnsupportedHTTPMethod", 403, "is options.endpoint one of emr-serverless-spark?" },
        { "InvalidApi.NotFound", 404, "the request went to localhost:" },
        { "InvalidProduct.NotFound", 404, "is options.endpoint one of emr-serverless-spark?" },
        { "InvalidProtocol.NeedSsl", 404, "use https in options.endpoint" },
        { "MissingParameter.regionId", 400, "set options.region or request.regionId" },
        { "IllegalTimestamp", 400, "is this machine's clock right?" },
    }
    for _, row in ipairs(told) do
        it("for " .. row[1], function()
            emu:fault { name = "error", code = row[1], status = row[2], times = 2 }
            contains(failed("service", row[1]), row[3])
        end)
    end

    it("for throttling: the client waits, one attempt does not", function()
        emu:fault { name = "throttling", times = 2 }
        contains(failed("throttled", "Throttling.User"), "or through emr.client")
    end)

    it("for what does not exist names the ids and the region that were asked for", function()
        contains(failed("service", "ResourceNotFound", { region = "cn-shanghai" }),
            "asked for /api/v1/workspaces/w-1/sessionClusters/s-9 in cn-shanghai: check the ids")
    end)

    it("for an answer without a code thinks of the workspace and the region", function()
        for _, name in ipairs { "null_code", "empty_code" } do
            emu:fault { name = name, times = 2 }
            local message = failed("service", nil)
            contains(message, "a workspace that is missing, in another region or not visible")
            contains(message, "/workspaces/w-1/sessionClusters/s-9 in cn-hangzhou")
        end
    end)

    it("is not given where the service, not the request, is at fault", function()
        emu:fault { name = "html" }
        local _, message = emr.get_session_cluster(IDS, call.options(emu.https))
        assert.matches(": the service gave no message %(HTTP 502, request", message)
    end)

    it("for a wrong clock tells by how much, whichever way", function()
        for _, row in ipairs { { 3600, "behind" }, { -7200, "ahead of" } } do
            emu:clock(row[1])
            local _, message = emr.get_session_cluster(IDS, call.options(emu.https))
            local seconds, offset = message:match("is (%d+) s " .. row[2]
                .. " the service's; set it, or options%.clock_offset = (%-?%d+)")
            assert.is_true(math.abs(math.abs(row[1]) - tonumber(seconds)) <= 2, message)
            assert.is_true(math.abs(row[1] - tonumber(offset)) <= 2, message)
        end
    end)

    it("for a wrong clock_offset names the right one", function()
        local err = call.failed("service", "InvalidTimeStamp.Expired",
            emr.get_session_cluster(IDS, call.options(emu.https, { clock_offset = 4000 })))
        local offset = err.message:match(
            "s ahead of the service's; set it, or options%.clock_offset = (%-?%d+)")
        assert.is_true(math.abs(tonumber(offset)) <= 2, err.message)
    end)

    it("has a spec for every code that it knows", function()
        local tried = { InvalidTimeStamp = true, Throttling = true }
        for _, list in ipairs { refusals, told } do
            for _, row in ipairs(list) do
                tried[row[1]] = true
            end
        end
        local file = assert(io.open "src/advice.c")
        local known = 0
        for beginning in file:read("*a"):gmatch('\n  {"(%u[%w.]+)", %d+, %d,') do
            known = known + 1
            local found = false
            for code in pairs(tried) do
                found = found or code:sub(1, #beginning) == beginning
            end
            assert.is_true(found, beginning)
        end
        file:close()
        assert.is_true(known > 15, known)
    end)

    it("outlives a long message of the service, and so does the request id", function()
        emu:fault { name = "error", code = "Forbidden.RAM", status = 403,
            message = ("You are not authorized. "):rep(40) }
        local _, message, err = emr.get_session_cluster(IDS, call.options(emu.https))
        contains(message, ACTION)
        contains(message, err.request_id)
        assert.is_true(#message <= 512)
    end)

    it("shows no more of long ids than there is room for", function()
        local ids = { workspaceId = ("w"):rep(1000), sessionClusterId = ("\230\181\139"):rep(300) }
        local err = call.failed("service", "ResourceNotFound",
            emr.get_session_cluster(ids, call.options(emu.https)))
        contains(err.message, err.request_id)
        contains(err.message, "in cn-hangzhou: check the ids")
    end)

    it("of parse, which knows no request, shows the route", function()
        local _, message = emr.parse(emr.operations.GetSessionCluster,
            { status = 404, body = '{"code":"ResourceNotFound","message":"gone"}' })
        contains(message, "asked for /api/v1/workspaces/{workspaceId}/sessionClusters/"
            .. "{sessionClusterId} in its region: check")
    end)
end)


describe("advice of a client", function()
    it("tells where a refused key came from, by code", function()
        local emu = emulator.get()
        emu:reset()
        local client = emr.client.new {
            region = "cn-hangzhou", endpoint = emu.https, ca_file = emu.ca_file,
            getenv = function(name)
                return ({
                    ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
                    ALIBABA_CLOUD_ACCESS_KEY_SECRET = "CANARYSECRETwrong",
                })[name]
            end,
        }
        local err = call.failed("service", "SignatureDoesNotMatch", client:get_session_cluster(IDS))
        contains(err.message, "; the key is from: env")
        assert.same({ 400, 1 }, { err.status, err.attempts })
        local own = emr.client.new(call.options(emu.https))
        contains(select(2, own:get_session_cluster(IDS)), "does not exist")
        assert.is_nil(select(2, own:get_session_cluster(IDS)):find("the key is from", 1, true))
    end)

    it("names every place where it looked for keys, and what to set", function()
        local client = emr.client.new {
            region = "cn-hangzhou", read_file = function() return nil, "no such file" end,
            getenv = function(name)
                return name == "HOME" and "/home/somebody"
                    or name == "ALIBABA_CLOUD_ECS_METADATA_DISABLED" and "true" or nil
            end,
        }
        local err = call.failed("credentials", nil, client:get_session_cluster(IDS))
        for _, place in ipairs {
            "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET are not set",
            "OIDC: ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/home/somebody/.aliyun/config.json",
            "/home/somebody/.alibabacloud/credentials", "ALIBABA_CLOUD_ECS_METADATA_DISABLED",
            "ALIBABA_CLOUD_CREDENTIALS_URI",
        } do
            contains(err.message, place)
        end
    end)
end)


describe("advice below HTTP", function()
    local function told(kind, code, options)
        return call.failed(kind, code, call.get(false, options)).message
    end

    it("for a host that nobody knows, as of a wrong region, names it and both options", function()
        child.printed("ok\n", child.lua([[
            local err = call.failed("network", "resolve", call.get("https://none.test"))
            assert(err.message:find("check region and endpoint: .*none%.test"), err.message)
            print "ok"
        ]], { preload = true }))
    end)

    it("names the CA file that was tried, and what to do", function()
        local message = told("tls", "ca",
            { endpoint = emulator.get().https, ca_file = "/no/ca.pem" })
        contains(message, "/no/ca.pem")
        contains(message, "package ca-certificates")
        contains(message, "options.ca_file")
    end)

    it("names the system's CA file where that is missing", function()
        local program = emulator.get().dir .. "/no-ca.lua"
        local file = assert(io.open(program, "w"))
        file:write(([[print(select(2, require("emr").get_session_cluster(
            { workspaceId = "w", sessionClusterId = "s" }, { region = "cn-hangzhou", endpoint = %q,
            access_key_id = "none", access_key_secret = "none" })))]]):format(emulator.get().https))
        file:close()
        local without = "mount -t tmpfs none /etc/ssl/certs 2>/dev/null || exit 77; exec %s %s"
        local result = child.run(("unshare -rm sh -c '%s'"):format(
            without:format((child.interpreter()), program)))
        if result.err:find("unshare", 1, true) or result.status == 77 then
            pending "the kernel lets nobody mount here"
            return
        end
        contains(result.out, "ca-certificates.crt")
        contains(result.out, "install the system's (package ca-certificates)")
    end)

    it("for a CA that is not known names the option", function()
        local untrusted = { endpoint = emulator.get().https, ca_file = false }
        contains(told("tls", "verify", untrusted), "set options.ca_file")
    end)

    it("for a dead port names host and port", function()
        local message = told("network", "connect", { endpoint = "https://127.0.0.1:9" })
        contains(message, "check options.endpoint")
        contains(message, "127.0.0.1 port 9")
    end)

    it("for a reply that we refuse says why, and nothing of libcurl's", function()
        local emu = emulator.get()
        emu:reset()
        emu:fault { name = "gzip" }
        assert.matches("which was not asked for$", told("protocol", "encoding",
            { endpoint = emu.https }))
    end)

    it("without keys says which variables and which options to set", function()
        local message = told("credentials", "none", { endpoint = "https://127.0.0.1:9",
            access_key_id = false, access_key_secret = false })
        contains(message, "options.access_key_id and access_key_secret")
        contains(message, "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    end)
end)


describe("advice for a reply that is not the API's", function()
    local rows = {
        { "json", 200, "<html>log in here</html>", "options.endpoint lead to the API, or does a" },
        { "shape", 200, '{"hello":"world"}', "options.endpoint lead to the API, or does a" },
        { "redirect", 302, "", "never followed; check options.endpoint" },
    }
    for _, row in ipairs(rows) do
        it("thinks of the endpoint: " .. row[1], function()
            local emu = emulator.get()
            emu:reset()
            emu:fault { name = "status", status = row[2], body = row[3] }
            local err = call.failed("protocol", row[1],
                emr.get_session_cluster(IDS, call.options(emu.https)))
            contains(err.message, row[4])
            contains(err.message, err.request_id)
        end)
    end
end)


describe("a caller's mistake", function()
    it("in the name of an operation is answered with those that there are", function()
        local client = emr.client.new { region = "cn-hangzhou" }
        local ok, message = pcall(client.call, client, "GetSesionCluster", {})
        assert.is_false(ok)
        contains(message, "'GetSesionCluster'")
        contains(message, "CreateSessionCluster, GetSessionCluster, ListSessionClusters")
    end)

    it("in leaving out the region tells where it was looked for", function()
        local client = emr.client.new { getenv = function() end }
        local ok, message = pcall(client.get_session_cluster, client, IDS)
        assert.is_false(ok)
        contains(message, "set options.region")
        for _, place in ipairs { "regionId", "ALIBABA_CLOUD_REGION_ID", "CLI profile" } do
            contains(message, place)
        end
    end)
end)
