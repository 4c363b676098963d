-- luacheck: std ngx_lua
-- STS 2015-04-01: AssumeRole (signed with ACS3, or with the older RPC signature among its
-- parameters) and AssumeRoleWithOIDC (not signed). Parameters come in the query or in a form.

local canonical = require "canonical"
local keys = require "keys"
local reply = require "reply"
local verify = require "verify"

local VERSION = "2015-04-01"
local OIDC_TOKEN = "CANARYOIDCTOKEN"    -- any token that begins so is good

local M = { name = "sts" }


-- Query and form parameters as a list of pairs and as a map.
local function parameters(request)
    local list = canonical.pairs_of(request.query)
    if (request.headers["content-type"] or ""):match("^application/x%-www%-form%-urlencoded") then
        for _, pair in ipairs(canonical.pairs_of(request.body)) do
            list[#list + 1] = pair
        end
    end
    local map = {}
    for _, pair in ipairs(list) do
        map[pair[1]] = pair[2]
    end
    return map, list
end


local function check_rpc_signature(request, map, list)
    if not (map.AccessKeyId and map.Signature and map.Timestamp and map.SignatureNonce) then
        return "IncompleteSignature", "The request signature does not conform to the standards."
    end
    local code, message = verify.check_date(map.Timestamp)
    if code then
        return code, message
    end
    local key
    key, code, message = verify.find_key(map.AccessKeyId, map.SecurityToken)
    if not key then
        return code, message
    end
    local signed = {}
    for _, pair in ipairs(list) do
        if pair[1] ~= "Signature" then
            signed[#signed + 1] = pair
        end
    end
    local text = request.method .. "&%2F&" .. canonical.escape(canonical.sorted_query(signed))
    if ngx.encode_base64(ngx.hmac_sha1(key.access_key_secret .. "&", text)) ~= map.Signature then
        return "SignatureDoesNotMatch",
            "Specified signature does not match our calculation. server string to sign is:" .. text
    end
    return verify.use_nonce(map.SignatureNonce)
end


local function required(request, map, names)
    for _, name in ipairs(names) do
        if (map[name] or "") == "" then
            return reply.gateway_error(request, "MissingParameter." .. name,
                name .. " is mandatory.")
        end
    end
end


local function check_role(request, map)
    local duration = tonumber(map.DurationSeconds or 3600)
    if not duration or duration < 900 or duration > 43200 then
        return reply.gateway_error(request, "InvalidParameter.DurationSeconds",
            "The Min/Max value of DurationSeconds is 15min/12hr.")
    end
    if not map.RoleArn:match("^acs:ram::%d+:role/.") then
        return reply.gateway_error(request, "InvalidParameter.RoleArn", "RoleArn is not valid.")
    end
    if map.RoleArn:match("/missing$") then
        return reply.gateway_error(request, "EntityNotExist.Role", "The role not exists: missing.")
    end
    if map.RoleArn:match("/forbidden$") then
        return reply.gateway_error(request, "NoPermission", "You are not authorized to do this.")
    end
end


local function assumed(request, map)
    return reply.json(200, {
        RequestId = request.request_id,
        AssumedRoleUser = {
            Arn = map.RoleArn:gsub(":role/", ":assumed-role/") .. "/" .. map.RoleSessionName,
            AssumedRoleId = "3000000000000000001:" .. map.RoleSessionName,
        },
        Credentials = keys.hand_out(tonumber(map.DurationSeconds or 3600)),
    })
end


local function assume_role(request, map)
    return required(request, map, { "RoleArn", "RoleSessionName" }) or check_role(request, map)
        or assumed(request, map)
end


local function assume_role_with_oidc(request, map)
    local names = { "RoleArn", "OIDCProviderArn", "OIDCToken", "RoleSessionName" }
    local problem = required(request, map, names) or check_role(request, map)
    if problem then
        return problem
    end
    if map.OIDCToken:sub(1, #OIDC_TOKEN) ~= OIDC_TOKEN or map.OIDCToken:match("%s") then
        return reply.gateway_error(request, "AuthenticationFail.OIDCToken.Invalid",
            "This OIDC Token is invalid.")
    end
    return assumed(request, map)
end


local OPERATIONS = { AssumeRole = assume_role, AssumeRoleWithOIDC = assume_role_with_oidc }


function M.match(request)
    return request.path == "/"
end


function M.verify(request)
    local map, list = parameters(request)
    local action = request.headers["x-acs-action"] or map.Action
    if not OPERATIONS[action] or (request.headers["x-acs-version"] or map.Version) ~= VERSION then
        return "InvalidApi.NotFound", "Specified api is not found."
    end
    request.operation, request.parameters = action, map
    if action == "AssumeRoleWithOIDC" then
        return nil
    end
    if request.headers.authorization then
        return verify.acs3(request)
    end
    return check_rpc_signature(request, map, list)
end


function M.serve(request)
    return OPERATIONS[request.operation](request, request.parameters)
end


M.oidc_token = OIDC_TOKEN

return M
