--- One call of a client: credentials, attempts, and what makes a refused attempt worth repeating.

local emr = require "emr"
local credentials = require "emr.credentials"
local crew = require "emr.crew"
local exchange = require "emr.exchange"
local failure = require "emr.failure"
local retry = require "emr.retry"

-- No attempt is worth beginning with less time, in seconds.
local SHORTEST = 0.05

---@class emr.Call: emr.Run    what a call carries through its attempts
---@field state table
---@field operation emr.Operation
---@field request table
---@field timeout number
---@field headers? table
---@field world emr.World|false
---@field keys? emr.Credentials   those of the last attempt
---@field transfer? emr.Transfer  or `info`: the last attempt's

-- Service errors about the key, told by how their codes begin: their reader has to know whose key
-- that was.
local ABOUT_KEY = {
    "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidSecurityToken", "MissingSecurityToken",
    "Forbidden", "NoPermission",
}

local NONE = {}
local NO_KEYS = { access_key_id = "none", access_key_secret = "none" }

local M = {}

--- What the wall clock lacks, in seconds; nil for nothing.
---@param state table
---@return number?
function M.clock_offset(state)
    if state.skew.ahead or state.own_wall_clock then
        return state.skew:now() - os.time()
    end
    return state.clock_offset
end

-- The client's one table of native options, filled for this attempt. The native module reads it
-- before anything can yield.
local function fill(state, call, keys, limit)
    local native = state.native
    native.access_key_id = keys.access_key_id
    native.access_key_secret = keys.access_key_secret
    native.security_token = keys.security_token
    native.timeout = limit
    native.headers = call.headers
    native.clock_offset = M.clock_offset(state)
    return native
end

--- Raises unless the request is a table; what is in it the native module checks.
---@param operation emr.Operation
---@param request any
function M.check_request(operation, request)
    if type(request) ~= "table" then
        error(("%s: request must be a table, got %s"):format(operation.name, type(request)), 0)
    end
end

-- Raises for a request that could not be sent with any key.
local function judge_without_key(state, call)
    emr.prepare(call.operation, call.request, fill(state, call, NO_KEYS, call.timeout))
end

