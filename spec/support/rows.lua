--- The rows of the fault catalogue, and which of them a spec is about: its name says so.

local data = require "spec.data.rows"

local M = { list = {}, title = {}, groups = data }

for _, group in ipairs(data) do
    for i, title in ipairs(group) do
        local id = group.letter .. i
        M.list[#M.list + 1] = id
        M.title[id] = title
    end
end


--- The rows in a name such as "what is sent B4, B6: a port", as they stand there.
function M.of(name)
    local found = {}
    for ids in name:gmatch "%f[%w](%u%d%d?[%u%d, ]*):" do
        for id in ids:gmatch "%u%d+" do
            if M.title[id] then
                found[#found + 1] = id
            end
        end
    end
    return found
end


return M
