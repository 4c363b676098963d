-- Prints a table as Lua writes it, keys in order. Used by the other examples, with dofile.

-- The token opens a connection to the session: not for a terminal or a log.
local SECRET = { connectionToken = "(not shown)" }

local function is_name(key)
    return type(key) == "string" and key:match("^[%a_][%w_]*$")
end

local function by_type_then_value(a, b)
    if type(a) == type(b) then
        return a < b
    end
    return type(a) == "number"
end

local function sorted_keys(t)
    local keys = {}
    for key in pairs(t) do
        keys[#keys + 1] = key
    end
    table.sort(keys, by_type_then_value)
    return keys
end

local function text_of(value, indent)
    if type(value) == "string" then
        return (("%q"):format(value):gsub("\\\n", "\\n"))
    elseif type(value) ~= "table" then
        return tostring(value)
    elseif next(value) == nil then
        return "{}"
    end
    local inner = indent .. "  "
    local lines = {}
    for i, key in ipairs(sorted_keys(value)) do
        local name = is_name(key) and key or "[" .. text_of(key) .. "]"
        local prefix = key == i and inner or inner .. name .. " = "
        lines[i] = prefix .. text_of(SECRET[key] or value[key], inner)
    end
    return "{\n" .. table.concat(lines, ",\n") .. "\n" .. indent .. "}"
end

return function(value)
    print(text_of(value, ""))
end
