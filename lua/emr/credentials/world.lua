--- The outside world as the credential providers see it: time, environment, files, HTTP.
-- It comes in as an argument, so that a client, an event loop or a test can put its own in place
-- of any member; what is left out is the real thing.

local emr = require "emr"
local failure = require "emr.failure"

---@class emr.World
---@field clock? fun(): number        monotonic seconds
---@field wall_clock? fun(): number   seconds since 1970
---@field sleep? fun(seconds: number)
---@field random? fun(): number       in [0,1)
---@field getenv? fun(name: string): string?
---@field read_file? fun(path: string, max: integer): string?, integer|string, emr.Error?
---@field run? fun(argv: string[], options: table): integer?, string, string|emr.Error
---@field fetch? fun(request: table, options: table): table?, string?, emr.Error?
---@field call? fun(operation: emr.Operation, request: table, options: table): table?, ...
---@field on_warning? fun(message: string)
---@field deadline? number            in the time of `clock`; nothing may take longer

local REAL = {
    clock = emr.now,
    wall_clock = os.time,
    sleep = emr.step,
    random = emr.random,
    getenv = os.getenv,
    read_file = emr.read_file,
    run = emr.run,
    fetch = emr.fetch,
    call = emr.call,
    on_warning = function() end,
}

local SHORTEST = 0.05 -- no request is begun with less time left

-- Kinds that say something about the caller or the process, not about a source of credentials.
local OF_THE_CALLER = { unsupported = true, cancelled = true, memory = true }

local Complete = { __name = "emr.World" }

-- What is known of the request that a coroutine is making.
local watched = setmetatable({}, { __mode = "k" })

local M = {}

local function member(name, value)
    if value ~= nil and type(value) ~= "function" then
        error(("world.%s must be a function, got %s"):format(name, type(value)), 0)
    end
    return value
end

--- A world with every member in place.
---@param world emr.World?
---@param own emr.World?    members that win over those of `world`
---@return emr.World
function M.complete(world, own)
    if own == nil and getmetatable(world) == Complete then
        return world --[[@as emr.World]]
    end
    world, own = world or {}, own or {}
    local complete = { deadline = world.deadline }
    for name, real in pairs(REAL) do
        complete[name] = member(name, own[name]) or member(name, world[name]) or real
    end
    return setmetatable(complete, Complete)
end

--- The same world with no more than `seconds` left.
---@param world emr.World
---@param seconds number
---@return emr.World
function M.bounded(world, seconds)
    local copy = {}
    for name, value in pairs(world) do
        copy[name] = value
    end
    copy.deadline = math.min(world.deadline or math.huge, world.clock() + seconds)
    return setmetatable(copy, Complete)
end

--- An environment variable; one that is empty counts as not set, as in every tool of the vendor.
---@return string?
function M.env(world, name)
    local value = world.getenv(name)
    if value ~= "" then
        return value
    end
end

--- Whether a variable says `true`, in any letter case; "1" does not.
---@return boolean
function M.flag(world, name)
    return (world.getenv(name) or ""):lower() == "true"
end

--- Whether a failure says nothing about the source: the caller's time is over, the call was given
-- up, or this is no place for it.
---@param err emr.Error
---@return boolean
function M.is_of_caller(err)
    return OF_THE_CALLER[err.kind] or err.kind == "timeout" and err.code == "deadline"
end

local function over(co, ...)
    watched[co] = nil
    return ...
end

--- Makes a request so that others can tell when its coroutine is gone.
---@param request fun(seen: table): ...   leaves its transfer in `seen`
---@return any ...   what it returns
function M.watched(request)
    local co, seen = coroutine.running() or "main", {}
    watched[co] = seen
    return over(co, request(seen))
end

--- Whether a coroutine has not yet gone on after the end of its request. When that lasts, it never
-- will: nginx kills a light thread without a word, but its transfer is cancelled soon.
---@param co any   a coroutine, or "main" for the main program on 5.1
---@return boolean
function M.hangs(co)
    local transfer = watched[co] and watched[co].transfer
    return transfer ~= nil and select("#", transfer:result()) > 0
end

local function late(what)
    return failure("timeout", "deadline", what .. ": no time left before the deadline")
end

--- How long a step may take: `seconds`, or what is left until the deadline.
---@param world emr.World
---@param what string      the source, for the message
---@param seconds number
---@return number? seconds, string? message, emr.Error? err
function M.limit(world, what, seconds)
    if world.deadline == nil then
        return seconds
    end
    local left = world.deadline - world.clock()
    if left < SHORTEST then
        return late(what)
    end
    return math.min(seconds, left)
end

-- A reply that is not what it should be is malformed; whatever else went wrong may pass.
local function code_of(err)
    if err.kind == "protocol" and (err.code == "json" or err.code == "shape") then
        return "malformed"
    end
    return err.kind == "credentials" and err.code or "unavailable"
end

--- Tell a failure of the world as one of a credential source.
---@param world emr.World
---@param what string      the source, for the message
---@param message string
---@param err emr.Error?    an injected function may leave it out
---@return nil, string message, emr.Error err
function M.failed(world, what, message, err)
    message, err = tostring(message), type(err) == "table" and err or {}
    if M.is_of_caller(err) then
        return nil, message, err
    end
    if world.deadline and world.clock() >= world.deadline then
        return late(what)
    end
    local extra = {
        status = err.status,
        request_id = err.request_id,
        access_denied_detail = err.access_denied_detail,
        retryable = err.retryable,
    }
    return failure("credentials", code_of(err), what .. ": " .. message, extra)
end

return M
