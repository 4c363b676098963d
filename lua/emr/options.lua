--- Checks of option tables: what is unknown, of the wrong type or out of range raises and names
-- the option. The rules are data, so that every module states its options once.

local M = {}

--- A rule is a function that returns nil for a good value, else what was expected.
---@alias emr.Rule fun(value: any): string?

---@param expected string   a Lua type name
---@return emr.Rule
function M.a(expected)
    return function(value)
        if type(value) ~= expected then
            return "a " .. expected
        end
    end
end

---@param min number
---@param max number
---@return emr.Rule
function M.number(min, max)
    return function(value)
        -- NaN fails both comparisons
        if type(value) ~= "number" or not (value >= min and value <= max) then
            return ("a number from %g to %g"):format(min, max)
        end
    end
end

---@param min integer
---@param max integer
---@return emr.Rule
function M.integer(min, max)
    return function(value)
        if type(value) ~= "number" or not (value >= min and value <= max) or value % 1 ~= 0 then
            return ("an integer from %d to %d"):format(min, max)
        end
    end
end

--- One of several words, or whatever `other` takes.
---@param words string[]
---@param other emr.Rule?
---@return emr.Rule
function M.one_of(words, other)
    return function(value)
        for _, word in ipairs(words) do
            if value == word then
                return nil
            end
        end
        if not other or other(value) then
            local expected = '"' .. table.concat(words, '", "') .. '"'
            return expected .. (other and " or " .. other(nil) or "")
        end
    end
end

--- Raises unless `options` is nil or a table whose every field is named by `rules` and obeys.
-- Values are never shown: they may be secrets.
---@param options table?
---@param rules table<string, emr.Rule>
---@param what string     how the caller names the table
---@param level? integer  whom the message points at, as in `error`, counted from who calls this;
---  default 2; 0 for nobody
---@return table copy     the known fields; later changes of `options` do not reach it
function M.check(options, rules, what, level)
    level = level == 0 and 0 or (level or 2) + 1
    if options == nil then
        return {}
    end
    if type(options) ~= "table" then
        error(("%s must be a table, got %s"):format(what, type(options)), level)
    end
    for name in next, options do
        if not rules[name] then
            local text = tostring(name):sub(1, 64):gsub("[^ -~]", "?")  -- one line, in any case
            error(("%s: unknown option '%s'"):format(what, text), level)
        end
    end
    local copy = {}
    for name, rule in pairs(rules) do
        local value = options[name]
        local expected = value ~= nil and rule(value)
        if expected then
            error(("%s.%s must be %s"):format(what, name, expected), level)
        end
        copy[name] = value
    end
    return copy
end

return M
