-- Writes the table of the fault catalogue into README.md, between two marks, from what a run of all
-- specs has recorded: `lua tools/fault-table.lua build/LUA/rows`. See spec/data/rows.lua.

package.path = "./?.lua;" .. package.path
local rows = require "spec.support.rows"
local write_readme = require "tools.readme"

local RECORD = arg[1]
local MOST_SKIPPED = 6

local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
end

-- row -> why some of its specs were skipped, or false
local function outcomes()
    local found = {}
    for row, outcome, name, why in read(RECORD):gmatch "(%S+)\t(%a+)\t([^\t]*)\t([^\n]*)\n" do
        assert(outcome ~= "failed", row .. " failed: " .. name)
        if outcome == "skipped" then
            found[row] = why:gsub("^%S+:%-?%d+: ", "")
        end
        found[row] = found[row] or false
    end
    return found
end

local function line(...)
    return "| " .. table.concat({ ... }, " | ") .. " |\n"
end

-- What the table says of a group; what is to be said of single rows goes into `remarks`.
local function describe(group, skipped, remarks)
    local count = { missing = 0, skipped = 0 }
    for i, title in ipairs(group) do
        local id = group.letter .. i
        for what, why in pairs {
            missing = skipped[id] == nil and "no spec", skipped = skipped[id] or false,
        } do
            if why then
                count[what] = count[what] + 1
                table.insert(remarks[what], ("- %s, %s: %s\n"):format(id, title, why))
            end
        end
    end
    local tried = #group - count.missing
    return line(group.letter, group.name, #group, tried, tried - count.skipped, count.skipped)
end

local function table_of(skipped)
    local remarks = { missing = {}, skipped = {} }
    local text = line("", "what may go wrong", "rows", "tried", "passed", "skipped in part")
        .. line("---", "---", "---:", "---:", "---:", "---:")
    for _, group in ipairs(rows.groups) do
        text = text .. describe(group, skipped, remarks)
    end
    assert(#remarks.skipped <= MOST_SKIPPED, #remarks.skipped .. " rows were skipped")
    for _, part in ipairs {
        { "Not tried in this run:", remarks.missing },
        { "Skipped in part on the machine that wrote this:", remarks.skipped },
    } do
        if #part[2] > 0 then
            text = text .. "\n" .. part[1] .. "\n\n" .. table.concat(part[2])
        end
    end
    return text
end

write_readme("fault-table", table_of(outcomes()))
