--- The CLI's configuration file, and what services and programs answer that it names. Input: the
-- file's JSON, a blank line, the answer.

local credentials = require "emr.credentials"
local emr = require "emr"

local rules = require "spec.fuzz.rules"
local worlds = require "spec.support.world"

local FILE = "/config.json"

local function world_with(file, answer)
    local reply = { status = 200, headers = {}, body = answer }
    return (worlds.new {
        files = { [FILE] = file, ["/token"] = answer },
        fetch = function() return reply end,
        call = function(operation) return emr.parse(operation, reply) end,
        run = function(argv)
            for _, word in ipairs(argv) do
                assert(not word:find("\0", 1, true), "a word with a NUL")
            end
            return 0, answer, ""
        end,
    })
end

return function(input)
    local file, answer = (input .. "\n\n"):match("^(.-)\n\n(.-)\n*$")
    local world = world_with(file, answer)
    local key, message, err = credentials.profile { file = FILE } (world)
    rules.result(key, message, err)
    for _, field in ipairs { "access_key_id", "access_key_secret", "security_token" } do
        assert(key == nil or key[field] == nil or not key[field]:find("[^!-~]"), field)
    end
    local region = credentials.region(world, { file = FILE })
    assert(region == nil or type(region) == "string", "a region that is no text")
end
