--- How a call waits: the only place in the policy layer that does.
-- An adapter is three functions, so that an event loop can put its own in place:
--
--     sleep(seconds)            comes back after that time
--     wait(transfer, seconds)   comes back when the transfer has ended, or after that time
--     spawn(f) -> join          runs f beside its caller; join() waits and returns what f does
--
-- sleep and wait return nothing, or `nil, message, err` where waiting is impossible. An error that
-- f raises is raised again by join, as the same object. Three more may be there:
--
--     refuse()               nil, message, err where waiting is impossible: tells it beforehand
--     blocks()               true where nothing else goes on during a wait: an attempt may then be
--                            one blocking call of the native module
--     gate() -> pass, open   pass(seconds) comes back once another task has called open(), or after
--                            that time

local emr = require "emr"
local options = require "emr.options"
local sleepers = require "emr.await.sleepers"

---@class emr.Await
---@field sleep fun(seconds: number): nil, string?, emr.Error?
---@field wait fun(transfer: emr.Transfer, seconds: number): nil, string?, emr.Error?
---@field spawn fun(f: fun(): ...): fun(): ...
---@field refuse? fun(): nil, string?, emr.Error?
---@field blocks? fun(): boolean
---@field gate? fun(): (fun(seconds: number): nil, string?, emr.Error?), fun()

-- What runs beside the main program of a script: coroutines that `join` resumes in turn.
---@class emr.Tasks
---@field engine table        the native module: now, step, finished
---@field alive table         coroutine -> task
---@field by_transfer table   transfer -> the task that waits for it
---@field ready table[]       tasks to resume
---@field sleepers emr.Sleepers   the tasks that pause
local NOBODY = {}
local Tasks = { __name = "emr.Tasks" }
Tasks.__index = Tasks

local function new_tasks(engine)
    return setmetatable({
        engine = engine, alive = {}, by_transfer = {}, ready = {}, sleepers = sleepers.new(),
    }, Tasks)
end

function Tasks:current()
    return self.alive[coroutine.running() or false]
end

