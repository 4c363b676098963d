--- Waiting inside a libuv loop, for `await = "luv"`. Call from a coroutine, beside `uv.run`.
-- While anybody waits, the loop watches the engine's descriptor and its time limit; whose transfer
-- has ended is resumed.

local emr = require "emr"
local failure = require "emr.failure"
local uv = require "luv"

local waiting = {}  -- transfer -> the coroutine that waits for it
local tasks = setmetatable({}, { __mode = "k" })  -- coroutine -> {outcome, joined}
local watch  -- {poll, timer}, while somebody waits

local function running()
    local co, is_main = coroutine.running()
    return not is_main and co or nil
end

local function refuse()
    local fd, message, err = emr.pollfd()
    if not fd then
        return nil, message, err
    elseif not running() then
        return failure("unsupported", "phase", 'emr: await = "luv" needs a coroutine to wait in')
    end
end

local resume

local function finish(task, ok, ...)
    task.outcome = { ok = ok, count = select("#", ...), ... }
    for _, co in ipairs(task.joined) do
        resume(co)
    end
end

local function resumed(co, ok, ...)
    local task = tasks[co]
    if task and coroutine.status(co) == "dead" then
        finish(task, ok, ...)
    elseif not ok then
        error((...), 0)
    end
end

function resume(co)
    resumed(co, coroutine.resume(co))
end

local function milliseconds(seconds)
    return math.ceil(seconds * 1000)
end

local turn

-- Watches the engine for as long as somebody waits: a handle that is left open holds uv.run up.
local function arm()
    if next(waiting) == nil then
        if watch then
            watch.poll:close()
            watch.timer:close()
            watch = nil
        end
        return
    end
    if not watch then
        watch = { poll = uv.new_poll(emr.pollfd()), timer = uv.new_timer() }
        watch.poll:start("r", turn)
    end
    local seconds = emr.timeout()
    if seconds then
        watch.timer:start(milliseconds(seconds), 0, turn)
    else
        watch.timer:stop()
    end
end

function turn()
    emr.step(0)
    for transfer in emr.finished do
        local co = waiting[transfer]
        if co then
            waiting[transfer] = nil
            resume(co)
        end
    end
    arm()
end

-- Gives way until somebody resumes, at the latest after the seconds.
local function resume_after(timer, co, seconds)
    uv.update_time()  -- a timer starts at the time of the loop's last turn
    timer:start(milliseconds(seconds), 0, function()
        resume(co)
    end)
end

local function pause(seconds, timer)
    timer = timer or uv.new_timer()
    resume_after(timer, running(), seconds)
    coroutine.yield()
    timer:close()
end

---@type emr.Await
local M = { refuse = refuse }

function M.sleep(seconds)
    if not running() then
        return refuse()
    end
    pause(seconds)
end

function M.wait(transfer, seconds)
    if select("#", transfer:result()) > 0 then
        return
    end
    local _, message, err = refuse()
    if err then
        return nil, message, err
    end
    waiting[transfer] = running()
    arm()
    pause(seconds)
    waiting[transfer] = nil
    arm()
end

function M.gate()
    local co, timer = running(), uv.new_timer()
    return function(seconds)
        pause(seconds, timer)
    end, function()
        resume_after(timer, co, 0)
    end
end

local unpack = table.unpack or unpack

function M.spawn(f)
    local co = coroutine.create(f)
    local task = { joined = {} }
    tasks[co] = task
    resume(co)
    return function()
        while not task.outcome do
            if not running() then
                return refuse()
            end
            task.joined[#task.joined + 1] = running()
            coroutine.yield()
        end
        if not task.outcome.ok then
            error(task.outcome[1], 0)
        end
        return unpack(task.outcome, 1, task.outcome.count)
    end
end

return M
