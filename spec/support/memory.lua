--- How much memory this process has, in KB. Sanitizers and valgrind keep what was freed: under them
-- everything is 0.

local checker = require "spec.support.checker"

local M = {}


local function status(name)
    if checker.sanitizer or checker.valgrind then
        return 0
    end
    local file = assert(io.open("/proc/self/status"))
    local value = file:read("*a"):match(name .. ":%s*(%d+)")
    file:close()
    return tonumber(value)
end


--- What is resident after a full collection.
function M.resident()
    collectgarbage()
    collectgarbage()
    return status("VmRSS")
end


--- How far a function's peak goes beyond what was resident before.
function M.peak(f, ...)
    local before = M.resident()
    local file = io.open("/proc/self/clear_refs", "w")
    if file then
        file:write("5")  -- the peak begins anew
        file:close()
    end
    f(...)
    return status("VmHWM") - before
end


return M
