--- Bytes that a server answers, through libcurl: what `call` makes of them is what `parse` makes of
-- what `fetch` got. Input: the bytes.

local emr = require "emr"

local call = require "spec.support.call"
local peer = require "spec.support.peer"
local rules = require "spec.fuzz.rules"

local SECRET = "CANARYSECRET"
local GET = emr.operations.GetSessionCluster
local IDS = { workspaceId = "w-1", sessionClusterId = "s-1" }

local server

local function answer(transfer, bytes)
    local connection = server:accept()
    connection:request()
    connection:send(bytes)
    connection:close()
    return call.finish(transfer)
end

return function(input)
    server = server or peer.new()
    local response, why, trouble = answer(emr.start({ url = server.url }), input)
    local result, message, err = answer(emr.start(GET, IDS, {
        endpoint = server.url, region = "cn-hangzhou",
        access_key_id = "id", access_key_secret = SECRET,
    }), input)
    rules.result(response, why, trouble)
    rules.result(result, message, err)
    if input:find(SECRET, 1, true) then
        return  -- only `call` knows it, and hides it
    end
    if response then
        local parsed, _, why_not = emr.parse(GET, response)
        rules.assert_same(parsed, result, "parse and call differ")
        assert(result or err.kind == why_not.kind and err.code == why_not.code,
            "parse and call fail in different ways")
    else
        assert(result == nil and err.kind == trouble.kind and err.code == trouble.code,
            "fetch and call fail in different ways")
    end
end
