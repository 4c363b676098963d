--- How much memory this process has, in KB.

local M = {}


local function status(name)
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
