--- Trying again: how often, when, and at whose expense.
-- Serves any function that returns `nil, message, err`; knows no operation and no wire.
-- Works in every Lua; waits only through `sleep`, so it works wherever that one does.

local failure = require "emr.failure"
local options = require "emr.options"

-- An attempt with less time than this left is not worth beginning.
local MARGIN = 0.05
-- What a retry takes from the quota.
local COST = { transient = 14, throttled = 5 }
local FIRST_TRY_REWARD = 1
-- A server's hint is stretched by up to this part, so that not everybody comes back at once.
local HINT_JITTER = 0.1

local RULES = {
    attempts = options.integer(1, 10),
    base_delay = options.number(0.001, 3600),
    throttle_base_delay = options.number(0.001, 3600),
    max_delay = options.number(0.001, 3600),
    quota = options.integer(0, 1000000),
    deadline = options.number(0.001, 604800),
    clock = options.a "function",
    sleep = options.a "function",
    random = options.a "function",
    on_attempt = options.a "function",
    repairs = options.a "table",
}

---@class emr.RetryNumbers
---@field attempts? integer             in all, the first included; 3. 1 switches retries off
---@field base_delay? number            seconds, doubled with each retry; 0.05
---@field throttle_base_delay? number   the same after throttling; 1
---@field max_delay? number             no wait is longer, no hint beyond it is waited for; 20
---@field quota? integer                what retries may take in all; 500. Each takes 14, or 5 when
---  throttled, and a good call gives something back
---@field deadline? number              seconds for a whole run; 30

---@class emr.RetryOptions: emr.RetryNumbers
---@field clock? fun(): number          monotonic seconds; default emr.now
---@field sleep? fun(seconds: number)   default: what suits where it runs
---@field random? fun(): number         from [0,1); default emr.random
---@field on_attempt? fun(info: emr.Attempt, call: table?)   after each attempt
---@field repairs? table<string, fun(err: emr.Error, call: table?): boolean?>   by error code: makes
---  a repeat worthwhile and returns true; each is tried once per run

---@class emr.Attempt
---@field attempt integer
---@field delay? number         seconds until the next attempt; nil after the last
---@field kind? string          of the error, where there was one
---@field code? string
---@field status? integer
---@field request_id? string
---@field retry_after? number

---@class emr.Run               what `run` may be told about one call; handed on to fn and callbacks
---@field deadline? number      absolute, by the clock
---@field retry_class? string   "check_first": repeat only what surely was not carried out

---@class emr.Retry
local Retry = { __name = "emr.Retry" }
Retry.__index = Retry

-- Nothing was sent, so nothing can have happened.
local function unsent(err)
    local kind, code = err.kind, err.code
    return kind == "network" and (code == "resolve" or code == "connect")
        or kind == "timeout" and code == "connect"
        or kind == "tls"
end

local function class_of(err, call)
    if err.kind == "throttled" then
        return "throttled"
    end
    if not err.retryable or err.kind == "credentials" then
        return nil
    end
    if call and call.retry_class == "check_first" and not unsent(err) then
        return nil
    end
    return "transient"
end

-- nil: not within `left` seconds.
local function delay_of(self, err, class, retries, left)
    local longest = left - MARGIN
    local hint = err.retry_after
    if type(hint) == "number" and hint > 0 then
        if hint > self.max_delay or hint > longest then
            return nil
        end
        local stretched = hint * (1 + HINT_JITTER * self.random())
        return math.max(hint, math.min(stretched, longest - MARGIN))
    end
    local base = class == "throttled" and self.throttle_base_delay or self.base_delay
    local delay = self.random() * math.min(self.max_delay, base * 2 ^ (retries - 1))
    return delay <= longest and delay or nil
end

-- A repair is immediate, costs nothing, and is made once per run for each code.
local function repaired(self, run, err)
    local repair = self.repairs[err.code]
    if run.repaired[err.code] then
        return false
    end
    run.repaired[err.code] = true
    return repair(err, run.call)
end

-- Seconds until the next attempt, nil for none. Takes from the quota.
local function plan(self, run, err)
    local left = run.deadline - self.clock()
    if run.attempt >= self.attempts or left < MARGIN or type(err) ~= "table" then
        return nil
    end
    if err.code ~= nil and self.repairs[err.code] then
        return repaired(self, run, err) and 0 or nil
    end
    local class = class_of(err, run.call)
    local delay = class and delay_of(self, err, class, run.retries + 1, left)
    if not delay or self.bucket.left < COST[class] then
        return nil
    end
    run.retries, run.cost = run.retries + 1, COST[class]
    self.bucket.left = self.bucket.left - run.cost
    return delay
end

local function refund(bucket, amount)
    bucket.left = math.min(bucket.size, bucket.left + amount)
end

