--- A provider that keeps its key: renewed before it is over, by one caller at a time, and kept in
-- use while it is good even if renewing fails. All arithmetic is on the monotonic clock; the wall
-- clock is read only to learn how long a new key lives.

local emr = require "emr"
local failure = require "emr.failure"
local keys = require "emr.credentials.keys"
local options = require "emr.options"
local worlds = require "emr.credentials.world"

-- seconds
local EARLY, SPREAD = 300, 60 -- renewed so long before the end, spread over so much more
local SHORT_LIFE = 900 -- a key with less is renewed
local SHORT_SHARE = 0.8 -- when so much of its life is over
local MARGIN = 60 -- so long before the end callers no longer use the key while one renews it
local SPACING = 10 -- between two fetches of keys that come due at once, or that the API refuses
local PATIENCE = 5 -- for another caller's renewal
-- A renewal that lasts longer no longer counts: it may have been abandoned. Who began to wait with
-- it gives up, who came later takes over.
local LEASE = PATIENCE
local PAUSES = { 10, 20, 40, 60 } -- after one failure, two, three, and more
local GONE = 0.25 -- after the end of its request a renewal goes on at once, or never
local FIRST_STEP, LAST_STEP = 0.01, 0.25 -- of polling for another caller's renewal

local YEAR_2100 = 4102444800 -- a key does not live that long: such a time is not believed

-- On PUC 5.1 alone a yield cannot cross `pcall`, so that there an error leaves its lease behind.
local CAN_PROTECT = rawget(_G, "jit") ~= nil or _VERSION ~= "Lua 5.1"

local NEVER = math.huge

-- Which functions are caches, so that nothing is cached twice.
local caches = setmetatable({}, { __mode = "k" })

local M = {}

---@class emr.Cache
---@field provider emr.Provider
---@field key? emr.Credentials
---@field refresh_at number    monotonic: one caller renews the key, the others use it
---@field fresh_until number   monotonic: all wait for the new key
---@field expires_at number    monotonic: the key is over
---@field failure? emr.Error   why renewing failed last
---@field failures integer     in a row
---@field retry_at number      monotonic: no renewal before, after a failure
---@field forced_at number     monotonic: when a refused key was renewed last
---@field lease? table         who is renewing: {thread, since, hangs_since}
local methods = {}
local Cache = { __name = "emr.Cache", __index = methods }

-- Weak: a coroutine that was dropped in the middle of a renewal does not come back.
local Lease = { __mode = "v" }

local function running()
    return coroutine.running() or "main"
end

--- Whether another caller is renewing the key.
function methods:is_busy(now)
    local lease = self.lease
    if not lease or not lease.thread or now - lease.since >= LEASE then
        return false
    end
    lease.hangs_since = worlds.hangs(lease.thread) and (lease.hangs_since or now) or nil
    if lease.hangs_since and now - lease.hangs_since >= GONE then
        return false
    end
    return lease.thread ~= running() -- ours is a left-over: an error ended that renewal
end

-- How long after its arrival a key that lives `life` seconds is renewed.
local function renewal(world, life)
    if life < SHORT_LIFE then
        return math.max(SPACING, SHORT_SHARE * life)
    end
    return life - EARLY - SPREAD * world.random()
end

-- A key without an end is good until the API refuses it; one whose end cannot be believed is due.
local function life_of(world, key)
    local expiration = key.expiration
    if expiration == nil then
        return NEVER
    elseif expiration ~= expiration or expiration >= YEAR_2100 then
        return 0
    end
    return math.max(0, expiration - world.wall_clock())
end

function methods:keep(world, key)
    local now, life = world.clock(), life_of(world, key)
    local refresh_at = now + renewal(world, life)
    self.key = key
    self.refresh_at = refresh_at
    self.fresh_until = math.max(refresh_at, now + life - MARGIN)
    self.expires_at = math.max(refresh_at, now + life)
    self.failure, self.failures, self.retry_at = nil, 0, -NEVER
end

-- Each caller gets an error of its own: callers add to it.
local function copy_of(err)
    return failure(err.kind, err.code, err.message, err)
end

local function as_seen_by_callers(self, message, err)
    if not self.key and err.kind == "credentials" then
        return copy_of(err)
    end
    return failure("credentials", "unavailable", "no new key: " .. message, {
        status = err.status,
        request_id = err.request_id,
        retryable = err.retryable,
        sources = err.sources,
    })
end

