--- The one place in Lua that builds an error: `nil, message, err`.
-- Works in every Lua and every nginx phase; does no I/O.

---@alias emr.ErrorKind
---| "network"
---| "timeout"
---| "tls"
---| "protocol"
---| "throttled"
---| "service"
---| "credentials"
---| "state"
---| "unsupported"
---| "cancelled"
---| "memory"

---@class emr.Error
---@field kind emr.ErrorKind
---@field code? string        which one of its kind; for service and throttled the API's word
---@field message string      one printable line of at most 512 bytes
---@field status? integer     the HTTP status
---@field request_id? string  what the vendor's support asks for
---@field retryable boolean   whether the same call may work a little later
---@field retry_after? number seconds that the server asked to wait
---@field attempts? integer   how often a retried call was tried
---@field access_denied_detail? table  what the API says about a missing permission
---@field last? table         a wait: the last response, without its connection token
---@field state? string       a wait: the last state
---@field reason? table       a wait: why the state changed, {code, message}
---@field polls? integer      a wait: how often it asked
---@field elapsed? number     a wait: seconds

local LIMIT = 512

-- kind -> true, or the codes of it that may work a little later
local RETRYABLE = {
    network = true,
    throttled = true,
    timeout = { connect = true, attempt = true },
    protocol = { empty = true },
    credentials = { unavailable = true },
}
local RETRYABLE_STATUS = { [408] = true, [500] = true, [502] = true, [503] = true, [504] = true }

local Error = { __name = "emr.Error" }

function Error.__tostring(err)
    return err.message
end

local function begins(text, prefix)
    return text:sub(1, #prefix) == prefix
end

local function retryable(kind, code, status)
    if kind == "network" and code == "proxy" then
        return status ~= 407
    end
    if kind == "service" then
        return RETRYABLE_STATUS[status] or type(code) == "string"
            and (begins(code, "ServiceUnavailable") or begins(code, "InternalError")) or false
    end
    local known = RETRYABLE[kind]
    return known == true or type(known) == "table" and known[code] or false
end

-- Cuts before the character that would not fit whole, not inside it.
local function one_line(text)
    text = text:gsub("%c", " ")
    if #text <= LIMIT then
        return text
    end
    local last = LIMIT
    while last > LIMIT - 4 and text:byte(last + 1) >= 0x80 and text:byte(last + 1) < 0xC0 do
        last = last - 1
    end
    return text:sub(1, last)
end

--- Build an error, as every function of `emr` returns it for what is not the caller's mistake.
---@param kind string      see emr.Error
---@param code string?
---@param message string   what was being done, then why; made one line of at most 512 bytes
---@param extra table?     further fields of the error; `retryable` there wins over the table's
---@return nil
---@return string message
---@return emr.Error err
return function(kind, code, message, extra)
    message = one_line(tostring(message))
    local err = {}
    for name, value in pairs(extra or err) do
        err[name] = value
    end
    err.kind, err.code, err.message = kind, code, message
    if err.retryable == nil then
        err.retryable = retryable(kind, code, err.status)
    end
    return nil, message, setmetatable(err, Error)
end
