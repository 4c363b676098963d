--- JSON. What the grammar check lets pass has to be JSON, lua-cjson has to take it, and what comes
-- of it must be the same however the text stands: in an array, between blanks, written anew; cut
-- short it must not pass.

local cjson = require "cjson"
local emr = require "emr"

local rules = require "spec.fuzz.rules"

local DEEPEST = 64

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(text)
    return '"' .. text:gsub('[%c"\\]', function(c)
        return escapes[c] or ("\\u%04x"):format(c:byte())
    end) .. '"'
end

local write

local function write_table(value)
    local parts, is_array = {}, #value > 0
    for name, member in pairs(value) do
        parts[is_array and name or #parts + 1] = (is_array and "" or quote(name) .. ":")
            .. write(member)
    end
    return (is_array and "[%s]" or "{%s}"):gsub("%%s", function()
        return table.concat(parts, ",")
    end)
end

local function write_number(value)
    local is_whole = math.abs(value) <= 2 ^ 53 and value % 1 == 0
    return (is_whole and "%.0f" or "%.17g"):format(value)
end

function write(value)
    if value == emr.null then
        return "null"
    elseif type(value) == "table" then
        return write_table(value)
    elseif type(value) == "string" then
        return quote(value)
    end
    return type(value) == "number" and write_number(value) or tostring(value)
end

local function depth_of(value)
    local deepest = 0
    for _, member in pairs(type(value) == "table" and value or {}) do
        deepest = math.max(deepest, depth_of(member))
    end
    return type(value) == "table" and deepest + 1 or 0
end

local function take_away_nulls(value)
    for name, member in pairs(type(value) == "table" and value or {}) do
        if member == cjson.null and type(name) == "string" then
            value[name] = nil
        else
            take_away_nulls(member)
        end
    end
    return value
end

-- What lua-cjson lets pass: besides its strings a text has only these words and such numbers.
local function assert_lexical(text)
    text = text:gsub("\\.", ""):gsub('"[^"]*"', "")
    text = text:gsub("[-%d][-+.%deE]*", function(number)
        local digits = number:gsub("[eE][-+]?%d+$", ""):gsub("%.%d+$", ""):gsub("^%-", "")
        assert(digits:find "^[1-9]%d*$" or digits == "0", "not a number: " .. number)
        return ""
    end)
    text = text:gsub("true", ""):gsub("false", ""):gsub("null", "")
    assert(not text:find "[^%[%]{},: \t\r\n]", "not JSON: " .. text)
end

-- Whole numbers are integers where Lua has them, on this side of 2^53.
local function assert_integers(value)
    for _, member in pairs(type(value) == "table" and value or { value }) do
        if type(member) == "table" then
            assert_integers(member)
        elseif type(member) == "number" and member % 1 == 0 and math.abs(member) < 2 ^ 53 then
            assert((math.type or type)(member) ~= "float", "a float: " .. member)
        end
    end
end

return function(input)
    local value, message, err = emr.decode(input)
    if value == nil then
        rules.result(value, message, err)
        return
    end
    assert_lexical(input)
    assert_integers(value)
    assert(rules.alike(value, take_away_nulls(cjson.decode(input))), "lua-cjson differs")
    rules.assert_same(value, emr.decode(" \t" .. input .. "\r\n"), "blanks around it matter")
    assert(rules.alike(value, emr.decode(write(value))), "it changes when written anew")
    if depth_of(value) < DEEPEST then
        rules.assert_same({ value }, emr.decode("[" .. input .. "]"), "an array around it matters")
    end
    local text = input:match("^[ \t\r\n]*([[{\"].-)[ \t\r\n]*$")
    if text and #text > 1 then
        assert(emr.decode(text:sub(1, #text - 1)) == nil, "it may be cut short")
    end
end