function methods:remember(world, message, err)
    if worlds.is_of_caller(err) then
        return nil, message, err
    end
    self.failures = self.failures + 1
    local pause = PAUSES[math.min(self.failures, #PAUSES)] * (0.8 + 0.4 * world.random())
    message, err = select(2, as_seen_by_callers(self, message, err))
    self.failure = select(3, copy_of(err))
    self.retry_at = world.clock() + pause
    return nil, message, err
end

function methods:attempt(world, lease)
    local found, message, err = keys.ask(self.provider, world)
    if self.lease ~= lease then
        return found, message, err -- somebody else took over
    elseif not found then
        return self:remember(world, message, err)
    end
    self:keep(world, found)
    return found
end

--- Renew the key; what the provider raises passes through and leaves the cache usable.
function methods:renew(world)
    local lease = setmetatable({ thread = running(), since = world.clock() }, Lease)
    self.lease = lease
    local ok, found, message, err
    if CAN_PROTECT then
        ok, found, message, err = pcall(self.attempt, self, world, lease)
    else
        ok, found, message, err = true, self:attempt(world, lease)
    end
    if self.lease == lease then
        self.lease = nil
    end
    if not ok then
        error(found, 0)
    end
    return found, message, err
end

local function refused_again()
    return failure("credentials", "expired",
        "the API refuses the key as expired, and its source has no newer one")
end

--- What to use while there is no new key: the old one as long as it is good.
function methods:make_do(now, is_refused, message, err)
    if self.key and not is_refused and now < self.expires_at then
        return self.key
    end
    return nil, message, err
end

function methods:is_refused(rejected)
    return rejected ~= nil and self.key ~= nil and keys.same(rejected, self.key)
end

function methods:renew_or_make_do(world, rejected)
    local is_refused = self:is_refused(rejected)
    if is_refused then
        self.forced_at = world.clock()
    end
    local found, message, err = self:renew(world)
    if not found then
        return self:make_do(world.clock(), is_refused, message, err)
    elseif rejected and keys.same(rejected, found) then
        return refused_again()
    end
    return found
end

-- Nobody is renewing and the key is not good enough: true when this caller should renew it, else
-- the outcome.
function methods:may_renew(now, is_refused)
    if now < self.retry_at then
        return false, self:make_do(now, is_refused, select(2, copy_of(self.failure)))
    elseif is_refused and now < self.forced_at + SPACING then
        return false, refused_again()
    end
    return true
end

function methods:is_usable(now, is_refused)
    return self.key ~= nil and not is_refused and now < self.fresh_until
end

local function step_of(world, step, now, give_up)
    local _, message, err = world.sleep(math.min(step, give_up - now))
    if err ~= nil then
        return nil, message, err
    end
    return math.min(2 * step, LAST_STEP)
end

function methods:late(world, now, is_refused)
    if world.deadline and now >= world.deadline then
        return self:make_do(now, is_refused, select(2, failure("timeout", "deadline",
            "credentials: no time left before the deadline")))
    end
    return self:make_do(now, is_refused, select(2, failure("credentials", "unavailable",
        ("another caller has been fetching the key for %d s"):format(PATIENCE))))
end

--- The key, when it was not simply at hand.
function methods:get(world, rejected)
    local now, step, waited = world.clock(), FIRST_STEP, false
    local give_up = math.min(now + PATIENCE, world.deadline or NEVER)
    while true do
        local is_refused = self:is_refused(rejected)
        local is_busy = self:is_busy(now)
        if self:is_usable(now, is_refused)
            and (is_busy or now < self.refresh_at or now < self.retry_at) then
            return self.key
        elseif waited and now >= give_up then
            return self:late(world, now, is_refused)
        elseif not is_busy then
            local mine, found, message, err = self:may_renew(now, is_refused)
            if mine then
                return self:renew_or_make_do(world, rejected)
            end
            return found, message, err
        elseif now >= give_up then  -- its deadline is over already
            return self:late(world, now, is_refused)
        end
        waited = true
        local message, err
        step, message, err = step_of(world, step, now,
            math.min(give_up, self.lease.since + LEASE))
        if not step then
            return nil, message, err
        end
        now = world.clock()
    end
end

local WORLD_RULES = {}
for _, name in ipairs { "clock", "wall_clock", "sleep", "random" } do
    WORLD_RULES[name] = options.a("function")
end

--- See `emr.credentials.cached`.
---@return emr.Provider
function M.cached(provider, own)
    if type(provider) ~= "function" then
        error("credentials.cached: takes a provider (a function), got " .. type(provider), 2)
    end
    own = options.check(own, WORLD_RULES, "credentials.cached")
    if caches[provider] then
        return provider
    end
    local cache = setmetatable({
        provider = provider, failures = 0,
        refresh_at = -NEVER, fresh_until = -NEVER, expires_at = -NEVER,
        retry_at = -NEVER, forced_at = -NEVER,
    }, Cache)
    local function cached(world, rejected)
        local clock = own.clock or world and world.clock or emr.now
        if rejected == nil and clock() < cache.refresh_at then
            return cache.key
        end
        return cache:get(worlds.complete(world, own), rejected)
    end
    caches[cached] = true
    return cached
end

return M
