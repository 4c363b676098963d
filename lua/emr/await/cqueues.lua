--- Waiting inside a cqueues loop, for `await = "cqueues"`. Call from a coroutine of a running loop.
-- In each loop one coroutine polls the engine while anybody waits there, and tells those whose
-- transfer has ended.

local emr = require "emr"
local auxlib = require "cqueues.auxlib"
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local failure = require "emr.failure"

local waiting = setmetatable({}, { __mode = "k" })  -- transfer -> its waiter's condition
local pumps = setmetatable({}, { __mode = "k" })  -- loop -> {waiters, changed}, while one waits

local function refuse()
    local fd, message, err = emr.pollfd()
    if not fd then
        return nil, message, err
    elseif not cqueues.running() then
        return failure("unsupported", "phase",
            'emr: await = "cqueues" needs a running cqueues loop')
    end
end

local function pump(loop, state)
    while state.waiters > 0 do
        cqueues.poll(emr, state.changed)
        emr.step(0)
        for transfer in emr.finished do
            if waiting[transfer] then
                waiting[transfer]:signal()
            end
        end
    end
    pumps[loop] = nil
end

-- The pump of the running loop, which gets one when it has none.
local function joined_pump()
    local loop = cqueues.running()
    local state = pumps[loop]
    if not state then
        state = { waiters = 0, changed = condition.new() }
        pumps[loop] = state
        loop:wrap(pump, loop, state)
    end
    return state
end

local function count(state, by)
    state.waiters = state.waiters + by
    state.changed:signal()  -- the engine's time limit may be another now
end

---@type emr.Await
local M = { refuse = refuse }

function M.sleep(seconds)
    if not cqueues.running() then
        return refuse()
    end
    cqueues.sleep(seconds)
end

function M.wait(transfer, seconds)
    if select("#", transfer:result()) > 0 then
        return
    end
    local _, message, err = refuse()
    if err then
        return nil, message, err
    end
    local state, ended = joined_pump(), condition.new()
    waiting[transfer] = ended
    count(state, 1)
    ended:wait(seconds)
    waiting[transfer] = nil
    count(state, -1)
end

function M.gate()
    local opened = condition.new()
    return function(seconds)
        opened:wait(seconds)
    end, function()
        opened:signal()
    end
end

local function outcome_of(ok, ...)
    return { ok = ok, count = select("#", ...), ... }
end

local unpack = table.unpack or unpack

-- A pcall through which one can wait on 5.1, too. A yield of the task's own only gives way.
local function run(co)
    local outcome = outcome_of(auxlib.resume(co))
    while coroutine.status(co) ~= "dead" do
        cqueues.sleep(0)
        outcome = outcome_of(auxlib.resume(co))
    end
    return outcome
end

function M.spawn(f)
    if not cqueues.running() then
        return refuse
    end
    local outcome
    local done = condition.new()
    cqueues.running():wrap(function()
        outcome = run(coroutine.create(f))
        done:signal()
    end)
    return function()
        while not outcome do
            done:wait()
        end
        if not outcome.ok then
            error(outcome[1], 0)
        end
        return unpack(outcome, 1, outcome.count)
    end
end

return M
