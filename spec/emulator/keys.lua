-- luacheck: std ngx_lua
-- The keys this cloud knows: fixed ones and those it hands out. Whatever is secret begins with
-- CANARY, so that a leak into a log or a message is found by searching for that one word.

local world = require "world"

-- settings: what a spec may change in the documents with fresh keys: lifetime (seconds, whatever a
-- client asks for), expiration (a text in place of the date), omit (names of members), code.
local M = { settings = {} }

local LONG_AGO, FAR_AHEAD = 0, 4102444800

local FIXED = {
    permanent = {
        access_key_id = "LTAI5tEmulatorKeyId00001",
        access_key_secret = "CANARYSECRETpermanent000000001",
    },
    inactive = {
        access_key_id = "LTAI5tEmulatorInactive01",
        access_key_secret = "CANARYSECRETinactive0000000001",
        inactive = true,
    },
    sts = {
        access_key_id = "STS.EmulatorKeyId0000001",
        access_key_secret = "CANARYSECRETsts000000000000001",
        security_token = "CANARYTOKENsts/with+plus==/and/slash",
        expires = FAR_AHEAD,
    },
    expired = {
        access_key_id = "STS.EmulatorExpired00001",
        access_key_secret = "CANARYSECRETexpired00000000001",
        security_token = "CANARYTOKENexpired/with+plus==",
        expires = LONG_AGO,
    },
}

local by_id, by_token, serial


local function add(key)
    by_id[key.access_key_id] = key
    if key.security_token then
        by_token[key.security_token] = key
    end
end


local function issue(seconds)
    serial = serial + 1
    local key = {
        access_key_id = ("STS.EmulatorIssued%06d"):format(serial),
        access_key_secret = ("CANARYSECRETissued%012d"):format(serial),
        security_token = ("CANARYTOKENissued/%06d+=="):format(serial),
        expires = world.now() + (M.settings.lifetime or seconds),
    }
    add(key)
    return key
end


--- The document in which this cloud hands out a fresh key that is good for `seconds`.
function M.hand_out(seconds)
    local key = issue(seconds)
    local document = {
        AccessKeyId = key.access_key_id,
        AccessKeySecret = key.access_key_secret,
        SecurityToken = key.security_token,
        Expiration = M.settings.expiration or world.iso(key.expires),
    }
    for _, name in ipairs(M.settings.omit or {}) do
        document[name] = nil
    end
    return document
end


function M.find(access_key_id)
    return by_id[access_key_id]
end


function M.find_by_token(token)
    return by_token[token]
end


--- Makes one temporary key expire now, or all of them that were handed out.
function M.expire(access_key_id)
    for id, key in pairs(by_id) do
        if key.expires and (id == access_key_id or not access_key_id) then
            key.expires = LONG_AGO
        end
    end
end


function M.reset()
    by_id, by_token, serial, M.settings = {}, {}, 0, {}
    for _, key in pairs(FIXED) do
        local copy = {}
        for name, value in pairs(key) do
            copy[name] = value
        end
        add(copy)
    end
end


M.fixed = FIXED
M.reset()

return M
