-- The examples, run as a reader would run them: as programs, against the emulator. What they wait
-- for is there at once, so that nothing here takes real time.
local emulator = require "spec.support.emulator"

local ROLE = "acs:ram::123456789012:role/spark"

local function interpreter()
    local i = 0
    while arg[i - 1] do
        i = i - 1
    end
    return arg[i]
end

local function quoted(text)
    return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

describe("example", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    -- Runs it; its output, both streams, and its exit status.
    local function run(name, arguments, env)
        local words = { "env" }
        local all = {
            EMR_ENDPOINT = emu.https, EMR_CA_FILE = emu.ca_file,
            ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
            ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret,
            ALIBABA_CLOUD_CLI_PROFILE_DISABLED = "true",
            ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true",
            LUA_PATH = package.path, LUA_CPATH = package.cpath,
        }
        for key, value in pairs(env or {}) do
            all[key] = value
        end
        for key, value in pairs(all) do
            words[#words + 1] = quoted(key .. "=" .. value)
        end
        words[#words + 1] = quoted(interpreter())
        words[#words + 1] = "examples/" .. name .. ".lua"
        for _, word in ipairs(arguments) do
            words[#words + 1] = quoted(word)
        end
        local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1; echo $?", "r"))
        local output = pipe:read "*a"
        pipe:close()
        local text, status = output:match "^(.-)(%d+)%s*$"
        assert.is_nil(text:find("CANARY", 1, true))
        return text, tonumber(status)
    end

    local function cluster(id, ...)
        emu:cluster { workspaceId = "w-1", sessionClusterId = id, states = { ... },
            on_start = { "Running" } }
    end

    local function check(expected, status, name, arguments, env)
        local text, got = run(name, arguments, env)
        assert.equal(status, got, text)
        assert.truthy(text:find(expected, 1, true), text)
        return text
    end

    it("without arguments says how to run it", function()
        for _, name in ipairs { "get_session_cluster", "wait_until_running", "start_and_wait",
            "list_session_clusters", "assume_role", "cron" } do
            check("usage: examples/" .. name .. ".lua", 2, name, {})
        end
    end)

    it("get_session_cluster: prints the reply, but not the token that opens the session", function()
        cluster("s-1", "Running")
        check('sessionClusterId = "s-1"', 0, "get_session_cluster", { "w-1", "s-1" })
        check('connectionToken = "(not shown)"', 0, "get_session_cluster", { "w-1", "s-1" })
        check("s-9 does not exist", 1, "get_session_cluster", { "w-1", "s-9" })
    end)

    it("wait_until_running: runs, breaks, is late", function()
        cluster("s-1", "Running")
        local text = check('state = "Running"', 0, "wait_until_running", { "w-1", "s-1" })
        assert.truthy(text:find("poll 1: Running", 1, true))
        cluster("s-1", "Error")
        check("state is Error", 1, "wait_until_running", { "w-1", "s-1" })
        cluster("s-1", "Starting")
        check("still Starting", 3, "wait_until_running", { "w-1", "s-1", "0.1" })
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
        check("5 session clusters", 0, "list_session_clusters", { "w-1", "2" })
        assert.equal(3, #emu:requests "ListSessionClusters")
        emu:fault { name = "error", status = 403, code = "Forbidden.RAM" }
        check("Forbidden.RAM", 1, "list_session_clusters", { "w-1" })
    end)

    it("assume_role: with the role's key", function()
        cluster("s-1", "Running")
        check("s-1 is Running", 0, "assume_role", { ROLE, "w-1", "s-1" })
        assert.truthy(emu:requests "GetSessionCluster"[1].headers["x-acs-security-token"])
    end)

    it("cron: silent when all is well; else a line each and the gravest status", function()
        cluster("s-1", "Running")
        cluster("s-2", "Running")
        local text, status = run("cron", { "w-1", "s-1", "s-2" })
        assert.same({ "", 0 }, { text, status })
        cluster("s-2", "Starting")
        check("s-2: ", 3, "cron", { "w-1", "s-1", "s-2" }, { EMR_SECONDS = "0.1" })
        check("s-9: ", 1, "cron", { "w-1", "s-9", "s-2" }, { EMR_SECONDS = "0.1" })
        check("s-1: ", 4, "cron", { "w-1", "s-1" }, { ALIBABA_CLOUD_ACCESS_KEY_SECRET = "" })
    end)
end)
