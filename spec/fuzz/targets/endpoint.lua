--- Endpoint, region and ids on their way into a URL. Input: a line each.

local emr = require "emr"

local attempt = require "spec.support.attempt"
local rules = require "spec.fuzz.rules"

local GET = emr.operations.GetSessionCluster
local KEY = { access_key_id = "id", access_key_secret = "CANARYSECRET" }

local function prepare(endpoint, region, ids)
    return pcall(emr.prepare, GET, ids, {
        endpoint = endpoint, region = region,
        access_key_id = KEY.access_key_id, access_key_secret = KEY.access_key_secret,
    })
end

local function unescape(text)
    return (text:gsub("%%(%x%x)", function(digits)
        return string.char(tonumber(digits, 16))
    end))
end

local function is_loopback(authority)
    local host = authority:gsub(":%d+$", "")
    return host == "localhost" or host == "[::1]" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

local function is_authority(text)
    local host, port = text:match("^(.-):?(%d*)$")
    port = port ~= "" and text:sub(-#port - 1, -#port - 1) == ":" and tonumber(port) or nil
    host = port and host or text
    return (port == nil or port >= 1 and port <= 65535)
        and (host:find("^[%l%d_-][%l%d._-]*$") ~= nil and #host <= 253
            or host:find("^%[[%x:.]+%]$") ~= nil)
end

return function(input)
    local endpoint, region, workspace, cluster = rules.lines(input, 4)
    local ids = { workspaceId = workspace, sessionClusterId = cluster }
    local ok, prepared = prepare(endpoint, region, ids)
    if not ok then
        rules.mistake(prepared)
        return
    end
    attempt.verified(prepared, KEY)
    local url = prepared.url
    assert(not url:find("[^!-~]"), "a byte that no URL has")
    local scheme, authority, path, query = url:match("^(https?)://([^/]*)([^?]*)%?(.*)$")
    assert(is_authority(authority), authority)
    assert(scheme == "https" or is_loopback(authority), "plain http to " .. authority)
    assert(query == "regionId=" .. region, query)
    local got_workspace, got_cluster = path:match(
        "^/api/v1/workspaces/([^/]+)/sessionClusters/([^/]+)$")
    assert(unescape(got_workspace) == workspace and unescape(got_cluster) == cluster, path)
    local _, again = prepare(scheme .. "://" .. authority, region, ids)
    assert(again.url == url, "the endpoint that came out is another one when it goes in")
end
