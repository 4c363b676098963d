--- Waiting inside nginx (ngx_lua, OpenResty): light threads sleep, the worker never stands still.
-- Each waiting light thread sleeps on a semaphore of its own. One pump per worker, a zero-delay
-- timer that loops while anything is in flight, steps the engine and wakes those whose transfer has
-- ended.
--
-- Works in server_rewrite, rewrite, access, content and timer, which is looked up at each call: a
-- client may be made in init_by_lua. Elsewhere: nil, message, err of kind unsupported, code phase.

local emr = require "emr"
local await = require "emr.await"
local failure = require "emr.failure"
local ngx = require "ngx"
local semaphore = require "ngx.semaphore"

local PHASES = {
    server_rewrite = true, rewrite = true, access = true, content = true, timer = true,
}

-- seconds
local SHORTEST = 0.001  -- less is 0 for nginx, which does not sleep then
local QUICK, SLOW = 0.001, 0.005  -- between two steps of the pump: while things happen, at most
local SWEEP = 0.25  -- between two searches for waiters that are gone
local START = 0.005  -- a timer that has not begun by then will not: lua_max_running_timers
local AGAIN = 1  -- until another timer is tried
local STALE = 0.02  -- without a step: nobody pumps
local LOOK = 0.05  -- how often the others look whether the waiter that pumps is still there
local FENCE = 1  -- how often a waiter looks for itself although a pump runs

-- The only state of the policy layer: this worker's pump. The transfer of a light thread that was
-- killed while nobody pumped is collected, which cancels it.
local waiting = setmetatable({}, { __mode = "k" })  -- transfer -> its waiter's semaphore
local pump = { runs = false, asked = -math.huge, stepped = -math.huge, swept = 0, tick = QUICK }

local function may_wait()
    return PHASES[ngx.get_phase()]
end

local function refuse()
    local phase = ngx.get_phase()
    if not PHASES[phase] then
        return failure("unsupported", "phase", ("emr: nginx cannot wait in the phase %s; call from "
            .. "rewrite, access, content or a timer, or set options.blocking = true"):format(phase))
    end
end

local function wake(transfer)
    local sleeper = waiting[transfer]
    if sleeper then
        waiting[transfer] = nil
        sleeper:post()
    end
    return sleeper
end

-- Drops the transfers of light threads that were killed, by their request's end or by
-- ngx.thread.kill: such a one has left its semaphore. So has who calls, for `mine`: it is awake.
local function sweep(mine)
    for transfer, sleeper in pairs(waiting) do
        if sleeper:count() == 0 and transfer ~= mine then
            waiting[transfer] = nil
            transfer:cancel()
        end
    end
end

-- One step of the engine. Returns how many are in flight.
local function turn(mine)
    local in_flight = emr.step(0) or 0
    local woken = false
    for transfer in emr.finished do
        woken = wake(transfer) ~= nil or woken
    end
    local now = emr.now()
    if now - pump.swept >= SWEEP then
        pump.swept = now
        sweep(mine)
    end
    pump.stepped = now
    pump.tick = woken and QUICK or math.min(pump.tick + QUICK, SLOW)
    return in_flight
end

local function pump_until_idle()
    while turn() > 0 do
        ngx.sleep(pump.tick)
    end
end

-- The timer. That nginx is shutting down does not stop it: the calls in flight are to end.
local function run()
    if pump.runs then
        return
    end
    pump.runs, pump.asked = true, -math.huge
    local ok, object = pcall(pump_until_idle)
    pump.runs, pump.stepped = false, -math.huge
    if not ok then
        error(object, 0)
    end
end

-- Sees to it that somebody pumps, in the worst case the caller, who waits for `mine`. Returns how
-- long it may sleep until it asks again.
local function attend(mine)
    local now = emr.now()
    local idle = now - pump.stepped
    if pump.runs and idle < FENCE then
        return FENCE
    elseif idle < STALE then
        return LOOK
    elseif now - pump.asked < START then
        return START
    elseif now - pump.asked >= AGAIN then
        pump.asked = now
        if ngx.timer.at(0, run) then
            return START
        end
    end
    turn(mine)
    return pump.tick
end

local function has_ended(transfer)
    return select("#", transfer:result()) > 0
end

---@type emr.Await
local M = { refuse = refuse }

function M.sleep(seconds)
    if not may_wait() then
        return refuse()
    end
    ngx.sleep(math.max(seconds, SHORTEST))
end

-- Until `transfer` is woken, or the seconds are over.
local function sleep_on(sleeper, transfer, seconds)
    local left, deadline = seconds, emr.now() + seconds
    while waiting[transfer] == sleeper and left > 0 and not has_ended(transfer) do
        local ok, why = sleeper:wait(math.max(SHORTEST, math.min(left, attend(transfer))))
        if not ok and why ~= "timeout" then
            return failure("unsupported", "phase", "emr: nginx cannot wait: " .. tostring(why))
        end
        left = deadline - emr.now()
    end
end

function M.wait(transfer, seconds)
    if has_ended(transfer) then
        return
    elseif not may_wait() then
        return refuse()
    end
    local sleeper, why = semaphore.new()
    if not sleeper then
        return failure("memory", nil, "emr: no semaphore: " .. tostring(why))
    end
    waiting[transfer], pump.tick = sleeper, QUICK
    local _, message, err = sleep_on(sleeper, transfer, seconds)
    waiting[transfer] = nil
    return nil, message, err
end

function M.gate()
    local sleeper, why = semaphore.new()
    if not sleeper then
        error("emr: no semaphore: " .. tostring(why), 0)
    end
    return function(seconds)
        sleeper:wait(math.max(SHORTEST, seconds))
    end, function()
        sleeper:post()
    end
end

local function outcome_of(ok, ...)
    return { ok = ok, count = select("#", ...), ... }
end

-- A light thread. Only the one who spawned it may join it; nginx wants it so.
function M.spawn(f)
    if not may_wait() then
        return refuse
    end
    local outcome
    local thread = ngx.thread.spawn(function()
        outcome = outcome_of(pcall(f))  -- else nginx logs what f raises, and makes it a string
    end)
    return function()
        local running = thread
        thread = nil
        if running then
            ngx.thread.wait(running)
        end
        if not outcome.ok then
            error(outcome[1], 0)
        end
        return unpack(outcome, 1, outcome.count)
    end
end

local BLOCKING = { blocking = true }

--- What blocks the worker, for `await = "blocking"`. What ends meanwhile and is waited for by a
-- light thread wakes that one.
---@type emr.Await
M.blocking = await.stepping {
    now = emr.now,
    step = function(seconds)
        return emr.step(seconds, BLOCKING)
    end,
    finished = function()
        local transfer = emr.finished()
        while transfer and wake(transfer) do
            transfer = emr.finished()
        end
        return transfer
    end,
}

local function either(name)
    return function(...)
        return (may_wait() and M or M.blocking)[name](...)
    end
end

--- What blocks the worker only where nothing else is possible, for `blocking = true`.
---@type emr.Await
M.or_block = { sleep = either "sleep", wait = either "wait", spawn = either "spawn" }

return M
