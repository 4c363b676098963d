--- The SDKs' INI file. Input: its text.

local credentials = require "emr.credentials"
local ini = require "emr.credentials.ini"

local rules = require "spec.fuzz.rules"
local worlds = require "spec.support.world"

local FILE = "/credentials"

local function unreachable()
    return nil, "there is no network"
end

local function world_with(text)
    return (worlds.new { files = { [FILE] = text }, fetch = unreachable, call = unreachable })
end

local function written(sections)
    local lines = {}
    for name, section in pairs(sections) do
        lines[#lines + 1] = "[" .. name .. "]"
        for key, value in pairs(section) do
            lines[#lines + 1] = key .. " = " .. value
        end
    end
    return table.concat(lines, "\n")
end

-- Whether the text says CANARY only where a secret stands, in lines of its own.
local function is_secret(text)
    text = ("\n" .. text):gsub("(\n[ \t]*access_key_secret[ \t]*[=:])[^\n]*", "%1")
    return not text:find("CANARY", 1, true)
end

return function(input)
    local sections = ini.parse(input)
    if sections then
        rules.assert_same(sections, ini.parse(written(sections)), "it changes when written anew")
    end
    local key, message, err = credentials.ini { file = FILE } (world_with(input))
    rules.result(key, message, err)
    if key then
        assert(input:find(key.access_key_secret, 1, true), "a secret that nobody wrote")
    elseif is_secret(input) then
        worlds.assert_no_secret(message)
    end
end
