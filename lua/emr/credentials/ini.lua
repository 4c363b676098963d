--- The SDKs' own credential file, `~/.alibabacloud/credentials` or `credentials.ini`.

local failure = require "emr.failure"
local options = require "emr.options"
local files = require "emr.credentials.files"
local keys = require "emr.credentials.keys"
local metadata = require "emr.credentials.metadata"
local sts = require "emr.credentials.sts"
local text = require "emr.credentials.text"
local worlds = require "emr.credentials.world"

local WHAT = "INI file"
local DEFAULT_PATHS = { ".alibabacloud/credentials", ".alibabacloud/credentials.ini" }

local M = {}

---@class emr.IniSettings
---@field file? string     nil: $ALIBABA_CLOUD_CREDENTIALS_FILE, else the two default names
---@field section? string  nil: $ALIBABA_CLOUD_PROFILE, else default
---@field guess? boolean   nobody named the file (the default chain): its absence is code `none`

local RULES = { file = text.some, section = text.some }

-- A line is blank, a comment, a section or `key = value`. A value is the rest of its line: a `#`
-- belongs to it (a secret may hold one). Returns the section to go on with; false: a bad line.
local function parse_line(line, sections, current)
    if line:find("^%s*$") or line:find("^%s*[#;]") then
        return current
    end
    local section = line:match("^%s*%[%s*([^%]]-)%s*%]%s*$")
    if section then
        sections[section] = sections[section] or {}
        return sections[section]
    end
    local key, value = line:match("^%s*([^=:]-)%s*[=:]%s*(.-)%s*$")
    if not key or key == "" or not current then
        return false
    end
    current[key:lower()] = value ~= "" and value or nil
    return current
end

--- The sections of an INI text.
---@param content string
---@return table<string, table<string, string>>? sections, integer? line   the first bad line
function M.parse(content)
    local sections, current, number = {}, nil, 0
    for line in (content .. "\n"):gmatch("(.-)\r?\n") do
        number = number + 1
        current = parse_line(line, sections, current)
        if current == false then
            return nil, number
        end
    end
    return sections
end

local function malformed(where, problem)
    return failure("credentials", "malformed", ("%s: %s %s"):format(WHAT, where, problem))
end

local function read_first(world, settings)
    local named = settings.file or worlds.env(world, "ALIBABA_CLOUD_CREDENTIALS_FILE")
    if named then
        return named, files.read(world, WHAT, named)
    elseif not files.in_home(world, "") then
        return nil, failure("credentials", "none", WHAT .. ": HOME is not set")
    end
    local first = files.in_home(world, DEFAULT_PATHS[1])
    for _, path in ipairs(DEFAULT_PATHS) do
        path = files.in_home(world, path)
        local content, mode, err = files.read(world, WHAT, path)
        if content or not files.is_missing(mode) then
            return path, content, mode, err
        end
    end
    return nil, failure("credentials", settings.guess and "none" or "unreadable",
        ("%s: no file %s or credentials.ini"):format(WHAT, first))
end

local function find_section(world, settings, path, content)
    local sections, line = M.parse(content)
    if not sections then
        return malformed(("%s:%d"):format(path, line), "is no [section], comment or key = value")
    elseif next(sections) == nil then
        return malformed(path, "has no section")
    end
    local name = settings.section or worlds.env(world, "ALIBABA_CLOUD_PROFILE") or "default"
    if not sections[name] then
        return malformed(path, ("has no section [%s]"):format(name))
    end
    return sections[name], name
end

-- One function for each `type`: (world, where, section).
local TYPES = {}

local function own_key(_, where, section)
    return keys.new(where, "static_ak", {
        access_key_id = section.access_key_id,
        access_key_secret = section.access_key_secret,
    })
end
TYPES.access_key = own_key

function TYPES.ecs_ram_role(world, _, section)
    return metadata.fetch(world, { role_name = section.role_name })
end

local function role_settings(section)
    return {
        role_arn = section.role_arn,
        role_session_name = section.role_session_name,
        policy = section.policy,
        oidc_provider_arn = section.oidc_provider_arn,
        oidc_token_file = section.oidc_token_file_path,
    }
end

function TYPES.ram_role_arn(world, where, section)
    local source, message, err = own_key(world, where, section)
    if not source then
        return nil, message, err
    end
    return sts.assume(world, source, role_settings(section))
end

function TYPES.oidc_role_arn(world, _, section)
    return sts.assume_with_oidc(world, role_settings(section))
end

local SUPPORTED = "access_key, ecs_ram_role, ram_role_arn, oidc_role_arn"

local function read(world, settings, warn)
    local path, content, mode, err = read_first(world, settings)
    if not content then
        return nil, mode, err
    end
    warn(world, path, mode)
    local section, name
    section, name, err = find_section(world, settings, path, content)
    if not section then
        return nil, name, err
    end
    local fetch = TYPES[(section.type or ""):lower()]
    if not fetch then
        return malformed(path, ("section [%s]: type '%s' is not supported (%s are)")
            :format(name, text.shown(section.type), SUPPORTED))
    end
    local found, message
    found, message, err = fetch(world, ("%s %s [%s]"):format(WHAT, path, name), section)
    if not found then
        return nil, message, err
    end
    found.source = "profile/" .. found.source
    return found
end

--- A provider out of checked settings.
---@param settings emr.IniSettings
---@return emr.Provider
function M.provider(settings)
    local warn = files.sharing_warner()
    return function(world)
        return read(worlds.complete(world), settings, warn)
    end
end

--- See `emr.credentials.ini`.
---@return emr.Provider
function M.ini(given)
    return M.provider(options.check(given, RULES, "credentials.ini"))
end

return M
