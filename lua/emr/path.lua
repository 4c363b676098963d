--- Reading a nested table by a path like "sessionCluster.state".

--- nil when anything on the way is missing or no table.
---@param value any
---@param path string   field names joined by dots
---@return any?
return function(value, path)
    for name in path:gmatch "[^.]+" do
        if type(value) ~= "table" then
            return nil
        end
        value = value[name]
    end
    return value
end
