-- Starved memory, rows K4 and K5: the allocator of the Lua state, and that of the C library, refuse
-- the n-th allocation, once and from then on, in a process of its own for each n (starved.c).
--
-- By default a sample; EMR_STARVED=2000 says how many n of each kind, 0 means every one. Where what
-- is asked for comes from libraries below us, each exception has its row in OWN.

local call = require "spec.support.call"
local child = require "spec.support.child"

local SAMPLE = tonumber(os.getenv "EMR_STARVED") or 40
local ENOUGH = SAMPLE == 0 and 1 or 20   -- refusals without which a run has shown nothing

-- What the runs do. PHASE is "load" (counting begins before the module is loaded) or "call".
local SCRIPT = [[
    local URL, OPTIONS, PHASE = %q, { region = "cn-hangzhou", ca_file = %q, retry = false,
        access_key_id = %q, access_key_secret = %q, timeout = 5 }, %q
    local process = require "process"
    local started
    OPTIONS.endpoint = URL

    local function work()
        local emr = require "emr"
        for _, name in ipairs { "client", "waiter", "paginate", "operations" } do
            local _ = emr[name]
        end
        if PHASE == "call" and not started then
            started = true
            arm()
        end
        local client = emr.client.new(OPTIONS)
        local reply, message, err = client:get_session_cluster {
            workspaceId = %q, sessionClusterId = %q,
        }
        if not reply then
            return err.kind, err.code, message
        end
        local value
        value, message, err = emr.decode('{"a":[1,{"b":12345678901234567890}],"c":null}')
        if not value then
            return err.kind, err.code, message
        end
        client:close()
        return "good"
    end

    function again()
        for name, value in pairs(package.loaded) do
            -- 5.1 marks so what failed to load; LuaJIT's mark passes for a number
            if type(value) == "userdata" or type(value) == "number" then
                package.loaded[name] = nil
            end
        end
        local kind, _, message = work()
        if kind == "tls" then  -- a CA file that was read with too little memory is read anew
            process.advance(2)
            kind, _, message = work()
        end
        assert(kind == "good", message)
    end

    if PHASE == "load" then
        arm()
    end
    return work()
]]

-- What is not ours: a library that was refused memory, and what then becomes of the run. All else
-- but a good result or an error about memory is a failure.
local OWN = {
    -- lua-cjson ends the process when malloc fails in it (strbuf.c, die), and does not free its
    -- buffer when Lua raises under it
    { "cjson", "^cjson%-died +printed Out of memory$" },
    { "", "^leaked +cjson: 2 blocks$" },
    -- OpenSSL does not always say that it was memory, waits for answers to what it did not send,
    -- until our limits end that, and loses some of its own
    { "libcrypto", "^tls/" }, { "libcrypto", "^network/reset" },
    { "libssl", "^tls/" }, { "libssl", "^network/reset" }, { "libssl", "^timeout/" },
    { "libcrypto", "^leaked +libcrypto: %d+ blocks$" },
    -- nor does libcurl: a URL's query that it cannot copy is left out, and the signature refused
    { "libcurl", "^network/" }, { "libcurl", "^tls/" }, { "libc.so", "^network/" },
    { "libc.so", "^tls/" },
    { "", "^protocol/too_large.*: Out of memory" },
    { "libcurl", "^service/SignatureDoesNotMatch" },
    -- libcurl 7.88 frees the name of a TLS session twice when strdup, which is in the C library,
    -- had no memory for its settings (valgrind shows Curl_ssl_addsessionid)
    { "libc%.so", "^crashed in libcurl" },
    -- Lua takes a file that fopen has no memory for as one that is not there, or cannot be read
    { "libc.so", "^raised: .*module '.*' not found" },
    { "libc.so", "^raised: error loading module" },
    -- LuaJIT raises by way of libgcc, which cannot without memory
    { "libgcc", "^crashed in libgcc" },
    -- and opens a file before it makes the name of the chunk: it is not closed when that raises
    { "libluajit", "^leaked +others: 1 blocks 1 descriptors$" },
}


local function isexpected(places, outcome)
    if outcome:find "^good/" or outcome:find "^raised *$" or outcome:find "^memory/" then
        return true
    end
    for _, row in ipairs(OWN) do
        if places:find(row[1]) and outcome:find(row[2]) then
            return true
        end
    end
    return false
end


-- Runs it all, and asserts that each run ended as it may.
local function survives(kind, phase, url)
    local emu = call.cloud()
    local script = SCRIPT:format(url, emu.ca_file, emu.access_key_id, emu.access_key_secret, phase,
        call.IDS.workspaceId, call.IDS.sessionClusterId)
    local result = child.starved(script, kind, SAMPLE)
    if not result then
        pending("needs a host of its own")
        return
    end
    local refused, wrong = 0, {}
    for line in result.out:gmatch "[^\n]+" do
        local places, outcome = line:match "^%d+ %l+ (%S*): (.*)$"
        if places and not isexpected(places, outcome) then
            wrong[#wrong + 1] = line
        end
        refused = refused + (places and not outcome:find "^good/" and 1 or 0)
    end
    assert.same({ 0, "", "" }, { result.status, result.err, table.concat(wrong, "\n") })
    assert.truthy(result.out:find "allocations\n$", "the host did not come to its end")
    assert(refused >= ENOUGH, "only " .. refused .. " runs felt it")
end


describe("without memory", function()
    for _, phase in ipairs { "load", "call" } do
        it("K4: the Lua state's allocator refuses, " .. phase, function()
            survives("lua", phase, call.cloud().http)
        end)

        it("K5: malloc refuses, " .. phase, function()
            survives("malloc", phase, (call.cloud().https:gsub("localhost", "127.0.0.1")))
        end)
    end
end)
