-- Keys from the environment, for the native module (design section 4; fault catalogue, rows B1, J1,
-- J2). Each case runs in a process of its own, whose environment is set for it.

local child = require "spec.support.child"
local emulator = require "spec.support.emulator"

local ID, SECRET, TOKEN = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN"

-- Prints how call, prepare and start end, with the options that are given as Lua text.
local PROGRAM = [[
local operation = emr.operations.GetSessionCluster
local request = { workspaceId = "w-1", sessionClusterId = "s-1" }
local options = { region = "cn-hangzhou", endpoint = HTTP }
for name, value in pairs(%s) do
    options[name] = value or nil
end
local function show(name, result, message, err)
    if result then
        print(name, "ok")
    else
        assert(message == err.message and tostring(err) == message and not err.retryable)
        print(name, err.kind .. "/" .. tostring(err.code), message)
    end
end
for _, name in ipairs { "call", "prepare" } do
    show(name, emr[name](operation, request, options))
end
local transfer = emr.start(operation, request, options)
while select("#", transfer:result()) == 0 do
    emr.step(1)
end
show("start", transfer:result())
]]


describe("keys from the environment", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    local function run(variables, options)
        local ended = child.lua(PROGRAM:format(options or "{}"), { env = variables })
        assert.is_nil((ended.out .. ended.err):find("CANARY", 1, true))
        return ended.out, ended.err
    end

    local function works(...)
        local output, errors = run(...)
        assert.equal("", errors)
        assert.equal("call\tok\nprepare\tok\nstart\tok\n", output)
        local seen = emu:requests()
        assert.equal(2, #seen)
        assert.same({ "ok", "ok" }, { seen[1].verdict, seen[2].verdict })
        return seen[1]
    end

    -- Fails so, names these variables, and sends nothing.
    local function fails(code, names, ...)
        local output, errors = run(...)
        assert.equal("", errors)
        local kinds, count = {}, 0
        for name, kind, message in output:gmatch("(%a+)\t(%S+)\t([^\n]*)\n") do
            kinds[name], count = kind, count + 1
            for _, variable in ipairs(names) do
                assert.truthy(message:find(variable, 1, true), message)
            end
        end
        local kind = "credentials/" .. code
        assert.same({ call = kind, prepare = kind, start = kind }, kinds)
        assert.same({}, emu:requests())
    end

    it("sign the calls", function()
        local got = works { [ID] = emu.access_key_id, [SECRET] = emu.access_key_secret }
        assert.truthy(got.headers.authorization:find("Credential=" .. emu.access_key_id, 1, true))
        assert.is_nil(got.headers["x-acs-security-token"])
    end)

    it("sign the calls with a token", function()
        local sts = emu.sts
        local got = works { [ID] = sts.access_key_id, [SECRET] = sts.access_key_secret,
            [TOKEN] = sts.security_token }
        assert.equal(sts.security_token, got.headers["x-acs-security-token"])
    end)

    it("count as none when they are empty, the token too", function()
        fails("none", { ID, SECRET }, { [ID] = "", [SECRET] = "", [TOKEN] = "" })
        local got = works {
            [ID] = emu.access_key_id, [SECRET] = emu.access_key_secret, [TOKEN] = "",
        }
        assert.is_nil(got.headers["x-acs-security-token"])
    end)

    it("J1: are none", function()
        fails("none", { ID, SECRET }, {})
    end)

    it("J1: are none where there is a token alone", function()
        fails("none", { ID, SECRET }, { [TOKEN] = "CANARYTOKEN" })
    end)

    for what, variables in pairs {
        ["an id"] = { [ID] = "CANARYID" },
        ["an id and a token"] = { [ID] = "CANARYID", [TOKEN] = "CANARYTOKEN" },
        ["an id and an empty secret"] = { [ID] = "CANARYID", [SECRET] = "" },
    } do
        it("J2: are incomplete: " .. what, function()
            fails("incomplete", { SECRET }, variables)
        end)
    end

    it("J2: are incomplete: a secret", function()
        fails("incomplete", { ID }, { [SECRET] = "CANARYSECRET", [ID] = "" })
    end)

    for _, name in ipairs { ID, SECRET, TOKEN } do
        for what, value in pairs { ["a trailing newline"] = "CANARY\n", CR = "CANARY\rx",
            LF = "CANARY\nx: y", ["a blank"] = "CANARY x", ["non-ASCII"] = "CANARY\195\169" } do
            it(("B1: %s with %s is malformed"):format(name, what), function()
                local variables = { [ID] = "CANARYID", [SECRET] = "CANARYSECRET",
                    [TOKEN] = "CANARYTOKEN" }
                variables[name] = value
                fails("malformed", { name }, variables)
            end)
        end
    end

    it("B2: a token of more than 16 KiB is malformed", function()
        fails("malformed", { TOKEN },
            { [ID] = "CANARYID", [SECRET] = "CANARYSECRET", [TOKEN] = ("C"):rep(16385) })
    end)

    it("are not read when the options have keys, the token neither", function()
        local keys = ("{ access_key_id = %q, access_key_secret = %q }"):format(emu.access_key_id,
            emu.access_key_secret)
        for _, variables in ipairs {
            { [ID] = "CANARYID", [SECRET] = "CANARYSECRET", [TOKEN] = "CANARYTOKEN" },
            { [ID] = "CANARY\n" }, { [TOKEN] = "CANARYTOKEN" },
        } do
            emu:reset()
            local got = works(variables, keys)
            assert.truthy(got.headers.authorization:find(emu.access_key_id, 1, true))
            assert.is_nil(got.headers["x-acs-security-token"])
        end
    end)

    it("J2: never fill up half a pair of the options: that raises", function()
        local full = { [ID] = emu.access_key_id, [SECRET] = emu.access_key_secret }
        for option, missing in pairs {
            access_key_id = "access_key_secret", access_key_secret = "access_key_id",
            security_token = "access_key_id",
        } do
            local output, errors = run(full, ("{ %s = 'x' }"):format(option))
            assert.equal("", output)
            assert.truthy(errors:find(missing, 1, true), errors)
        end
        assert.same({}, emu:requests())
    end)

    it("are all that is read from there: no region, no endpoint, no user agent", function()
        local others = { [ID] = emu.access_key_id, [SECRET] = emu.access_key_secret,
            ALIBABA_CLOUD_REGION_ID = "cn-beijing", ALIBABA_CLOUD_REGION = "cn-beijing",
            REGION_ID = "cn-beijing", ALIBABA_CLOUD_USER_AGENT = "CANARYAGENT",
            ALIBABA_CLOUD_ENDPOINT = "CANARY.example",
            ALIBABA_CLOUD_EMR_SERVERLESS_SPARK_ENDPOINT = "CANARY.example" }
        local got = works(others)
        assert.equal("regionId=cn-hangzhou", got.query)
        assert.is_nil(got.headers["user-agent"]:find("CANARY", 1, true))
        local output, errors = run(others, "{ region = false }")
        assert.equal("", output)
        assert.truthy(errors:find("region", 1, true), errors)
    end)
end)
