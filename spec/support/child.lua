--- Processes of their own: Lua text under the same interpreter, or in a host made in C. What they
-- print, how they end, and the helper `process` (process.c) they may use.

local checker = require "spec.support.checker"
local emulator = require "spec.support.emulator"

local LIMIT = 30   -- seconds after which a child is killed
local PRELUDE = [[
local emr = require "emr"
local call = require "spec.support.call"
call.emulator = require("spec.support.emulator").attach(%q)
local HTTP, HTTPS = call.emulator.http, call.emulator.https
]]

local M = {}
local files = 0


local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end


local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    os.remove(path)
    return text
end


local function scratch(name)
    files = files + 1
    return ("%s/child-%d.%s"):format(emulator.get().dir, files, name)
end


--- The interpreter of this process, and what the Makefile calls it.
function M.interpreter()
    local i = 0
    while arg[i - 1] do
        i = i - 1
    end
    return arg[i], rawget(_G, "jit") and "luajit" or _VERSION:match("%d.%d")
end


--- Runs a command of the shell without a terminal, killed after `limit` (30) seconds. Returns
--- {status, out, err}; the status is 128 + n for signal n.
function M.run(command, limit)
    local out, err = scratch "out", scratch "err"
    local pipe = assert(io.popen(("timeout -s KILL %d %s >%s 2>%s </dev/null; echo $?"):format(
        limit or LIMIT, command, quoted(out), quoted(err))))
    local status = tonumber(pipe:read("*l"))
    pipe:close()
    return { status = status, out = read(out), err = read(err) }
end


-- Compiles spec/support/NAME.c once, with the headers of this Lua, and returns the path.
local function compiled(name, target, flags, compiler)
    local path = emulator.get().dir .. "/" .. target
    local file = io.open(path)
    if file then
        file:close()
        return path
    end
    local _, lua = M.interpreter()
    local script = ([[
        LUA=%s; . tools/env.sh; package=$(lua_package)
        include=${LUA_INCDIR:+-I$LUA_INCDIR}
        include=${include:-$(pkg-config --cflags $package)}
        %s -O1 $include -o %s spec/support/%s.c %s
    ]]):format(lua, compiler or "${CC:-cc}", quoted(path), name, flags)
    local result = M.run("sh -c " .. quoted(script))
    assert(result.status == 0, result.err)
    return path
end


local function library(name)
    return compiled(name, name .. ".so", "-shared -fPIC -ldl -lcrypto -Wl,-z,lazy,-z,nodelete")
end


--- Loads spec/support/NAME.c into this process.
function M.load(name)
    return assert(package.loadlib(library(name), "luaopen_" .. name))()
end


-- `make tsan` has hosts, and the module in them, of another build than ours.
local function modules(hosted)
    local build = hosted and os.getenv("HOST_BUILD")
    return (build and build .. "/?.so;" or "") .. emulator.get().dir .. "/?.so;" .. package.cpath
end


local function environment(settings, hosted)
    local process = library "process"
    local list = { "env -u LUA_INIT", "LUA_PATH=" .. quoted(package.path),
        "LUA_CPATH=" .. quoted(modules(hosted)) }
    for name, value in pairs(settings.env or {}) do
        list[#list + 1] = name .. "=" .. quoted(value)
    end
    if settings.preload then
        list[#list + 1] = "LD_PRELOAD=" .. quoted(process)
    end
    if settings.leaks then
        list[#list + 1] = "ASAN_OPTIONS=detect_leaks=0"
    end
    return table.concat(list, " ")
end


local function script(text, prelude)
    local path = scratch "lua"
    local file = assert(io.open(path, "w"))
    file:write(prelude or PRELUDE:format(emulator.get().dir), text, "\n")
    file:close()
    return path
end


--- Runs a spec, given as text, under busted with the settings of this tree.
function M.spec(text)
    local path = scratch "spec.lua"
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return M.run(("%s %s tools/busted.lua %s"):format(environment {}, quoted((M.interpreter())),
        quoted(path)))
end


--- Runs Lua text that has `emr`, `call`, and the emulator's HTTP and HTTPS. Settings: env (a map),
--- preload (with process.c in front of the C library), leaks (it may lose memory at its end),
--- under (a command that runs it), limit (seconds)
function M.lua(text, settings)
    settings = settings or {}
    return M.run(("%s %s %s %s"):format(environment(settings), settings.under or "",
        quoted((M.interpreter())), quoted(script(text))), settings.limit)
end


-- Runs a script in a host of our own, spec/support/NAME.c. Nil where the interpreter of the specs
-- is one of its own kind.
local function hosted(name, words, path, settings)
    if checker.sanitizer then
        return nil
    end
    local host = compiled(name, name,
        '$(pkg-config --libs $package) -Wl,-rpath,"$(pkg-config --variable=libdir $package)"',
        os.getenv("HOST_CC"))
    return M.run(("%s %s %s %s"):format(
        environment(settings, true), quoted(host), words, quoted(path)), settings.limit)
end


--- Runs Lua text, as above, in `states` fresh Lua states, on each of `threads` threads, of one
--- process that lives on for `seconds` after the last was closed.
function M.host(text, settings)
    return hosted("host", ("%d %d %g"):format(settings.threads or 1, settings.states or 1,
        settings.seconds or 0), script(text), settings)
end


--- Runs Lua text, alone, in a host whose memory runs out (starved.c) `count` times over. `kind` is
--- "lua" or "malloc". Not where lines are counted: that crashes without memory.
function M.starved(text, kind, count)
    if checker.coverage then
        return nil
    end
    return hosted("starved", ("%s %d"):format(kind, count), script(text, ""),
        { preload = true, limit = 3600 })
end


--- Runs Lua text, with what `lua` gives it, in a host that then looks for a text, given backwards,
--- in its own memory (wiped.c), and prints how often it is there.
function M.searched(text, backwards)
    return hosted("wiped", quoted(backwards), script(text), {})
end


--- Asserts that a child ended well, printed just this, and nothing to stderr.
function M.printed(expected, result)
    local text = ("status %s, out %q, err %q"):format(result.status, result.out, result.err)
    assert(result.status == 0 and result.err == "" and result.out == expected, text)
end


return M
