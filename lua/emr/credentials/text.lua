--- Text that goes into requests: what the constructors and the credential files may hold.

local emr = require "emr"

local MAX = 8192 -- bytes

local PROBE = { name = "probe", version = "", product = "", hosts = { public = "localhost" },
    method = "GET", path = "/", retry = "safe" }

local M = {}

--- An option rule: text that may go into a request; the native module raises for other text, and
-- text out of a file or a variable is no mistake of the calling program.
---@type emr.Rule
function M.some(value)
    if type(value) ~= "string" or value == "" or #value > MAX or value:find("%c") then
        return ("a string of 1 to %d bytes without control bytes"):format(MAX)
    end
end

--- Scheme and authority of a URL that may be called, and what follows them; nil: it may not.
---@param url string
---@return string? origin   "https://host:port"
---@return string? rest     path and query
function M.origin(url)
    local origin, rest = url:match("^(https?://[^/?#]+)([!-~]*)$")
    if not origin or rest:find("#", 1, true) then
        return nil
    end
    -- the native module judges hosts and ports by raising
    local trial = { endpoint = origin, allow_http = true, access_key_id = "-",
        access_key_secret = "-" }
    if pcall(emr.prepare, PROBE, {}, trial) then
        return origin, rest
    end
end

local function is_loopback(origin)
    local host = origin:lower():match("^https?://(%[?[^%]/]-%]?):?%d*$")
    return host == "localhost" or host == "[::1]" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

--- An option rule: a URL without a path, or with nothing but one "/" after the host.
---@type emr.Rule
function M.base_url(value)
    local origin, rest = M.origin(type(value) == "string" and value or "")
    if not origin or rest ~= "" and rest ~= "/" then
        return "a URL like https://host:port"
    end
end

--- The same where secrets go out: plain http only to this machine.
---@type emr.Rule
function M.endpoint(value)
    local expected = M.base_url(value)
    if not expected and value:find("^http:") and not is_loopback(M.origin(value)) then
        return "an https URL"
    end
    return expected
end

--- Percent-encode as RFC 3986 says.
---@param text string
---@return string
function M.escape(text)
    return (text:gsub("[^%w%-_%.~]", function(c)
        return ("%%%02X"):format(c:byte())
    end))
end

--- A query or form body of `{ {name, value}, ... }`; entries without a value are left out.
---@param fields table
---@return string
function M.form(fields)
    local parts = {}
    for _, field in ipairs(fields) do
        if field[2] ~= nil then
            parts[#parts + 1] = field[1] .. "=" .. M.escape(tostring(field[2]))
        end
    end
    return table.concat(parts, "&")
end

--- A word out of a credential file, for a message that complains of it; what is no plain word might
-- be a key that stands in the wrong place.
---@param word string?
---@return string
function M.shown(word)
    word = word or ""
    return #word <= 24 and word:find "^[%a_]*$" and word or "..."
end

--- `text` with every occurrence of a secret taken out, for messages that quote a server.
---@param text string
---@param secret string?
---@return string
function M.without(text, secret)
    if not secret or secret == "" then
        return text
    end
    local first, last = text:find(secret, 1, true)
    while first do
        text = text:sub(1, first - 1) .. "***" .. text:sub(last + 1)
        first, last = text:find(secret, first + 3, true)
    end
    return text
end

return M