local function report(self, call, attempt, err, delay)
    if not self.on_attempt then
        return
    end
    err = type(err) == "table" and err or {}
    self.on_attempt({
        attempt = attempt, delay = delay,
        kind = err.kind, code = err.code, status = err.status,
        request_id = err.request_id, retry_after = err.retry_after,
    }, call)
end

-- An attempt that had only the rest of the whole time was ended by the deadline, whatever it says.
local function name_deadline(self, run, message, err)
    if type(err) == "table" and err.kind == "timeout" and err.code ~= "deadline"
        and run.deadline - self.clock() < MARGIN then
        local _, text, late = failure("timeout", "deadline",
            ("deadline passed in attempt %d: %s"):format(run.attempt, tostring(message)))
        return text, late
    end
    return message, err
end

local function give_up(run, message, err)
    if type(err) == "table" then
        err.attempts = run.attempt
    end
    return nil, message, err
end

-- What follows a failed first attempt.
local function again(self, fn, run, message, err)
    while true do
        message, err = name_deadline(self, run, message, err)
        local delay = plan(self, run, err)
        report(self, run.call, run.attempt, err, delay)
        if not delay then
            return give_up(run, message, err)
        end
        if delay > 0 then
            local _, trouble, why = self.sleep(delay)
            if why then
                return give_up(run, trouble, why)
            end
        end
        local left = run.deadline - self.clock()
        if left < MARGIN then
            return give_up(run, message, err)
        end
        run.attempt = run.attempt + 1
        local result
        result, message, err = fn(run.attempt, left, run.call)
        if result ~= nil then
            report(self, run.call, run.attempt)
            refund(self.bucket, run.cost)
            return result, message, err
        end
    end
end

--- Calls `fn` until it succeeds, fails for good, or attempts, quota or time are used up.
-- Tried again is what is `retryable`, after a random wait that doubles, or after the wait that the
-- server asked for (`err.retry_after`).
--
-- An error object that `fn`, the clock or any callback raises passes through unchanged.
---@param fn fun(attempt: integer, left: number, call: emr.Run?): any, any, any
---  success is a first result other than nil; `left` is the time it may take, in seconds
---@param call emr.Run?
---@return any? result, any message, any err   of the last attempt, at most three values; a failure
---  also has `err.attempts`. Out of time before the first attempt: kind timeout, code deadline
function Retry:run(fn, call)
    local clock = self.clock
    local now = clock()
    local deadline = call and call.deadline or now + self.deadline
    if deadline - now < MARGIN then
        return failure("timeout", "deadline", "deadline passed before the first attempt",
            { attempts = 0 })
    end
    local result, message, err = fn(1, deadline - now, call)
    if result ~= nil then
        report(self, call, 1)
        refund(self.bucket, FIRST_TRY_REWARD)
        return result, message, err
    end
    local run = {
        call = call, deadline = deadline, attempt = 1, retries = 0, cost = 0, repaired = {},
    }
    return again(self, fn, run, message, err)
end

--- The same with other numbers, drawing on the same quota.
---@param numbers emr.RetryNumbers   all but `quota`
---@return emr.Retry
function Retry:with(numbers)
    local other = setmetatable({}, Retry)
    for name, value in pairs(self) do
        other[name] = value
    end
    for name, value in pairs(numbers) do
        other[name] = value
    end
    return other
end

-- The server has seen this very nonce: the request came twice, and a writing one may have worked.
local function fresh_nonce(_, call)
    return not (call and call.retry_class == "check_first")
end

---@class emr.retry
local M = {}

--- The rules of the numbers, for who takes them as options of its own.
M.rules = {}
for _, name in ipairs { "attempts", "base_delay", "throttle_base_delay", "max_delay", "quota" } do
    M.rules[name] = RULES[name]
end

--- What is done about a nonce that the server has seen: the next attempt has another.
M.fresh_nonce = fresh_nonce

--- A policy with a quota of its own.
--     local retry = emr.retry.new { attempts = 5 }
--     local result, message, err = retry:run(function() return emr.fetch { url = url } end)
---@param given emr.RetryOptions?   an unknown name, a wrong type or range raises
---@return emr.Retry
function M.new(given)
    local o = options.check(given, RULES, "options")
    local quota = o.quota or 500
    return setmetatable({
        attempts = o.attempts or 3,
        base_delay = o.base_delay or 0.05,
        throttle_base_delay = o.throttle_base_delay or 1,
        max_delay = o.max_delay or 20,
        deadline = o.deadline or 30,
        clock = o.clock or require("emr").now,
        sleep = o.sleep or require("emr.await").choose().sleep,
        random = o.random or require("emr").random,
        on_attempt = o.on_attempt,
        repairs = o.repairs or { SignatureNonceUsed = fresh_nonce },
        bucket = { left = quota, size = quota },
    }, Retry)
end

return M
