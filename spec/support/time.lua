--- A clock that only `sleep` moves, and dice that fall as told: no spec waits in real time.

local await = require "emr.await"

local M = {}

---@param draws number[]|number|nil   what `random` gives, in order, the last one for ever; 0.5
---@return table time   {now, slept = {seconds, ...}, clock(), sleep(seconds), random()}
function M.new(draws)
    local time = { now = 1000, slept = {} }
    local drawn = 0

    function time.clock()
        return time.now
    end

    function time.sleep(seconds)
        time.slept[#time.slept + 1] = seconds
        time.now = time.now + seconds
    end

    function time.random()
        if type(draws) ~= "table" then
            return draws or 0.5
        end
        drawn = math.min(drawn + 1, #draws)
        return draws[drawn]
    end

    return time
end

--- The time of many tasks, which passes only while all of them sleep; `on_sleep` is called then.
---@return table time   {now, clock(), await}
function M.of_tasks(on_sleep)
    local time = { now = 1000 }

    function time.clock()
        return time.now
    end

    time.await = await.stepping {
        now = time.clock,
        step = function(seconds)
            if seconds > 0 and on_sleep then
                on_sleep()
            end
            time.now = time.now + seconds
            return 0
        end,
        finished = function() end,
    }
    return time
end

return M
