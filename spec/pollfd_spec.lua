-- One descriptor for all transfers: what event loops poll.

local emr = require "emr"
local socket = require "socket"

local call = require "spec.support.call"
local emulator = require "spec.support.emulator"
local peer = require "spec.support.peer"

local found, cqueues = pcall(require, "cqueues")

describe("the descriptor of all transfers", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
        while emr.finished() do  -- none of another spec
        end
        emr.step(0)
    end)

    -- An event loop in three lines: waits as pollfd, events and timeout say, then steps.
    local function poll(limit)
        local descriptor = { getfd = emr.pollfd }
        local seconds = emr.timeout()
        seconds = seconds and math.min(seconds, limit) or limit
        local before = emr.now()
        local ready = socket.select({ descriptor }, nil, seconds)
        emr.step(0)
        return #ready > 0, emr.now() - before
    end

    it("is one small integer, before any transfer and after", function()
        local fd = emr.pollfd()
        assert.equal(0, fd % 1)
        assert(fd > 2)
        call.works()
        assert.equal(fd, emr.pollfd())
        assert.equal("r", emr.events())
    end)

    it("becomes readable when a transfer can go on; nothing else is needed", function()
        emu:fault { name = "slow", seconds = 0.1 }
        local transfer = call.start(emu.https)
        local turns = 0
        local seconds = call.seconds(function()
            while select("#", transfer:result()) == 0 do
                poll(5)
                turns = turns + 1
                assert(turns < 100, "it spins")
            end
        end)
        call.took(0.1, 0.1, seconds)
        assert.equal("Running", transfer:result().sessionCluster.state)
    end)

    it("stays quiet while nothing happens", function()
        local transfer = call.start(emu.raw("silence"))
        for _ = 1, 20 do
            poll(0.01)
        end
        local turns, deadline = 0, emr.now() + 0.2
        while emr.now() < deadline do
            assert.is_false((poll(0.2)))
            turns = turns + 1
        end
        assert(turns < 10, turns .. " turns for nothing")
        transfer:cancel()
    end)

    it("stays quiet when the server ends a kept connection", function()
        local server = peer.new()
        local connection
        for _ = 1, 3 do
            local transfer = call.start(server.url)
            connection = connection or server:accept()
            connection:request()
            connection:send(peer.reply(peer.sample()))
            assert.truthy(call.finish(transfer))
        end
        connection:close()
        poll(0.1)  -- may tell of it, once
        for _ = 1, 3 do
            assert.is_false((poll(0.01)))
        end
        server:close()
    end)

    -- After a few steps for what libcurl tidies up, an event loop may sleep as long as it likes.
    local function assert_idle()
        for _ = 1, 5 do
            emr.step(0.01)
        end
        local seconds = emr.timeout()
        assert(seconds == nil or seconds > 1, "with nothing in flight: " .. tostring(seconds))
    end

    it("timeout is nil with nothing in flight, however the last one ended", function()
        call.works()
        assert_idle()
        call.finish(call.start(emu.https))
        assert_idle()
        local silent = emu.raw("silence")
        local transfer = call.start(silent)
        emr.step(0.01)
        transfer:cancel()
        assert_idle()
        call.finish(call.start(silent, { timeout = 0.02 }))
        assert_idle()
        call.finish(call.start(emu.raw("never_accept"), { connect_timeout = 0.02 }))
        assert_idle()
    end)

    it("timeout says when to step at the latest", function()
        local transfer = call.start(emu.raw("silence"), { timeout = 0.1 })
        local took = call.seconds(function()
            while select("#", transfer:result()) == 0 do
                local seconds = assert(emr.timeout(), "no timeout with a transfer in flight")
                assert(seconds >= 0 and seconds <= 5)
                poll(5)
            end
        end)
        call.failed("timeout", "attempt", transfer:result())
        call.took(0.1, 0.1, took)
    end)

    it("timeout is 0 while an ended one waits to be noticed", function()
        local transfer = call.start(emu.http, { access_key_id = false, access_key_secret = false })
        assert.equal(0, emr.timeout())
        assert.equal(transfer, emr.finished())
    end)

    it("speaks the protocol of cqueues", function()
        if not found then
            pending("cqueues is not installed for this Lua")
            return
        end
        emu:fault { name = "slow", seconds = 0.1, times = 2 }
        local loop = cqueues.new()
        local states, ticks = {}, 0
        loop:wrap(function()
            local open = { call.start(emu.http), call.start(emu.https) }
            while #states < #open do
                cqueues.poll(emr)
                emr.step(0)
                for transfer in emr.finished do
                    states[#states + 1] = transfer:result().sessionCluster.state
                end
            end
        end)
        loop:wrap(function()
            while #states < 2 do
                ticks = ticks + 1
                cqueues.sleep(0.01)
            end
        end)
        local seconds = call.seconds(function()
            assert(loop:loop())
        end)
        assert.same({ "Running", "Running" }, states)
        call.took(0.1, 0.1, seconds)
        assert(ticks > 3, "the other coroutine was held up")
    end)
end)
