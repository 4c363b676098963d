-- Values of every type, for arguments that must be of one.

local M = {}

local ALL = {
    boolean = true,
    number = 42,
    string = "30",
    table = {},
    ["function"] = function() end,
    userdata = io.stdout,
    thread = coroutine.create(function() end),
}


--- A map from names of types to values, without the types that are right.
---@param ... string
function M.types(...)
    local result = {}
    for name, value in pairs(ALL) do
        result[name] = value
    end
    for _, name in ipairs { ... } do
        result[name] = nil
    end
    return result
end


return M
