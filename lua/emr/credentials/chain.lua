--- Several sources, asked in turn until one has a key; that one alone is asked from then on.

local failure = require "emr.failure"
local environment = require "emr.credentials.environment"
local ini = require "emr.credentials.ini"
local keys = require "emr.credentials.keys"
local metadata = require "emr.credentials.metadata"
local options = require "emr.options"
local profile = require "emr.credentials.profile"
local sts = require "emr.credentials.sts"
local uri = require "emr.credentials.uri"
local worlds = require "emr.credentials.world"

local LIMIT = 512 -- bytes of a message
local LEAD = "no credentials found: "
local SEPARATOR = "; "

local M = {}

-- Cuts the longest texts until all of them fit together: every source stays named.
local function fitted(texts, room)
    local longest = room
    local cut
    repeat
        local total = 0
        cut = {}
        for i, text in ipairs(texts) do
            cut[i] = #text > longest and text:sub(1, longest - 3) .. "..." or text
            total = total + #cut[i]
        end
        longest = longest - 4
    until total <= room or longest < 8
    return cut
end

-- A mistake in a source that was set up tells more than the absence of all others.
local function code_of(errors)
    local is_unavailable, is_retryable = false, false
    for _, err in ipairs(errors) do
        if err.kind ~= "credentials" or err.code == "unavailable" then
            is_unavailable = true
            is_retryable = is_retryable or err.retryable == true
        elseif err.code ~= "none" then
            return err.code, false
        end
    end
    return is_unavailable and "unavailable" or "none", is_retryable
end

-- `sources` has the reasons in full; the message has room for their beginnings at least.
local function none_found(errors)
    local reasons = {}
    for i, err in ipairs(errors) do
        reasons[i] = err.message
    end
    local room = LIMIT - #LEAD - #SEPARATOR * (#reasons - 1)
    local code, is_retryable = code_of(errors)
    return failure("credentials", code, LEAD .. table.concat(fitted(reasons, room), SEPARATOR),
        { retryable = is_retryable, sources = reasons })
end

local function first_that_works(providers, world)
    local errors = {}
    for i, provider in ipairs(providers) do
        local found, message, err = keys.ask(provider, world)
        if found then
            return found, provider
        elseif worlds.is_of_caller(err) and err.kind ~= "unsupported" then
            return nil, nil, message, err
        end
        errors[i] = err
    end
    return nil, nil, select(2, none_found(errors))
end

-- A source is remembered when it worked, never before: after a failure of all, all are asked.
local function chain_of(providers)
    local worked
    return function(world)
        world = worlds.complete(world)
        if worked then
            return keys.ask(worked, world)
        end
        local found, provider, message, err = first_that_works(providers, world)
        if not found then
            return nil, message, err
        end
        worked = worked or provider
        return found
    end
end

--- See `emr.credentials.chain`.
---@return emr.Provider
function M.chain(given)
    if type(given) ~= "table" or #given == 0 then
        error("credentials.chain: takes a list of providers", 2)
    end
    local providers = {}
    for i = 1, #given do
        if type(given[i]) ~= "function" then
            error(("credentials.chain: entry %d must be a provider (a function), got %s")
                :format(i, type(given[i])), 2)
        end
        providers[i] = given[i]
    end
    return chain_of(providers)
end

local function unless(variable, what, provider)
    return function(world)
        if worlds.flag(world, variable) then
            return failure("credentials", "none", what .. ": switched off by " .. variable)
        end
        return provider(world)
    end
end

--- See `emr.credentials.default`.
---@return emr.Provider
function M.default(given)
    options.check(given, {}, "credentials.default")
    return chain_of {
        environment.environment(),
        sts.oidc(),
        unless("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "CLI profile",
            profile.provider { guess = true }),
        ini.provider { guess = true },
        unless("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "ECS metadata",
            metadata.provider { guess = true }),
        uri.uri(),
    }
end

return M
