--- The time stamps of the vendor's replies, `2026-07-01T12:00:00Z`, read without the local time
-- zone (which `os.time` would bring in).

local M = {}

local function is_leap(year)
    return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in(year, month)
    return (month == 2 and is_leap(year)) and 29 or MONTH_DAYS[month]
end

-- Days since 1970-01-01. The year is taken to begin in March, so that the leap day comes last.
local function days_from_civil(year, month, day)
    if month <= 2 then
        year, month = year - 1, month + 12
    end
    local leaps = math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    return 365 * year + leaps + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

local PATTERN = "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)%.?%d*Z$"

--- Seconds since 1970 of a UTC time stamp; nil when it is none.
---@param text any
---@return integer?
function M.parse(text)
    if type(text) ~= "string" then
        return nil
    end
    local found = { text:match(PATTERN) }
    for i, digits in ipairs(found) do
        found[i] = tonumber(digits)
    end
    local year, month, day, hour, minute, second = found[1], found[2], found[3], found[4],
        found[5], found[6]
    if not year or month < 1 or month > 12 or day < 1 or day > days_in(year, month)
        or hour > 23 or minute > 59 or second > 60 then
        return nil
    end
    return ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
end

return M