function Tasks:wake(task)
    if task.due then
        self.sleepers:remove(task)
        self.ready[#self.ready + 1] = task
    end
end

function Tasks:finish(task, ok, ...)
    self.alive[task.co] = nil
    task.done, task.ok = true, ok
    task.count, task.values = select("#", ...), { ... }
    for _, waiting in ipairs(task.joined or NOBODY) do
        self:wake(waiting)
    end
end

-- What follows the coroutine.resume of a task.
function Tasks:ran(task, ...)
    if coroutine.status(task.co) == "dead" then
        self:finish(task, ...)
    elseif not task.due then  -- a yield of its own: it only gives way
        self.ready[#self.ready + 1] = task
    end
end

-- Ends every task with this outcome: else a later join would go on with what was given up.
function Tasks:give_up(...)
    for _, task in pairs(self.alive) do
        self:finish(task, ...)
    end
    self.by_transfer, self.ready, self.sleepers = {}, {}, sleepers.new()
end

function Tasks:wake_sleepers()
    local now = self.engine.now()
    while self.sleepers:first_due() <= now do
        self:wake(self.sleepers[1])
    end
end

-- One round: whatever can go on does, then the engine moves.
function Tasks:turn()
    local batch = self.ready
    self.ready = {}
    for _, task in ipairs(batch) do
        self:ran(task, coroutine.resume(task.co))
    end
    if next(self.alive) == nil then
        return
    end
    local idle = self.ready[1] and 0 or math.max(0, self.sleepers:first_due() - self.engine.now())
    if idle == math.huge then
        error("emr.await: a task that can never end is waited for", 0)
    end
    local _, message, err = self.engine.step(idle)
    for transfer in self.engine.finished do
        local task = self.by_transfer[transfer]
        if task then
            self:wake(task)
        end
    end
    self:wake_sleepers()
    return message, err
end

-- A turn of the main program. What breaks it, like Ctrl-C, or makes waiting impossible, is the
-- outcome of every task.
function Tasks:guarded_turn()
    local ok, message, err = pcall(self.turn, self)
    if not ok then
        self:give_up(false, message)
    elseif err then
        self:give_up(true, nil, message, err)
    end
end

-- Gives way until woken, at the latest after `seconds`.
function Tasks:pause(task, seconds)
    self.sleepers:add(task, self.engine.now() + seconds)
    coroutine.yield()
end

local unpack = table.unpack or unpack

local function result_of(task)
    if not task.ok then
        error(task.values[1], 0)
    end
    return unpack(task.values, 1, task.count)
end

local function has_ended(transfer)
    return select("#", transfer:result()) > 0
end

-- Steps the engine until `over()` or the seconds have passed.
local function step_until(engine, seconds, over, what)
    local deadline = engine.now() + seconds
    local left = seconds
    while not over(what) do
        local in_flight, message, err = engine.step(math.max(0, left))
        if not in_flight then
            return nil, message, err
        end
        left = deadline - engine.now()
        if left <= 0 then
            return
        end
    end
end

local function never()
    return false
end

---@class emr.await
local M = {
    -- Not so on PUC 5.1: there no yield crosses pcall or a `for` iterator.
    yields_anywhere = rawget(_G, "jit") ~= nil or _VERSION ~= "Lua 5.1",
}

--- An adapter for a plain script: what waits steps the engine, so that every transfer goes on
-- meanwhile. Inside `spawn`, it lets the other tasks go on, too.
---@param engine table   {now, step, finished}, as the native module has them
---@return emr.Await
function M.stepping(engine)
    local tasks = new_tasks(engine)
    local await = {}

    function await.sleep(seconds)
        local task = tasks:current()
        if task then
            tasks:pause(task, seconds)
            return
        end
        return step_until(engine, seconds, never)
    end

    function await.wait(transfer, seconds)
        local task = tasks:current()
        if not task then
            return step_until(engine, seconds, has_ended, transfer)
        elseif not has_ended(transfer) then
            tasks.by_transfer[transfer] = task
            tasks:pause(task, seconds)
            tasks.by_transfer[transfer] = nil
        end
    end

    function await.blocks()
        return not tasks:current()
    end

    -- For tasks only.
    function await.gate()
        local task = tasks:current()
        return function(seconds)
            tasks:pause(task, seconds)
        end, function()
            tasks:wake(task)
        end
    end

    -- Its first step is taken by a join, too: a task that nobody joins does nothing.
    function await.spawn(f)
        local task = { co = coroutine.create(f) }
        tasks.alive[task.co] = task
        tasks.ready[#tasks.ready + 1] = task
        return function()
            while not task.done do
                local waiting = tasks:current()
                if waiting then
                    task.joined = task.joined or {}
                    task.joined[#task.joined + 1] = waiting
                    tasks:pause(waiting, math.huge)
                else
                    tasks:guarded_turn()
                end
            end
            return result_of(task)
        end
    end

    return await
end

--- The one of the native engine. All clients share it, so that they can be mixed in one task.
---@type emr.Await
M.blocking = M.stepping(emr)

--- Runs a function of others in a task. Where a yield might not get through its code, it runs in a
-- coroutine of its own, in which waits block.
---@param await emr.Await   a client's
---@param f fun(): any, any, any
---@return fun(): any, any, any
function M.foreign(await, f)
    if M.yields_anywhere or await ~= M.blocking then
        return f
    end
    return function()
        local co = coroutine.create(f)
        while true do
            local ok, result, message, err = coroutine.resume(co)
            if not ok then
                error(result, 0)
            elseif coroutine.status(co) == "dead" then
                return result, message, err
            end
            coroutine.yield()
        end
    end
end

local RULES = {
    sleep = options.a "function",
    wait = options.a "function",
    spawn = options.a "function",
    refuse = options.a "function",
    blocks = options.a "function",
    gate = options.a "function",
}

--- The adapters that go by a name.
M.names = { "blocking", "nginx", "cqueues", "luv" }

-- By the table that ngx_lua has put there, as the native module tells it.
local function is_inside_nginx()
    local ngx = package.loaded.ngx
    return type(ngx) == "table" and type(ngx.config) == "table"
end

-- The adapter of that name; that of nginx comes in three kinds.
local function named(name, blocking)
    local inside = is_inside_nginx()
    name = name or inside and "nginx" or "blocking"
    if name == "nginx" and not inside then
        error('options.await: "nginx" is for code that runs inside nginx', 0)
    elseif name == "blocking" then
        return inside and require("emr.await.nginx").blocking or M.blocking
    end
    local adapter = require("emr.await." .. name)
    return name == "nginx" and blocking and adapter.or_block or adapter
end

--- The adapter for a client's option `await`.
---@param chosen string|emr.Await|nil   nil: what suits where it runs
---@param blocking? boolean   inside nginx: block the worker where nothing else is possible
---@return emr.Await
function M.choose(chosen, blocking)
    if type(chosen) ~= "table" then
        return named(chosen, blocking)
    end
    local own = options.check(chosen, RULES, "options.await", 0)
    for _, name in ipairs { "sleep", "wait", "spawn" } do
        if not own[name] then
            error(("options.await.%s is missing"):format(name), 0)
        end
    end
    return own
end

return M
