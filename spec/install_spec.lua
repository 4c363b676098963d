-- Installed as a user would: with stock LuaRocks, which passes none of our compiler flags, and with
-- make install. What is installed is loaded from there and makes a call.

local child = require "spec.support.child"
local emulator = require "spec.support.emulator"

local LUA = _VERSION:match "%d.%d"

local function lines_of(command)
    local lines = {}
    local pipe = assert(io.popen(command))
    for line in pipe:lines() do
        lines[#lines + 1] = line
    end
    pipe:close()
    return lines
end

-- Below `root`, in its two folders, is each file that there is to install, and nothing else.
local function assert_installed(root)
    local expected = lines_of "find lua -name '*.lua' | LC_ALL=C sort"
    for i, path in ipairs(expected) do
        expected[i] = "share/lua/" .. LUA .. path:gsub("^lua", "")
    end
    table.insert(expected, 1, "lib/lua/" .. LUA .. "/emr.so")
    assert.same(expected,
        lines_of("cd " .. root .. " && find lib/lua share/lua -type f | LC_ALL=C sort"))
end

-- Loads it in a process of its own that outlives the Lua state, and makes a call.
local function assert_works(root)
    local text = [[
        local client = emr.client.new {
            region = "cn-hangzhou", endpoint = HTTPS, ca_file = call.emulator.ca_file,
            access_key_id = call.emulator.access_key_id,
            access_key_secret = call.emulator.access_key_secret,
        }
        local reply = assert(client:get_session_cluster {
            workspaceId = "w-1", sessionClusterId = "s-1" })
        print(reply.sessionCluster.state)
        print(io.open("/proc/self/maps"):read("*a"):match "(%S+/emr%.so)")
        print(debug.getinfo(emr.client.new, "S").source)]]
    local settings = { env = {
        LUA_PATH = ("%s/share/lua/%s/?.lua;./?.lua;;"):format(root, LUA),
        LUA_CPATH = ("%s/lib/lua/%s/?.so;%s/?.so;;"):format(root, LUA, emulator.get().dir),
    } }
    local expected = ("Starting\n%s/lib/lua/%s/emr.so\n@%s/share/lua/%s/emr/client.lua\n"):format(
        root, LUA, root, LUA)
    local result = child.host(text, settings)
    if result then
        child.printed(expected .. "libcurl is mapped\n", result)
    else
        child.printed(expected, child.lua(text, settings))
    end
end

local function exported(path)
    local symbols = {}
    for _, line in ipairs(lines_of("nm -D --defined-only " .. path)) do
        symbols[#symbols + 1] = line:match "%S+$"
    end
    return symbols
end

describe("installed", function()
    local root

    before_each(function()
        emulator.get():reset()
        root = lines_of("mktemp -d " .. emulator.get().dir .. "/installed.XXXXXX")[1]
    end)

    it("by LuaRocks: works, exports one symbol, and stays mapped", function()
        -- from a copy, because LuaRocks leaves its objects in src/
        local result = child.run(("sh -c 'cp -r src lua *.rockspec %s && cd %s && "
            .. "exec luarocks --lua-version=%s make --deps-mode none --tree tree'"):format(
            root, root, LUA))
        assert.equal(0, result.status, result.out .. result.err)
        assert.is_nil((result.out .. result.err):find("warning:", 1, true))
        root = root .. "/tree"
        assert_installed(root)
        assert.same({ "luaopen_emr" }, exported(root .. "/lib/lua/" .. LUA .. "/emr.so"))
        assert_works(root)
    end)

    it("by make install: works from there, and make uninstall leaves nothing", function()
        local function make(goal)
            local _, lua = child.interpreter()
            local result = child.run(("make -s LUA=%s DESTDIR=%s PREFIX=/opt/x %s"):format(lua,
                root, goal))
            assert.same({ 0, "" }, { result.status, result.err })
        end
        make "install"
        assert_installed(root .. "/opt/x")
        assert.same({ "755" }, lines_of("cd " .. root .. " && find . -name '*.so' -printf '%m\n'"))
        assert.same({ "644" },
            lines_of("cd " .. root .. " && find . -name '*.lua' -printf '%m\n' | sort -u"))
        assert_works(root .. "/opt/x")
        make "uninstall"
        assert.same({}, lines_of("cd " .. root .. " && find . -type f -o -name emr"))
    end)

    it("by make install: where and how it is told", function()
        local words = "CC=other-cc CFLAGS=-Dours LDFLAGS=-Lours LIBFLAG=-bundle LUA_INCDIR=/inc "
            .. "DESTDIR=/stage LIBDIR=/libs LUADIR=/luas"
        local compiled, linked, installed = 0, 0, {}
        for _, line in ipairs(lines_of("make -n BUILD=" .. root .. " " .. words .. " install")) do
            if line:find "^other%-cc .* %-c " then
                compiled = compiled + 1
                assert.matches(" %-I/inc .* %-Dours ", line)
            elseif line:find "^other%-cc " then
                linked = linked + 1
                assert.matches("^other%-cc %-bundle %-Lours ", line)
            elseif line:find " /stage/" then
                installed[#installed + 1] = line:match " (/stage/%S+)"
            end
        end
        assert.equal(#lines_of "ls src/*.c", compiled)
        assert.equal(1, linked)
        assert.equal("/stage/libs/emr.so", installed[1])
        assert.matches("^/stage/luas/", installed[2])
    end)
end)
