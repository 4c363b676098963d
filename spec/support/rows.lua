--- The rows of the fault catalogue, and which of them a spec is about: its name says so.

local M = { list = {}, title = {} }

for _, group in ipairs(require "spec.data.rows") do
    for i, title in ipairs(group) do
        local id = group.letter .. i
        M.list[#M.list + 1] = id
        M.title[id] = title
    end
end


--- The rows in a name such as "B4, B6: a port", in the order in which they stand there.
function M.of(name)
    local found = {}
    for id in name:gmatch("%f[%w]%u%d%d?%f[%W]") do
        if M.title[id] then
            found[#found + 1] = id
        end
    end
    return found
end


return M
