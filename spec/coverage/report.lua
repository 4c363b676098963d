--- Which lines of lua/ ran, by what hook.c has written down:
--     lua spec/coverage/report.lua DIRECTORY
-- Prints a table, like gcovr's for src/, and fails below LEAST percent in all.

local DIRECTORY = assert(arg[1])
local LEAST = 95
local LUAC = "luac" .. _VERSION:match "%d.%d"
local ROW = "%-40s %6s %6s %6s   %s"

local function lines_of(command)
    local pipe = assert(io.popen(command))
    local lines = {}
    for line in pipe:lines() do
        lines[#lines + 1] = line
    end
    pipe:close()
    return lines
end

-- Lines that only close something have code of their own, which what returns before jumps over.
local function closes(text)
    return text:gsub("end", ""):find "^[%s%)%},;]*$" ~= nil
end

-- The lines of a file that have code.
local function code_of(path)
    local texts, numbers = lines_of("cat " .. path), {}
    for _, instruction in ipairs(lines_of(LUAC .. " -l -p " .. path)) do
        local line, name = instruction:match "^%s+%d+%s+%[(%d+)%]%s+(%u+)"
        line = tonumber(line)
        if line and name ~= "VARARGPREP" and not closes(texts[line]) then
            numbers[line] = true
        end
    end
    return numbers
end

local function ran()
    local found = {}
    for _, place in ipairs(lines_of("sort -u " .. DIRECTORY .. "/*.lines")) do
        found[place] = true
    end
    return found
end

-- {7, 8, 9, 12} as "7-9,12"
local function ranges(numbers)
    local parts, i = {}, 1
    while i <= #numbers do
        local last = i
        while numbers[last + 1] == numbers[last] + 1 do
            last = last + 1
        end
        parts[#parts + 1] = numbers[i] .. (last > i and "-" .. numbers[last] or "")
        i = last + 1
    end
    return table.concat(parts, ",")
end

local found, all, good = ran(), 0, 0

local function percent(part, whole)
    return ("%d%%"):format(whole > 0 and math.floor(100 * part / whole) or 100)
end

print(ROW:format("File", "Lines", "Exec", "Cover", "Missing"))
for _, path in ipairs(lines_of "grep -rL '^---@meta' lua | sort") do  -- those are for editors
    local missing, count = {}, 0
    for line in pairs(code_of(path)) do
        count = count + 1
        if not found[path .. ":" .. line] then
            missing[#missing + 1] = line
        end
    end
    table.sort(missing)
    all, good = all + count, good + count - #missing
    print(ROW:format(path, count, count - #missing, percent(count - #missing, count),
        ranges(missing)))
end
print(ROW:format("TOTAL", all, good, percent(good, all), ""))
os.exit(good * 100 >= all * LEAST)
