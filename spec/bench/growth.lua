-- Whether a figure grows in a straight line, and columns for a plot.

local M = {}

--- How far the points lie from the straight line between the first and the last of them, as a part
-- of what that line says.
function M.bend(xs, ys)
    local slope = (ys[#ys] - ys[1]) / (xs[#xs] - xs[1])
    local most = 0
    for i, x in ipairs(xs) do
        local straight = ys[1] + slope * (x - xs[1])
        most = math.max(most, math.abs(ys[i] - straight) / straight)
    end
    return most
end

local LINEAR = 0.15

--- That in words.
function M.words(what, xs, ys)
    local bend = M.bend(xs, ys)
    return ("- %s: %s, off a straight line by %.0f %% at most"):format(what,
        bend <= LINEAR and "linear" or "NOT LINEAR", 100 * bend)
end

--- Lines of numbers under a comment, as gnuplot reads them.
---@param heads string[]
---@param columns number[][]   the first is what the others are plotted against
function M.plot(heads, columns)
    local lines = {}
    for c, head in ipairs(heads) do
        lines[c] = ("# %d: %s"):format(c, head)
    end
    for i in ipairs(columns[1]) do
        local cells = {}
        for c, column in ipairs(columns) do
            cells[c] = ("%8.6g"):format(column[i])
        end
        lines[#lines + 1] = "  " .. table.concat(cells, " ")
    end
    return "    " .. table.concat(lines, "\n    ") .. "\n"
end

return M
