--- The client: credentials, retry, waiting and the catalogue put together.
-- A client may be used from many coroutines at once. Its methods work wherever its `await` can
-- wait: in a plain script, in coroutines of the loop, in nginx in server_rewrite, rewrite, access,
-- content and timers (elsewhere kind `unsupported`, code `phase`, and nothing is sent). A caller's
-- mistake raises, everything else returns `nil, message, err`, of any kind.

local emr = require "emr"
local await = require "emr.await"
local calls = require "emr.call"
local crew = require "emr.crew"
local exchange = require "emr.exchange"
local operations = require "emr.operations"
local options = require "emr.options"
local paginate = require "emr.paginate"
local proxies = require "emr.proxies"
local retry = require "emr.retry"
local settings = require "emr.settings"
local skew = require "emr.skew"
local waiter = require "emr.waiter"
local worlds = require "emr.credentials.world"

local perform = calls.perform

local NONE = {}

local ATTEMPT_TIMEOUT, DEADLINE = 10, 30
local CONCURRENCY = 64
-- The client's options that its providers' own requests are bound by, too.
local SHARED = { "ca_file", "ca_path", "user_agent", "blocking" }

-- The field of a client that holds a function, which gives its state: whoever prints the client
-- sees that much, and no secret. (A weak table of states would never let go of a client that its
-- own callbacks refer to, on 5.1.)
local STATE = {}

---@class emr.Client   its operations are in types/operations.lua
local methods = {}
local Client = { __name = "emr.Client", __index = methods }

local function is_closed()
    return nil
end

function Client.__tostring(client)
    local state = client[STATE]()
    return ("emr.client(%s)"):format(state and (state.native.region or "region not known yet")
        or "closed")
end

-- The state of the client that a method was called on.
local function open(client, name)
    local get = type(client) == "table" and rawget(client, STATE)
    if not get then
        error(("%s: must be called on a client, as client:%s(...)"):format(name, name), 3)
    end
    return get() or error(name .. ": the client is closed", 3)
end


local function checked(given)
    return given ~= nil and options.check(given, settings.call_rules, "options", 0) or nil
end

