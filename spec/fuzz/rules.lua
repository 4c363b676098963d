--- How the targets take their input apart, and what must hold whatever it was.

local M = {}

local KINDS = {
    network = true, timeout = true, tls = true, protocol = true, unsupported = true,
    throttled = true, service = true, credentials = true, state = true, cancelled = true,
}

--- The lines of a text; an empty one is nil. `n` is how many there are at most.
---@return string? ...
function M.lines(text, n)
    local list = {}
    for line in (text .. "\n"):gmatch("([^\n]*)\n") do
        list[#list + 1] = line ~= "" and line or false
    end
    for i = 1, n do
        list[i] = list[i] or nil
    end
    return (table.unpack or unpack)(list, 1, n) -- luacheck: ignore unpack
end

--- A text shaped like an HTTP message: its first line, a map of its headers, its body.
---@return string first, table<string, string> headers, string body
function M.message(text)
    local head, body = (text .. "\n"):match("^(.-\n)\n(.*)$")
    head = head or text .. "\n"
    local first, rest = head:match("^([^\n]*)\n(.*)$")
    local headers = {}
    for name, value in rest:gmatch("([^:\n]+):([^\n]*)\n") do
        headers[name] = value
    end
    return first, headers, ((body or ""):gsub("\n$", ""))
end

local function compare(a, b, equal)
    if type(a) ~= "table" or type(b) ~= "table" then
        return equal(a, b)
    end
    for name, value in pairs(a) do
        if not compare(value, b[name], equal) then
            return false
        end
    end
    for name in pairs(b) do
        if a[name] == nil then
            return false
        end
    end
    return true
end

--- Whether two values are the same; integers and floats are not, where Lua has both.
function M.same(a, b)
    return compare(a, b, function(x, y)
        return x == y and (not math.type or math.type(x) == math.type(y))
    end)
end

--- The same, of numbers only as a double holds them.
function M.alike(a, b)
    return compare(a, b, function(x, y)
        return x == y or type(x) == "number" and type(y) == "number" and x * 1.0 == y * 1.0
    end)
end

function M.assert_same(a, b, what)
    assert(M.same(a, b), what)
end

local function assert_line(text, limit, what)
    assert(type(text) == "string" and #text <= limit, what .. " is no short text")
    assert(not text:find("[%c\127]"), what .. " is not one line: " .. text)
end

--- A caller's mistake, as it was raised: one line that names an argument.
function M.mistake(message)
    assert_line(message, 512, "what was raised")
    assert(message:find "options" or message:find "request" or message:find "region", message)
end

--- A result, or a failure as every failure is. Returns the error, if it is one.
function M.result(result, message, err)
    if result ~= nil then
        return nil
    end
    assert_line(message, 512, "the message")
    assert(err.message == message and tostring(err) == message, "message and err differ")
    assert(KINDS[err.kind], "kind " .. tostring(err.kind))
    assert(type(err.retryable) == "boolean", "retryable is not said")
    assert_line(err.code or "", 512, "the code")
    assert_line(err.request_id or "", 128, "the request id")
    local hint = err.retry_after
    assert(hint == nil or hint >= 0.001 and hint <= 86400, "retry_after " .. tostring(hint))
    return err
end

return M
