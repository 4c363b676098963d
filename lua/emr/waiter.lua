--- Waiting for a state: when to ask, which answers end it, and what to say then.
-- What is waited for is data, so another resource needs no code. Works in every Lua; waits only
-- through `sleep`, so it works wherever that one does.

local failure = require "emr.failure"
local options = require "emr.options"
local path = require "emr.path"

-- A poll may end this long after the deadline, so that the one *at* the deadline can be answered.
local LAST_POLL = 0.15
-- So many failed polls in a row, before any good one, end a wait.
local FAILURES_AT_FIRST = 5
-- A server's hint is stretched by up to this part, so that not everybody comes back at once.
local HINT_JITTER = 0.1
-- Errors that say nothing about the resource: nobody ignores them.
local OURS = { cancelled = true, memory = true, unsupported = true }
-- Never part of an error.
local SECRET = { connectionToken = true }

local RULES = {
    timeout = options.number(0.001, 604800),
    grace = options.number(0, 604800),
    ignore_errors_for = options.number(0, 604800),
    min_delay = options.number(0.001, 3600),
    max_delay = options.number(0.001, 3600),
    on_poll = options.a "function",
    clock = options.a "function",
    sleep = options.a "function",
    random = options.a "function",
}

local LISTS = { "success", "failure", "tolerated", "startable" }

local WAITER_RULES = {
    operation = options.a "string",
    state = options.a "string",
    reason = options.a "string",
    success = options.a "table",
    failure = options.a "table",
    tolerated = options.a "table",
    startable = options.a "table",
}

---@class emr.Waiter             what is waited for, as data; states in any letter case
---@field operation string       which operation to poll
---@field state string           where its reply holds the state; a path like "sessionCluster.state"
---@field reason? string         where it holds {code, message} of the last change
---@field success string[]       states that are waited for
---@field failure? string[]      states that end the wait at once
---@field tolerated? string[]    states that end it once the grace is over
---@field startable? string[]    states from which `start`, where given, starts the resource

---@class emr.WaitOptions
---@field timeout number            seconds for the whole wait; required
---@field grace? number             seconds for which `tolerated` states are borne; 30
---@field ignore_errors_for? number seconds for which no failed poll ends the wait; 0
---@field min_delay? number         seconds between polls, at least; 2
---@field max_delay? number         and at most; 15
---@field on_poll? fun(info: emr.Poll)   after each poll

---@class emr.WaiterOptions: emr.WaitOptions
---@field clock? fun(): number      monotonic seconds; default emr.now
---@field sleep? fun(seconds: number)    default: what suits where it runs
---@field random? fun(): number     from [0,1); default emr.random

---@class emr.Poll
---@field poll integer        counted from 1
---@field state? string       the last state that was seen
---@field elapsed number      seconds since the wait began
---@field next_delay? number  seconds until the next poll; nil after the last
---@field kind? string        what a failed poll says
---@field code? string

---@class emr.WaitInfo
---@field polls integer
---@field elapsed number
---@field states string[]     in the order seen, repetitions left out

local function set(list)
    local members = {}
    for _, word in ipairs(list or {}) do
        members[word:lower()] = true
    end
    return members
end

