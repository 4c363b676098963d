--- Watches what `emr` hands to anybody while specs run: every failure must be nil, one short line,
--- and an error that says the same and holds no secret; every call must end by its limit. What is
--- not so is remembered until somebody asks.

local emr = require "emr"

local call = require "spec.support.call"

local M = {}

local KINDS = {
    network = true, timeout = true, tls = true, protocol = true, unsupported = true,
    throttled = true, service = true, credentials = true, state = true, cancelled = true,
    memory = true,
}
local ATTEMPT = 10  -- seconds, where options.timeout says nothing

local wrong = {}


local function what_is_wrong(message, err)
    if type(message) ~= "string" or type(err) ~= "table" then
        return "no message or no error"
    elseif not KINDS[err.kind] or type(err.retryable) ~= "boolean" then
        return "no kind, or not said whether it is retryable"
    elseif message ~= err.message or message ~= tostring(err) then
        return "message and error differ"
    elseif #message > 512 or message:find "[%c\127]" then
        return "not one short line"
    end
end


local function note(name, why, message)
    wrong[#wrong + 1] = ("%s: %s: %s"):format(name, why, tostring(message))
end


local function inspect(name, secrets, result, message, err)
    if result == nil and (message ~= nil or err ~= nil) then
        local why = what_is_wrong(message, err)
        if why then
            note(name, why, message)
        elseif secrets and not pcall(call.assert_clean, err) then
            note(name, "a secret is shown", message)
        end
    end
end


-- `secrets`: whether it must not show any.
local function watched(name, f, secrets)
    local function pass(...)
        inspect(name, secrets, ...)
        return ...
    end
    return function(...)
        return pass(f(...))
    end
end


-- `limit(...)`: the seconds that a call with these arguments may take.
local function timed(name, f, limit)
    local function pass(began, seconds, ...)
        if seconds and not pcall(call.took, 0, seconds, emr.now() - began) then
            note(name, "not over in time", seconds .. " s")
        end
        return ...
    end
    return function(...)
        return pass(emr.now(), limit(...), f(...))
    end
end


local function timeout_of(options)
    return type(options) == "table" and options.timeout or ATTEMPT
end


for name, position in pairs { get_session_cluster = 2, fetch = 2, call = 3 } do
    emr[name] = timed(name, emr[name], function(...)
        return timeout_of((select(position, ...)))
    end)
end

for _, name in ipairs { "get_session_cluster", "call", "prepare", "fetch", "step", "decode",
    "read_file", "run", "pollfd" } do
    emr[name] = watched(name, emr[name], true)
end
emr.parse = watched("parse", emr.parse, false)  -- its caller knows the reply, and what is secret

local transfer = debug.getregistry()["emr.Transfer"].__index
transfer.result = watched("result", transfer.result, true)

package.loaded["emr.failure"] = watched("failure", require "emr.failure", true)

local calls = require "emr.call"
calls.perform = timed("client", calls.perform, function(state, _, _, own)
    return state.clock == emr.now and (own and own.deadline or state.deadline)
end)


--- Begins anew.
function M.forget()
    wrong = {}
end


--- Raises when something since then was not as it must be.
function M.check()
    assert(#wrong == 0, table.concat(wrong, "\n"))
end


return M
