-- Several Lua states in one process, each on a thread of its own: row K8. `make tsan` runs this
-- under clang's thread sanitizer, with 1 000 calls and states.

local child = require "spec.support.child"

local CALLS = tonumber(os.getenv "EMR_THREAD_CALLS") or 100
local LIMIT = 600

describe("on two threads", function()
    -- Both threads do so.
    local function together(text, states)
        local result = child.host(text, { threads = 2, states = states, limit = LIMIT })
        if not result then
            pending("needs the stock interpreter")
            return
        end
        child.printed("libcurl is mapped\n", result)
    end

    it("K8: two Lua states make calls at the same time", function()
        together(([[
            local get = emr.operations.GetSessionCluster
            for i = 1, %d do
                call.works()
                emr.prepare(get, call.IDS, call.options(HTTP))
                if i %% 10 == 0 then
                    assert(call.get(HTTPS))
                    call.failed("protocol", "json", emr.decode("{"))
                    call.start(HTTPS):cancel()
                end
            end
        ]]):format(CALLS), 1)
    end)

    it("K8: fresh states load the module, call, and close", function()
        together([[
            call.works()
            call.start(HTTPS)
        ]], CALLS / 2)
    end)
end)
