--- The options of a client: checked once, copied, and made into what its parts take.

local emr = require "emr"
local await = require "emr.await"
local credentials = require "emr.credentials"
local operations = require "emr.operations"
local options = require "emr.options"
local proxies = require "emr.proxies"
local retry = require "emr.retry"

---@class emr.ClientOptions: emr.Options
---@field region? string          else `request.regionId`, the variable ALIBABA_CLOUD_REGION_ID, or
---  that of the CLI profile
---@field access_key_id? string   with the secret, and the token of an STS key; or `credentials`
---@field credentials? emr.Provider|table   a provider, or a table with keys; default: the
---  vendor's chain (`emr.credentials.default`)
---@field deadline? number        seconds for a whole call, retries and credentials included; 30
---@field retry? emr.RetryNumbers|false   false: one attempt and no more
---@field proxy? string           else that of `https_proxy` or `HTTPS_PROXY`
---@field no_proxy? string        else that of `no_proxy`
---@field await? "blocking"|"nginx"|"cqueues"|"luv"|emr.Await   how to wait; default: what suits
---  where it runs
---@field on_attempt? fun(info: emr.AttemptInfo)   after each attempt, for logs; sees no secrets
---@field on_warning? fun(message: string)   what is odd but no failure, such as a key file that
---  others can read
---@field clock? fun(): number    monotonic seconds; emr.now
---@field wall_clock? fun(): number   seconds since 1970; os.time
---@field sleep? fun(seconds: number)   in place of the one of `await`
---@field random? fun(): number   from [0,1); emr.random
---@field getenv? fun(name: string): string?   os.getenv
---@field read_file? fun(path: string, max: integer): string?, integer|string, emr.Error?
---@field transport? emr.Transport  in place of the engine

---@alias emr.Transport fun(http_request: emr.HttpRequest, seconds: number):
---  emr.HttpReply?, string?, emr.Error?

---@class emr.CallOptions         what a single call may have of its own
---@field timeout? number         seconds for one attempt
---@field deadline? number        seconds for the whole call
---@field retry? emr.RetryNumbers|false   all but `quota`
---@field headers? table<string, string>   added to those of the client
---@field on_attempt? fun(info: emr.AttemptInfo)   in place of the client's

---@class emr.AttemptInfo: emr.Attempt, emr.TransferInfo
---@field operation string        its name

-- Options that go to the native module as they are; it checks them.
local NATIVE = {
    "region", "endpoint", "network", "connect_timeout", "timeout", "ca_file", "ca_path",
    "client_cert", "client_key", "proxy", "no_proxy", "user_agent", "headers",
    "max_response_bytes", "clock_offset", "allow_http", "blocking",
}
local KEYS = { "access_key_id", "access_key_secret", "security_token" }

local function anything()
end

local function callable(expected)
    return function(value)
        return type(value) ~= expected and type(value) ~= "function"
            and ("a function or a " .. expected) or nil
    end
end

-- A table of numbers, or false.
local function retry_rule(rules)
    return function(value)
        if value == false then
            return nil
        elseif type(value) ~= "table" then
            return "a table or false"
        end
        options.check(value, rules, "options.retry", 0)
    end
end

local DEADLINE = options.number(0.001, 604800)

local RULES = {
    credentials = callable "table",
    deadline = DEADLINE,
    retry = retry_rule(retry.rules),
    await = options.one_of(await.names, options.a "table"),
    on_attempt = options.a "function",
    on_warning = options.a "function",
    clock = options.a "function",
    wall_clock = options.a "function",
    sleep = options.a "function",
    random = options.a "function",
    getenv = options.a "function",
    read_file = options.a "function",
    transport = options.a "function",
}
for _, list in ipairs { NATIVE, KEYS } do
    for _, name in ipairs(list) do
        RULES[name] = anything
    end
end

-- The quota belongs to the client: one call cannot have another.
local CALL_NUMBERS = {}
for name, rule in pairs(retry.rules) do
    CALL_NUMBERS[name] = name ~= "quota" and rule or nil
end

local M = { rules = RULES }

--- The rules of the options that a single call may have.
M.call_rules = {
    timeout = options.number(0.001, 3600),
    deadline = DEADLINE,
    retry = retry_rule(CALL_NUMBERS),
    headers = options.a "table",
    on_attempt = options.a "function",
}

local function copy(from, names, to)
    for _, name in ipairs(names) do
        to[name] = from[name]
    end
    return to
end

-- Lets the native module judge its options, without any I/O.
local function probe(native, o)
    local trial = {}
    for name, value in pairs(native) do
        trial[name] = value
    end
    copy(o, KEYS, trial)
    if not (o.access_key_id or o.access_key_secret or o.security_token) then
        trial.access_key_id, trial.access_key_secret = "none", "none"
    end
    trial.region = trial.region or "cn-hangzhou"
    emr.prepare(operations.GetSessionCluster, { workspaceId = "w", sessionClusterId = "s" }, trial)
end

local function copy_headers(headers)
    local result = {}
    for name, value in pairs(headers) do
        result[name] = value
    end
    return result
end

-- The proxy that the environment names, unless the options name one.
local function add_proxy(native, o, environment)
    native.no_proxy = native.no_proxy or environment.no_proxy
    if not o.proxy and (not o.endpoint or proxies.serves(o.endpoint)) then
        native.proxy = environment.proxy
    end
end

local function provider_of(o)
    local chosen, keys = o.credentials, copy(o, KEYS, {})
    if next(keys) then
        if chosen then
            error("options.credentials and options.access_key_id exclude each other", 0)
        end
        return credentials.static(keys), false
    elseif type(chosen) == "table" then
        return credentials.static(chosen), false
    end
    return credentials.cached(chosen or credentials.default {}), true
end

--- Raises on what is wrong, and names it.
---@param given? emr.ClientOptions
---@return table settings   {native, given, await, provider, refreshable, environment, ...}
function M.read(given)
    local o = options.check(given, RULES, "options", 3)
    local native = copy(o, NATIVE, {})
    if type(o.headers) == "table" then
        native.headers = copy_headers(o.headers)
    end
    if o.await == "blocking" then
        native.blocking = true
    end
    probe(native, o)
    local provider, refreshable = provider_of(o)
    local environment = proxies.from_environment(o.getenv or os.getenv)
    add_proxy(native, o, environment)
    return {
        options = o, native = native, await = await.choose(o.await, native.blocking),
        provider = provider, refreshable = refreshable, environment = environment,
    }
end

return M
