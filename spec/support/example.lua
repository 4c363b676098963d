--- The programs of examples/, run as a reader would run them: as programs, against the emulator.

local child = require "spec.support.child"

local M = {}

local function quoted(text)
    return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

--- Runs one under the interpreter of this process. What it prints must hold no secret.
---@param emu table            the emulator
---@param name string          of the file, without .lua
---@param arguments string[]
---@param settings? {env?: table<string, string>, under?: string, shows_token?: boolean}   `under`
---  are words of the shell in front of the interpreter
---@return {status: integer, out: string, err: string}
function M.run(emu, name, arguments, settings)
    settings = settings or {}
    local variables = {
        EMR_ENDPOINT = emu.https, EMR_CA_FILE = emu.ca_file, HOME = emu.dir,
        ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret,
        ALIBABA_CLOUD_REGION_ID = "cn-hangzhou",
        ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true",
        LUA_PATH = package.path, LUA_CPATH = package.cpath,
    }
    for variable, value in pairs(settings.env or {}) do
        variables[variable] = value
    end
    local words = { "env -u LUA_INIT" }
    for variable, value in pairs(variables) do
        words[#words + 1] = quoted(variable .. "=" .. value)
    end
    words[#words + 1] = settings.under or ""
    words[#words + 1] = quoted((child.interpreter()))
    words[#words + 1] = "examples/" .. name .. ".lua"
    for _, argument in ipairs(arguments) do
        words[#words + 1] = quoted(argument)
    end
    local result = child.run(table.concat(words, " "))
    if not settings.shows_token then
        assert(not (result.out .. result.err):find("CANARY", 1, true), "a secret was printed")
    end
    return result
end

--- Runs one and asserts how it ends and what is in its output; nil for nothing at all.
---@return {status: integer, out: string, err: string}
function M.check(expected, status, ...)
    local result = M.run(...)
    local text = result.out .. result.err
    assert(result.status == status, ("status %s: %s"):format(result.status, text))
    assert(expected and text:find(expected, 1, true) or text == "" and not expected, text)
    return result
end

return M