local function check_words(list, what, level)
    for i = 1, math.max(#list, 1) do
        if type(list[i]) ~= "string" or list[i] == "" then
            error(("%s[%d] must be a state, a non-empty string"):format(what, i), level + 1)
        end
    end
end

local function check_waiter(waiter, level)
    local w = options.check(waiter, WAITER_RULES, "waiter", level + 1)
    for _, name in ipairs { "operation", "state", "success" } do
        if w[name] == nil then
            error(("waiter.%s is missing"):format(name), level + 1)
        end
    end
    for _, name in ipairs(LISTS) do
        if w[name] and (name == "success" or w[name][1] ~= nil) then
            check_words(w[name], "waiter." .. name, level + 1)
        end
    end
    return w
end

-- A waiter that is ready for use: checked, its lists as sets.
local Ready = { __name = "emr.Waiter" }

local function ready(waiter, level)
    if getmetatable(waiter) == Ready then
        return waiter
    end
    local w = check_waiter(waiter, level + 1)
    w.wanted = table.concat(w.success, " or ")
    for _, name in ipairs(LISTS) do
        w[name] = set(w[name])
    end
    return setmetatable(w, Ready)
end

local function check_options(given, level)
    local o = options.check(given, RULES, "options", level + 1)
    if not o.timeout then
        error("options.timeout is missing: how many seconds to wait at most", level + 1)
    end
    o.min_delay, o.max_delay = o.min_delay or 2, o.max_delay or 15
    if o.min_delay > o.max_delay then
        error("options.min_delay must not be greater than options.max_delay", level + 1)
    end
    return o
end

local function copy_without_secrets(value)
    if type(value) ~= "table" then
        return value
    end
    local copy = {}
    for name, member in pairs(value) do
        if not SECRET[name] then
            copy[name] = copy_without_secrets(member)
        end
    end
    return copy
end

local function reason_of(run)
    local reason = run.waiter.reason and path(run.last, run.waiter.reason)
    return type(reason) == "table" and reason or nil
end

-- Ends a wait with an error that tells how far it came. `err` gives kind, code and what else it
-- knows; it is not changed, for others may hold it too.
local function fail(run, message, err)
    if type(err) ~= "table" then
        return nil, message, err
    end
    local fields = {}
    for name, value in pairs(err) do
        fields[name] = value
    end
    fields.last = copy_without_secrets(run.last)
    fields.reason = copy_without_secrets(reason_of(run))
    fields.state, fields.polls, fields.elapsed = run.state, run.polls, run.elapsed
    return failure(err.kind, err.code, message, fields)
end

local function fail_state(run)
    local reason, why = reason_of(run), ""
    if reason then
        why = (" (%s: %s)"):format(tostring(reason.code), tostring(reason.message))
    end
    return fail(run, ("%s: state is %s%s while waiting for %s"):format(run.waiter.operation,
        run.state, why, run.waiter.wanted), { kind = "state", code = run.state })
end

local function fail_late(run)
    local trouble = run.trouble and "; last trouble: " .. tostring(run.trouble.message) or ""
    return fail(run, ("%s: %s after %.3g s and %d polls while waiting for %s%s"):format(
        run.waiter.operation, run.state and "still " .. run.state or "no state seen",
        run.elapsed, run.polls, run.waiter.wanted, trouble),
        { kind = "timeout", code = "deadline" })
end

-- Whether the state ends the wait: "success", "failure" or nil.
local function judge(run)
    local key = run.state:lower()
    if run.waiter.success[key] then
        return "success"
    end
    if run.start then
        return nil
    end
    if key ~= run.started_from then
        run.started_from = nil  -- it moved; from now on Error means Error again
    end
    local in_grace = run.clock() - run.grace_from < run.grace
    if run.waiter.failure[key] and not (key == run.started_from and in_grace)
        or run.waiter.tolerated[key] and not in_grace then
        return "failure"
    end
end

-- Starts the resource once its state asks for it. False, message, err when that failed for good;
-- when it is not known whether it worked, the next poll tells.
local function start(run)
    local key = run.state:lower()
    local startable = run.waiter.startable[key]
    if not run.start or run.waiter.tolerated[key] and not startable then
        return true  -- nothing to start, or not yet
    end
    if startable then
        local result, message, err = run.start(run.deadline - run.clock())
        if result == nil then
            run.trouble = { message = message, err = err }
            return type(err) == "table" and err.retryable, message, err
        end
        run.started_from = key
    end
    run.start, run.grace_from = nil, run.clock()
    return true
end

local function transient(err)
    return type(err) == "table"
        and (err.retryable or err.kind == "timeout" and err.code == "deadline")
end

-- Whether a failed poll ends the wait.
local function fatal(run, err)
    if run.elapsed < run.ignore_errors_for and type(err) == "table" and not OURS[err.kind] then
        return false
    end
    return not transient(err) or not run.state and run.failed >= FAILURES_AT_FIRST
end

local function note(run, response, state)
    run.last, run.state, run.trouble = response, state, nil
    if run.states[#run.states] ~= state then
        run.states[#run.states + 1] = state
    end
end

-- Seconds until the next poll; nil when there is none: the time is up, or the server wants to be
-- left alone for longer than that.
local function next_delay(run, err)
    local left = run.deadline - run.clock()
    if run.final or left <= 0 then
        return nil
    end
    local top = math.min(run.max_delay, run.min_delay * 2 ^ (run.polls - 1))
    local delay = run.min_delay + run.random() * (top - run.min_delay)
    local hint = type(err) == "table" and err.retry_after
    if type(hint) == "number" then
        if hint > left then
            return nil
        end
        delay = math.max(delay, hint * (1 + HINT_JITTER * run.random()))
    end
    if left - delay <= run.min_delay then
        run.final = true
        return left
    end
    return delay
end

local function report(run, delay, err)
    if run.on_poll then
        err = type(err) == "table" and err or {}
        run.on_poll({
            poll = run.polls, state = run.state, elapsed = run.elapsed, next_delay = delay,
            kind = err.kind, code = err.code,
        })
    end
end

-- Asks once. True when the wait is over, then what it returns.
local function poll_once(run)
    local response, message, err = run.poll(math.max(run.deadline - run.clock(), 0) + LAST_POLL)
    run.polls, run.elapsed = run.polls + 1, run.clock() - run.began
    if response == nil then
        run.failed, run.trouble = run.failed + 1, { message = message, err = err }
        if fatal(run, err) then
            return true, fail(run, message, err)
        end
        return false
    end
    local state = path(response, run.waiter.state)
    if type(state) ~= "string" then
        run.last = response
        return true, fail(run, ("%s: %s is %s, not text"):format(run.waiter.operation,
            run.waiter.state, type(state)), { kind = "protocol", code = "shape" })
    end
    note(run, response, state)
    local verdict = judge(run)
    if verdict == "success" then
        local info = { polls = run.polls, elapsed = run.elapsed, states = run.states }
        return true, response, info
    elseif verdict == "failure" then
        return true, fail_state(run)
    end
    local ok
    ok, message, err = start(run)
    if not ok then
        return true, fail(run, message, err)
    end
    return false
end

-- Out of polls: by the deadline, or because the server's hint lies beyond it.
local function give_up(run)
    local trouble = run.trouble
    local hint = trouble and type(trouble.err) == "table" and trouble.err.retry_after
    if hint and not run.final and run.clock() < run.deadline then
        return fail(run, trouble.message, trouble.err)
    end
    return fail_late(run)
end

-- Makes the options into what a wait carries along.
local function begin(run, waiter, poll, starter)
    run.waiter, run.poll, run.start = waiter, poll, starter
    run.clock = run.clock or require("emr").now
    run.sleep = run.sleep or require("emr.await").choose().sleep
    run.random = run.random or require("emr").random
    run.grace, run.ignore_errors_for = run.grace or 30, run.ignore_errors_for or 0
    local now = run.clock()
    run.began, run.grace_from, run.deadline = now, now, now + run.timeout
    run.polls, run.failed, run.elapsed, run.states = 0, 0, 0, {}
    return run
end

-- Polls until it is over.
local function go(run)
    while true do
        local over, response, info, err = poll_once(run)
        if over then
            report(run, nil, err)
            return response, info, err
        end
        local trouble = run.trouble and run.trouble.err
        local delay = next_delay(run, trouble)
        report(run, delay, trouble)
        if not delay then
            return give_up(run)
        end
        local _, message, why = run.sleep(delay)
        if why then
            return fail(run, message, why)
        end
    end
end

---@class emr.waiter
local M = { rules = RULES }

--- Polls until the waiter's state is reached.
-- The delay before poll n+1 is random between `min_delay` and min_delay x 2^(n-1), at most
-- `max_delay`; the last poll is at the deadline. Only the monotonic clock counts. A failed poll
-- that may work later is passed over (five at the very beginning end the wait), any other ends it.
--
-- An error object that a callback raises passes through unchanged.
---@param waiter emr.Waiter
---@param poll fun(limit: number): table?, string?, emr.Error?   asks once, within `limit` seconds
---@param given emr.WaiterOptions
---@param starter? fun(limit: number): any, string?, emr.Error?   starts the resource when its state
---  is one of `startable`
---@return table? response   the last one
---@return emr.WaitInfo|string info   or the message; the error has `last` (without its connection
---  token), `state`, `reason`, `polls`, `elapsed`; kinds: state, timeout, or that of the last poll
---@return emr.Error? err
function M.wait(waiter, poll, given, starter)
    local what = ready(waiter, 2)
    local run = begin(check_options(given, 2), what, poll, starter)
    return go(run)  -- a thousand may sleep in there: they hold on to no more than they need
end

--- The waiter, ready for use: who waits for the same thing often need not make it each time.
---@param waiter emr.Waiter
---@return emr.Waiter
function M.ready(waiter)
    return ready(waiter, 2)
end

local function union(...)
    local all = {}
    for _, list in ipairs { ... } do
        for _, word in ipairs(list) do
            all[#all + 1] = word
        end
    end
    return all
end

local function without(list, members)
    local rest = {}
    for _, word in ipairs(list) do
        if not members[word:lower()] then
            rest[#rest + 1] = word
        end
    end
    return rest
end

--- The waiter of an operation that has `states`.
-- Broken states fail, unless wanted. Whoever waits for a resource to come up bears its being down
-- for the grace only: nobody starts it, so it will not come up.
---@param operation emr.Operation
---@param states string|string[]|nil   wanted; default those in which the resource is ready
---@param level? integer               as in `error`; default 1, the caller
---@return emr.Waiter
function M.of(operation, states, level)
    level = level or 1
    local known = operation.states
    if states == nil then
        states = known.ready
    elseif type(states) == "string" then
        states = { states }
    elseif type(states) ~= "table" then
        error("options.state must be a string or a list of strings", level + 1)
    end
    check_words(states, "options.state", level + 1)
    local success = set(states)
    local going_up = set(union(known.ready, without(known.pending, set(known.stopping))))
    local down = union(known.stopped, known.stopping)
    return {
        operation = operation.name,
        state = known.field, reason = known.reason,
        success = union(states),
        failure = without(known.failure, success),
        tolerated = #without(states, going_up) == 0 and down or {},
        startable = without(union(known.stopped, known.failure), success),
    }
end

return M
