--- A world for the credential specs: time stands still unless moved, variables and files are
-- tables, HTTP and processes are what the spec says, and everything that was asked is logged.

local failure = require "emr.failure"

local M = {}

M.WALL = 1782907200 -- 2026-07-01T12:00:00Z
M.SECRET = "CANARYSECRETcanary0000000000"
M.TOKEN = "CANARYTOKENcanary00000000000"

--- A time stamp so many seconds after the world's beginning.
function M.stamp(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", M.WALL + seconds)
end

--- What a service of the vendor hands out.
function M.reply(id, seconds)
    return {
        AccessKeyId = id,
        AccessKeySecret = M.SECRET,
        SecurityToken = M.TOKEN,
        Expiration = M.stamp(seconds or 3600),
    }
end

local function missing(path)
    return failure("credentials", "unreadable", path .. ": No such file or directory")
end

-- A part that a spec did not set up must not be used.
local function unexpected(what)
    return function()
        error("unexpected " .. what, 0)
    end
end

--- `world` is for the provider. `state` is for the spec: `now`, `wall`, `env`, `files`
-- (path -> text or {text, mode}), the functions `fetch`, `call`, `run`, and the logs `requests`,
-- `calls`, `reads`, `runs`, `warnings`, `slept`.
function M.new(state)
    state = state or {}
    local defaults = {
        now = 1000, wall = M.WALL, env = {}, files = {}, draw = 0.5,
        fetch = unexpected("fetch"), call = unexpected("call"), run = unexpected("run"),
        requests = {}, calls = {}, reads = {}, runs = {}, warnings = {}, slept = 0,
    }
    for name, value in pairs(defaults) do
        if state[name] == nil then
            state[name] = value
        end
    end
    local world = {}
    function world.clock()
        return state.now
    end
    function world.wall_clock()
        return state.wall
    end
    function world.random()
        return state.draw
    end
    function world.sleep(seconds)
        state.slept = state.slept + seconds
        state:pass(seconds)
    end
    function world.getenv(name)
        return state.env[name]
    end
    function world.read_file(path, max)
        table.insert(state.reads, path)
        local file = state.files[path]
        if file == nil then
            return missing(path)
        end
        local text, mode = file, 384 -- 0600
        if type(file) == "table" then
            text, mode = file[1], file[2]
        end
        assert(#text <= max, "the file is larger than the cap")
        return text, mode
    end
    function world.fetch(request, options)
        table.insert(state.requests, { request = request, options = options, at = state.now })
        return state.fetch(request, options)
    end
    function world.call(operation, request, options)
        table.insert(state.calls, { operation = operation, request = request, options = options })
        return state.call(operation, request, options)
    end
    function world.run(argv, options)
        table.insert(state.runs, { argv = argv, options = options })
        return state.run(argv, options)
    end
    function world.on_warning(message)
        table.insert(state.warnings, message)
    end
    --- Let time pass, on both clocks.
    function state:pass(seconds)
        self.now = self.now + seconds
        self.wall = self.wall + seconds
    end
    return world, state
end

--- Assert that a provider refuses with this code, as every failure must: one printable line of at
-- most 512 bytes without a secret. Returns the error.
function M.refused(code, provider, world, ...)
    local found, message, err = provider(world, ...)
    assert(found == nil, "a key was returned")
    assert(type(err) == "table", "no error table")
    assert(err.code == code, ("code %s, wanted %s: %s"):format(tostring(err.code), code, message))
    assert(code == "deadline" or err.kind == "credentials", "kind " .. tostring(err.kind))
    assert(message == err.message and message == tostring(err), "message and err differ")
    assert(#message <= 512 and not message:find("%c"), "not one short line: " .. message)
    M.assert_no_secret(message)
    for _, value in pairs(err) do
        M.assert_no_secret(value)
    end
    return err
end

--- Assert that no canary is in a text, or in the texts of a table.
function M.assert_no_secret(value)
    if type(value) == "table" then
        for _, member in pairs(value) do
            M.assert_no_secret(member)
        end
    else
        assert(not tostring(value):find("CANARY", 1, true), "a secret got out: " .. tostring(value))
    end
end

return M
