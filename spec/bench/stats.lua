-- Samples by row and round, their medians, ratios and spread, and tables of them in Markdown.

local Results = {}
Results.__index = Results

local M = {}

local function quantile(values, q)
    table.sort(values)
    local at = 1 + (#values - 1) * q
    local low = math.floor(at)
    local high = math.min(low + 1, #values)
    return values[low] + (values[high] - values[low]) * (at - low)
end

--- The sample of one round, a table of fields.
function Results:add(key, sample)
    self[key] = self[key] or {}
    table.insert(self[key], sample)
end

--- A value that is measured once.
function Results:set(key, field, value)
    for _, sample in ipairs(self[key]) do
        sample[field] = value
    end
end

--- What `of(at)` gives in each round, `at(field, row)` being what was measured in it.
function Results:values(of)
    local values, rounds = {}, math.huge
    local function at(field, key)
        rounds = math.min(rounds, #self[key])
        return self[key][#values + 1][field]
    end
    repeat
        values[#values + 1] = assert(of(at), "not measured")
    until #values >= rounds
    return values
end

--- The median of these values, and half of the middle half of them, their spread.
function M.summary(values)
    return quantile(values, 0.5), (quantile(values, 0.75) - quantile(values, 0.25)) / 2
end

function Results:median(field, key)
    return (M.summary(self:values(function(at) return at(field, key) end)))
end

function M.new()
    return setmetatable({}, Results)
end

-- In characters, not bytes.
local function width(text)
    return #text:gsub("[\128-\191]", "")
end

local function line_of(cells, widths)
    local padded = {}
    for i, cell in ipairs(cells) do
        local fill = (" "):rep(widths[i] - width(cell))
        padded[i] = i == 1 and cell .. fill or fill .. cell
    end
    return "| " .. table.concat(padded, " | ") .. " |\n"
end

--- Rows of cells as text; the first is the head.
function M.table(rows)
    local widths, rule, lines = {}, {}, {}
    for _, cells in ipairs(rows) do
        for i, cell in ipairs(cells) do
            widths[i] = math.max(widths[i] or 3, width(cell))
        end
    end
    for i, w in ipairs(widths) do
        rule[i] = i == 1 and ("-"):rep(w) or ("-"):rep(w - 1) .. ":"
    end
    for i, cells in ipairs(rows) do
        lines[i] = line_of(cells, widths)
    end
    table.insert(lines, 2, line_of(rule, widths))
    return table.concat(lines)
end

-- {head, field, format, factor, what}: the median, its "spread", or the ratio to the row that the
-- row or its group names so.
local COLUMNS = {
    { "CPU µs", "cpu", "%.1f", 1e6 },
    { "spread", "cpu", "±%.0f %%", 100, "spread" },
    { "ratio", "cpu", "%.2f", 1, "base" },
    { "to C, signed and decoded", "cpu", "%.2f", 1, "judge" },
    { "p50 µs", "p50", "%.0f", 1e6 },
    { "p99 µs", "p99", "%.0f", 1e6 },
    { "calls/s", "rate", "%.0f", 1 },
    { "connections", "connections", "%.0f", 1 },
    { "peak MiB", "memory", "%.1f", 1 / 1024 },
    { "KiB each", "each", "%.1f", 1 },
    { "instructions", "instructions", "%.0f", 1 },
    { "ratio", "instructions", "%.2f", 1, "base" },
    { "server's µs", "server", "%.0f", 1e6 },
    { "/ping p50 µs", "ping50", "%.0f", 1e6 },
    { "idle", "idle50", "%.0f", 1e6 },
    { "/ping p99 µs", "ping99", "%.0f", 1e6 },
    { "idle", "idle99", "%.0f", 1e6 },
}

local function has(results, key, field)
    return results[key] ~= nil and results[key][1][field] ~= nil
end

local function cell_of(results, column, row)
    local _, field, format, factor, what = table.unpack(column)
    local key, base = row[1], row[what]
    local is_ratio = what == "base" or what == "judge"
    if not has(results, key, field) or is_ratio and not (base and has(results, base, field)) then
        return ""
    end
    local median, spread = M.summary(results:values(function(at)
        return is_ratio and at(field, key) / at(field, base) or at(field, key)
    end))
    local value = what == "spread" and spread / median or median
    return median ~= 0 and format:format(factor * value) or ""
end

local function is_filled(rows, i)
    for r = 2, #rows do
        if rows[r][i] ~= "" then
            return true
        end
    end
end

-- Without the columns in which nothing stands.
local function squeezed(rows)
    local out = {}
    for r, cells in ipairs(rows) do
        out[r] = {}
        for i, cell in ipairs(cells) do
            if is_filled(rows, i) then
                table.insert(out[r], cell)
            end
        end
    end
    return out
end

--- The rows {key, label, base =, judge =} of a group {title =} as a table.
function M.group(results, group)
    local rows = { { group.title } }
    for i, column in ipairs(COLUMNS) do
        rows[1][i + 1] = column[1]
    end
    for _, row in ipairs(group) do
        local cells = { row[2] }
        for i, column in ipairs(COLUMNS) do
            cells[i + 1] = cell_of(results, column, row)
        end
        rows[#rows + 1] = cells
    end
    return M.table(squeezed(rows))
end

--- What is promised: {text, limit, aim =, of =, why =} each; `of` is as for Results:values, `why`
--- tells of one that is not met.
function M.limits(results, limits)
    local rows, reasons = { { "line", "measured", "spread", "limit", "aim", "" } }, {}
    for _, limit in ipairs(limits) do
        local measured, spread = M.summary(results:values(limit.of))
        local is_met = measured <= limit[2]
        rows[#rows + 1] = { limit[1], ("%.2f"):format(measured), ("±%.2f"):format(spread),
            ("%.2f"):format(limit[2]), limit.aim and ("%.2f"):format(limit.aim) or "",
            is_met and "met" or "NOT MET" }
        if not is_met and limit.why then
            reasons[#reasons + 1] = ("- %s: %s\n"):format(limit[1], limit.why)
        end
    end
    local text = M.table(rows)
    return #reasons > 0 and text .. "\n" .. table.concat(reasons) or text
end

local function first_line(command)
    local pipe = io.popen(command)
    local line = pipe:read "*l"
    pipe:close()
    return line or ""
end

--- The machine, the software and the day, in one line.
function M.machine()
    return ("%s, %s cores, Linux %s; libcurl %s, %s, %s, nginx %s; %s"):format(
        first_line "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", first_line "nproc",
        first_line "uname -r", first_line "pkg-config --modversion libcurl",
        first_line "openssl version | cut -d' ' -f1-2",
        first_line((os.getenv "BENCH_LUA" or "lua5.4") .. " -v | cut -d' ' -f1-2"),
        first_line([[PATH=$PATH:/usr/sbin "${EMR_NGINX:-nginx}" -v 2>&1 | sed 's,.*/,,']]),
        os.date "%Y-%m-%d")
end

return M
