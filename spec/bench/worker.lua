-- The nginx that is the client of rows inside nginx: its one worker runs calls.lua.

local http = require "socket.http"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local PATIENCE = 300  -- seconds; callgrind takes its time
http.TIMEOUT = PATIENCE

local HTTP = "lua_ssl_trusted_certificate %s; lua_ssl_verify_depth 3;"
local SERVER = [[
    location = /ping { return 204; }
    location = /warm { content_by_lua_block {
        ngx.print(tostring(require("spec.bench.calls").warm))
    } }
    location = /run { content_by_lua_block {
        local n, inflight = tonumber(ngx.var.arg_n), tonumber(ngx.var.arg_j)
        ngx.print(require("spec.bench.calls").measure(ngx.var.arg_row, n, inflight))
    } }
]]

local Worker = {}
Worker.__index = Worker

local M = {}

--- Starts it with these variables in its environment, and more directives; `under` is a command
-- that runs nginx.
function M.start(environment, main, under)
    for name in pairs(environment) do
        main = ("%s env %s;"):format(main, name)
    end
    local server = nginx.start {
        main = main .. (under and " master_process off;" or ""), under = under,
        http = HTTP:format(environment.BENCH_CA), server = SERVER, env = environment,
    }
    return setmetatable({ server = server, alone = under ~= nil }, Worker)
end

local RUN = "/run?row=%s&n=%d&j=%d"

--- The line that calls.lua prints.
function Worker:run(row, n, inflight)
    local line, status = self.server:get(RUN:format(row, n, inflight))
    return status == 200 and line or error(self.server:log())
end

--- The median and the 99th percentile of pings, {how many, one each so many seconds}.
function Worker:ping(pings)
    local times = self.server:paced(pings[1], pings[2])
    return times[math.ceil(#times / 2)], times[math.ceil(#times * 0.99)]
end

--- The same while these calls are made; then gives on what calls.lua has printed.
function Worker:ping_during(pings, row, n, inflight, give)
    local reply, connection = self.server:request(RUN:format(row, n, inflight))
    connection:settimeout(PATIENCE)
    self.server:wait_until(function() return self.server:get "/warm" == "true" end, "warm calls")
    local p50, p99 = self:ping(pings)
    give(reply() or error(self.server:log()))
    return p50, p99
end

-- Without a master a signal that comes just before nginx waits is seen only when it wakes up.
function Worker:stop()
    while self.alone and self.server:is_running() do
        self.server:signal "TERM"
        socket.sleep(0.2)
    end
    self.server:stop()
end

return M
