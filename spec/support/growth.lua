-- How much memory a function leaves behind, call after call. Measured in a process of its own: a
-- leak is long served from memory that other specs have given back.

local child = require "spec.support.child"
local descriptors = require "spec.support.descriptors"
local memory = require "spec.support.memory"

local QUARTERS = 4

local M = {}


-- The sanitizers keep freed memory for a while: what is resident then tells nothing (but they see
-- leaks themselves).
local function is_checked()
    return (os.getenv("BUILD") or ""):find("asan", 1, true)
end


local function repeated(f, times)
    for i = 1, times do
        f(i)
    end
    local process = memory.resident() -- collects before it measures
    return collectgarbage("count"), process
end


--- Calls `f` `warm` times, then `times` times in four quarters. Returns the KiB by which the Lua
--- heap and the process grew in the quarter in which they grew least: a leak shows in each quarter,
--- a page that is touched for the first time in one. Also by how many descriptors there are more.
function M.measure(f, warm, times)
    local heap, process = repeated(f, warm)
    local open = descriptors.count()
    local least_heap, least_process = math.huge, math.huge
    for _ = 1, QUARTERS do
        local new_heap, new_process = repeated(f, times / QUARTERS)
        least_heap = math.min(least_heap, new_heap - heap)
        least_process = math.min(least_process, new_process - process)
        heap, process = new_heap, new_process
    end
    return least_heap, is_checked() and 0 or least_process, descriptors.count() - open
end


--- By how much the straight line through points {x, y} (least squares) rises from first to last x.
function M.rise(points)
    local n, sx, sy, sxx, sxy = #points, 0, 0, 0, 0
    for _, point in ipairs(points) do
        local x, y = point[1] - points[1][1], point[2]
        sx, sy = sx + x, sy + y
        sxx, sxy = sxx + x * x, sxy + x * y
    end
    local slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return slope * (points[n][1] - points[1][1])
end


--- Measures the function that `program` returns, Lua text in which `emr` is there.
function M.of(program, warm, times, limit)
    local result = child.lua(([[
        local f = (function()
            %s
        end)()
        print(require("spec.support.growth").measure(f, %d, %d))
    ]]):format(program, warm, times), { limit = limit or 180 })
    local heap, process, open = result.out:match("^(%S+)%s+(%S+)%s+(%S+)\n$")
    assert(heap and result.err == "", result.out .. result.err)
    return tonumber(heap), tonumber(process), tonumber(open)
end


return M
