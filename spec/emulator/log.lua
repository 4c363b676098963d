-- luacheck: std ngx_lua
-- What this cloud has seen, for specs to look at: the last MAX requests.

local MAX = 10000
local SHOWN = {
    "time", "scheme", "connection", "method", "uri", "path", "query", "headers", "header_list",
    "body", "operation", "verdict", "fault", "status", "request_id", "canonical_request",
}

local entries, first, last

local M = {}


--- Remembers a request. What is learnt about it later shows up too: the entry is the request.
function M.add(request)
    last = last + 1
    entries[last] = request
    if last - first >= MAX then
        entries[first] = nil
        first = first + 1
    end
end


function M.all(operation)
    local list = {}
    for i = first, last do
        local request, entry = entries[i], {}
        if not operation or request.operation == operation then
            for _, name in ipairs(SHOWN) do
                entry[name] = request[name]
            end
            list[#list + 1] = entry
        end
    end
    return list
end


function M.reset()
    entries, first, last = {}, 1, 0
end


M.reset()

return M
