-- The examples against the emulator. What they wait for is there at once, so that nothing here
-- takes real time. examples/emr-cli.lua has a file of its own.

local cjson = require "cjson"

local emulator = require "spec.support.emulator"
local example = require "spec.support.example"

local ROLE = "acs:ram::123456789012:role/spark"

local function names()
    local list = {}
    local pipe = assert(io.popen "ls examples/*.lua")
    for path in pipe:lines() do
        list[#list + 1] = path:match "^examples/(.*)%.lua$"
    end
    pipe:close()
    return list
end

local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
end

describe("every example", function()
    it("is in the index", function()
        local index = read "examples/README.md"
        for _, name in ipairs(names()) do
            assert.truthy(index:find(("[%s.lua](%s.lua)"):format(name, name), 1, true), name)
        end
    end)

    for _, name in ipairs(names()) do
        it("says what it shows and how to run it: " .. name, function()
            local head = read("examples/" .. name .. ".lua"):match "^(.-)\n\n"
            for line in head:gmatch "[^\n]+" do
                assert.matches("^%-%-", line)
            end
            assert.matches("^%-%- %u.*\n%-%-\n%-%-     ", head)
            assert.truthy(head:find("lua5.4 examples/" .. name .. ".lua ", 1, true)
                or head:find("/examples/" .. name .. ".lua ", 1, true))
            assert.matches("[Ee]xit status", head)
        end)
    end
end)

describe("example", function()
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

    local function check(expected, status, name, arguments, env)
        return example.check(expected, status, emu, name, arguments, { env = env })
    end

    for _, name in ipairs(names()) do
        it(name .. " without arguments says how to run it", function()
            local result = example.run(emu, name, {})
            assert.equal(2, result.status, result.err)
            assert.equal("", result.out)
            assert.truthy(result.err:find("sage: ", 1, true))
        end)
    end

    it("get_session_cluster: prints some of the reply", function()
        cluster("s-1", "Running")
        local result = check("s-1", 0, "get_session_cluster", { "w-1", "s-1" })
        assert.matches("\nstate +Running\n", result.out)
        check("s-9 does not exist", 1, "get_session_cluster", { "w-1", "s-9" })
    end)

    it("wait_until_running: runs, breaks, is late", function()
        cluster("s-1", "Running")
        local result = check("poll 1: Running", 0, "wait_until_running", { "w-1", "s-1" })
        assert.matches("\nstate +Running\n", result.out)
        cluster("s-1", "Error")
        check("state is Error", 1, "wait_until_running", { "w-1", "s-1" })
        cluster("s-1", "Starting")
        check("still Starting", 3, "wait_until_running", { "w-1", "s-1", "0.1" })
    end)

    it("wait_until_running: draws its progress over and over on a terminal", function()
        cluster("s-1", "Running")
        local result = example.check("Running", 0, emu, "wait_until_running", { "w-1", "s-1" },
            { under = "python3 spec/support/terminal.py none" })
        assert.matches("^\r +0%.0 s  poll 1: Running +\r\n", result.out)
    end)

    it("start_and_wait: starts what is down", function()
        cluster("s-1", "Stopped")
        check("s-1 is Running", 0, "start_and_wait", { "w-1", "s-1", "0.2" })
        assert.equal(1, #emu:requests "StartSessionCluster")
        check("s-1 is Running", 0, "start_and_wait", { "w-1", "s-1", "0.2" })
        assert.equal(1, #emu:requests "StartSessionCluster")
    end)

    it("list_session_clusters: all of them, over all pages", function()
        for i = 1, 5 do
            cluster("s-" .. i, "Running")
        end
        local result = check("5 session clusters", 0, "list_session_clusters", { "w-1", "2" })
        for i = 1, 5 do
            assert.truthy(result.out:find("s-" .. i, 1, true))
        end
        assert.equal(3, #emu:requests "ListSessionClusters")
        emu:fault { name = "error", status = 403, code = "Forbidden.RAM" }
        check("Forbidden.RAM", 1, "list_session_clusters", { "w-1" })
    end)

    it("many_clusters: asks all at once, then waits for those that start", function()
        cluster("s-1", "Running")
        cluster("s-2", "Starting", "Running")
        cluster("s-3", "Starting", "Running")
        local result = check("s-2\tStarting", 0, "many_clusters", { "w-1", "s-1", "s-2", "s-3" })
        assert.truthy(result.out:find("s-2\tRunning\ns-3\tRunning\n", 1, true))
        assert.equal(5, #emu:requests())
        cluster("s-2", "Starting", "Error")
        check("state is Error", 1, "many_clusters", { "w-1", "s-1", "s-2" })
        check("s-9 does not exist", 1, "many_clusters", { "w-1", "s-1", "s-9" })
    end)

    it("assume_role: with the role's key", function()
        cluster("s-1", "Running")
        check("s-1 is Running", 0, "assume_role", { ROLE, "w-1", "s-1" })
        assert.truthy(emu:requests "GetSessionCluster"[1].headers["x-acs-security-token"])
    end)

    it("custom_provider: with the key in the files, else with that of the environment", function()
        local directory = emu.dir .. "/mounted"
        os.execute("mkdir -p " .. directory)
        local parts = {
            access_key_id = emu.sts.access_key_id .. "\n",
            access_key_secret = emu.sts.access_key_secret .. "\n",
            security_token = emu.sts.security_token,
        }
        for name, text in pairs(parts) do
            local file = assert(io.open(directory .. "/" .. name, "w"))
            file:write(text)
            file:close()
        end
        check("s-1 is ", 0, "custom_provider", { directory, "w-1", "s-1" })
        check("s-1 is ", 0, "custom_provider", { emu.dir .. "/none", "w-1", "s-1" })
        local used = emu:requests()
        assert.equal(emu.sts.security_token, used[1].headers["x-acs-security-token"])
        assert.is_nil(used[2].headers["x-acs-security-token"])
        check("/none/access_key_id: No such file", 1, "custom_provider",
            { emu.dir .. "/none", "w-1", "s-1" },
            { ALIBABA_CLOUD_ACCESS_KEY_ID = "", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "" })
    end)

    it("log_attempts: a line of JSON for each attempt", function()
        cluster("s-1", "Running")
        emu:fault { name = "status", status = 503 }
        local result = check("s-1 is Running", 0, "log_attempts", { "w-1", "s-1" })
        local first, second = result.err:match "^([^\n]+)\n([^\n]+)\n$"
        first, second = cjson.decode(first), cjson.decode(second)
        assert.same({ 1, "service", 503 }, { first.attempt, first.outcome, first.status })
        assert.is_number(first.next_in)
        assert.same({ 2, "ok", 200, true },
            { second.attempt, second.outcome, second.status, second.reused })
        assert.equal(emu:requests()[2].request_id, second.request_id)
    end)

    it("other_http_client: sends through LuaSec, and only to whom the certificate names", function()
        cluster("s-1", "Running")
        check("s-1 is Running", 0, "other_http_client", { "w-1", "s-1" })
        assert.equal("trailers", emu:requests()[1].headers.te)  -- as LuaSocket sends it
        check("s-9 does not exist", 1, "other_http_client", { "w-1", "s-9" })
        check("the certificate is not for 127.0.0.1", 1, "other_http_client", { "w-1", "s-1" },
            { EMR_ENDPOINT = emu.https:gsub("localhost", "127.0.0.1") })
        check("certificate verify failed", 1, "other_http_client", { "w-1", "s-1" },
            { EMR_CA_FILE = "/etc/ssl/certs/ca-certificates.crt" })
    end)

    it("cron: silent when all is well; else a line each and the gravest status", function()
        cluster("s-1", "Running")
        cluster("s-2", "Running")
        check(nil, 0, "cron", { "w-1", "s-1", "s-2" })
        cluster("s-2", "Starting")
        check("s-2: ", 3, "cron", { "w-1", "s-1", "s-2" }, { EMR_SECONDS = "0.1" })
        check("s-9: ", 1, "cron", { "w-1", "s-9", "s-2" }, { EMR_SECONDS = "0.1" })
        check("s-1: ", 4, "cron", { "w-1", "s-1" }, { ALIBABA_CLOUD_ACCESS_KEY_SECRET = "" })
    end)
end)
