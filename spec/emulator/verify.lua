-- luacheck: std ngx_lua
-- Who may pass: checks a request as the cloud's gateway does, with code of its own.
-- M.acs3(request) returns nil when all is well, else the error code and a message.

local canonical = require "canonical"
local digest = require "digest"
local keys = require "keys"
local world = require "world"

local WINDOW = 15 * 60
local MAX_NONCES = 500000
local MANDATORY = {
    "host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
    "x-acs-content-sha256",
}

local nonces, nonce_count

local M = {}


local function days_before(year, month, day)
    if month <= 2 then
        year, month = year - 1, month + 12
    end
    return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
        + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end


--- Seconds since 1970 of "YYYY-MM-DDTHH:MM:SSZ"; or nil and the error code.
function M.parse_date(text)
    local year, month, day, hour, minute, second =
        text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)Z$")
    if not year then
        return nil, "InvalidTimeStamp.Format"
    end
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
    hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
    if month < 1 or month > 12 or day < 1 or day > 31
        or hour > 23 or minute > 59 or second > 60 then
        return nil, "IllegalTimestamp"
    end
    return days_before(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
end


function M.check_date(text)
    local time, code = M.parse_date(text)
    if not time then
        return code, "Specified time stamp or date value is not well formatted."
    end
    if math.abs(time - world.now()) > WINDOW then
        return "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."
    end
end


local function check_token(key, token)
    if not token then
        if key.security_token then
            return "MissingSecurityToken", "SecurityToken is mandatory for this action."
        end
    elseif token ~= key.security_token then
        if keys.find_by_token(token) then
            return "InvalidSecurityToken.MismatchWithAccessKey",
                "Specified SecurityToken mismatch with the AccessKey."
        end
        return "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed."
    elseif key.expires <= world.now() then
        return "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."
    end
end


--- Finds the key of an id and checks it with its token: the key, or nil, code, message.
function M.find_key(access_key_id, token)
    local key = keys.find(access_key_id)
    if not key then
        return nil, "InvalidAccessKeyId.NotFound", "Specified access key is not found."
    end
    if key.inactive then
        return nil, "InvalidAccessKeyId.Inactive", "Specified access key is disabled."
    end
    local code, message = check_token(key, token)
    if code then
        return nil, code, message
    end
    return key
end


local function prune()
    for nonce, time in pairs(nonces) do
        if math.abs(world.now() - time) > 2 * WINDOW then
            nonces[nonce] = nil
            nonce_count = nonce_count - 1
        end
    end
    if nonce_count >= MAX_NONCES then
        nonces, nonce_count = {}, 0
    end
end


function M.use_nonce(nonce)
    if nonces[nonce] then
        return "SignatureNonceUsed", "Specified signature nonce was used already."
    end
    if nonce_count >= MAX_NONCES then
        prune()
    end
    nonces[nonce], nonce_count = world.now(), nonce_count + 1
end


local function parse_authorization(text)
    local id, names, signature = (text or ""):match(
        "^ACS3%-HMAC%-SHA256 Credential=([^,]*),SignedHeaders=([^,]*),Signature=(%x+)$")
    if not id then
        return nil
    end
    local list, set = {}, {}
    for name in names:gmatch("[^;]+") do
        list[#list + 1], set[name] = name, true
    end
    return { id = id, names = list, set = set, signature = signature }
end


-- The mandatory headers are there, and what has to be signed is signed.
local function check_coverage(request, set)
    for _, name in ipairs(MANDATORY) do
        if not request.headers[name] then
            return "IncompleteSignature", "The header " .. name .. " is mandatory."
        end
    end
    for _, name in ipairs(canonical.signed_names(request.header_list)) do
        if not set[name] then
            return "IncompleteSignature", "The header " .. name .. " is not signed."
        end
    end
end


local function check_signature(request, authorization, key)
    local canonical_request = canonical.canonical_request(request, authorization.names)
    local string_to_sign = canonical.string_to_sign(canonical_request)
    local signature = canonical.signature(key.access_key_secret, string_to_sign)
    request.canonical_request = canonical_request
    if request.headers["x-acs-content-sha256"] ~= digest.sha256(request.body)
        or signature ~= authorization.signature then
        return "SignatureDoesNotMatch",
            "Specified signature does not match our calculation. server string to sign is:"
                .. string_to_sign .. " server canonical request is:" .. canonical_request
    end
end


function M.acs3(request)
    local authorization = parse_authorization(request.headers.authorization)
    if not authorization then
        return "IncompleteSignature", "The request signature does not conform to the standards."
    end
    local code, message = check_coverage(request, authorization.set)
    if not code then
        code, message = M.check_date(request.headers["x-acs-date"])
    end
    if code then
        return code, message
    end
    local key
    key, code, message = M.find_key(authorization.id, request.headers["x-acs-security-token"])
    if not key then
        return code, message
    end
    code, message = check_signature(request, authorization, key)
    if code then
        return code, message
    end
    return M.use_nonce(request.headers["x-acs-signature-nonce"])
end


function M.reset()
    nonces, nonce_count = {}, 0
end


M.reset()

return M
