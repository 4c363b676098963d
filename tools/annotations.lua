--- Reads LuaCATS annotations: what editors read, as data. For tools/reference.lua and its spec.
-- Knows the parts of it that this project uses.

local M = {}

-- What opens a bracket, and its other.
local BRACKETS = { ["("] = "%b()", ["{"] = "%b{}", ["<"] = "%b<>", ["["] = "%b[]" }

local function skip_bracket(text, at)
    local pattern = BRACKETS[text:sub(at, at)]
    local _, last = text:find("^" .. (pattern or "$^"), at)
    return last and last + 1
end

local end_of_type

-- fun(...) may be followed by a list of what it returns.
local function end_of_returns(text, at)
    local after = text:match("^:%s*()", at)
    while after do
        at = end_of_type(text, text:match("^[%a_][%w_]*:%s*()", after) or after)
        after = text:match("^,%s*()", at)
    end
    return at
end

-- The position after the type that begins at `at`.
function end_of_type(text, at)
    local after = text:match('^"[^"]*"()', at) or text:match("^[%w_.%-*]+()", at)
        or skip_bracket(text, at)
    if not after then
        error("no type at: " .. text:sub(at), 0)
    end
    if text:sub(at, after - 1) == "fun" then
        after = end_of_returns(text, skip_bracket(text, after) or after)
    end
    while skip_bracket(text, after) do
        after = skip_bracket(text, after)
    end
    after = text:match("^%?()", after) or after
    local other = text:match("^%s*|%s*()", after)
    return other and end_of_type(text, other) or after
end

--- Splits a type from what follows it.
---@param text string
---@return string type, string rest
function M.split_type(text)
    local after = end_of_type(text, 1)
    return text:sub(1, after - 1), (text:sub(after):gsub("^%s+", ""))
end

local TAGS = {}

function TAGS.class(block, text)
    local name, rest = text:match "^([%w_.]+)%s*(.*)$"
    block.class, block.parents, block.fields = name, {}, {}
    local more = rest:match "^:%s*(.*)$"
    while more do
        block.parents[#block.parents + 1], rest = M.split_type(more)
        more = rest:match "^,%s*(.*)$"
    end
    block.note = rest
    return block, "note"
end

function TAGS.field(block, text)
    local name, optional, rest = text:match "^([%w_]+)(%??)%s+(.*)$"
    local field = { name = name, optional = optional ~= "" }
    field.type, field.about = M.split_type(rest)
    block.fields[#block.fields + 1] = field
    return field, "about"
end

function TAGS.param(block, text)
    local name, optional, rest = text:match "^([%w_.]+)(%??)%s+(.*)$"
    local param = { name = name, optional = optional ~= "" }
    param.type, param.about = M.split_type(rest)
    block.params[#block.params + 1] = param
    return param, "about"
end

-- One line may name several, with commas; what follows the last belongs to that one.
TAGS["return"] = function(block, text)
    local result
    repeat
        result = {}
        result.type, text = M.split_type(text)
        local name, rest = text:match "^([%a_][%w_]*)(,.*)$"
        result.name = name or ""
        text = rest or text
        block.returns[#block.returns + 1] = result
        local more = text:match "^,%s*(.*)$"
        text = more or text
    until not more
    local name, about = text:match "^([%a_][%w_]*)%s%s+(.*)$"
    result.name, result.about = name or text:match "^[%a_][%w_]*$" or "", about or ""
    if result.name == "" then
        result.about = text
    end
    return result, "about"
end

function TAGS.alias(block, text)
    block.alias, block.definition = text:match "^([%w_.]+)%s*(.*)$"
    return block, "definition"
end

function TAGS.type(block, text)
    block.type = text
    return block, "type"
end

local function new_block()
    return { text = {}, params = {}, returns = {}, tags = {} }
end

-- Takes a line of a block; `last` is where a continuation goes: {table, key}.
local function take(block, line, last)
    local tag, rest = line:match "^%-%-%-@(%l+)%s*(.*)$"
    if tag then
        block.tags[#block.tags + 1] = tag
        local read = TAGS[tag]
        return read and { read(block, rest) } or { {}, "" }
    end
    local text = line:match "^%-%-%-?(.*)$"
    if last then
        local where, key = last[1], last[2]
        where[key] = ((where[key] or "") .. " " .. text:gsub("^%s+", "")):gsub("^%s+", "")
    else
        block.text[#block.text + 1] = text:gsub("^ ", "")
    end
    return last
end

--- The documented blocks of a file: {text (lines), params, returns, class, parents, fields, alias,
-- definition, code (the line that follows)}. A @class inside a block begins one of its own.
---@param source string   Lua text
---@return table[]
function M.read(source)
    local blocks, block, last = {}, nil, nil
    for line in (source .. "\n"):gmatch "(.-)\n" do
        local begins = line:find "^%-%-%-" ~= nil and not line:find "^%-%-%-%-"
        if block and line:find "^%-%-" then
            last = take(block, line, last)
        elseif begins then
            block = new_block()
            last = take(block, line, nil)
        elseif block then
            block.code = line
            blocks[#blocks + 1] = block
            block, last = nil, nil
        end
    end
    return blocks
end

-- The parameters and results of a type fun(...).
local function read_function(type_text)
    local params, returns = {}, {}
    local inside, rest = type_text:match "^fun(%b())%s*:?%s*(.*)$"
    inside = inside:sub(2, -2)
    while inside ~= "" do
        local name, optional, after = inside:match "^([%w_]+)(%??)%s*:%s*(.*)$"
        local param = { name = name, optional = optional ~= "", about = "" }
        param.type, after = M.split_type(after)
        params[#params + 1], inside = param, after:gsub("^,%s*", "")
    end
    while rest ~= "" do
        local result = { name = "", about = "" }
        result.type, rest = M.split_type(rest)
        returns[#returns + 1], rest = result, rest:gsub("^,%s*", "")
    end
    return params, returns
end

--- What a block documents as a function: who owns it, the separator, its name, and its parameters
-- as its definition has them (none where a function is handed on); nil for other blocks.
---@param block table
---@return {owner: string, separator: string, name: string, params: string?}?
function M.signature(block)
    local owner, separator, name, params =
        block.code:match "^function ([%w_]+)([.:])([%w_]+)%s*%((.-)%)"
    if not owner then
        owner, separator, name = block.code:match "^([%a_][%w_]*)(%.)([%w_]+) = [%w_.]+$"
        if not owner or not (block.type or ""):find "^fun%(" then
            return nil
        end
        block.params, block.returns = read_function(block.type)
    end
    return { owner = owner, separator = separator, name = name, params = params }
end

return M
