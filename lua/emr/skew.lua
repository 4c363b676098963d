--- How wrong the wall clock is, as a server's replies tell.

local expiry = require "emr.credentials.expiry"

-- A time that is believed lies in the years 2020 to 2100.
local EARLIEST, LATEST = 1577836800, 4133980800
-- The native module takes no greater correction.
local LARGEST = 315576000
-- Learned corrections are forgotten after this long.
local LIFE = 3600
-- A wall clock that is this near needs no correction.
local NEAR = 60

---@class emr.Skew
local Skew = { __name = "emr.Skew" }
Skew.__index = Skew

--- The time as learned, else by the wall clock.
---@return number seconds since 1970
function Skew:now()
    if self.ahead and self.clock() < self.forget_at then
        return self.clock() + self.ahead
    end
    self.ahead = nil
    return self.wall_clock() + self.given
end

--- Takes over a server's time. It is kept against the monotonic clock, so that later steps of the
-- wall clock do not matter. Only for a verified reply that complains of the clock.
---@param server_time number?
---@return boolean usable
function Skew:learn(server_time)
    if not server_time or server_time < EARLIEST or server_time >= LATEST
        or math.abs(server_time - self.wall_clock()) > LARGEST then
        return false
    end
    local now = self.clock()
    self.ahead, self.forget_at = server_time - now, now + LIFE
    return true
end

--- Forgets what was learned when a verified reply shows that the wall clock is right.
---@param server_time number?
function Skew:compare(server_time)
    if server_time and math.abs(server_time - (self.wall_clock() + self.given)) <= NEAR then
        self.ahead = nil
    end
end

local M = {}

local DAYS = { Mon = 1, Tue = 2, Wed = 3, Thu = 4, Fri = 5, Sat = 6, Sun = 7 }
local MONTHS = {}
for i, name in ipairs { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
    "Nov", "Dec" } do
    MONTHS[name] = ("%02d"):format(i)
end

--- Seconds since 1970 of a `Date` header, "Sun, 06 Nov 1994 08:49:37 GMT"; nil when it is none.
---@param text any
---@return integer?
function M.parse_date(text)
    if type(text) ~= "string" then
        return nil
    end
    local name, day, month, year, time = text:match(
        "^(%a%a%a), (%d%d) (%a+) (%d%d%d%d) (%d%d:%d%d:%d%d) GMT$")
    month = DAYS[name or ""] and MONTHS[month]
    return month and expiry.parse(("%s-%s-%sT%sZ"):format(year, month, day, time))
end

---@param clock fun(): number        monotonic
---@param wall_clock fun(): number   seconds since 1970
---@param given number?              what is known to be missing from the wall clock
---@return emr.Skew
function M.new(clock, wall_clock, given)
    return setmetatable({ clock = clock, wall_clock = wall_clock, given = given or 0 }, Skew)
end

return M
