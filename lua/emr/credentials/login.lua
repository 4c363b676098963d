--- Keys for people who logged in with the vendor's CLI (CloudSSO, OAuth): the token that the login
-- left in the CLI's file is exchanged for a key. The token is not renewed and the file not
-- changed; when the token is over, the person logs in again.

local cjson = require "cjson"
local failure = require "emr.failure"
local http = require "emr.credentials.http"
local keys = require "emr.credentials.keys"
local text = require "emr.credentials.text"

local CLOUD_SSO = http.unsigned("CloudSSO", "/cloud-credentials", { CloudCredential = "object" })
local OAUTH = http.unsigned("OAuth", "/v1/exchange", { accessKeyId = "string" })

local OAUTH_SITES = {
    cn = "https://oauth.aliyun.com",
    intl = "https://oauth.alibabacloud.com",
}

local OAUTH_NAMES = {
    access_key_id = "accessKeyId",
    access_key_secret = "accessKeySecret",
    security_token = "securityToken",
    expiration = "expiration",
}

local M = {}

local function log_in_again(where, operation, name)
    return failure("credentials", "expired", ("%s: the %s login is over: log in again with "
        .. "'aliyun configure --mode %s --profile %s'"):format(where, operation.name,
        operation.name, name))
end

local function require_fields(where, profile, fields)
    for _, field in ipairs(fields) do
        if not profile[field] then
            return failure("credentials", "incomplete", where .. ": " .. field .. " is not set")
        end
    end
    return true
end

-- The login's token goes into a header.
local function is_token(token)
    return token ~= nil and not keys.problem("security_token", token)
end

local function exchange(world, where, name, operation, base, token, body)
    local reply, message, err = http.exchange(world, operation, {
        method = operation.method,
        url = base .. operation.path,
        headers = {
            accept = "application/json",
            authorization = "Bearer " .. token,
            ["content-type"] = "application/json",
        },
        body = body,
    }, token)
    if not reply and err.status == 401 then
        return log_in_again(where, operation, name)
    end
    return reply, message, err
end

--- Exchange the token of a CloudSSO login.
---@param world emr.World
---@param where string     the profile, for messages
---@param profile table    its fields
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.cloud_sso(world, where, profile)
    local complete, message, err = require_fields(where, profile, { "cloud_sso_sign_in_url",
        "cloud_sso_account_id", "cloud_sso_access_config" })
    if not complete then
        return nil, message, err
    end
    local base = text.origin(profile.cloud_sso_sign_in_url)
    if not base or text.endpoint(base) then
        return failure("credentials", "malformed",
            where .. ": cloud_sso_sign_in_url is not an https URL")
    end
    local over = profile.cloud_sso_access_token_expire or 0
    if not is_token(profile.access_token) or over <= world.wall_clock() then
        return log_in_again(where, CLOUD_SSO, profile.name)
    end
    local body = cjson.encode {
        AccountId = profile.cloud_sso_account_id,
        AccessConfigurationId = profile.cloud_sso_access_config,
    }
    local reply
    reply, message, err = exchange(world, where, profile.name, CLOUD_SSO, base,
        profile.access_token, body)
    if not reply then
        return nil, message, err
    end
    return keys.from_reply(world, CLOUD_SSO.name, "cloud_sso", reply.CloudCredential)
end

--- Exchange the access token of an OAuth login.
---@param world emr.World
---@param where string     the profile, for messages
---@param profile table    its fields
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.oauth(world, where, profile)
    local base = OAUTH_SITES[(profile.oauth_site_type or ""):lower()]
    if not base then
        return failure("credentials", "malformed",
            where .. ": oauth_site_type must be CN or INTL")
    end
    local token, over = profile.oauth_access_token, profile.oauth_access_token_expire or 0
    -- without a time the service decides
    if not is_token(token) or over ~= 0 and over <= world.wall_clock() then
        return log_in_again(where, OAUTH, profile.name)
    end
    local reply, message, err = exchange(world, where, profile.name, OAUTH, base, token, "")
    if not reply then
        return nil, message, err
    end
    return keys.from_reply(world, OAUTH.name, "oauth", reply, OAUTH_NAMES)
end

return M
