-- What is kept from one call to the next, and what must not be: connections and handles. Rows E15
-- and A9, and what becomes of a kept connection that has died.

local emr = require "emr"

local call = require "spec.support.call"
local child = require "spec.support.child"
local descriptors = require "spec.support.descriptors"
local emulator = require "spec.support.emulator"
local peer = require "spec.support.peer"

describe("a kept connection", function()
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

    local function header(request, name)
        return (request:lower():match("\n" .. name:gsub("%-", "%%-") .. ": ([^\r\n]*)"))
    end

    -- Every request of a raw server, over all connections, and how many connections there were.
    local function requests(url)
        local all, log = {}, emu:raw_log(url)
        for _, entry in ipairs(log) do
            for _, request in ipairs(entry.requests) do
                all[#all + 1] = request
            end
        end
        return all, #log
    end

    -- Each request has a nonce and a signature of its own.
    local function assert_fresh(list)
        local seen = {}
        for _, request in ipairs(list) do
            for _, name in ipairs { "x-acs-signature-nonce", "authorization" } do
                local value = assert(header(request, name), "no " .. name)
                assert(not seen[value], "the same " .. name .. " twice")
                seen[value] = true
            end
        end
    end

    it("serves 20 calls in a row, each with a nonce of its own", function()
        for _, base in ipairs { emu.http, emu.https } do
            emu:reset()
            for _ = 1, 20 do
                assert.truthy(call.get(base))
            end
            local nonces, list = {}, emu:requests()
            assert.equal(20, #list)
            for _, request in ipairs(list) do
                assert.equal("ok", request.verdict)
                assert.equal(list[1].connection, request.connection)
                nonces[request.headers["x-acs-signature-nonce"]] = true
            end
            local n = 0
            for _ in pairs(nonces) do
                n = n + 1
            end
            assert.equal(20, n)
        end
    end)

    it("serves blocking calls, transfers and fetch alike", function()
        assert.truthy(call.get(emu.http))
        call.finish(call.start(emu.http))
        emr.fetch(emr.prepare(emr.operations.GetSessionCluster, call.IDS, call.options(emu.http)))
        local list = emu:requests()
        assert.equal(3, #list)
        assert.equal(list[1].connection, list[2].connection)
        assert.equal(list[1].connection, list[3].connection)
    end)

    it("serves every key", function()
        for _, key in ipairs { emu, emu.sts, emu } do
            assert.truthy(call.get(emu.http, { access_key_id = key.access_key_id,
                access_key_secret = key.access_key_secret, security_token = key.security_token }))
        end
        local list = emu:requests()
        assert.equal(list[1].connection, list[3].connection)
        assert.is_nil(list[3].headers["x-acs-security-token"])
    end)

    describe("that has died", function()
        it("while it was idle is not noticed by the caller", function()
            for _, how in ipairs { "fin", "rst" } do
                local server = peer.new()
                for _ = 1, 3 do
                    local transfer = call.start(server.url)
                    local connection = server:accept()
                    connection:request()
                    connection:send(peer.reply(peer.sample()))
                    assert.truthy(call.finish(transfer))
                    connection:close(how)
                end
                server:close()
            end
        end)

        it("while it was idle does not keep a writing call from being sent, once", function()
            local server = peer.new()
            local transfer = call.start(server.url)
            local connection = server:accept()
            connection:request()
            connection:send(peer.reply(peer.sample()))
            assert.truthy(call.finish(transfer))
            connection:close()
            transfer = emr.start(emr.operations.StopSessionCluster, call.IDS,
                call.options(server.url))
            connection = server:accept()
            assert.equal("POST", connection:request():sub(1, 4))
            connection:send(peer.reply('{"sessionClusterId":"s-1"}'))
            assert.equal("s-1", call.finish(transfer).sessionClusterId)
            connection:close()
            server:close()
        end)

        for _, how in ipairs { "fin", "rst" } do
            it("under a request: repeated once on a new one, newly signed, " .. how, function()
                for _, tls in ipairs { false, true } do
                    local url = emu.raw("dead_on_request", { how = how, tls = tls and {} or nil })
                    for _ = 1, 2 do
                        local response, message = call.get(url)
                        assert(response, message)
                    end
                    local list, connections = requests(url)
                    assert.same({ 3, 2 }, { #list, connections })
                    assert_fresh(list)
                end
            end)
        end

        it("is repeated inside a transfer too, which is then not a reused one", function()
            local url = emu.raw("dead_on_request")
            assert.truthy(call.get(url))
            local transfer = call.start(url)
            local response, message = call.finish(transfer)
            assert(response, message)
            assert.is_false(transfer:info().reused)
        end)

        it("is repeated once, not again", function()
            local server = peer.new()
            local transfer = call.start(server.url)
            local first = server:accept()
            first:request()
            first:send(peer.reply(peer.sample()))
            assert.truthy(call.finish(transfer))
            transfer = call.start(server.url)
            local list = { first:request() }
            first:close()
            local second = server:accept()
            list[2] = second:request()
            second:close()
            call.failed("network", "reset", call.finish(transfer))
            assert.is_nil(server:poll(), "a third connection")
            assert_fresh(list)
            server:close()
        end)

        it("does not make the attempt longer", function()
            local server = peer.new()
            local transfer = call.start(server.url)
            local first = server:accept()
            first:request()
            first:send(peer.reply(peer.sample()))
            assert.truthy(call.finish(transfer))
            local LIMIT = 0.3
            local seconds = call.seconds(function()
                transfer = call.start(server.url, { timeout = LIMIT })
                first:request()
                emr.step(LIMIT / 2)
                first:close()
                local second = server:accept()
                second:request()
                call.failed("timeout", "attempt", call.finish(transfer))
                second:close()
            end)
            call.took(LIMIT, LIMIT, seconds)
            server:close()
        end)

        it("half way through a reply is an error: that was not a dead one", function()
            local server = peer.new()
            local transfer = call.start(server.url)
            local connection = server:accept()
            connection:request()
            connection:send(peer.reply(peer.sample()))
            assert.truthy(call.finish(transfer))
            transfer = call.start(server.url)
            connection:request()
            connection:send(peer.reply(peer.sample()):sub(1, -10))
            connection:close()
            call.failed("network", "truncated", call.finish(transfer))
            assert.is_nil(server:poll(), "a second connection")
            server:close()
        end)

        it("under a call that writes: not repeated, it may have been carried out", function()
            for _, name in ipairs { "StartSessionCluster", "StopSessionCluster" } do
                local url = emu.raw("dead_on_request")
                assert.truthy(call.get(url))
                call.failed("network", "reset",
                    emr.call(emr.operations[name], call.IDS, call.options(url)))
                assert.equal(2, #requests(url))
            end
        end)

        it("under a request that was signed elsewhere: its nonce is not sent twice", function()
            local url = emu.raw("dead_on_request")
            assert.truthy(call.get(url))
            local prepared = emr.prepare(emr.operations.GetSessionCluster, call.IDS,
                call.options(url))
            call.failed("network", "reset", emr.fetch(prepared))
            assert.equal(2, #requests(url))
        end)

        it("a new one that dies is not repeated", function()
            local url = emu.raw("hang_up")
            call.failed("network", "reset", call.get(url))
            assert.equal(1, #emu:raw_log(url))
        end)
    end)

    describe("whose reply is for another workspace or cluster", function()
        local function astray(argument)
            local url = emu.raw("astray", argument)
            assert.truthy(call.get(url))
            return url
        end

        for _, field in ipairs { "workspaceId", "sessionClusterId" } do
            it("is dropped, and the request goes out on a new one, newly signed: " .. field,
            function()
                for _, tls in ipairs { false, true } do
                    local url = astray { field = field, tls = tls and {} or nil }
                    local transfer = call.start(url)
                    local response, message = call.finish(transfer)
                    assert(response, message)
                    assert.equal(call.IDS[field], response.sessionCluster[field])
                    assert.is_false(transfer:info().reused)
                    local list, connections = requests(url)
                    assert.same({ 3, 2 }, { #list, connections })
                    assert_fresh(list)
                end
            end)
        end

        it("is not used again, and its descriptor is given back", function()
            local url = astray()
            local before = descriptors.count()
            for _ = 1, 20 do
                assert.truthy(call.get(url))
            end
            for _, entry in ipairs(emu:raw_log(url)) do
                assert(#entry.requests <= 2, "used again")
            end
            assert(descriptors.count() <= before + 1, "descriptors are left open")
        end)

        it("is believed when it is new: the service may take names for ids", function()
            local url = emu.raw("astray", { first = true })
            for i = 1, 2 do
                assert.equal("another", call.get(url).sessionCluster.sessionClusterId)
                assert.equal(2 * i - 1, #requests(url))  -- the second time asked on both
            end
        end)

        it("does not make the attempt longer, nor is its reply better than none", function()
            local server = peer.new()
            local transfer = call.start(server.url)
            local connection = server:accept()
            connection:request()
            connection:send(peer.reply(peer.sample()))
            assert.truthy(call.finish(transfer))
            transfer = call.start(server.url, { timeout = 0.1 })
            connection:request()
            connection:send(peer.reply((peer.sample():gsub("w%-1234abcd", "another"))))
            local second = server:accept()
            second:request()
            call.failed("timeout", "attempt", call.finish(transfer))
            server:close()
        end)

        local function on_kept_connection(operation, request, first, body)
            local server = peer.new()
            local transfer = call.start(server.url)
            local connection = server:accept()
            connection:request()
            connection:send(peer.reply(first))
            assert.truthy(call.finish(transfer))
            transfer = emr.start(operation, request, call.options(server.url))
            connection:request()
            connection:send(peer.reply(body))
            local response, message = call.finish(transfer)
            assert(response, message)
            assert.is_true(transfer:info().reused)
            assert.is_nil(server:poll(), "a second connection")
            server:close()
            return response
        end

        it("only where the names are members: not inside text, not where they are missing",
        function()
            local sample = peer.sample()
            for _, body in ipairs {
                '{"sessionCluster":{}}',
                '{"sessionCluster":{"workspaceId":null,"sessionClusterId":7}}',
                [[{"sessionCluster":{"extra":"\"workspaceId\":\"another\""}}]],
                '{"sessionCluster":{"workspaceId"\n:\t"w-1234abcd"}}',
                '{"workspaceId":"another","sessionCluster":{"workspaceId":"w-1234abcd"}}',
            } do
                on_kept_connection(emr.operations.GetSessionCluster, call.IDS, sample, body)
            end
        end)

        it("is not asked again where that would write", function()
            local response = on_kept_connection(emr.operations.StopSessionCluster, call.IDS,
                peer.sample(), '{"sessionClusterId":"another","workspaceId":"another"}')
            assert.equal("another", response.sessionClusterId)
        end)

        it("is noticed in a list, too", function()
            local url = astray { field = "workspaceId" }
            local request = { workspaceId = "w-1234abcd" }
            emr.call(emr.operations.ListSessionClusters, request, call.options(url))
            local _, connections = requests(url)
            assert.equal(2, connections)
        end)
    end)

    describe("is not used again", function()
        local function two_calls(scenario, argument)
            local url = emu.raw(scenario, argument)
            for _ = 1, 2 do
                local response, message = call.get(url)
                assert(response, message)
                assert.equal("Running", response.sessionCluster.state)
            end
            local list, connections = requests(url)
            assert.same({ 2, 2 }, { #list, connections })
        end

        it("E15: after bytes beyond the declared body", function()
            two_calls("surplus")
            two_calls("surplus", { extra = "x" })
            two_calls("surplus", { tls = {} })
        end)

        it("E15: when the bytes come later, while it is idle; they answer no request", function()
            local server = peer.new()
            local transfer = call.start(server.url)
            local connection = server:accept()
            connection:request()
            connection:send(peer.reply(peer.sample()))
            assert.truthy(call.finish(transfer))
            connection:send(peer.reply('{"sessionCluster":{"state":"Forged"}}'))
            transfer = call.start(server.url)
            local second = server:accept()
            second:request()
            second:send(peer.reply(peer.sample()))
            assert.equal("Running", call.finish(transfer).sessionCluster.state)
            server:close()
        end)

        it("when the server says so", function()
            local body = peer.sample()
            local length = "Content-Length: " .. #body
            local bytes = peer.reply(body, { length, "Connection: close" })
            two_calls("bytes", { bytes = bytes, how = "hold" })
            two_calls("bytes", { bytes = bytes:gsub("HTTP/1.1", "HTTP/1.0"), how = "hold" })
        end)

        it("after a call that was cancelled, timed out, or broke a limit", function()
            emu:fault { name = "slow", seconds = 0.1, times = 2 }
            local transfer = call.start(emu.http)
            call.step_until(function()
                return #emu:requests() == 1
            end)
            transfer:cancel()
            call.failed("timeout", "attempt", call.get(emu.http, { timeout = 0.05 }))
            call.failed("protocol", "too_large", call.get(emu.http, { max_response_bytes = 10 }))
            call.works()
            local list, seen = emu:requests(), {}
            assert.equal(4, #list)
            for _, request in ipairs(list) do
                assert(not seen[request.connection], "one connection for two")
                seen[request.connection] = true
            end
        end)

        it("after 15 s of idleness, nor 600 s after it was opened", function()
            child.printed("ok\n", child.lua([[
                local process = require "process"
                local function reused(seconds)
                    process.advance(seconds)
                    local transfer = call.start(HTTPS)
                    assert(call.finish(transfer))
                    return transfer:info().reused
                end
                assert(not reused(0), "the first")
                assert(reused(0), "at once")
                assert(reused(14), "14 s later")
                assert(not reused(17), "17 s later")
                for age = 13, 590, 13 do
                    assert(reused(13), age .. " s old")
                end
                assert(not reused(13) or not reused(13), "older than 600 s")
                print "ok"
            ]], { preload = true }))
        end)
    end)

    describe("and its handle pass on no", function()
        -- Each spoils a call in its own way; the plain call after it must not notice.
        local function alternates(what, spoil, check)
            it(what, function()
                for _ = 1, 3 do
                    spoil()
                    emu:reset()
                    call.works()
                    assert.truthy(call.get(emu.https))
                    for _, request in ipairs(emu:requests()) do
                        assert.equal("ok", request.verdict)
                        assert.equal("GET", request.method)
                        if check then
                            check(request)
                        end
                    end
                end
            end)
        end

        alternates("ca_file", function()
            local other = emu:certificate("other_ca")
            call.failed("tls", "verify", call.get(emu.https, { ca_file = other }))
        end)

        it("ca_file: trust that another call had", function()
            local other = emu:certificate("other_ca")
            local url = emu.raw("unknown_root")
            for _ = 1, 3 do
                local response, message = call.get(url, { ca_file = other })
                assert(response, message)
                call.failed("tls", "verify", call.get(url))
                call.failed("tls", "verify", call.get(url, { ca_file = false }))
            end
        end)

        alternates("ca_path", function()
            call.failed("tls", "verify", call.get(emu.https,
                { ca_file = false, ca_path = "/nonexistent" }))
        end)

        alternates("proxy", function()
            call.failed("network", "proxy", call.get(emu.https, { proxy = emu.raw("refuse") }))
        end)

        it("proxy: tunnel that another call opened", function()
            local proxy = emu.raw("proxy")
            for _ = 1, 3 do
                assert.truthy(call.get(emu.https, { proxy = proxy }))
                assert.truthy(call.get(emu.https))
            end
            local list, seen = emu:requests(), {}
            assert.equal(6, #list)
            for i, request in ipairs(list) do
                seen[request.connection] = seen[request.connection] or i % 2
                assert.equal(i % 2, seen[request.connection])
            end
        end)

        it("no_proxy", function()
            local proxy = emu.raw("proxy")
            assert.truthy(call.get(emu.https, { proxy = proxy, no_proxy = "localhost" }))
            assert.truthy(call.get(emu.https, { proxy = proxy }))
            assert.equal(1, #emu:raw_log(proxy))
        end)

        it("client_cert", function()
            local url = emu.raw("client_certificate")
            local cert, key = emu:certificate("client")
            for _ = 1, 3 do
                assert.truthy(call.get(url, { client_cert = cert, client_key = key }))
                local result, _, err = call.get(url)
                assert.is_nil(result)
                assert.truthy(err)
            end
            local list = requests(url)
            assert.equal(3, #list)
        end)

        alternates("timeout", function()
            call.failed("timeout", nil, call.get(emu.raw("silence"), { timeout = 0.01 }))
            call.failed("timeout", nil, call.get(emu.raw("never_accept"),
                { connect_timeout = 0.01 }))
            emu:fault { name = "slow", seconds = 0.05 }
            assert.truthy(call.get(emu.http))
        end)

        alternates("max_response_bytes", function()
            call.failed("protocol", "too_large", call.get(emu.http, { max_response_bytes = 1 }))
        end)

        alternates("method and body", function()
            assert.truthy(emr.fetch { method = "POST", url = emu.raw "good", body = "some body" })
            assert.truthy(emr.fetch { method = "DELETE", url = emu.raw "good" })
            assert.truthy(emr.fetch { method = "HEAD", url = emu.raw("cut", { how = "hold" }) })
            assert.truthy(emr.fetch { method = "PUT", url = emu.raw "good", body = "" })
        end, function(request)
            assert.equal("", request.body or "")
            assert.is_nil(request.headers["content-length"])
            assert.is_nil(request.headers["content-type"])
        end)

        alternates("headers, user agent and token", function()
            local more = { headers = { ["X-Mine"] = "1", ["x-acs-mine"] = "2" },
                user_agent = "spec/1", access_key_id = emu.sts.access_key_id,
                access_key_secret = emu.sts.access_key_secret,
                security_token = emu.sts.security_token }
            assert.truthy(call.get(emu.http, more))
        end, function(request)
            for _, name in ipairs { "x-mine", "x-acs-mine", "x-acs-security-token" } do
                assert.is_nil(request.headers[name])
            end
            assert.is_nil(request.headers["user-agent"]:find("spec/1", 1, true))
        end)

        alternates("failure", function()
            emu:fault { name = "error", status = 403, code = "Forbidden.RAM" }
            call.failed("service", "Forbidden.RAM", call.get(emu.http))
            emu:fault { name = "reset" }
            local result = call.get(emu.http)
            assert(result == nil or result.sessionCluster)
        end)
    end)
end)
