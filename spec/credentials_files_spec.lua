-- Credential files as a machine may have them: row J3 with true files.
local credentials = require "emr.credentials"
local emulator = require "spec.support.emulator"
local worlds = require "spec.support.world"

local KEY = '{"current":"d","profiles":[{"name":"d","mode":"AK",'
    .. '"access_key_id":"LTAIfile","access_key_secret":"' .. worlds.SECRET .. '"}]}'
local INI = "[default]\ntype = access_key\naccess_key_id = LTAIini\naccess_key_secret = "
    .. worlds.SECRET .. "\n"

describe("a credential file", function()
    local home, warnings, world

    local function run(command)
        return os.execute(command:gsub("@", home))
    end

    local function write(path, text, mode)
        local file = assert(io.open(home .. "/" .. path, "wb"))
        file:write(text)
        file:close()
        run(("chmod %s @/%s"):format(mode or "600", path))
    end

    before_each(function()
        home = emulator.get().dir .. "/home"
        run "rm -rf @ && mkdir -p @/.aliyun @/.alibabacloud"
        warnings = {}
        world = {
            getenv = function(name) return name == "HOME" and home or nil end,
            on_warning = function(message) warnings[#warnings + 1] = message end,
            fetch = function() error("no network here", 0) end,
        }
    end)

    teardown(function()
        run "rm -rf @"
    end)

    it("is read at its default place", function()
        write(".aliyun/config.json", KEY)
        assert.equal("LTAIfile", assert(credentials.profile()(world)).access_key_id)
        write(".alibabacloud/credentials.ini", INI)
        assert.equal("LTAIini", assert(credentials.ini()(world)).access_key_id)
        assert.same({}, warnings)
    end)

    it("J3: missing, a directory, a FIFO, a device, 10 MiB: unreadable, at once, with the path",
        function()
            run "mkfifo @/fifo"
            write("large", ("x"):rep(10 * 1024 * 1024))
            for _, path in ipairs { home .. "/missing", home, home .. "/fifo", "/dev/zero",
                home .. "/large" } do
                for _, provider in ipairs { credentials.profile { file = path },
                    credentials.ini { file = path } } do
                    assert.matches(path, worlds.refused("unreadable", provider, world).message,
                        1, true)
                end
            end
        end)

    it("J3: empty, cut at every byte: malformed or none, never a key, never content", function()
        for n = 0, #KEY - 1 do
            write("config.json", KEY:sub(1, n))
            local found, message, err = credentials.profile { file = home .. "/config.json" }(world)
            assert.is_nil(found)
            assert.equal("malformed", err.code)
            assert.matches(home .. "/config.json", message, 1, true)
            worlds.assert_no_secret(message)
        end
    end)

    it("J3: names the line of what is no JSON", function()
        write("config.json", '{\n  "current": "d",\n  "profiles": [CANARY]\n}\n')
        local err = worlds.refused("malformed",
            credentials.profile { file = home .. "/config.json" }, world)
        assert.matches("config.json:3 ", err.message, 1, true)
    end)

    it("J4: readable by others works and warns once", function()
        write(".aliyun/config.json", KEY, "644")
        write(".alibabacloud/credentials", INI, "640")
        local cli, ini = credentials.profile(), credentials.ini()
        for _ = 1, 3 do
            assert(cli(world))
            assert(ini(world))
        end
        assert.equal(2, #warnings)
        assert.matches("config.json", warnings[1], 1, true)
        worlds.assert_no_secret(warnings)
    end)

    it("names the region of the profile in use", function()
        write(".aliyun/config.json", (KEY:gsub('"mode"', '"region_id":"cn-beijing","mode"')))
        assert.equal("cn-beijing", credentials.region(world))
    end)
end)
