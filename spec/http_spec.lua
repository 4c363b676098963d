-- What a server may send instead of a proper reply: rows E1 to E4 and E7 to E14. Limits of time and
-- size are in limits_spec, kept connections in reuse_spec.

local emr = require "emr"

local call = require "spec.support.call"
local emulator = require "spec.support.emulator"
local peer = require "spec.support.peer"

local LONG = 5  -- seconds: far more than anything here may take

describe("a reply", function()
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

    local function text(argument)
        local words = {}
        for name, value in pairs(argument or {}) do
            local shown = type(value) == "table" and "..." or tostring(value):sub(1, 20)
            words[#words + 1] = name .. "=" .. shown
        end
        table.sort(words)
        return table.concat(words, " ")
    end

    local function fails(row, kind, code, scenario, argument)
        it(("%s: %s %s is %s/%s"):format(row, scenario, text(argument), kind, code), function()
            local _, log = call.fails(kind, code, scenario, argument, { timeout = LONG })
            assert.equal(scenario == "hang_up" and 0 or 1, #log.requests)
        end)
    end

    local function succeeds(row, scenario, argument)
        it(("%s: %s %s is taken"):format(row, scenario, text(argument)), function()
            local response, message = call.get(emu.raw(scenario, argument))
            assert(response, message)
            assert.same(assert(emr.decode(peer.sample())), response)
        end)
    end

    -- Answers one request with these bytes and ends the connection; returns what the call returns.
    local function answered(server, bytes, how)
        local transfer = call.start(server.url)
        local connection = server:accept()
        connection:request()
        connection:send(bytes)
        connection:close(how)
        return call.finish(transfer)
    end

    describe("that breaks off", function()
        for _, how in ipairs { "fin", "rst" } do
            fails("E1", "network", "reset", "cut", { at = "start", how = how })
            fails("E1", "network", "reset", "hang_up", { how = how })
        end
        for _, at in ipairs { "status", "headers", "body" } do
            fails("E1", "network", "reset", "cut", { at = at, bytes = 3, how = "rst" })
        end
        fails("E2", "network", "truncated", "cut", { at = "body", bytes = 3 })

        it("E1: with a RST at any point inside TLS is network/reset", function()
            for _, at in ipairs { "start", "status", "headers", "body" } do
                call.fails("network", "reset", "cut", { at = at, bytes = 3, how = "rst", tls = {} })
            end
        end)

        it("E2: inside TLS, with its good-bye or without, is network/truncated", function()
            for _, how in ipairs { "fin", "unwrap" } do
                call.fails("network", "truncated", "cut", { bytes = 3, how = how, tls = {} })
            end
        end)

        it("E1: in its head by FIN, at every byte, is a network fault", function()
            local server = peer.new()
            local head = peer.reply("{}"):sub(1, -3)
            for n = 0, #head - 1 do
                local result, message, err = answered(server, head:sub(1, n))
                assert(result == nil and err.kind == "network", n .. ": " .. tostring(message))
                call.failed("network", n == 0 and "reset" or nil, result, message, err)
            end
            server:close()
        end)

        it("E2: in its body, at every byte, is network/truncated; never half a result", function()
            local server = peer.new()
            local body = peer.sample()
            local whole = peer.reply(body)
            for n = #whole - #body, #whole - 1 do
                call.failed("network", "truncated", answered(server, whole:sub(1, n)))
            end
            assert.equal("Running", answered(server, whole).sessionCluster.state)
            server:close()
        end)

        it("E3: in a chunked body, at every byte, is network/truncated", function()
            local server = peer.new()
            local body = peer.sample()
            local chunks = {}
            for at = 1, #body, 300 do
                local piece = body:sub(at, at + 299)
                chunks[#chunks + 1] = ("%x\r\n%s\r\n"):format(#piece, piece)
            end
            local chunked = table.concat(chunks) .. "0\r\n\r\n"
            local head = peer.reply("", { "Transfer-Encoding: chunked" })
            for n = 0, #chunked - 2 do  -- without the very last LF, libcurl has seen the end
                call.failed("network", "truncated", answered(server, head .. chunked:sub(1, n)))
            end
            assert.equal("Running", answered(server, head .. chunked).sessionCluster.state)
            server:close()
        end)
    end)

    describe("with a wrong length", function()
        for _, size in ipairs { "-5", "zz", "", ("1"):rep(17), "0x1f4" } do
            fails("E3", "protocol", "http", "chunk_size", { size = size })
        end
        for _, value in ipairs { "-5", "abc" } do
            fails("E4", "protocol", "http", "content_length", { value = value })
        end

        for _, argument in ipairs {
            { value = "9223372036854775808" }, { value = "99999999999999999999999" },
            { value = "+5" }, { value = "5, 7" }, { value = "5", chunked = true },
            { value = "999999", chunked = true },
        } do
            it("E4: " .. text(argument) .. " is whole and valid, or an error", function()
                local response, message, err = call.get(emu.raw("content_length", argument),
                    { timeout = LONG })
                if response then
                    assert.same(assert(emr.decode(peer.sample())), response)
                else
                    call.failed(err.kind, err.code, response, message, err)
                end
            end)
        end
    end)

    describe("that is compressed", function()
        for _, coding in ipairs { "gzip", "br", "deflate", "zstd", "x-unknown", "gzip, gzip" } do
            fails("E7", "protocol", "encoding", "reply", { body = peer.sample(),
                headers = { ["Content-Encoding"] = coding } })
        end

        it("E7: was not asked for", function()
            emu:fault { name = "gzip" }
            call.failed("protocol", "encoding", call.get(emu.http))
            assert.is_nil(emu:requests()[1].headers["accept-encoding"])
            call.works()
        end)
    end)

    describe("after interim ones", function()
        succeeds("E9", "interim")
        succeeds("E9", "interim", { codes = { 103, 103, 100, 102 } })

        it("E9: their headers are not the reply's", function()
            local got = assert(emr.fetch { url = emu.raw "interim" })
            assert.is_nil(got.headers["x-interim"])
            assert.equal(200, got.status)
        end)
    end)

    describe("with nothing in it", function()
        for _, status in ipairs { "200 OK", "201 Created", "202 Accepted", "204 No Content",
            "205 Reset", "299 Odd" } do
            fails("E10", "protocol", "empty", "reply", { status = status })
        end
        fails("E10", "protocol", "http", "reply", { status = "304 Not Modified" })
    end)

    describe("that points elsewhere", function()
        local STATUSES = { 301, 302, 303, 307, 308 }

        for _, status in ipairs(STATUSES) do
            it("E11: " .. status .. " is protocol/redirect, and is not followed", function()
                local elsewhere = emu.raw "good"
                for _, location in ipairs { elsewhere .. "/", "//localhost:1/",
                    "file:///etc/passwd", "/api/v1/other", "https://localhost:1/", "" } do
                    local err, log = call.fails("protocol", "redirect", "reply",
                        { status = status .. " Away", headers = { Location = location } },
                        { security_token = "CANARYTOKEN" })
                    assert.equal(1, #log.requests)
                    assert.equal(status, err.status)
                end
                assert.same({}, emu:raw_log(elsewhere))
            end)
        end

        it("E11: to itself, on a connection that is kept", function()
            emu:fault { name = "redirect", times = 5,
                location = emu.http .. "/api/v1/workspaces/w-1/sessionClusters/s-1" }
            call.failed("protocol", "redirect", call.get(emu.http))
            assert.equal(1, #emu:requests())
        end)
    end)

    describe("that is not HTTP", function()
        for _, how in ipairs { "fin", "hold" } do
            for _, scenario in ipairs { "bare_json", "bare_html", "smtp", "ssh", "http12" } do
                fails("E12", "protocol", "http", scenario, { how = how })
            end
        end
        for _, code in ipairs { 99, 1000, "abc", 600, 700, 999, "20", "2000", "-200" } do
            fails("E12", "protocol", "http", "status", { code = code })
        end
    end)

    describe("that is odd", function()
        for _, scenario in ipairs { "http10", "lf_only", "folded", "no_reason", "no_length" } do
            succeeds("E13", scenario)
        end
        fails("E13", "protocol", "http", "nul_in_header")
        fails("E13", "protocol", "http", "no_colon")
        -- libcurl 7.83 to 8.0 writes to freed memory here when the handle was used before
        fails("E13", "protocol", "http", "folded_first")
    end)

    -- libcurl takes such a status line for 200; the second line shows that nothing else goes wrong
    it("E12: with a status line in other letters is protocol/http, whatever follows", function()
        local server = peer.new()
        for _, line in ipairs { "HTtP/1.1 200 OK", "http/1.1 404 Not Found", "HTTP/1.1HTTP/1.1 404",
            "HTTP/1.1 2000 OK", "HTTP/ 200", "HTTP/1.1\t200 OK" } do
            for _, interim in ipairs { "", "HTTP/1.1 100 Continue\r\n\r\n" } do
                call.works()
                local bytes = interim .. line .. "\r\n X: y\r\nContent-Length: 2\r\n\r\n{}"
                call.failed("protocol", "http", answered(server, bytes))
            end
        end
        server:close()
    end)

    it("L1: that quotes secret, token, signature or its header comes without them", function()
        local server = peer.new()
        local token = "CANARYTOKEN0123456789"
        for _, quoted in ipairs { "secret", "token", "signature", "authorization" } do
            local transfer = call.start(server.url, { security_token = token })
            local connection = server:accept()
            local request = connection:request()
            local values = {
                secret = emu.access_key_secret, token = token,
                authorization = request:match("\nauthorization: ([^\r]+)"),
                signature = request:match("Signature=(%x+)"),
            }
            connection:send(("HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n"
                .. '{"Code":"Odd","Message":"a %s b","RequestId":"r-%s"}'):format(values[quoted],
                values[quoted]))
            connection:close()
            local err = call.failed("service", "Odd", call.finish(transfer))
            for _, value in pairs(values) do
                assert.is_nil(err.message:find(value, 1, true))
                assert.is_nil(err.request_id:find(value, 1, true))
            end
            assert.matches("^r%-%*%*%*", err.request_id)
        end
        server:close()
    end)

    describe("that wants more than an answer", function()
        it("E14: a challenge is an error, not a second request", function()
            for _, code in ipairs { 401, 407 } do
                local err, log = call.fails("service", nil, "challenge", { code = code })
                assert.equal(code, err.status)
                assert.is_false(err.retryable)
                assert.equal(1, #log.requests)
            end
        end)

        -- the names of the headers of a request, in order
        local function names(request)
            local list = {}
            for name in request:gmatch("\n([^:\r\n]+):") do
                list[#list + 1] = name
            end
            return list
        end

        for _, tls in ipairs { false, true } do
            it("E14: cookies, HSTS and Alt-Svc change nothing, TLS: " .. tostring(tls), function()
                local url = emu.raw("cookies", { tls = tls and {} or nil })
                for _ = 1, 2 do
                    assert.truthy(call.get(url))
                end
                local log = emu:raw_log(url)
                assert.equal(2, #log)
                local first, second = log[1].requests, log[2].requests
                assert.same({ 1, 1 }, { #first, #second })
                assert.same(names(first[1]), names(second[1]))
                assert.is_nil(second[1]:lower():find("cookie", 1, true))
                call.works()
            end)
        end
    end)
end)
