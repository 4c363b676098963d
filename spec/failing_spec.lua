-- Calls that fail, again and again, leave nothing behind: row K3. EMR_FAILING=100000 makes as many
-- as the row says; a leak in every call shows in far fewer.

local growth = require "spec.support.growth"

local CALLS = tonumber(os.getenv "EMR_FAILING") or 2000
local MIXED = [[
    local REFUSED = call.emulator.raw("refuse")
    local get = emr.operations.GetSessionCluster
    local missing = { workspaceId = "w-1", sessionClusterId = "s-none" }
    local kinds = {
        function() call.failed("network", "connect", call.get(REFUSED)) end,
        function() call.failed("tls", "ca", call.get(HTTPS, { ca_file = "/nonexistent" })) end,
        function()
            call.failed("service", nil, emr.call(get, missing, call.options(HTTP)))
        end,
        function()
            call.failed("service", "SignatureDoesNotMatch",
                call.get(HTTP, { access_key_secret = "wrong-secret" }))
        end,
        function()
            call.failed("protocol", "too_large", call.get(HTTP, { max_response_bytes = 9 }))
        end,
        function() call.failed("protocol", "json", emr.decode('{"a":[1,')) end,
        function()
            call.failed("protocol", "shape", emr.parse(get, { status = 200, body = "[]" }))
        end,
        function() call.failed("credentials", "unreadable", emr.read_file("/nonexistent")) end,
        function()
            local transfer = call.start(HTTPS)
            transfer:cancel()
            call.failed("cancelled", nil, transfer:result())
        end,
        function() assert(not pcall(emr.call, get, { workspaceId = "" }, call.options(HTTP))) end,
        function() assert(not pcall(emr.call, get, call.IDS, call.options(HTTP, { no = 1 }))) end,
    }
    return function(i)
        kinds[i % #kinds + 1]()
    end
]]


describe("calls that fail", function()
    it("K3: " .. CALLS .. " of mixed kinds leave neither memory nor descriptors", function()
        -- Lost 16 bytes a call would be 8 KiB a quarter of the Lua heap; the process grows by pages
        local heap, process, open = growth.of(MIXED, 500, CALLS, 3600)
        assert(heap < 8, ("the Lua heap has grown by %g KiB"):format(heap))
        assert(process < 64, ("the process has grown by %g KiB"):format(process))
        assert(open <= 1, open .. " descriptors are left open")
    end)
end)
