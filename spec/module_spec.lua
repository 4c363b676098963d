-- The module itself: what `require "emr"` does and gives (design sections 3 and 4).

local cjson = require "cjson"
local emr = require "emr"

local child = require "spec.support.child"
local emulator = require "spec.support.emulator"

local FUNCTIONS = {
    "get_session_cluster", "call", "prepare", "parse", "sign", "start", "step", "finished", "fetch",
    "info", "pollfd", "events", "timeout", "decode", "now", "random", "read_file", "run",
}
local LAZY = { "client", "retry", "waiter", "credentials", "await", "paginate", "operations" }

-- Runs a program in a fresh Lua that finds lua-cjson, or one that does not.
local function run(program, without_cjson)
    local path = emulator.get().dir .. "/module.lua"
    local file = assert(io.open(path, "w"))
    file:write(program)
    file:close()
    local interpreter = -1
    while arg[interpreter - 1] do
        interpreter = interpreter - 1
    end
    local cpath = package.cpath
    if without_cjson then
        cpath = package.searchpath and package.searchpath("emr", cpath)
            or (cpath:match("[^;]*build/[^;]*"):gsub("%?", "emr"))
    end
    return child.run(("env LUA_PATH='%s' LUA_CPATH='%s' '%s' '%s'"):format(package.path, cpath,
        arg[interpreter], path))
end

local function succeeded(result)
    assert.same({ status = 0, out = "ok\n", err = "" }, result)
end


describe("require", function()
    it("opens nothing, prints nothing, starts no thread and makes no global", function()
        succeeded(run [[
            local function count()
                local n = 0
                for fd = 0, 255 do
                    local file, _, code = io.open("/proc/self/fd/" .. fd)
                    n = n + ((file or code ~= 2) and 1 or 0) -- 2: ENOENT
                    if file then
                        file:close()
                    end
                end
                return n
            end
            local function threads()
                local file = io.open("/proc/self/status")
                local text = file:read("*a")
                file:close()
                return text:match("Threads:%s*(%d+)")
            end
            local before, globals, loaded = count(), {}, {}
            for name in pairs(_G) do
                globals[name] = true
            end
            for name in pairs(package.loaded) do
                loaded[name] = true
            end
            local emr = require "emr"
            assert(count() == before, count() - before .. " descriptors")
            assert(threads() == "1", threads() .. " threads")
            for name in pairs(_G) do
                assert(globals[name], name .. " is a new global")
            end
            for name in pairs(package.loaded) do
                assert(loaded[name] or name == "emr" or name:find("^cjson"), name .. " was loaded")
            end
            emr.sign({}, { access_key_id = "a", access_key_secret = "b" })
            emr.decode("[]")
            assert(count() == before, "descriptors after a call that does no I/O")
            emr.pollfd()
            assert(count() > before, "this test cannot see descriptors")
            print("ok")
        ]])
    end)

    it("needs lua-cjson, and says so in one line", function()
        local result = run([[
            local ok, message = pcall(require, "emr")
            assert(not ok)
            io.write(message)
        ]], true)
        assert.equal("", result.err)
        assert.equal(0, result.status)
        assert.truthy(result.out:find("lua-cjson", 1, true), result.out)
        assert.truthy(result.out:find("install", 1, true), result.out)
        assert.is_nil(result.out:find("\n"), result.out)
    end)

    it("works again in the same state", function()
        succeeded(run [[
            local first = require "emr"
            assert(require "emr" == first)
            local transfer = first.start({ url = "http://127.0.0.1:1/" })
            package.loaded.emr = nil
            local second = require "emr"
            for _, emr in ipairs { first, second } do
                assert(emr.decode("[1]")[1] == 1)
                assert(emr.client == require "emr.client")
                local _, _, err = emr.decode("x")
                assert(tostring(err) == err.message)
            end
            while second.step(0.01) > 0 do end -- one engine, whichever table one asks
            local _, _, err = transfer:result()
            assert(err.kind == "network")
            print "ok"
        ]])
    end)

    it("works in a coroutine", function()
        succeeded(run [[
            local emr = coroutine.wrap(function()
                return require "emr"
            end)()
            collectgarbage()
            assert(emr.decode("[1]")[1] == 1)
            assert(emr.operations.GetSessionCluster)
            local _, _, err = emr.fetch({ url = "http://127.0.0.1:1/" })
            assert(err.kind == "network")
            print "ok"
        ]])
    end)
end)


