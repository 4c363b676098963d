-- Medians, ratios within a round, and tables that are Markdown, too.

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

local function column(samples, field)
    local values = {}
    for i, sample in ipairs(samples) do
        values[i] = sample[field]
    end
    return values
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

function Results:median(field, key)
    return quantile(column(self[key], field), 0.5)
end

--- Half of the middle half, as a part of the median.
function Results:spread(field, key)
    local values = column(self[key], field)
    return (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / quantile(values, 0.5)
end

--- The median of the ratios of two rows in the same round.
function Results:ratio(field, key, base)
    local ratios = {}
    for i, sample in ipairs(self[key]) do
        ratios[i] = sample[field] / self[base][i][field]
    end
    return quantile(ratios, 0.5)
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
    return "| " .. table.concat(padded, " | ") .. " |"
end

--- Prints rows of cells; the first is the head.
function M.print_table(lines)
    local widths, rule = {}, {}
    for _, cells in ipairs(lines) do
        for i, cell in ipairs(cells) do
            widths[i] = math.max(widths[i] or 3, width(cell))
        end
    end
    for i, w in ipairs(widths) do
        rule[i] = i == 1 and ("-"):rep(w) or ("-"):rep(w - 1) .. ":"
    end
    table.insert(lines, 2, rule)
    for _, cells in ipairs(lines) do
        print(line_of(cells, widths))
    end
    print()
end

-- {head, field, format, factor}; "ratio" and "spread" are of the field.
local COLUMNS = {
    { "CPU µs a call", "cpu", "%.1f", 1e6 },
    { "spread", "cpu", "±%.0f %%", 100, "spread" },
    { "ratio", "cpu", "%.2f", 1, "ratio" },
    { "p50 µs", "p50", "%.0f", 1e6 },
    { "p99 µs", "p99", "%.0f", 1e6 },
    { "calls/s", "rate", "%.0f", 1 },
    { "connections", "connections", "%.0f", 1 },
    { "peak MiB", "memory", "%.1f", 1 / 1024 },
    { "instructions", "instructions", "%.0f", 1 },
    { "ratio", "instructions", "%.2f", 1, "ratio" },
}

local function cell_of(results, col, key, base)
    local _, field, format, factor, kind = table.unpack(col)
    if results[key][1][field] == nil or kind == "ratio" and not base then
        return ""
    end
    local value = results[kind or "median"](results, field, key, base)
    return value ~= 0 and format:format(factor * value) or ""
end

--- Prints the rows {key, label, base =} of a group {title =, base =}.
function M.print_group(results, group)
    local lines = { { group.title } }
    for i, col in ipairs(COLUMNS) do
        lines[1][i + 1] = col[1]
    end
    for _, row in ipairs(group) do
        local cells = { row[2] }
        for i, col in ipairs(COLUMNS) do
            cells[i + 1] = cell_of(results, col, row[1], row.base or group.base)
        end
        lines[#lines + 1] = cells
    end
    M.print_table(lines)
end

local function first_line(command)
    local pipe = io.popen(command)
    local line = pipe:read "*l"
    pipe:close()
    return line or ""
end

--- The machine, the libraries and the day, in one line.
function M.machine()
    return ("%s, %s cores, Linux %s, %s, %s, %s"):format(
        first_line "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", first_line "nproc",
        first_line "uname -r", first_line "curl --version | cut -d' ' -f1-2",
        first_line "openssl version | cut -d' ' -f1-2", os.date "%Y-%m-%d")
end

return M
