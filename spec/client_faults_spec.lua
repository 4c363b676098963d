-- How often a client asks when the network, TLS or the server is broken for real: what is transient
-- three times, what is not once. What each attempt comes to is in limits_spec, tls_spec, http_spec.

local socket = require "socket"

local call = require "spec.support.call"
local child = require "spec.support.child"
local emulator = require "spec.support.emulator"
local fake = require "spec.support.time"
local support = require "spec.support.client"

describe("a client asks", function()
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

    -- Asserts how a call ends and after how many attempts. Returns the error.
    local function ends(kind, code, attempts, url, options)
        local client = support.against(url, options)
        local err = call.failed(kind, code, client:get_session_cluster(call.IDS))
        assert.equal(attempts, err.attempts, err.message)
        return err
    end

    -- row, how often, kind, code, scenario, its argument, options
    for _, case in ipairs {
        { "C4", 3, "network", "connect", "refuse" },
        { "C5", 3, "timeout", "connect", "never_accept", nil, { connect_timeout = 0.1 } },
        { "D1", 1, "tls", "verify", "expired" }, { "D2", 1, "tls", "verify", "self_signed" },
        { "D3", 1, "tls", "verify", "wrong_host" }, { "D4", 1, "tls", "verify", "rsa_1024" },
        { "D5", 1, "tls", "handshake", "tls10_only" },
        { "D6", 3, "network", "reset", "handshake_rst" },
        { "D6", 3, "network", "reset", "handshake_fin" },
        { "D6", 1, "tls", "handshake", "handshake_alert" },
        { "D6", 1, "tls", "handshake", "handshake_plain" },
        { "D7", 1, "tls", "client_cert", "client_certificate" },
        { "B7", 1, "tls", "ca", "tls", nil, { ca_file = "/nonexistent" } },
        { "E1", 3, "network", "reset", "cut", { at = "start" } },
        { "E1", 3, "network", "reset", "cut", { at = "body", how = "rst" } },
        { "E2", 3, "network", "truncated", "cut", { bytes = 5 } },
        { "E3", 3, "network", "truncated", "chunked_cut" },
        { "E3", 1, "protocol", "http", "chunk_size" },
        { "E4", 1, "protocol", "http", "content_length" },
        { "E5", 3, "timeout", "attempt", "drip", { seconds = 0.03 }, { timeout = 0.1 } },
        { "E6", 1, "protocol", "too_large", "huge_length" },
        { "E7", 1, "protocol", "encoding", "reply", { headers = { ["Content-Encoding"] = "br" } } },
        { "E8", 1, "protocol", "too_large", "many_headers" },
        { "E10", 3, "protocol", "empty", "reply" },
        { "E11", 1, "protocol", "redirect", "reply", { status = "302 Found" } },
        { "E12", 1, "protocol", "http", "bare_json" },
        { "E13", 1, "protocol", "http", "no_colon" },
        { "F1", 1, "protocol", "json", "reply", { body = "<html>CANARY</html>" } },
        { "F3", 1, "protocol", "json", "reply", { body = "{'sessionCluster':{}}" } },
        { "F9", 1, "protocol", "shape", "reply", { body = "[]" } },
    } do
        local row, attempts, kind, code, scenario = (table.unpack or unpack)(case, 1, 5)
        it(("%s: %d x where %s is %s/%s"):format(row, attempts, scenario, kind, code), function()
            local url = emu.raw(scenario, case[6])
            ends(kind, code, attempts, url, case[7])
            assert(#emu:raw_log(url) <= attempts, "more connections than attempts")
        end)
    end

    it("C1: three times for a name that does not exist", function()
        child.printed("3\n", child.lua([[
            local client = require("spec.support.client").against "https://none.test"
            local err = call.failed("network", "resolve", client:get_session_cluster(call.IDS))
            print(err.attempts)
        ]], { preload = true }))
    end)

    it("C2: within its deadline, where no resolver ever answers", function()
        child.printed("ok\n", child.lua([[
            local client = require("spec.support.client").against("https://hangs-long.test",
                { deadline = 1, clock = "none", sleep = "none" })
            local seconds = call.seconds(function()
                call.failed("timeout", nil, client:get_session_cluster(call.IDS))
            end)
            call.took(1, 1, seconds)
            print "ok"
        ]], { preload = true }))
    end)

    it("C4: again when the server comes up between two attempts", function()
        local url, time = emu.raw("refuse", { seconds = 0.05 }), fake.new()
        local client = support.against(url, {
            sleep = function(seconds)
                time.sleep(seconds)
                socket.sleep(0.1)
            end,
        }, time)
        assert.truthy(client:get_session_cluster(call.IDS))
        assert.equal(1, #time.slept)
        assert.equal(1, #emu:raw_log(url))
    end)

    it("C5: not beyond its deadline, when connecting takes long", function()
        local url = emu.raw("never_accept")
        local client = support.against(url, { connect_timeout = 0.2, deadline = 0.5,
            clock = "none", sleep = "none" })
        local seconds = call.seconds(function()
            local err = call.failed("timeout", nil, client:get_session_cluster(call.IDS))
            assert(err.attempts >= 2, err.attempts)
        end)
        call.took(0.4, 0.5, seconds)
    end)

    it("B8: a proxy that wants a password once, one that has trouble three times", function()
        for mode, attempts in pairs { ["407"] = 1, ["503"] = 3, rst = 3 } do
            local proxy = emu.raw("proxy", { mode = mode })
            ends("network", "proxy", attempts, emu.https, { proxy = proxy })
            assert.equal(attempts, #emu:raw_log(proxy))
        end
    end)

    for _, status in ipairs { 502, 503, 504 } do
        it(("F1: again where a balancer answers %d with HTML"):format(status), function()
            emu:fault { name = "html", status = status, times = 3 }
            local err = ends("service", nil, 3, emu.http)
            assert.equal(status, err.status)
            assert.is_nil(err.message:find("<", 1, true))
            emu:fault { name = "html", status = status }
            assert.truthy((support.against(emu.http)):get_session_cluster(call.IDS))
            assert.equal(5, #emu:requests())
        end)
    end

    it("G1: once where the service says no, and hands on what it says", function()
        for status, code in pairs { [400] = "InvalidParameter", [401] = "Unauthorized",
            [403] = "Forbidden.RAM", [404] = "ResourceNotFound", [409] = "Conflict" } do
            emu:reset()
            emu:fault { name = "error", status = status, code = code }
            local err = ends("service", code, 1, emu.http)
            assert.equal(status, err.status)
            assert.matches("^%x+%-", err.request_id)
            assert.equal(1, #emu:requests())
        end
    end)

    it("G3: again after 408, 500, 502, 503 and 504, not after 501 and 505", function()
        for status, attempts in pairs { [408] = 3, [500] = 3, [502] = 3, [503] = 3, [504] = 3,
            [501] = 1, [505] = 1 } do
            emu:reset()
            emu:fault { name = "status", status = status, times = 3, body = "" }
            ends("service", nil, attempts, emu.http)
            assert.equal(attempts, #emu:requests())
            emu:reset()
            emu:fault { name = "status", status = status, body = "" }
            local reply = support.against(emu.http):get_session_cluster(call.IDS)
            assert.same({ attempts == 3, attempts == 3 and 2 or 1 },
                { reply ~= nil, #emu:requests() })
        end
    end)

    -- row, the fault, what is slept between three attempts when every draw is 0.5
    for _, case in ipairs {
        { "G4", { status = 429, code = "TooMany" }, { 0.5, 1 } },
        { "G4", { code = "Throttling.User" }, { 0.5, 1 } },
        { "G5", { code = "Throttling", retry_after_ms = 1500 }, { 1.5 * 1.05, 1.5 * 1.05 } },
        { "G6", { code = "Throttling.Api", time_left = 2000 }, { 2.1, 2.1 } },
        { "G6", { status = 503, time_left = 2000 }, { 0.025, 0.05 } },
        { "G7", { status = 503, retry_after = 3 }, { 3.15, 3.15 } },
        { "G8", { code = "Throttling", retry_after_ms = 25000 }, {}, 25 },
        { "G8", { code = "Throttling", retry_after_ms = 15000 }, { 15.75 }, 15 },
    } do
        local row, fault, expected, left = case[1], case[2], case[3], case[4]
        local hint = fault.retry_after_ms or fault.time_left or fault.retry_after or "no hint"
        it(("%s: later, %s from %s"):format(row, hint, fault.code or fault.status), function()
            fault.name, fault.times = "error", 3
            emu:fault(fault)
            local client, time = support.against(emu.http)
            local _, _, err = client:get_session_cluster(call.IDS)
            assert.equal(#expected, #time.slept)
            for i, seconds in ipairs(expected) do
                assert(math.abs(seconds - time.slept[i]) < 1e-9, time.slept[i])
            end
            assert.equal(#expected + 1, #emu:requests())
            if left then
                assert.equal(left, err.retry_after)
            end
        end)
    end

    it("G9: with a signature, a nonce and a date of its own each time", function()
        emu:fault { name = "status", status = 503, times = 2 }
        assert.truthy((support.against(emu.http)):get_session_cluster(call.IDS))
        local list, seen, last = emu:requests(), {}, ""
        assert.equal(3, #list)
        for _, request in ipairs(list) do
            assert.equal("ok", request.verdict)
            for _, name in ipairs { "x-acs-signature-nonce", "authorization" } do
                assert.is_nil(seen[request.headers[name]])
                seen[request.headers[name]] = true
            end
            assert(last <= request.headers["x-acs-date"])
            last = request.headers["x-acs-date"]
        end
    end)

    it("G10: once more, at once, where the nonce was used; not twice", function()
        for times, requests in ipairs { 2, 2 } do
            emu:reset()
            emu:fault { name = "error", code = "SignatureNonceUsed", times = times }
            local client, time = support.against(emu.http)
            assert.equal(times == 1, client:get_session_cluster(call.IDS) ~= nil)
            assert.same({ requests, 0 }, { #emu:requests(), #time.slept })
        end
    end)

    it("H3: 1 000 times at most 1 040 requests of a service that is down", function()
        emu:fault { name = "status", status = 500, times = 2000 }
        local client = support.against(emu.http)
        for _ = 1, 1000 do
            assert.is_nil((client:get_session_cluster(call.IDS)))
        end
        assert(#emu:requests() <= 1040, #emu:requests())
        emu:reset()
        emu:fault { name = "status", status = 500, times = 10 }
        client = support.against(emu.http, { retry = { attempts = 1 } })
        for _ = 1, 10 do
            assert.is_nil((client:get_session_cluster(call.IDS)))
        end
        assert.equal(10, #emu:requests())
    end)
end)
