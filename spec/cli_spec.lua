-- examples/emr-cli.lua: what it prints, where, and how it ends.

local dkjson = require "dkjson"
local emr = require "emr"

local checker = require "spec.support.checker"
local emulator = require "spec.support.emulator"
local example = require "spec.support.example"

local it_in_stock = checker.sanitizer and pending or it

describe("examples/emr-cli.lua", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    local function cluster(id, ...)
        emu:cluster { workspaceId = "w-1", sessionClusterId = id, states = { ... },
            on_start = { "Running" } }
    end

    -- check(expected, status, {arguments}, settings)
    local function check(expected, status, arguments, settings)
        return example.check(expected, status, emu, "emr-cli", arguments, settings)
    end

    describe("prints", function()
        it("the reply as JSON, all of it but the token that opens the session", function()
            cluster("s-1", "Running")
            local result = check("", 0, { "get", "w-1", "s-1", "--output", "json" })
            local shown = dkjson.decode(result.out)
            local expected = emr.get_session_cluster(
                { workspaceId = "w-1", sessionClusterId = "s-1" },
                { region = "cn-hangzhou", endpoint = emu.http,
                    access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret })
            expected.requestId = emu:requests()[1].request_id
            expected.sessionCluster.connectionToken = "(--show-token shows it)"
            assert.same(expected, shown)
            assert.equal("", result.err)
        end)

        it("JSON in the order of the reference, an empty list as one, a null as one", function()
            emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", body = [[{"requestId":"r",
                "sessionCluster":{"applicationConfigs":[],"later":[null],"state":"Running"}}]] }
            check([[
{
  "sessionCluster":{
    "state":"Running",
    "applicationConfigs":[],
    "later":[null]
  },
  "requestId":"r"
}
]], 0, { "get", "w-1", "s-1", "--output", "json" })
        end)

        it("the token when told so", function()
            check("CANARYCONNECTIONTOKEN", 0, { "--show-token", "get", "w-1", "s-1" },
                { shows_token = true })
            check("CANARYCONNECTIONTOKEN", 0, { "list", "w-1", "--show-token", "--output=json" },
                { shows_token = true })
        end)

        it("a table", function()
            cluster("s-1", "Running")
            local result = check("sessionClusterId         s-1\n", 0, { "get", "w-1", "s-1" })
            assert.matches("\nstate +Running\n", result.out)
            assert.matches("\nconnectionToken +%(%-%-show%-token shows it%)\n", result.out)
        end)

        it("no control character that somebody has put into a name", function()
            emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1",
                fields = { name = "a\27[2Jb" } }
            check("a?[2Jb", 0, { "list", "w-1" })
        end)

        it("a list over all its pages, as a table or as JSON", function()
            for i = 1, 101 do
                cluster(("s-%03d"):format(i), "Running")
            end
            local result = check("s-101                    Running      test\n", 0,
                { "list", "w-1" })
            assert.equal(102, select(2, result.out:gsub("\n", "")))  -- with the emulator's own s-1
            result = check("", 0, { "list", "w-1", "--output", "json" })
            assert.equal(102, #dkjson.decode(result.out).sessionClusters)
            assert.equal(4, #emu:requests "ListSessionClusters")
            assert.is_nil(result.out:find("CANARY", 1, true))
        end)

        it("an empty list as one", function()
            check('"sessionClusters":[]', 0, { "list", "w-9", "--output", "json" })
            check(nil, 0, { "list", "w-9" })
        end)

        it("what start and stop reply", function()
            cluster("s-1", "Stopped")
            local result = check("", 0, { "start", "w-1", "s-1", "--output", "json" })
            assert.equal("s-1", dkjson.decode(result.out).sessionClusterId)
            check("sessionClusterId         s-1\n", 0, { "stop", "w-1", "s-1" })
            assert.equal(1, #emu:requests "StartSessionCluster")
            assert.equal(1, #emu:requests "StopSessionCluster")
        end)
    end)

    describe("waits", function()
        it("for Running, and for any other state", function()
            cluster("s-1", "Running")
            local result = check("Running", 0, { "wait", "w-1", "s-1" })
            assert.equal("", result.err)  -- no progress: that is no terminal
            cluster("s-1", "Stopped")
            check("Stopped", 0, { "wait", "w-1", "s-1", "--state", "stopped" })
        end)

        it("with its progress on a terminal, and only there", function()
            cluster("s-1", "Running")
            local result = check("\r    0 s  Running", 0, { "wait", "w-1", "s-1" },
                { under = "python3 spec/support/terminal.py none" })
            assert.truthy(result.out:find("connectionToken", 1, true))
        end)

        it_in_stock("until Ctrl-C", function()
            cluster("s-1", "Starting")
            local result = check("emr-cli: interrupted!", 130, { "wait", "w-1", "s-1" },
                { under = "python3 spec/support/terminal.py Starting" })
            assert.is_nil(result.out:find("traceback", 1, true))
        end)
    end)

    describe("ends with", function()
        it("2 for a wrong use, and says what is right", function()
            check("Usage: emr-cli.lua ", 2, {})
            check("Usage: emr-cli.lua get ", 2, { "get", "w-1" })
            check("unknown command 'frob'", 2, { "frob" })
            check("must be one of 'table', 'json'", 2, { "list", "w-1", "--output", "xml" })
            check("malformed argument 'soon'", 2, { "wait", "w-1", "s-1", "--timeout", "soon" })
            check("emr-cli: options.timeout must be", 2, { "wait", "w-1", "s-1", "--timeout=0" })
            check("emr-cli: request.workspaceId", 2, { "get", "..", "s-1" })
            check("the region is missing", 2, { "list", "w-1" },
                { env = { ALIBABA_CLOUD_REGION_ID = "" } })
            assert.equal(0, #emu:requests())
        end)

        it("0 for --help, which tells every other number", function()
            local result = check("Exit status:", 0, { "--help" })
            local told = {}
            for status in result.out:gmatch "\n +(%d+)  " do
                told[#told + 1] = tonumber(status)
            end
            assert.same({ 0, 1, 2, 3, 4, 5, 6, 7, 8, 130 }, told)
        end)

        it("3 when the time is over", function()
            cluster("s-1", "Starting")
            check("still Starting", 3, { "wait", "w-1", "s-1", "--timeout", "0.1" })
        end)

        it("4 without a key that works", function()
            check("no credentials found", 4, { "get", "w-1", "s-1" }, {
                env = { ALIBABA_CLOUD_ACCESS_KEY_ID = "", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "" } })
            check("InvalidAccessKeyId.NotFound", 4, { "get", "w-1", "s-1" },
                { env = { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAInobody" } })
            emu:fault { name = "error", status = 403, code = "Forbidden.RAM" }
            check("Forbidden.RAM", 4, { "list", "w-1" })
        end)

        it("5 when the state cannot be reached any more", function()
            cluster("s-1", "Error")
            check("state is Error", 5, { "wait", "w-1", "s-1" })
        end)

        it("6 when the server is not reached or not to be trusted", function()
            check("emr-cli: ", 6, { "get", "w-1", "s-1" },
                { env = { EMR_ENDPOINT = emu.raw("refuse") } })
            check("emr-cli: ", 6, { "get", "w-1", "s-1" },
                { env = { EMR_CA_FILE = "/etc/ssl/certs/ca-certificates.crt" } })
        end)

        it("7 when the API refuses or makes no sense", function()
            cluster("s-1", "Running")
            check("OperationDenied", 7, { "start", "w-1", "s-1" })
            emu:fault { name = "status", status = 200, body = "{}" }
            check("emr-cli: ", 7, { "get", "w-1", "s-1" })
            emu:fault { name = "error", status = 404, code = "InvalidApi.NotFound" }
            check("InvalidApi.NotFound", 7, { "get", "w-1", "s-1" })
        end)

        it("8 when there is no such session cluster", function()
            check("s-9 does not exist", 8, { "get", "w-1", "s-9" })
            check("s-9 does not exist", 8, { "wait", "w-1", "s-9" })
        end)
    end)
end)
