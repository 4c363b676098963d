--- Keys from a program: it is run without a shell and prints JSON.

local emr = require "emr"
local failure = require "emr.failure"
local options = require "emr.options"
local keys = require "emr.credentials.keys"
local text = require "emr.credentials.text"
local worlds = require "emr.credentials.world"

local LIMIT = 60 -- seconds
local MAX_OUTPUT = 65536
local MAX_WORDS = 256
local SHOWN = 200 -- bytes of what the program says on stderr
local WHAT = "credential process"

local M = {}

local ESCAPED_IN_QUOTES = { ['"'] = true, ["\\"] = true, ["$"] = true, ["`"] = true }

-- Each reads from `i` on, adds to `word`, and returns where it stopped; nil: the quote never ends.
local function single_quoted(command, i, word)
    local last = command:find("'", i, true)
    if last then
        word[#word + 1] = command:sub(i, last - 1)
        return last + 1
    end
end

local function double_quoted(command, i, word)
    while i <= #command do
        local c, following = command:sub(i, i), command:sub(i + 1, i + 1)
        if c == '"' then
            return i + 1
        elseif c == "\\" and ESCAPED_IN_QUOTES[following] then
            c, i = following, i + 1
        end
        word[#word + 1] = c
        i = i + 1
    end
end

local function escaped(command, i, word)
    if i <= #command then
        word[#word + 1] = command:sub(i, i)
        return i + 1
    end
end

local QUOTES = { ["'"] = single_quoted, ['"'] = double_quoted, ["\\"] = escaped }

--- Split a command into words as a shell does, with quotes and backslashes and nothing else:
-- no variables, no patterns, no redirections.
---@param command string
---@return string[]? argv   nil: no word at all or too many, or a quote without an end
function M.split(command)
    local argv, word, i = {}, nil, 1
    while i ~= nil and i <= #command do
        local c = command:sub(i, i)
        if c:find("%s") then
            argv[#argv + 1] = word and table.concat(word)
            word, i = nil, i + 1
        else
            word = word or {}
            if QUOTES[c] then
                i = QUOTES[c](command, i + 1, word)
            else
                word[#word + 1] = c
                i = i + 1
            end
        end
    end
    argv[#argv + 1] = word and table.concat(word)
    local is_whole = i ~= nil and not command:find("\0", 1, true)
    if is_whole and #argv > 0 and #argv <= MAX_WORDS and argv[1] ~= "" then
        return argv
    end
end

local RULES = {
    command = function(value)
        if text.some(value) or not M.split(value) then
            return "a command line with every quote closed, of at most 256 words"
        end
    end,
}

local function run(world, argv)
    local seconds, message, err = worlds.limit(world, WHAT, LIMIT)
    if not seconds then
        return nil, message, err
    end
    local status, stdout, stderr = world.run(argv, { timeout = seconds, max_output = MAX_OUTPUT })
    if not status then
        return worlds.failed(world, WHAT, stdout, stderr)
    elseif status ~= 0 then
        local why = tostring(stderr):sub(1, SHOWN)
        return failure("credentials", "unavailable", ("%s: it ended with status %d: %s")
            :format(WHAT, status, why ~= "" and why or "it printed no reason"))
    end
    return stdout
end

-- What it printed is never shown: it may well be a key.
local function read_output(world, output)
    local reply = emr.decode(output)
    if type(reply) ~= "table" then
        return failure("credentials", "malformed", WHAT .. ": its output is not a JSON object")
    end
    local mode = tostring(reply.mode):lower()
    if mode ~= "ak" and mode ~= "ststoken" then
        return failure("credentials", "malformed",
            WHAT .. ": its output must have the mode AK or StsToken")
    elseif mode == "ststoken" and (reply.sts_token or "") == "" then
        return failure("credentials", "incomplete", WHAT .. ": its output has no sts_token")
    end
    return keys.new(WHAT, "external", {
        access_key_id = reply.access_key_id,
        access_key_secret = reply.access_key_secret,
        security_token = mode == "ststoken" and reply.sts_token or nil,
        expiration = keys.expiration(world, reply.expiration),
    })
end

--- Run a command and read the key that it prints.
---@param world emr.World
---@param command string
---@return emr.Credentials? keys, string? message, emr.Error? err
function M.fetch(world, command)
    local argv = M.split(command)
    if not argv then
        return failure("credentials", "malformed",
            WHAT .. ": the command is empty, too long or has a quote without an end")
    end
    local output, message, err = run(world, argv)
    if not output then
        return nil, message, err
    end
    return read_output(world, output)
end

--- See `emr.credentials.process`.
---@return emr.Provider
function M.process(given)
    local settings = options.check(given, RULES, "credentials.process")
    if not settings.command then
        error("credentials.process: command is missing", 2)
    end
    return function(world)
        return M.fetch(worlds.complete(world), settings.command)
    end
end

return M
