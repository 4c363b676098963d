--- A credentials table: checked when it is made, so that nothing else need look at it again.

local failure = require "emr.failure"
local expiry = require "emr.credentials.expiry"

---@class emr.Credentials
---@field access_key_id string
---@field access_key_secret string
---@field security_token? string   of an STS key
---@field expiration? number       seconds since 1970; absent: valid until the API says otherwise
---@field source string            where it came from, in the vendor's words: env, profile/static_ak

---@alias emr.Provider fun(world?: emr.World): emr.Credentials?, string?, emr.Error?

local FIELDS = { "access_key_id", "access_key_secret", "security_token" }
local LIMITS = { access_key_id = 1024, access_key_secret = 1024, security_token = 16384 } -- bytes
local SHOWN = 4 -- characters of a key id that tell keys apart

local Credentials = { __name = "emr.Credentials" }

function Credentials.__tostring(keys)
    local id = tostring(keys.access_key_id)
    return ("credentials(%s, %s...)"):format(tostring(keys.source),
        #id > 2 * SHOWN and id:sub(1, SHOWN) or "")
end

local M = { FIELDS = FIELDS, LIMITS = LIMITS }

--- What is wrong with a key, secret or token; nil when nothing is. Never holds the value.
---@param field "access_key_id"|"access_key_secret"|"security_token"
---@param value any
---@return string?
function M.problem(field, value)
    if type(value) ~= "string" then
        return "must be a string, got " .. type(value)
    elseif value == "" then
        return "must not be empty"
    elseif #value > LIMITS[field] then
        return ("is longer than %d bytes"):format(LIMITS[field])
    elseif value:find("[^!-~]") then
        return "holds a blank, a line break, a control or a non-ASCII character"
    end
end

local function missing(where, names, found)
    local id, secret = names.access_key_id, names.access_key_secret
    if found.access_key_id == nil and found.access_key_secret == nil then
        return failure("credentials", "none",
            ("%s: %s and %s are not set"):format(where, id, secret))
    end
    if found.access_key_id == nil then
        id, secret = secret, id
    end
    return failure("credentials", "incomplete",
        ("%s: %s is set, but %s is not"):format(where, id, secret))
end

local OWN_NAMES = {
    access_key_id = "access_key_id",
    access_key_secret = "access_key_secret",
    security_token = "security_token",
}

local function given(value)
    if value ~= "" then
        return value
    end
end

--- Check what a source holds and make a credentials table of it. Empty text counts as absent.
---@param where string      for messages: where the values stand
---@param source string     for `source`
---@param found table       the three fields, of any type, and `expiration` in seconds or nil
---@param names table?      what the three are called there
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.new(where, source, found, names)
    names = names or OWN_NAMES
    local keys = { expiration = found.expiration, source = source }
    for _, field in ipairs(FIELDS) do
        keys[field] = given(found[field])
    end
    if keys.access_key_id == nil or keys.access_key_secret == nil then
        return missing(where, names, keys)
    end
    for _, field in ipairs(FIELDS) do
        local problem = keys[field] ~= nil and M.problem(field, keys[field])
        if problem then
            return failure("credentials", "malformed",
                ("%s: %s %s"):format(where, names[field], problem))
        end
    end
    return setmetatable(keys, Credentials)
end

--- When a key is over whose source always says so: a time that is missing or no time at all means
-- now, so that the key serves but is not kept.
---@param world emr.World
---@param text any
---@return number
function M.expiration(world, text)
    return expiry.parse(text) or math.floor(world.wall_clock())
end

local REPLY_NAMES = {
    access_key_id = "AccessKeyId",
    access_key_secret = "AccessKeySecret",
    security_token = "SecurityToken",
    expiration = "Expiration",
}

--- The keys of a service's reply: id, secret and token are all required.
---@param world emr.World
---@param where string
---@param source string
---@param reply table
---@param names table?      what the members are called; the vendor's usual names if nil
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.from_reply(world, where, source, reply, names)
    names = names or REPLY_NAMES
    local found = {}
    for _, field in ipairs(FIELDS) do
        local value = reply[names[field]]
        if value == nil or value == "" then
            return failure("credentials", "malformed",
                ("%s: the reply has no %s"):format(where, names[field]))
        end
        found[field] = value
    end
    found.expiration = M.expiration(world, reply[names.expiration])
    return M.new(where, source, found, names)
end

local CUSTOM = "credential provider"

local function refusal(message, err)
    if type(message) ~= "string" then
        message = CUSTOM .. ": returned nothing"
    end
    if type(err) ~= "table" or type(err.kind) ~= "string" then
        return failure("credentials", "unavailable", message)
    elseif type(err.message) ~= "string" then
        return failure(err.kind, err.code, message, err)
    end
    return nil, message, err
end

--- Ask any provider, a stranger's too, and make sure that what it answers is sound.
-- What it raises passes through.
---@param provider emr.Provider
---@param world emr.World
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.ask(provider, world)
    local found, message, err = provider(world)
    if not found then
        return refusal(message, err)
    end
    if type(found) ~= "table" then
        return failure("credentials", "malformed",
            CUSTOM .. ": must return a table, got " .. type(found))
    end
    local expiration = found.expiration
    if expiration ~= nil and type(expiration) ~= "number" then
        expiration = M.expiration(world, expiration)
    end
    return M.new(CUSTOM, type(found.source) == "string" and found.source or "custom", {
        access_key_id = found.access_key_id,
        access_key_secret = found.access_key_secret,
        security_token = found.security_token,
        expiration = expiration,
    })
end

--- Whether two tables hold the same key.
---@return boolean
function M.same(a, b)
    return a.access_key_id == b.access_key_id and a.access_key_secret == b.access_key_secret
        and a.security_token == b.security_token
end

return M
