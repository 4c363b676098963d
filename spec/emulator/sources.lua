-- luacheck: std ngx_lua
-- The other places that hand out keys: the metadata service of an instance, a credentials URI,
-- CloudSSO, OAuth. Nothing here is signed.

local cjson = require "cjson"

local keys = require "keys"
local reply = require "reply"

local ROLE_PATH = "/latest/meta-data/ram/security-credentials/"
local SIX_HOURS = 21600
local ACCESS_TOKEN = { CloudSSO = "CANARYACCESSTOKENcloudsso", OAuth = "CANARYACCESSTOKENoauth" }

local metadata, tokens

local M = { name = "sources", access_tokens = ACCESS_TOKEN }


local function plain(status, text)
    return { status = status, headers = { ["content-type"] = "text/plain" }, body = text }
end


-- The newer metadata service: a token first.
local function metadata_token(request)
    local seconds = tonumber(request.headers["x-aliyun-ecs-metadata-token-ttl-seconds"])
    if not metadata.v2 then
        return plain(404, "Not Found")
    end
    if not seconds or seconds < 1 or seconds > SIX_HOURS then
        return plain(400, "Bad Request")
    end
    local token = "CANARYMETADATATOKEN" .. #tokens + 1
    tokens[#tokens + 1], tokens[token] = token, true
    return plain(200, token)
end


-- nil when the caller may read metadata.
local function refuse_metadata(request)
    local token = request.headers["x-aliyun-ecs-metadata-token"]
    if metadata.v2 and token and not tokens[token] then
        return plain(401, "Unauthorized")
    end
    if not metadata.v1 and not (token and tokens[token]) then
        return plain(403, "Forbidden")
    end
end


local function metadata_role(request)
    return refuse_metadata(request) or plain(200, metadata.role)
end


local function success(fields)
    fields.Code = keys.settings.code or "Success"
    fields.LastUpdated = fields.Expiration
    return reply.json(200, fields)
end


local function metadata_key(request)
    if request.path ~= ROLE_PATH .. metadata.role then
        return plain(404, "Not Found")
    end
    return refuse_metadata(request) or success(keys.hand_out(SIX_HOURS))
end


local function credentials_uri()
    return success(keys.hand_out(3600))
end


local function not_logged_in(request)
    if request.headers.authorization ~= "Bearer " .. ACCESS_TOKEN[request.operation] then
        return reply.json(401, {
            ErrorCode = "InvalidAccessToken",
            ErrorMessage = "The access token is invalid or has expired.",
            RequestId = request.request_id,
        })
    end
end


local function cloud_sso(request)
    local ok, body = pcall(cjson.decode, request.body)
    if not ok or not body.AccountId or not body.AccessConfigurationId then
        return reply.gateway_error(request, "InvalidParameter", "AccountId is not valid.")
    end
    return not_logged_in(request) or reply.json(200, {
        CloudCredential = keys.hand_out(3600),
        RequestId = request.request_id,
    })
end


-- This one writes its members with a small first letter.
local function oauth(request)
    local problem = not_logged_in(request)
    if problem then
        return problem
    end
    local fields = { requestId = request.request_id }
    for name, value in pairs(keys.hand_out(3600)) do
        fields[name:sub(1, 1):lower() .. name:sub(2)] = value
    end
    return reply.json(200, fields)
end


local OPERATIONS = {
    { name = "MetadataToken", method = "PUT", serve = metadata_token,
        path = "^/latest/api/token$" },
    { name = "MetadataRole", method = "GET", serve = metadata_role,
        path = "^/latest/meta%-data/ram/security%-credentials/?$" },
    { name = "MetadataKey", method = "GET", serve = metadata_key,
        path = "^/latest/meta%-data/ram/security%-credentials/." },
    { name = "CredentialsURI", method = "GET", path = "^/credentials$", serve = credentials_uri },
    { name = "CloudSSO", method = "POST", path = "^/cloud%-credentials$", serve = cloud_sso },
    { name = "OAuth", method = "POST", path = "^/v1/exchange$", serve = oauth },
}


function M.match(request)
    for _, operation in ipairs(OPERATIONS) do
        if operation.method == request.method and request.path:match(operation.path) then
            request.operation, request.serve = operation.name, operation.serve
            return true
        end
    end
    return false
end


function M.verify()
    return nil
end


function M.serve(request)
    return request.serve(request)
end


--- How the metadata service behaves: v1, v2 (booleans), role (its name).
function M.set_metadata(settings)
    for name, value in pairs(settings) do
        metadata[name] = value
    end
end


function M.reset()
    metadata, tokens = { v1 = true, v2 = true, role = "emr-emulator-role" }, {}
end


M.reset()

return M