local function lookup(name)
    local operation = type(name) == "table" and name or operations[name]
    if not operation then
        local known = {}
        for other in pairs(operations) do
            known[#known + 1] = other
        end
        table.sort(known)
        error(("no operation '%s' in emr.operations, which has %s"):format(
            tostring(name):sub(1, 64), table.concat(known, ", ")), 0)
    end
    return operation
end

--- Any operation of the catalogue, by its name: `client:call("GetSessionCluster", {...})`.
---@param name emr.OperationName|emr.Operation   or a descriptor of your own
---@param request table               the API's own names
---@param given? emr.CallOptions
---@return table? response            shaped like the JSON
---@return string message
---@return emr.Error err             with `attempts`
function methods:call(name, request, given)
    local state = open(self, "call")
    return perform(state, lookup(name), request, checked(given))
end

local function walker(client, method, name, request, given)
    local state = open(client, method)
    local operation, own = lookup(name), checked(given)
    if not operation.pagination then
        error(operation.name .. " has no pages", 0)
    end
    calls.check_request(operation, request)
    return function(page)
        return perform(state, operation, page, own)
    end, operation
end

--- The pages of a list: `for page, message, err in client:pages("ListSessionClusters", {...}) do`.
-- A failure is yielded once as `false, message, err`, then the loop ends.
---@param name emr.OperationName|emr.Operation
---@param request table
---@param given? emr.CallOptions   for each page
---@return fun(): table|false|nil, string, emr.Error
function methods:pages(name, request, given)
    local ask, operation = walker(self, "pages", name, request, given)
    return paginate.pages(ask, operation, request)
end

--- The items of all pages, one by one; as `pages`.
---@param name emr.OperationName|emr.Operation
---@param request table
---@param given? emr.CallOptions
---@return fun(): any, string, emr.Error
function methods:items(name, request, given)
    local ask, operation = walker(self, "items", name, request, given)
    return paginate.items(ask, operation, request)
end

---@class emr.StateOptions: emr.ClientWaitOptions
---@field state? string|string[]    wanted, in any letter case; default: ready, as "Running"

---@class emr.ClientWaitOptions: emr.WaitOptions
---@field deadline? number          seconds for one poll, its retries included
---@field retry? emr.RetryNumbers|false
---@field headers? table<string, string>
---@field on_attempt? fun(info: emr.AttemptInfo)

local WAIT_RULES = {}
local WAIT_OPTIONS = {
    "timeout", "grace", "ignore_errors_for", "min_delay", "max_delay", "on_poll",
}
for _, name in ipairs(WAIT_OPTIONS) do
    WAIT_RULES[name] = waiter.rules[name]
end
for _, name in ipairs { "deadline", "retry", "headers", "on_attempt" } do
    WAIT_RULES[name] = settings.call_rules[name]
end
local STATE_RULES = { state = function() end }  -- the waiter judges it
for name, rule in pairs(WAIT_RULES) do
    STATE_RULES[name] = rule
end

-- Makes the options of a wait, a table of ours, into those of the waiter, with the client's world.
-- Returns those of each of its calls; nil for none.
local function split(state, o)
    local own
    if o.deadline or o.retry ~= nil or o.headers or o.on_attempt then
        own = {
            deadline = o.deadline, retry = o.retry, headers = o.headers, on_attempt = o.on_attempt,
        }
    end
    o.state, o.deadline, o.retry, o.headers, o.on_attempt = nil, nil, nil, nil, nil
    o.clock, o.sleep, o.random = state.clock, state.sleep, state.random
    return own
end

local function wait(state, what, request, o, starter)
    local own = split(state, o)
    local operation = lookup(what.operation)
    local start = starter and function(limit)
        return perform(state, starter.operation, starter.request, own, limit)
    end
    return waiter.wait(what, function(limit)
        return perform(state, operation, request, own, limit)
    end, o, start)
end

--- Waits until a resource is in a state; which, and how to ask, is data.
---@param what emr.Waiter
---@param request table              for the waiter's operation
---@param given emr.ClientWaitOptions   `timeout` is required
---@return table? response           the last one
---@return emr.WaitInfo|string info  {polls, elapsed, states}, or the message
---@return emr.Error err            with `last`, `state`, `reason`, `polls`, `elapsed`
function methods:wait(what, request, given)
    local state = open(self, "wait")
    if type(what) ~= "table" or type(what.operation) ~= "string" then
        error("wait: takes a waiter, a table with operation, state and success", 2)
    end
    return wait(state, what, request, options.check(given, WAIT_RULES, "options", 0))
end

-- The part of a request that an operation knows.
local function part_of(request, operation, used)
    local part = {}
    local function take(name)
        used[name] = true
        part[name] = request[name]
    end
    for name in operation.path:gmatch "{(.-)}" do
        take(name)
    end
    for _, fields in ipairs { operation.query or NONE, operation.body or NONE } do
        for _, field in ipairs(fields) do
            take(field.name)
        end
    end
    return part
end

-- One request for two operations: each gets what it knows.
local function share(request, get, start)
    calls.check_request(get, request)
    local used = {}
    local asked, started = part_of(request, get, used), part_of(request, start, used)
    for name in pairs(request) do
        if not used[name] then
            error(("request: neither %s nor %s knows '%s'"):format(get.name, start.name,
                tostring(name):sub(1, 64)), 0)
        end
    end
    return asked, started
end

-- The waiter for a state; those that wait for the same share one.
local function waiter_for(operation, made, wanted)
    if type(wanted) ~= "string" and wanted ~= nil then
        return waiter.of(operation, wanted)
    end
    local key = wanted or NONE
    local found = made[key] or waiter.ready(waiter.of(operation, wanted))
    made[key] = found
    return found
end

local function add_waits(noun, operation)
    local wait_name, start_name = "wait_" .. noun, "start_and_wait_" .. noun
    local made = setmetatable({}, { __mode = "v" })

    methods[wait_name] = function(self, request, given)
        local state = open(self, wait_name)
        local o = options.check(given, STATE_RULES, "options", 0)
        return wait(state, waiter_for(operation, made, o.state), request, o)
    end

    local start = operations[operation.states.start]
    if not start then
        return
    end
    methods[start_name] = function(self, request, given)
        local state = open(self, start_name)
        local o = options.check(given, STATE_RULES, "options", 0)
        local asked, started = share(request, operation, start)
        return wait(state, waiter_for(operation, made, o.state), asked, o,
            { operation = start, request = started })
    end
end

-- How many entries there are. Raises unless each can be sent; nothing is sent yet.
local function count_entries(list)
    local count = 0
    for i, entry in ipairs(list) do
        count = i
        if type(entry) == "table" then
            lookup(entry[1])
            checked(entry[3])
        elseif type(entry) ~= "function" then
            error(("all: entry %d must be {name, request} or a function"):format(i), 3)
        end
    end
    return count
end

local function run_entry(state, entry)
    if type(entry) == "function" then
        return await.foreign(state.await, entry)()
    end
    return perform(state, lookup(entry[1]), entry[2], checked(entry[3]))
end

--- Many calls at once.
--     local results, errors = client:all {
--         { "GetSessionCluster", { workspaceId = w, sessionClusterId = a } },
--         function() return client:wait_session_cluster({...}, { timeout = 60 }) end,
--     }
-- A function runs as a coroutine (a light thread in nginx), so that waits fit in; on PUC 5.1 its
-- waits block. When one raises, the others still end, then the first error object is raised again.
---@param list (table|fun(): any, string?, emr.Error?)[]   an entry is {name, request [, options]}
---@param given? {concurrency: integer?}   how many at a time; 64. One that sleeps between two calls
---  does not count (on PUC 5.1 it does): so many calls are in flight, and any number of waits
---@return table results   results[i] is the response of entry i, or false; nil, then message and
---  err, where waiting is impossible
---@return table errors    then errors[i] says why: the err, or what message there was
---@return emr.Error err
function methods:all(list, given)
    local state = open(self, "all")
    if type(list) ~= "table" then
        error("all: takes a list, got " .. type(list), 2)
    end
    local o = options.check(given, { concurrency = options.integer(1, 100000) }, "options", 0)
    local results, errors, count = {}, {}, count_entries(list)
    local _, refusal, why = crew.run(state.await, count, o.concurrency or CONCURRENCY, function(i)
        local result, message, err = run_entry(state, list[i])
        results[i] = result or false
        if not result then
            errors[i] = err or message
        end
    end)
    if refusal then
        return nil, refusal, why
    end
    return results, errors
end

-- The outside world as the providers see it: the client's own, waiting as the client does.
local function world_of(state, s)
    local o = s.options

    -- The provider's options, over those of the client that concern every request.
    local function with_shared(given, url)
        local native = {}
        for _, name in ipairs(SHARED) do
            native[name] = s.native[name]
        end
        if o.proxy or s.environment.proxy and url and proxies.serves(url) then
            native.proxy = o.proxy or s.environment.proxy
            native.no_proxy = s.native.no_proxy
        end
        for name, value in pairs(given or NONE) do
            native[name] = value
        end
        return native, native.timeout or ATTEMPT_TIMEOUT
    end

    return {
        clock = state.clock,
        wall_clock = function() return state.skew:now() end,
        sleep = o.sleep or s.await.sleep,
        random = state.random,
        getenv = o.getenv or os.getenv,
        read_file = o.read_file or emr.read_file,
        run = emr.run,
        on_warning = o.on_warning,
        fetch = function(http, given)
            local native, limit = with_shared(given, http.url)
            return worlds.watched(function(seen)
                return exchange.fetch(state, http, native, limit, seen)
            end)
        end,
        call = function(operation, request, given)
            local url = given and given.endpoint or operation.hosts.public
            local native, limit = with_shared(given, url)
            return worlds.watched(function(seen)
                return calls.bare(state, operation, request, native, limit, seen)
            end)
        end,
    }
end

local function policy_of(state, o)
    local numbers = calls.policy_options(o)
    numbers.clock, numbers.sleep, numbers.random = state.clock, state.sleep, state.random
    numbers.repairs = calls.repairs
    return retry.new(numbers)
end

--- Lets go of what the client holds, its keys first. Its calls in flight end as they would; a
-- second time does nothing.
function methods:close()
    if type(self) ~= "table" or rawget(self, STATE) ~= is_closed then
        open(self, "close")
        self[STATE] = is_closed
    end
end

for name, operation in pairs(operations) do
    local method = name:gsub("%u", function(letter) return "_" .. letter:lower() end):sub(2)
    methods[method] = function(self, request, given)
        return perform(open(self, method), operation, request, checked(given))
    end
    if operation.states then
        add_waits(method:gsub("^get_", ""), operation)
    end
end

---@class emr.client
local M = {}

--- A client. Making one does no I/O; connections are shared by all clients of a Lua state.
--     local client = emr.client.new { region = "cn-hangzhou" }
--     local reply, message, err = client:get_session_cluster {
--         workspaceId = "w-1", sessionClusterId = "s-1",
--     }
-- Every operation in `emr.operations` is a method, its name in snake_case.
---@param given? emr.ClientOptions   what is unknown, of the wrong type or out of range raises;
---  later changes of the table have no effect
---@return emr.Client
function M.new(given)
    local s = settings.read(given)
    local o = s.options
    local state = {
        native = s.native,
        headers = s.native.headers,
        clock_offset = s.native.clock_offset,
        timeout = s.native.timeout or ATTEMPT_TIMEOUT,
        deadline = o.deadline or DEADLINE,
        await = s.await,
        transport = o.transport,
        provider = s.provider, refreshable = s.refreshable,
        clock = o.clock or emr.now,
        sleep = crew.resting(o.sleep or s.await.sleep),
        random = o.random or emr.random,
        own_wall_clock = o.wall_clock ~= nil,
    }
    state.skew = skew.new(state.clock, o.wall_clock or os.time, state.clock_offset)
    state.world = world_of(state, s)
    state.world_of_call = { __index = state.world }
    state.retry = policy_of(state, o)
    return setmetatable({ [STATE] = function() return state end }, Client)
end

return M
