-- `make bench-check`: whether instructions a call have risen.

local TOLERANCE = 1.05

local M = {}

--- Compares ratios by row with those that are recorded.
---@param ratios table<string, number>
---@param recorded table<string, number>
---@return integer failed   those that are more than 5 % above, or of which none is recorded
---@return string[] lines   one for each
function M.compare(ratios, recorded)
    local failed, lines = 0, {}
    for row, ratio in pairs(ratios) do
        local was = recorded[row]
        local fits = was ~= nil and ratio <= was * TOLERANCE
        failed = failed + (fits and 0 or 1)
        lines[#lines + 1] = ("%-8s %.3f, recorded %s: %s"):format(row, ratio,
            was and ("%.3f"):format(was) or "nothing",
            fits and "ok" or "FAILED, more than 5 % above")
    end
    table.sort(lines)
    return failed, lines
end

return M
