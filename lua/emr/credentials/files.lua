--- Credential files: read with a cap, never blocking; a syntax error names path and line and shows
-- nothing of what the file holds.

local emr = require "emr"
local failure = require "emr.failure"
local worlds = require "emr.credentials.world"

local MAX = 1048576
local UNREADABLE = { kind = "credentials", code = "unreadable" }
local BOM = "\239\187\191"

local M = {}

local function has_bit(mode, bit)
    return math.floor(mode / bit) % 2 == 1
end

local function is_shared(mode)
    return has_bit(mode, 32) or has_bit(mode, 4) -- 0040 group, 0004 others
end

--- Whether a file is not there, as opposed to there but unreadable. The text is the C library's
-- and the only thing that tells.
---@param message string
---@return boolean
function M.is_missing(message)
    return message:find("No such file or directory", 1, true) ~= nil
end

--- The text of a file without a byte order mark, and its permission bits.
---@param world emr.World
---@param what string      the source, for messages
---@param path string
---@param max? integer     bytes; 1 MiB if nil
---@return string? text, integer|string mode_or_message, emr.Error? err
function M.read(world, what, path, max)
    if path:find("\0", 1, true) then
        return worlds.failed(world, what, "a path holds a NUL byte", UNREADABLE)
    end
    local text, mode, err = world.read_file(path, max or MAX)
    if not text then
        local message = tostring(mode)
        if not message:find(path, 1, true) then
            message = path .. ": " .. message
        end
        return worlds.failed(world, what, message, err or UNREADABLE)
    end
    if text:sub(1, #BOM) == BOM then
        text = text:sub(#BOM + 1)
    end
    return text, mode
end

--- A function that warns, once for each path, about a file of keys that others may read.
---@return fun(world: emr.World, path: string, mode: integer?)
function M.sharing_warner()
    local warned = {}
    return function(world, path, mode)
        if type(mode) == "number" and is_shared(mode) and not warned[path] then
            warned[path] = true
            world.on_warning(("credentials: %s can be read by other users of this machine: "
                .. "run chmod 600 on it"):format(path))
        end
    end
end

--- The file in the home directory, or nil when there is no home.
---@param world emr.World
---@param path string     relative to it
---@return string?
function M.in_home(world, path)
    local home = worlds.env(world, "HOME") or worlds.env(world, "USERPROFILE")
    return home and home .. "/" .. path
end

--- The line that holds byte `position`.
---@param text string
---@param position integer
---@return integer
function M.line(text, position)
    local _, breaks = text:sub(1, position - 1):gsub("\n", "")
    return breaks + 1
end

--- Decode a JSON file.
---@param what string
---@param path string
---@param text string
---@return table? document, string? message, emr.Error? err
function M.decode(what, path, text)
    local document, message = emr.decode(text)
    if type(document) == "table" then
        return document
    end
    local position = type(message) == "string" and tonumber(message:match("byte (%d+)"))
    local where = position and ("%s:%d"):format(path, M.line(text, position)) or path
    local problem = text:find("%S") and "is not a JSON object" or "is empty"
    return failure("credentials", "malformed", ("%s: %s %s"):format(what, where, problem))
end

return M
