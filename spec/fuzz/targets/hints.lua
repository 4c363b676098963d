--- How long a service asks to wait, computed here once more. Input: a line for each header.

local emr = require "emr"

local rules = require "spec.fuzz.rules"
local skew = require "emr.skew"

local NAMES = { "x-acs-retry-after", "retry-after", "date", "x-ratelimit-user-api",
    "x-ratelimit-user" }
local THROTTLED = '{"code":"Throttling.User","message":"later"}'

local function digits(text)
    return text and #text < 16 and text:find("^%d+$") and tonumber(text)
end

local function believable(seconds)
    return seconds and seconds >= 0.001 and seconds <= 86400 and seconds or 0
end

local function milliseconds(text)
    local n = digits(text)
    return believable(n and n / 1000)
end

local function time_left(text)
    for piece in (text or ""):gmatch("[^,]*") do
        local left = piece:match("^TimeLeft:(.*)$")
        if left then
            return milliseconds(left)
        end
    end
    return 0
end

-- C knows no time before 1970.
local function date_of(text)
    local at = skew.parse_date(text)
    return at and at >= 0 and at or nil
end

-- Also the slack that the clock of this machine brings in.
local function standard(text, date)
    if digits(text) then
        return believable(digits(text)), 0
    end
    local at, now = date_of(text), date_of(date)
    return believable(at and at - (now or os.time())), now and 0 or 2
end

local function expected(headers)
    local hint = milliseconds(headers["x-acs-retry-after"])
    if hint == 0 then
        hint = math.max(time_left(headers["x-ratelimit-user-api"]),
            time_left(headers["x-ratelimit-user"]))
    end
    if hint > 0 then
        return hint, 0
    end
    return standard(headers["retry-after"], headers.date)
end

return function(input)
    local values, headers = { rules.lines(input:gsub("[\r\v\f]", ""), #NAMES) }, {}
    for i, name in ipairs(NAMES) do
        headers[name] = values[i] and values[i]:match("^[ \t]*(.-)[ \t]*$")
    end
    local err = rules.result(emr.parse(emr.operations.GetSessionCluster,
        { status = 429, headers = headers, body = THROTTLED }))
    local hint, slack = expected(headers)
    local got = err.retry_after or 0
    assert(math.abs(got - hint) <= slack, ("%s s, not %s"):format(got, hint))
end
