--- The descriptors that this process has open.

local lfs = require "lfs"

local M = {}


--- How many there are, after all garbage was collected.
function M.count()
    collectgarbage()
    collectgarbage()
    local n = 0
    for name in lfs.dir("/proc/self/fd") do
        n = n + (tonumber(name) and 1 or 0)
    end
    return n
end


return M
