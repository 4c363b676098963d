-- Names that nobody resolves and packets that vanish, for real: in a network namespace of their own
-- (support/offline.sh), where the kernel lets us have one. Rows C2 to C5.

local checker = require "spec.support.checker"
local child = require "spec.support.child"

local FORBIDDEN = 77

local PRELUDE = [[
local peer = require "spec.support.peer"
local server = peer.new()
local port = server.url:match "%d+$"

local function limits(more)
    more.allow_http = true
    return more
end

-- What a call to a name with several addresses comes to, the last of which is the server's.
local function asked(name, seconds)
    local transfer = call.start("http://" .. name .. ":" .. port, limits {
        connect_timeout = seconds })
    local connection
    call.step_until(function()
        connection = connection or server:poll()
        return connection or select("#", transfer:result()) > 0
    end)
    if connection then
        connection:request()
        connection:send(peer.reply(peer.sample()))
    end
    return call.finish(transfer)
end
]]

describe("where nothing answers", function()
    local function try(name, text)
        it(name, function()
            local result = child.lua(PRELUDE .. text, { under = "spec/support/offline.sh",
                leaks = checker.sanitizer })
            if result.status == FORBIDDEN then
                return pending "the kernel lets us have no network namespace"
            end
            child.printed("ok\n", result)
        end)
    end

    try("C2: no name server: attempt, client and loop end by their limits", [[
        local URL = "https://nobody.example"
        call.took(0.5, 0.5, call.seconds(function()
            call.failed("timeout", nil, call.get(URL, { timeout = 0.5 }))
        end))
        local client = require("spec.support.client").against(URL,
            { deadline = 1, clock = "none", sleep = "none" })
        call.took(1, 1, call.seconds(function()
            call.failed("timeout", nil, client:get_session_cluster(call.IDS))
        end))
        local transfer, longest = call.start(URL, { timeout = 0.3 }), 0
        while select("#", transfer:result()) == 0 do
            longest = math.max(longest, call.seconds(emr.step, 0))
        end
        assert(longest < 1, "one step took " .. longest)
        print "ok"
    ]])

    try("C5: packets that vanish end the connect at its limit", [[
        for _, url in ipairs { "https://10.9.0.2", "http://10.9.0.2", "https://[fd09::2]" } do
            call.took(0.2, 0.2, call.seconds(function()
                call.failed("timeout", "connect", call.get(url, limits { connect_timeout = 0.2 }))
            end))
        end
        print "ok"
    ]])

    try("C4: unreachable, forbidden, without a route: network/connect, at once", [[
        for _, url in ipairs { "https://10.1.0.1", "https://10.2.0.1", "https://192.0.2.1",
            "https://[2001:db8::1]" } do
            call.took(0, 0, call.seconds(function()
                call.failed("network", "connect", call.get(url, { timeout = 5 }))
            end))
        end
        print "ok"
    ]])

    try("C3: IPv6 comes first and is a black hole: IPv4 is used in time", [[
        call.took(0, 1, call.seconds(function()
            assert(asked("hole.test", 1))
        end))
        print "ok"
    ]])

    try("C3: IPv6 comes first and refuses: IPv4 is used at once", [[
        call.took(0, 0.3, call.seconds(function()
            assert(asked("refuses.test", 1))
        end))
        print "ok"
    ]])

    -- Two connections may have one local port, when they go to different places.
    try("a kept connection is not taken for another one that has ended", [[
        local other, ended = peer.new(), {}
        assert(os.execute "echo 40000 40001 >/proc/sys/net/ipv4/ip_local_port_range")
        local function reply(connection, transfer)
            connection:request()
            connection:send(peer.reply(peer.sample()))
            assert(call.finish(transfer))
        end
        local transfers = { call.start(other.url), call.start(other.url) }  -- both local ports
        for i = 1, 2 do
            ended[i] = other:accept()
        end
        for i = 1, 2 do
            ended[i]:request()
            ended[i]:send(peer.reply(peer.sample()))
        end
        for i = 1, 2 do
            assert(call.finish(transfers[i]))
        end
        local transfer = call.start(server.url)
        local connection = server:accept()
        reply(connection, transfer)
        ended[1]:close()
        ended[2]:close()
        for _ = 1, 3 do
            reply(connection, call.start(server.url))
            assert(not server:poll(), "it was not used again")
        end
        print "ok"
    ]])
end)
