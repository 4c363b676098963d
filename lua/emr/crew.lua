--- Many jobs beside each other, of which only so many are at work at a time. A job that sleeps
-- between its calls has no place meanwhile: others work there. For its next call it takes one
-- again, in the order in which it asked.
--
-- On PUC 5.1 a job keeps its place until it ends: there no pcall sees how a job that waits ends.

local await = require "emr.await"
local failure = require "emr.failure"

-- Seconds. How long the foreman waits in one go; between two looks of who has no gate.
local DAY = 86400
local FIRST_LOOK, LAST_LOOK = 0.01, 0.25

---@class emr.Crew
---@field await emr.Await
---@field job fun(i: integer)
---@field count integer     how many jobs
---@field begun integer     how many of them have been begun
---@field offered integer   places in which the foreman is to begin a job each
---@field free integer      places that nobody wants
---@field line table        ticket -> the worker that waits for a place
---@field head integer      the first ticket that may be in the line
---@field tail integer      the last ticket
---@field new_last boolean  the last place that changed hands is for a new job
---@field wake? fun()       wakes the foreman, who begins jobs, while it waits

-- The worker whose coroutine it is: {crew, has_place, open}.
local workers = setmetatable({}, { __mode = "k" })

local M = {}

-- For an adapter without gates: looks again and again.
local function slow_gate(adapter)
    local is_open = false
    return function(seconds)
        local look = FIRST_LOOK
        while not is_open and seconds > 0 do
            local _, message, err = adapter.sleep(math.min(look, seconds))
            if err then
                return nil, message, err
            end
            seconds, look = seconds - look, math.min(2 * look, LAST_LOOK)
        end
    end, function()
        is_open = true
    end
end

-- Takes the first out of the line; nil when nobody is there.
local function next_in_line(crew)
    while crew.head <= crew.tail do
        local first = crew.line[crew.head]
        crew.line[crew.head] = nil
        crew.head = crew.head + 1
        if first then
            return first
        end
    end
end

local function has_new(crew)
    return crew.begun + crew.offered < crew.count
end

local function wake_foreman(crew)
    if crew.wake then
        crew.wake()
        crew.wake = nil
    end
end

-- Hands a place on: to a new job and to who is first in line in turn, while there are both.
local function hand_on(crew)
    local first = not (has_new(crew) and not crew.new_last) and next_in_line(crew)
    crew.new_last = not first
    if first then
        first.has_place = true
        first.open()
    elseif has_new(crew) then
        crew.offered = crew.offered + 1
        wake_foreman(crew)
    else
        crew.free = crew.free + 1
    end
end

local function leave(worker)
    if worker.has_place then
        worker.has_place = false
        hand_on(worker.crew)
    end
end

local function new_gate(crew)
    return (crew.await.gate or slow_gate)(crew.await)
end

-- Waits until a place is handed over, at most so long. True, or nil, then why it cannot wait.
local function stand_in_line(crew, worker, seconds)
    local pass, open = new_gate(crew)
    local ticket = crew.tail + 1
    worker.open = open
    crew.line[ticket], crew.tail = worker, ticket
    local _, message, err = pass(seconds)
    worker.open = nil
    if worker.has_place then
        return true
    end
    crew.line[ticket] = nil
    return nil, message, err
end

local function take(crew, worker, seconds)
    if crew.free == 0 then
        return stand_in_line(crew, worker, seconds)
    end
    crew.free = crew.free - 1
    worker.has_place = true
    return true
end

-- The next job; with the last one the foreman has done its part.
local function begin(crew)
    crew.begun = crew.begun + 1
    if crew.begun == crew.count then
        wake_foreman(crew)
    end
    return crew.begun
end

-- Does a job, and further ones while nobody else wants its place.
local function work(crew, worker, i)
    crew.job(i)
    while worker.has_place and crew.head > crew.tail and has_new(crew) do
        crew.job(begin(crew))
    end
end

-- What a worker runs who has just got a place for the next job.
local function hired(crew)
    local worker, i = { crew = crew, has_place = true }, begin(crew)
    if not await.yields_anywhere then
        return function()
            work(crew, worker, i)
        end
    end
    return function()
        workers[coroutine.running()] = worker
        local ok, object = pcall(work, crew, worker, i)
        leave(worker)
        if not ok then
            error(object, 0)
        end
    end
end

-- Like pcall where a coroutine may yield inside it; that is everywhere but in one of PUC 5.1.
local function protected(f)
    if await.yields_anywhere or not coroutine.running() then
        return pcall(f)
    end
    return true, f()
end

-- Waits for all. Raises what the first of them has raised, or returns why waiting is impossible.
local function join_all(joins)
    local broken, first, refusal, why
    for _, join in ipairs(joins) do
        local ok, object, message, err = protected(join)
        if not ok and not broken then
            broken, first = true, object
        end
        refusal, why = refusal or message, why or err
    end
    if broken then
        error(first, 0)
    end
    return nil, refusal, why
end

local function wait_for_offer(crew)
    local pass, open = new_gate(crew)
    crew.wake = open
    return pass(DAY)
end

-- Hires a worker for each place that is offered, until all jobs are begun; those on PUC 5.1 do all
-- jobs between them.
local function hire(crew)
    local joins = {}
    while crew.begun < crew.count and (crew.offered > 0 or await.yields_anywhere) do
        if crew.offered > 0 then
            crew.offered = crew.offered - 1
            joins[#joins + 1] = crew.await.spawn(hired(crew))
        else
            local _, message, err = wait_for_offer(crew)
            if err then
                crew.count = crew.begun
                joins[#joins + 1] = function() return nil, message, err end
            end
        end
    end
    return joins
end

--- Does the jobs 1 to `count`, with at most so many places, and returns when all have ended.
-- When some raise, the others still end; then the first error object is raised.
---@param adapter emr.Await
---@param count integer
---@param places integer
---@param job fun(i: integer)
---@return nil, string? message, emr.Error? err   where waiting is impossible
function M.run(adapter, count, places, job)
    local offered = math.min(places, count)
    local crew = {
        await = adapter, job = job, count = count, begun = 0,
        offered = offered, free = places - offered,
        line = {}, head = 1, tail = 0, new_last = false,
    }
    if not await.yields_anywhere then
        return join_all(hire(crew))
    end
    return adapter.spawn(function()
        return join_all(hire(crew))
    end)()
end

--- A sleep during which a job of a crew has no place.
---@param sleep fun(seconds: number): nil, string?, emr.Error?
---@return fun(seconds: number): nil, string?, emr.Error?
function M.resting(sleep)
    return function(seconds)
        local worker = workers[coroutine.running() or false]
        if worker then
            leave(worker)
        end
        return sleep(seconds)
    end
end

--- Sees to it that the job from which it is called has a place. Outside a crew nothing is to do.
---@param seconds number    how long it may wait for one
---@return boolean? ready, string? message, emr.Error? err
function M.take_place(seconds)
    local worker = workers[coroutine.running() or false]
    if not worker or worker.has_place then
        return true
    end
    local ok, message, err = take(worker.crew, worker, seconds)
    if ok or err then
        return ok, message, err
    end
    return failure("timeout", "deadline",
        "deadline passed before one of the other calls in flight had ended")
end

return M
