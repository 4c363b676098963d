-- What ends a call that would not end by itself: time, size, and what cannot be reached at all.
-- Rows C1 to C5, E5, E6, E8.

local emr = require "emr"
local socket = require "socket"

local call = require "spec.support.call"
local child = require "spec.support.child"
local emulator = require "spec.support.emulator"
local memory = require "spec.support.memory"
local peer = require "spec.support.peer"

local KIB = 1024

-- For a script: the name `two` stands for 127.0.0.2, where packets vanish, and the emulator.
local HOLE = [[
    local socket = require "socket"
    local hole = assert(socket.bind("127.0.0.2", HTTP:match("%d+$"), 0))
    local fillers = {}
    for i = 1, 4 do
        fillers[i] = socket.tcp()
        fillers[i]:settimeout(0)
        fillers[i]:connect(hole:getsockname())
    end
    local two = HTTP:gsub("127.0.0.1", "two.test")
]]

describe("a limit", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    after_each(function()
        emu:raw_reset()
    end)

    describe("of time", function()
        local LIMIT = 0.15

        -- scenario, arguments, row
        for _, case in ipairs {
            { "silence", {}, "stops before the head" },
            { "cut", { at = "status", bytes = 3, how = "hold" }, "stops inside the status line" },
            { "cut", { at = "headers", bytes = 3, how = "hold" }, "stops inside the head" },
            { "cut", { at = "body", how = "hold" }, "stops after the head" },
            { "cut", { at = "body", bytes = 50, how = "hold" }, "stops inside the body" },
            { "drip", { seconds = 0.02 }, "sends the head byte by byte" },
            { "drip", { seconds = 0.02, at = "body" }, "sends the body byte by byte" },
        } do
            it("E5: ends a call whose server " .. case[3], function()
                local seconds = call.seconds(function()
                    call.fails("timeout", "attempt", case[1], case[2], { timeout = LIMIT })
                end)
                call.took(LIMIT, LIMIT, seconds)
            end)
        end

        it("E5: is for the body too when the head was quick", function()
            local server = peer.new()
            local transfer = call.start(server.url, { timeout = LIMIT })
            local connection = server:accept()
            connection:request()
            connection:send(peer.reply("", { "Transfer-Encoding: chunked" }))
            local before = emr.now()
            while select("#", transfer:result()) == 0 do
                connection:send("1\r\n \r\n")
                emr.step(0.01)
                assert(emr.now() - before < 2)
            end
            call.failed("timeout", "attempt", transfer:result())
            connection:close()
            server:close()
        end)

        it("passes while nobody steps", function()
            local transfer = call.start(emu.raw("silence"), { timeout = 0.05 })
            socket.sleep(0.06)
            emr.step(0)
            call.failed("timeout", nil, transfer:result())
        end)

        it("as short as 1 ms is kept", function()
            local url = emu.raw("silence")
            for _ = 1, 5 do
                call.took(0, 0.001, call.seconds(call.get, url, { timeout = 0.001 }))
            end
            call.works()
        end)

        it("C5: ends a connect that never completes", function()
            local url = emu.raw("never_accept")
            for _, limits in ipairs {
                { connect_timeout = LIMIT }, { timeout = LIMIT },
                { connect_timeout = LIMIT, timeout = 5 },
            } do
                local seconds = call.seconds(function()
                    call.failed("timeout", "connect", call.get(url, limits))
                end)
                call.took(LIMIT, LIMIT, seconds)
            end
            call.works()
        end)
    end)

    describe("of what can be reached", function()
        it("C4: a refused connection is network/connect, at once", function()
            call.took(0, 0, call.seconds(call.fails, "network", "connect", "refuse"))
        end)

        it("C4: an unreachable network is network/connect, at once", function()
            -- the broadcast address: connecting to it is refused without a packet
            for _, url in ipairs { "https://255.255.255.255", "https://224.0.0.1" } do
                local seconds = call.seconds(function()
                    call.failed("network", "connect", call.get(url, { timeout = 2 }))
                end)
                call.took(0, 0, seconds)
            end
            call.works()
        end)

        it("C4: a server that comes up later is found", function()
            local url = emu.raw("refuse", { seconds = 0.05 })
            call.failed("network", "connect", call.get(url))
            call.step_until(function()
                return (call.get(url))
            end, "the server")
        end)

        it("C1: a name that does not exist, or cannot be looked up, is network/resolve", function()
            child.printed("ok\n", child.lua([[
                for _, name in ipairs { "none.test", "broken.test" } do
                    call.failed("network", "resolve", call.get("https://" .. name))
                    call.failed("network", "resolve", call.finish(call.start("https://" .. name)))
                end
                call.works()
                print "ok"
            ]], { preload = true }))
        end)

        it("C3: when the first address refuses, the next is used", function()
            child.printed("Running\n", child.lua([[
                local response, message = call.get(HTTP:gsub("127.0.0.1", "two.test"),
                    { allow_http = true, connect_timeout = 0.4 })
                print(response and response.sessionCluster.state or message)
            ]], { preload = true }))
        end)

        it("C3: when the first address is a black hole, the next is used in time", function()
            child.printed("Running\n", child.lua(HOLE .. [[
                local response, message
                call.took(1, 1, call.seconds(function()  -- half the time is for the first one
                    response, message = call.get(two, { allow_http = true, connect_timeout = 2 })
                end))
                print(response and response.sessionCluster.state or message)
            ]], { preload = true }))
        end)

        it("C3: when the first address refuses after a while, the next is used at once", function()
            child.printed("Running\n", child.lua(HOLE .. [[
                local transfer = call.start(two, { allow_http = true, connect_timeout = 10 })
                local began = emr.now()
                call.step_until(function() return emr.now() - began > 0.1 end, "the time")
                hole:close()  -- the kernel asks it again a second after the first time
                local response, message
                call.took(0, 2, call.seconds(function()
                    response, message = call.finish(transfer)
                end))
                print(response and response.sessionCluster.state or message)
            ]], { preload = true }))
        end)

        it("C2: a resolver that never answers holds up neither script nor event loop", function()
            child.printed("ok\n", child.lua([[
                local URL = "https://hangs-long.test"
                for _, limits in ipairs { { timeout = 0.1 }, { connect_timeout = 0.1 } } do
                    local seconds = call.seconds(function()
                        call.failed("timeout", nil, call.get(URL, limits))
                    end)
                    call.took(0.1, 0.1, seconds)
                end
                local transfer, longest = call.start(URL, { timeout = 0.1 }), 0
                local seconds = call.seconds(function()
                    while select("#", transfer:result()) == 0 do
                        longest = math.max(longest, call.seconds(emr.step, 0))
                    end
                end)
                call.took(0.1, 0.1, seconds)
                assert(longest < 0.05, "one step took " .. longest)
                call.failed("timeout", nil, transfer:result())
                call.start(URL):cancel()
                call.works()
                call.start(URL)
                print "ok"
            ]], { preload = true }))  -- and the end of the script does not wait for it either
        end)

        it("C2: a resolver that answers after lua_close does not crash the host", function()
            local result = child.host([[
                call.failed("timeout", nil, call.get("https://hangs.test", { timeout = 0.05 }))
                call.start("https://hangs.test")
            ]], { preload = true, seconds = 0.45 })
            if not result then
                pending("needs an interpreter without sanitizers")
                return
            end
            child.printed("libcurl is mapped\n", result)
        end)
    end)

    describe("of size", function()
        local ENDLESS = {
            { "huge_length", {} },
            { "endless_body", { kind = "length" } },
            { "endless_body", { kind = "close" } },
            { "endless_body", { kind = "chunked" } },
        }

        for _, case in ipairs(ENDLESS) do
            it(("E6: %s %s is protocol/too_large, soon and in little memory"):format(
                case[1], case[2].kind or ""), function()
                call.fails("protocol", "too_large", case[1], case[2])
                local url, least = emu.raw(case[1], case[2]), 1 / 0
                local peak = memory.peak(function()
                    for _ = 1, 3 do  -- the best of three: the machine may be busy
                        least = math.min(least, call.seconds(call.get, url))
                    end
                end)
                assert(least < 0.1, "took " .. least)
                assert(peak < 4 * KIB, "grew by " .. peak .. " KB")
            end)
        end

        it("E6: applies to fetch and to nginx's huge replies alike", function()
            for _, declared in ipairs { true, false } do
                emu:fault { name = "huge", declared = declared }
                call.failed("protocol", "too_large", call.get(emu.http))
                emu:fault { name = "huge", declared = declared }
                call.failed("protocol", "too_large", call.finish(call.start(emu.https)))
            end
            call.works()
        end)

        it("E6: is exact, with a length and without", function()
            local size = #peer.sample()
            for _, scenario in ipairs { "good", "no_length", "chunked_cut" } do
                local url = emu.raw(scenario, scenario == "chunked_cut" and { bytes = 1e6 } or {})
                assert.truthy(call.get(url, { max_response_bytes = size }))
                call.failed("protocol", "too_large",
                    call.get(url, { max_response_bytes = size - 1 }))
            end
        end)

        it("E6: of an error reply counts as well", function()
            emu:fault { name = "status", status = 503, body = ("x"):rep(2000) }
            call.failed("protocol", "too_large", call.get(emu.http, { max_response_bytes = 1999 }))
        end)

        for _, case in ipairs {
            { "many_headers", { count = 5000 } }, { "endless_headers", {} },
            { "long_header", { bytes = 50000 } }, { "long_header", { bytes = 70000 } },
            { "long_header", { bytes = 4000000 } }, { "many_headers", { count = 257 } },
        } do
            it(("E8: %s %s is protocol/too_large"):format(case[1],
                case[2].count or case[2].bytes or ""), function()
                call.fails("protocol", "too_large", case[1], case[2], { timeout = 5 })
            end)
        end

        it("E8: 200 lines, or 8 KiB in one, are taken", function()
            assert.truthy(call.get(emu.raw("many_headers", { count = 200 })))
            assert.truthy(call.get(emu.raw("long_header", { bytes = 8 * KIB })))
        end)

        it("E8: interim replies and trailers are headers too", function()
            local interim = ("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"):rep(3000)
            call.fails("protocol", "too_large", "bytes", { bytes = interim })
            local trailers = ("X-Trailer: y\r\n"):rep(5000)
            call.fails("protocol", "too_large", "bytes", { bytes =
                peer.reply("2\r\n{}\r\n0\r\n" .. trailers, { "Transfer-Encoding: chunked" }) })
        end)
    end)
end)