local function is_about_key(err)
    for _, beginning in ipairs(ABOUT_KEY) do
        if type(err.code) == "string" and err.code:sub(1, #beginning) == beginning then
            return err.kind == "service"
        end
    end
    return false
end

-- The failure of an attempt; one about the key also tells where that came from.
local function with_source(keys, message, err)
    if type(err) ~= "table" or not keys.source or not is_about_key(err) then
        return nil, message, err
    end
    message = ("%s; the key is from: %s"):format(message, keys.source)
    return failure(err.kind, err.code, message, err)
end

local function attempt(_, time, call)
    local state = call.state
    call.transfer, call.info = nil, nil
    local ready, keys, message, err
    ready, message, err = crew.take_place(time)
    if not ready then
        return nil, message, err
    end
    keys, message, err = state.provider(call.world)
    if not keys then
        judge_without_key(state, call)
        return nil, message, err
    end
    call.keys = keys
    local left = call.deadline - state.clock()
    if left < SHORTEST then
        return failure("timeout", "deadline", "no time left after fetching credentials")
    end
    local limit = math.min(call.timeout, left)
    local native = fill(state, call, keys, limit)
    local result
    result, message, err = exchange.call(state, call.operation, call.request, native, limit, call)
    if state.skew.ahead then
        local info = exchange.info(call)
        state.skew:compare(info.verified and info.server_time)
    end
    if result == nil then
        return with_source(keys, message, err)
    end
    return result, message, err
end

--- What makes a refused attempt worth repeating, by error code.
M.repairs = { SignatureNonceUsed = retry.fresh_nonce }

M.repairs["InvalidTimeStamp.Expired"] = function(_, call)
    local info = exchange.info(call)
    return info.verified and call.state.skew:learn(info.server_time)
end

--- A call with keys of its own and without retries, as providers make it. A wrong clock is
-- corrected all the same: else nobody would find out.
---@param state table
---@param operation emr.Operation
---@param request table
---@param native table     options of the native module
---@param limit number     seconds
---@param seen table       gets what `exchange.info` reads
---@return table? response, string? message, emr.Error? err
function M.bare(state, operation, request, native, limit, seen)
    seen.state = state
    native.clock_offset = M.clock_offset(state)
    local result, message, err = exchange.call(state, operation, request, native, limit, seen)
    if err and err.code == "InvalidTimeStamp.Expired" and M.repairs[err.code](err, seen) then
        native.clock_offset = M.clock_offset(state)
        return exchange.call(state, operation, request, native, limit, seen)
    end
    return result, message, err
end

M.repairs["InvalidSecurityToken.Expired"] = function(_, call)
    return call.state.refreshable and call.state.provider(call.world, call.keys) ~= nil
end

-- An on_attempt callback for the retry policy that tells the user's what is known.
local function reporter(hook)
    return function(info, call)
        info.operation = call.operation.name
        for name, value in pairs(exchange.info(call)) do
            if info[name] == nil then
                info[name] = value
            end
        end
        hook(info)
    end
end

--- The options `retry` and `on_attempt` of a client or a call, as the retry policy takes them.
---@param given {retry: emr.RetryNumbers|false|nil, on_attempt: function?}
---@return table
function M.policy_options(given)
    local numbers = {}
    for name, value in pairs(given.retry or NONE) do
        numbers[name] = value
    end
    if given.retry == false then
        numbers.attempts = 1
    end
    numbers.on_attempt = given.on_attempt and reporter(given.on_attempt)
    return numbers
end

-- The policy for one call, where it has options of its own.
local function policy(state, own)
    if own.retry == nil and not own.on_attempt then
        return state.retry
    end
    return state.retry:with(M.policy_options(own))
end

local function merged(common, own)
    if not common or not own then
        return own or common
    end
    local all = {}
    for _, headers in ipairs { common, own } do
        for name, value in pairs(headers) do
            all[name] = value
        end
    end
    return all
end

local function needs_region(operation)
    if operation.hosts.public:find("{region}", 1, true) then
        return true
    end
    for _, field in ipairs(operation.query or {}) do
        if field.name == "regionId" then
            return true
        end
    end
    return false
end

-- Finds the region where neither options nor request have it, and keeps it.
local function find_region(state)
    local region = state.world.getenv "ALIBABA_CLOUD_REGION_ID"
    if region == nil or region == "" then
        region = credentials.region(state.world)
    end
    if not region then
        error('the region is missing: set options.region, for example "cn-hangzhou" (it is not in '
            .. "the request, as regionId, nor in ALIBABA_CLOUD_REGION_ID, and the CLI profile in "
            .. "use has no region_id)", 0)
    end
    state.native.region = region
end

-- A writing operation that can carry a token against being done twice gets one for all attempts.
local function with_token(operation, request)
    local field = operation.client_token
    if not field or request[field] ~= nil then
        return request
    end
    local copy = {}
    for name, value in pairs(request) do
        copy[name] = value
    end
    local words = {}
    for i = 1, 4 do
        words[i] = ("%08x"):format(math.floor(emr.random() * 2 ^ 32))
    end
    copy[field] = table.concat(words)
    return copy
end

--- Carries out a call with retries.
---@param state table          the client's
---@param operation emr.Operation
---@param request table
---@param own table?           {timeout, deadline, retry, headers, on_attempt}, checked
---@param limit number?        seconds, where something else than the deadline bounds it
---@return table? response, string? message, emr.Error? err
function M.perform(state, operation, request, own, limit)
    M.check_request(operation, request)
    if not state.native.region and request.regionId == nil and needs_region(operation) then
        find_region(state)
    end
    own = own or NONE
    local seconds = own.deadline or state.deadline
    local deadline = state.clock() + (limit and math.min(limit, seconds) or seconds)
    return policy(state, own):run(attempt, {
        state = state,
        operation = operation,
        request = with_token(operation, request),
        retry_class = operation.retry,
        deadline = deadline,
        timeout = own.timeout or state.timeout,
        headers = merged(state.headers, own.headers),
        -- only a provider that fetches keys needs it
        world = state.refreshable and setmetatable({ deadline = deadline }, state.world_of_call),
    })
end

return M
