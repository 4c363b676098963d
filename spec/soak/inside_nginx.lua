--- The soak run's part inside nginx: batches in timers, one after the other, until it is told to
-- stop; `say` is for who measures.

local ngx = require "ngx"

local kinds = require "spec.soak.kinds"
local memory = require "spec.support.memory"

local M = { counts = { calls = 0, wrong = {} } }

local function batch(premature)
    if premature or M.stopped then
        return
    end
    kinds.batch(M.settings, M.counts)
    assert(ngx.timer.at(0, batch))
end

--- In init_by_lua.
function M.open(settings)
    M.settings = settings
    return M
end

function M.start()
    assert(ngx.timer.at(0, batch))
end

--- A call that the client of the request may not wait for.
function M.hang()
    kinds.slow(M.settings)
end

--- "calls resident heap", then a line for each thing that went wrong.
function M.say()
    ngx.say(("%d %d %d"):format(M.counts.calls, memory.resident(), collectgarbage "count"))
    for what, times in pairs(M.counts.wrong) do
        ngx.say(times, " times ", what)
    end
end

return M
