--- Counts the attempts of all clients of all workers, in the shared dictionary `attempts`, and
-- reports them as text for Prometheus.

local ngx = require "ngx"

local M = {}

local function add(name, amount)
    ngx.shared.attempts:incr(name, amount, 0)
end

--- The client's option `on_attempt`.
---@param info table
function M.count(info)
    local labels = ('{operation="%s",outcome="%s"}'):format(info.operation, info.kind or "ok")
    add("emr_attempts_total" .. labels, 1)
    add("emr_attempt_seconds_total" .. labels, info.total or 0)
end

--- For content_by_lua: all that was counted, and the session cluster's state.
---@param session table   see session.lua
function M.report(session)
    local lines = {}
    for _, name in ipairs(ngx.shared.attempts:get_keys(0)) do
        lines[#lines + 1] = ("%s %.15g"):format(name, ngx.shared.attempts:get(name))
    end
    table.sort(lines)
    local known = session.known()
    lines[#lines + 1] = ("emr_session_open %d"):format(session:is_open() and 1 or 0)
    if known.age then
        lines[#lines + 1] = ("emr_session_age_seconds %.3f"):format(known.age)
    end
    ngx.say(table.concat(lines, "\n"))
end

return M
