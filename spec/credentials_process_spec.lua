local cjson = require "cjson"
local credentials = require "emr.credentials"
local failure = require "emr.failure"
local process = require "emr.credentials.process"
local worlds = require "spec.support.world"

local SECRET, TOKEN = worlds.SECRET, worlds.TOKEN

local function printing(output, status, stderr)
    if type(output) == "table" then
        output = cjson.encode(output)
    end
    return worlds.new { run = function()
        return status or 0, output, stderr or ""
    end }
end

local function key(fields)
    local output = { mode = "StsToken", access_key_id = "STS.ext", access_key_secret = SECRET,
        sts_token = TOKEN, expiration = worlds.stamp(900) }
    for name, value in pairs(fields or {}) do
        output[name] = value ~= "none" and value or nil
    end
    return output
end

describe("a command line", function()
    it("is split like a shell's", function()
        local rows = {
            ["tool"] = { "tool" },
            ["  tool  a\tb\nc "] = { "tool", "a", "b", "c" },
            [ [[tool 'a b' "c d"]] ] = { "tool", "a b", "c d" },
            [ [[tool a'b'"c"d]] ] = { "tool", "abcd" },
            [ [[tool '' ""]] ] = { "tool", "", "" },
            [ [[tool 'a"b\c' "a'b"]] ] = { "tool", [[a"b\c]], "a'b" },
            [ [[tool "a\"b\\c\$d\`e\nf"]] ] = { "tool", [[a"b\c$d`e\nf]] },
            [ [[tool a\ b \'c\" \\]] ] = { "tool", "a b", [['c"]], [[\]] },
            [ [[/opt/my\ tool --x="y z"]] ] = { "/opt/my tool", "--x=y z" },
            -- nothing of these means anything without a shell
            ["tool $HOME `id` $(id) *.c ~ a;b | c > d && e # f"] = { "tool", "$HOME", "`id`",
                "$(id)", "*.c", "~", "a;b", "|", "c", ">", "d", "&&", "e", "#", "f" },
        }
        for command, argv in pairs(rows) do
            assert.same(argv, process.split(command))
        end
    end)

    it("may have 256 words", function()
        assert.equal(256, #process.split(("a "):rep(256)))
    end)

    it("is none with an open quote, a lone backslash, no word or a NUL", function()
        for _, command in ipairs { "", "  ", "'", '"', "tool 'a", 'tool "a', 'tool "a\\"',
            "tool \\", "''", "a\0b", "\0a", ("a "):rep(257) } do
            assert.is_nil(process.split(command))
        end
    end)
end)

describe("credentials.process", function()
    it("runs the command without a shell and reads the key it prints", function()
        local world, state = printing(key())
        local found = credentials.process { command = "tool --for 'a b'" }(world)
        assert.equal("STS.ext", found.access_key_id)
        assert.equal(SECRET, found.access_key_secret)
        assert.equal(TOKEN, found.security_token)
        assert.equal(worlds.WALL + 900, found.expiration)
        assert.equal("external", found.source)
        assert.same({ "tool", "--for", "a b" }, state.runs[1].argv)
        assert.equal(60, state.runs[1].options.timeout)
    end)

    it("takes mode AK, in any letter case, and ignores a token there", function()
        for _, mode in ipairs { "AK", "ak" } do
            local found = credentials.process { command = "t" }((printing(key { mode = mode })))
            assert.is_nil(found.security_token)
        end
    end)

    it("a key without an end is due at once: the command runs again, once per 10 s", function()
        local world, state = printing(key { expiration = "none" })
        local provider = credentials.cached(credentials.process { command = "t" })
        provider(world)
        state:pass(9)
        provider(world)
        assert.equal(1, #state.runs)
        state:pass(2)
        provider(world)
        assert.equal(2, #state.runs)
    end)

    it("H1: has no more time than the deadline leaves", function()
        local world, state = printing(key())
        world.deadline = state.now + 7
        credentials.process { command = "t" }(world)
        assert.equal(7, state.runs[1].options.timeout)
        world.deadline = state.now
        worlds.refused("deadline", credentials.process { command = "t" }, world)
        assert.equal(1, #state.runs)
    end)

    it("tells the status and the beginning of stderr, never stdout", function()
        local err = worlds.refused("unavailable", credentials.process { command = "t" },
            (printing("CANARY", 3, "not logged in\nsecond line")))
        assert.matches("status 3: not logged in second line", err.message, 1, true)
        worlds.refused("unavailable", credentials.process { command = "t" },
            (printing("CANARY", 1, ("x"):rep(200) .. "CANARY")))
    end)

    it("shows nothing of an output that is wrong", function()
        local rows = {
            { "malformed", "" }, { "malformed", "CANARY" }, { "malformed", '"CANARY"' },
            { "malformed", '{"CANARY":' }, { "malformed", "{}" },
            { "malformed", key { mode = "CANARY" } },
            { "incomplete", key { sts_token = "none" } },
            { "incomplete", key { sts_token = "" } },
            { "incomplete", key { access_key_secret = "none" } },
            { "malformed", key { access_key_secret = "CANARY x" } },
            { "malformed", key { access_key_id = 5 } },
            { "malformed", key { sts_token = 5 } },
        }
        for _, row in ipairs(rows) do
            worlds.refused(row[1], credentials.process { command = "t" }, (printing(row[2])))
        end
    end)

    it("a program that cannot run or is killed is unavailable; inside nginx it is unsupported",
        function()
            local world, state = worlds.new()
            local provider = credentials.process { command = "t" }
            state.run = function() return failure("timeout", "attempt", "killed after 60 s") end
            assert.matches("killed after 60 s",
                worlds.refused("unavailable", provider, world).message)
            state.run = function() return failure("unsupported", "blocking", "not in nginx") end
            assert.equal("unsupported", select(3, provider(world)).kind)
        end)

    it("raises without a command or with one that cannot be split", function()
        assert.error_matches(function() credentials.process() end, "command")
        for _, command in ipairs { "", "tool 'a", 5 } do
            assert.error_matches(function() credentials.process { command = command } end,
                "command")
        end
    end)
end)
