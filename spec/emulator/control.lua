-- luacheck: std ngx_lua
-- How a spec steers this cloud: JSON in, JSON out, under /_emulator/.

local cjson = require "cjson"

local canonical = require "canonical"
local clusters = require "clusters"
local faults = require "faults"
local keys = require "keys"
local log = require "log"
local reply = require "reply"
local sources = require "sources"
local sts = require "sts"
local verify = require "verify"
local world = require "world"

local PREFIX = "^/_emulator/(%w+)$"

local M = {}


local ACTIONS = {
    ready = function() end,

    cluster = clusters.put,

    fault = faults.put,

    clock = function(argument)
        world.skew = argument.seconds
    end,

    handout = function(argument)
        keys.settings = argument
    end,

    metadata = sources.set_metadata,

    expire = function(argument)
        keys.expire(argument.access_key_id)
    end,

    constants = function()
        return {
            keys = keys.fixed,
            oidc_token = sts.oidc_token,
            access_tokens = sources.access_tokens,
        }
    end,

    requests = function(argument)
        return log.all(argument.operation)
    end,

    -- What this cloud takes for the canonical request; for checking it against known vectors.
    canonical = function(request)
        local names = canonical.signed_names(request.header_list)
        local text = canonical.canonical_request(request, names)
        local string_to_sign = canonical.string_to_sign(text)
        return {
            canonical_request = text,
            string_to_sign = string_to_sign,
            signature = canonical.signature(request.access_key_secret, string_to_sign),
        }
    end,

    reset = function()
        world.reset()
        keys.reset()
        verify.reset()
        sources.reset()
        clusters.reset()
        faults.reset()
        log.reset()
    end,
}


function M.match(request)
    return request.path:match(PREFIX) ~= nil
end


function M.serve(request)
    local action = ACTIONS[request.path:match(PREFIX)]
    if not action then
        return reply.json(404, { error = "there is no action " .. request.path })
    end
    local ok, result = pcall(function()
        return action(request.body ~= "" and cjson.decode(request.body) or {})
    end)
    if not ok then
        return reply.json(400, { error = tostring(result) })
    end
    if result == nil then
        return reply.json(200, "{}")
    end
    return reply.json(200, type(result) == "table" and next(result) == nil and "[]" or result)
end


return M
