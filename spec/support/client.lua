--- A client over a transport of the spec's own: everything but the network is real.

local cjson = require "cjson"
local emr = require "emr"
local fake = require "spec.support.time"
local call = require "spec.support.call"
local luassert = require "luassert"

local M = {}

M.IDS = { workspaceId = "w-1", sessionClusterId = "s-1" }
M.KEYS = { access_key_id = "id", access_key_secret = "CANARYSECRET" }

--- An HTTP reply; a table is sent as JSON.
function M.reply(status, body, headers)
    return {
        status = status, headers = headers or {},
        body = type(body) == "table" and cjson.encode(body) or body,
    }
end

--- The reply to GetSessionCluster.
function M.cluster(state)
    return M.reply(200, { sessionCluster = { state = state, connectionToken = "CANARYTOKEN" },
        requestId = "R" })
end

--- An error of the API's.
function M.refuse(code, status, headers)
    return M.reply(status or 400, { Code = code, Message = "no", RequestId = "R" }, headers)
end

--- A client, with what it sent (`sent`, `seconds`) and its time. `rows` are replies in turn, the
-- last one for ever; a function is called with the request. The option "none" takes one away.
function M.new(rows, options, draws)
    local time = fake.new(draws)
    local it = { sent = {}, seconds = {}, time = time }
    local all = {
        region = "cn-hangzhou", credentials = M.KEYS,
        clock = time.clock, sleep = time.sleep, random = time.random,
        getenv = function() end,
        transport = function(http, seconds)
            it.sent[#it.sent + 1], it.seconds[#it.seconds + 1] = http, seconds
            local row = rows[math.min(#it.sent, #rows)]
            if type(row) == "function" then
                return row(http, seconds)
            end
            return row
        end,
    }
    for name, value in pairs(options or {}) do
        if value == "none" then
            value = nil
        end
        all[name] = value
    end
    it.client = emr.client.new(all)
    return it
end

--- A client that calls the server at `url` for real, with the emulator's key; only its time is the
--- spec's own. An option of "none" is taken away.
function M.against(url, options, time)
    local emu = call.cloud()
    time = time or fake.new(0.5)
    local all = {
        region = "cn-hangzhou", endpoint = url, ca_file = emu.ca_file,
        credentials = {
            access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
        },
        clock = time.clock, sleep = time.sleep, random = time.random, getenv = function() end,
    }
    for name, value in pairs(options or {}) do
        all[name] = value ~= "none" and value or nil
    end
    return emr.client.new(all), time
end

--- Asserts that a call raises, with that text in the message.
function M.raises(expected, f, ...)
    local ok, message = pcall(f, ...)
    luassert.is_false(ok, "did not raise; expected " .. expected)
    luassert.truthy(tostring(message):find(expected, 1, true), message)
end

return M