describe("the module", function()
    it("has the functions of the design", function()
        for _, name in ipairs(FUNCTIONS) do
            assert.is_function(emr[name], name)
        end
    end)

    it("has _NAME, _VERSION and null", function()
        assert.equal("emr", emr._NAME)
        assert.matches("^%d+%.%d+%.%d+$", emr._VERSION)
        assert.equal("userdata", type(emr.null))
        assert.equal(cjson.null, emr.null)
    end)

    it("has nothing else before something was asked of it", function()
        local expected = { _NAME = true, _VERSION = true, null = true }
        for _, name in ipairs(FUNCTIONS) do
            expected[name] = true
        end
        local names = {}
        for name in pairs(expected) do
            names[#names + 1] = ("[%q]=true"):format(name)
        end
        succeeded(run(([[
            local expected = {%s}
            for name in pairs(require "emr") do
                assert(expected[name], name)
            end
            print "ok"
        ]]):format(table.concat(names, ","))))
    end)

    for _, name in ipairs(LAZY) do
        it("loads emr." .. name .. " when it is asked for, once", function()
            succeeded(run(([[
                local name = %q
                local emr = require "emr"
                assert(rawget(emr, name) == nil)
                assert(package.loaded["emr." .. name] == nil)
                local value = emr[name]
                assert(type(value) == "table" or type(value) == "function")
                assert(value == require("emr." .. name))
                assert(rawget(emr, name) == value)
                print "ok"
            ]]):format(name)))
        end)
    end

    it("gives nil for any other key, and touches no file for it", function()
        local searchers = package.searchers or package.loaders
        local asked = 0
        table.insert(searchers, 1, function()
            asked = asked + 1
        end)
        finally(function()
            table.remove(searchers, 1)
        end)
        for _, key in ipairs { "failure", "call_", "Client", "client ", "", "x", "emr", "client.x",
            "proxies", "credentials.ini", "client\0", "../x", 1, 0.5, true, {}, print } do
            assert.is_nil(emr[key], tostring(key))
        end
        assert.is_nil(emr[nil])
        assert.equal(0, asked)
    end)

    it("shows an error of a file that it loads", function()
        succeeded(run [[
            package.preload["emr.waiter"] = function() error("broken", 0) end
            local emr = require "emr"
            local ok, message = pcall(function() return emr.waiter end)
            assert(not ok and message:find("broken", 1, true), message)
            assert(rawget(emr, "waiter") == nil)
            print "ok"
        ]])
    end)

    it("ignores extra arguments", function()
        local get = emr.operations.GetSessionCluster
        local reply = { status = 200, body = '{"sessionCluster":{}}' }
        assert.same({ sessionCluster = {} }, emr.parse(get, reply, 1, {}, print))
        assert.same({ 1 }, emr.decode("[1]", 1, {}, print))
        assert.is_number(emr.now(emr, 1))
        assert.is_number(emr.random(1, 2, 3))
        assert.equal(0, emr.step(0, emr, "x"))
        assert.is_nil(emr.finished(emr))
        for _, name in ipairs { "pollfd", "events", "timeout" } do
            assert.same({ emr[name]() }, { emr[name](emr, 1) })
        end
        local key = { access_key_id = "a", access_key_secret = "b" }
        assert.same(emr.sign({}, key), emr.sign({}, key, 1, {}))
        key.region = "cn-hangzhou"
        assert(emr.prepare(get, { workspaceId = "w", sessionClusterId = "s" }, key, 1, {}))
    end)

    it("has a clock that never goes back, in seconds", function()
        local cpu, first = os.clock(), emr.now()
        local last = first
        while os.clock() - cpu < 0.02 do
            local now = emr.now()
            assert(now >= last)
            last = now
        end
        local elapsed = emr.now() - first
        assert.is_true(elapsed > 0.015 and elapsed < 5, elapsed)
    end)

    it("has random numbers in [0, 1) that fill it evenly", function()
        local tenths, n = {}, 20000
        for _ = 1, n do
            local x = emr.random()
            assert(x >= 0 and x < 1)
            local tenth = math.floor(x * 10)
            tenths[tenth] = (tenths[tenth] or 0) + 1
        end
        -- a tenth has 2000 +- 42; 300 are seven deviations
        for tenth = 0, 9 do
            assert.is_true(math.abs(tenths[tenth] - n / 10) < 300, tenths[tenth])
        end
    end)
end)


describe("an error", function()
    local function errors()
        local get = emr.operations.GetSessionCluster
        local list = {}
        for name, results in pairs {
            decode = { emr.decode("x") },
            parse = { emr.parse(get, { status = 404, body = '{"code":"NotFound"}' }) },
            fetch = { emr.fetch({ url = "http://127.0.0.1:1/" }) },
            read_file = { emr.read_file("/nonexistent", 1) },
            failure = { require "emr.failure" ("state", "Error", "it failed") },
        } do
            assert.is_nil(results[1], name)
            list[name] = results
        end
        return list
    end

    it("prints as its message, wherever it was made", function()
        for name, results in pairs(errors()) do
            local message, err = results[2], results[3]
            assert.is_string(message)
            assert.equal(message, err.message, name)
            assert.equal(message, tostring(err), name)
            assert.equal(message, ("%s"):format(tostring(err)), name)
        end
    end)

    it("is a plain table of a class called emr.Error", function()
        for name, results in pairs(errors()) do
            assert.equal("emr.Error", getmetatable(results[3]).__name, name)
            assert.is_string(results[3].kind)
            assert.is_boolean(results[3].retryable)
            local copy = {}
            for key, value in pairs(results[3]) do
                assert.is_string(key)
                copy[key] = value
            end
            assert.equal(results[2], copy.message)
        end
    end)

    it("stays the same when it is changed by its owner", function()
        local first = select(3, emr.decode("x"))
        first.kind, first.message = "mine", "mine"
        local second = select(3, emr.decode("x"))
        assert.equal("protocol", second.kind)
        assert.are_not.equal("mine", tostring(second))
        assert.equal("mine", tostring(first))
    end)
end)
