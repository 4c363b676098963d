--- The event loops that have an adapter, by the name of their library; each is called with it and
-- gives:
--     run(f)           runs f in a coroutine of a fresh loop until nothing is left to do
--     beside(f)        adds another coroutine to the running loop
--     pause(seconds)   is the loop's own sleep
local loops = {}

function loops.cqueues(cqueues)
    local loop
    return {
        run = function(f)
            loop = cqueues.new()
            loop:wrap(f)
            assert(loop:loop())
            loop = nil  -- it has descriptors
        end,
        beside = function(f) loop:wrap(f) end,
        pause = cqueues.sleep,
    }
end

function loops.luv(uv)
    local function resume(co)
        local ok, object = coroutine.resume(co)
        if not ok then
            error(object, 0)
        end
    end
    return {
        run = function(f)
            local failure
            resume(coroutine.create(function()
                failure = select(2, f())
            end))
            uv.run()
            assert(not failure, failure)
        end,
        beside = function(f) resume(coroutine.create(f)) end,
        pause = function(seconds)
            local co, timer = coroutine.running(), uv.new_timer()
            timer:start(seconds * 1000, 0, function()
                timer:close()
                resume(co)
            end)
            coroutine.yield()
        end,
    }
end

return loops
