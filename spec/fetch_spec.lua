-- Ready-made HTTP requests through the same engine: emr.fetch, emr.start, and what prepare gives.

local emr = require "emr"

local call = require "spec.support.call"
local emulator = require "spec.support.emulator"

local GET = emr.operations.GetSessionCluster

describe("fetch", function()
    local emu, ca

    setup(function()
        emu = emulator.get()
        ca = { ca_file = emu.ca_file }
    end)

    before_each(function()
        emu:reset()
    end)

    local function reply(argument)
        return emr.fetch { url = emu.raw("reply", argument) .. "/" }
    end

    it("returns status, headers by lower-case names, and body", function()
        local got = assert(reply {
            headers = { ["X-Mixed-Case"] = "  a b  " }, body = "two\nlines",
        })
        assert.equal(200, got.status)
        assert.equal("a b", got.headers["x-mixed-case"])
        assert.equal("9", got.headers["content-length"])
        assert.equal("two\nlines", got.body)
        for name in pairs(got.headers) do
            assert.equal(name:lower(), name)
        end
    end)

    it("joins a header that comes twice", function()
        local got = assert(emr.fetch { url = emu.raw("bytes", { bytes =
            "HTTP/1.1 200 OK\r\nX-Twice: a\r\nx-twice: b\r\nContent-Length: 0\r\n\r\n" }) })
        assert.equal("a, b", got.headers["x-twice"])
    end)

    it("E13: joins the lines of a folded header, and leaves out a line without a name", function()
        local got = assert(emr.fetch { url = emu.raw("bytes", { bytes =
            "HTTP/1.1 200 OK\r\nX-A: one\r\n two \r\n\tthree\r\n: none\r\nX-B: b\r\n"
            .. "Content-Length: 0\r\n\r\n" }) })
        assert.equal("one two three", (got.headers["x-a"]:gsub("%s+", " ")))
        assert.is_nil(got.headers["x-a"]:find("[\r\n]"))
        assert.equal("b", got.headers["x-b"])
        assert.is_nil(got.headers[""])
    end)

    for _, status in ipairs { 200, 201, 204, 304, 400, 401, 404, 407, 500, 503, 599 } do
        it("returns a reply of status " .. status .. " as it is", function()
            local got = assert(reply { status = status .. " Whatever" })
            assert.equal(status, got.status)
            assert.equal("", got.body)
        end)
    end

    it("E11: returns a redirect too, and does not follow it", function()
        local elsewhere = emu.raw "good"
        for _, status in ipairs { 301, 302, 303, 307, 308 } do
            local got = assert(reply { status = status .. " Away",
                headers = { Location = elsewhere .. "/x" } })
            assert.equal(status, got.status)
            assert.equal(elsewhere .. "/x", got.headers.location)
        end
        assert.same({}, emu:raw_log(elsewhere))
    end)

    it("keeps every byte of a body", function()
        local bytes = {}
        for i = 0, 255 do
            bytes[i + 1] = string.char(i)
        end
        local body = table.concat(bytes):rep(10)
        local head = "HTTP/1.1 200 OK\r\nContent-Length: " .. #body .. "\r\n\r\n"
        assert.equal(body, emr.fetch { url = emu.raw("bytes", { bytes = head .. body }) }.body)
    end)

    it("sends method, path, query, headers and body as they are given", function()
        local server = emu.raw "good"
        assert(emr.fetch {
            method = "PUT", url = server .. "/a%2Fb/../c?x=%20&y", body = "\0body\255",
            headers = { ["X-One"] = "1", ["content-type"] = "text/odd" },
        })
        local request = emu:raw_log(server)[1].requests[1]
        assert.equal("PUT /a%2Fb/../c?x=%20&y HTTP/1.1\r\n", request:match("^.-\n"))
        assert.equal("\0body\255", request:match("\r\n\r\n(.*)$"))
        local lower = request:lower()
        for _, line in ipairs { "host: " .. server:match("//(.*)"), "x-one: 1",
            "content-type: text/odd", "content-length: 6" } do
            assert.truthy(lower:find("\r\n" .. line .. "\r\n", 1, true), line)
        end
    end)

    it("sends nothing that it was not given, but for what HTTP needs", function()
        local server = emu.raw "good"
        local function names()
            local log = emu:raw_log(server)
            local list = {}
            for name in log[#log].requests[1]:gmatch("\n([^:\r\n]+):") do
                list[#list + 1] = name:lower()
            end
            table.sort(list)
            return table.concat(list, " ")
        end
        assert(emr.fetch { url = server .. "/" })
        for name in names():gmatch("%S+") do
            assert.truthy(name == "host" or name == "accept", name)
        end
        server = emu.raw "good"
        assert(emr.fetch { url = server .. "/", method = "POST", body = "" })
        assert.truthy(names():find("content-length", 1, true))
        assert.is_nil(names():find("content-type", 1, true))
        assert.is_nil(names():find("expect", 1, true))
    end)

    it("asks for / when the URL has no path", function()
        local server = emu.raw "good"
        assert(emr.fetch { url = server })
        assert(emr.fetch { url = server .. "?a=b" })
        local requests = emu:raw_log(server)[1].requests
        assert.equal("GET / ", requests[1]:sub(1, 6))
        assert.equal("GET /?a=b ", requests[2]:sub(1, 10))
    end)

    it("HEAD: the length is told, no body is awaited", function()
        local got = assert(emr.fetch { method = "HEAD", url = emu.raw("cut", { how = "hold" }) })
        assert.equal(200, got.status)
        assert.equal("", got.body)
        assert.truthy(tonumber(got.headers["content-length"]) > 0)
    end)

    it("has the limits of every call", function()
        local function fetch(scenario, argument, options)
            return emr.fetch({ url = emu.raw(scenario, argument) }, options)
        end
        call.failed("protocol", "too_large", fetch("huge_length"))
        call.failed("protocol", "too_large", fetch("good", nil, { max_response_bytes = 10 }))
        call.failed("protocol", "encoding", fetch("reply", { body = "x",
            headers = { ["Content-Encoding"] = "gzip" } }))
        call.failed("network", "truncated", fetch("cut", { bytes = 7 }))
        call.failed("timeout", "attempt", fetch("silence", nil, { timeout = 0.05 }))
        call.failed("tls", "verify", fetch("unknown_root", nil, ca))
        call.failed("network", "connect", fetch("refuse"))
    end)

    it("speaks TLS with the CA it is given", function()
        assert.equal(200, emr.fetch({ url = emu.raw("tls") }, ca).status)
    end)

    it("raises for the caller's mistakes and names them; nothing is sent", function()
        local server = emu.raw "good"
        local function raises(what, request, options)
            local ok, message = pcall(emr.fetch, request, options)
            assert.is_false(ok, what)
            assert.truthy(message:find(what, 1, true), message)
            assert.is_nil(message:find("CANARY", 1, true))
        end
        raises("http_request", nil)
        raises("http_request", "http://127.0.0.1/")
        raises("url", {})
        raises("url", { url = 7 })
        raises("url", { url = server .. "/" .. ("x"):rep(65536) })
        for _, wrong in ipairs { "/path", "127.0.0.1", "ftp://127.0.0.1/", "file:///etc/passwd",
            "gopher://127.0.0.1/", "http://", "http://u:CANARY@127.0.0.1/", server .. "/a b",
            server .. "/\r\nx: CANARY", server .. "/#f", "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/", "http://127.0.0.1:x/" } do
            raises("url", { url = wrong })
        end
        raises("allow_http", { url = "http://255.255.255.255/" })
        raises("method", { url = server, method = 7 })
        raises("method", { url = server, method = "" })
        raises("method", { url = server, method = "GET /x" })
        raises("body", { url = server, body = {} })
        raises("headers", { url = server, headers = "x" })
        raises("headers", { url = server, headers = { "x" } })
        raises("headers", { url = server, headers = { ["a b"] = "x" } })
        raises("headers", { url = server, headers = { ["a:"] = "x" } })
        raises("headers.x", { url = server, headers = { x = 7 } })
        raises("headers.x", { url = server, headers = { x = "CANARY\r\ny: z" } })
        for _, name in ipairs { "content-length", "Transfer-Encoding", "connection" } do
            raises(name, { url = server, headers = { [name] = "1" } })
        end
        raises("nonsense", { url = server, nonsense = 1 })
        raises("tiemout", { url = server }, { tiemout = 1 })
        raises("timeout", { url = server }, { timeout = 0 / 0 })
        assert.same({}, emu:raw_log(server))
    end)

    it("plain http elsewhere than on loopback needs allow_http", function()
        -- to the broadcast address the system refuses to connect, without a packet
        call.failed("network", "connect", emr.fetch({ url = "http://255.255.255.255/" },
            { allow_http = true }))
    end)

    it("start takes such a request too", function()
        local transfer = emr.start { url = emu.raw "good" .. "/x" }
        local got = call.finish(transfer)
        assert.equal(200, got.status)
        assert.equal(got, (transfer:result()))
        assert.equal(200, transfer:info().status)
    end)

    describe("of what prepare made", function()
        local function prepared()
            return emr.prepare(GET, call.IDS, call.options(emu.https))
        end

        it("gives the reply that call reads", function()
            local got = call.finish(emr.start(prepared(), ca))
            assert.equal(200, got.status)
            assert.equal("ok", emu:requests()[1].verdict)
            local parsed = assert(emr.parse(GET, got))
            assert.same(assert(call.get(emu.https)), parsed)
        end)

        it("sends the very bytes that were prepared", function()
            local request = prepared()
            assert(emr.fetch(request, ca))
            local seen = emu:requests()[1]
            assert.equal(request.method, seen.method)
            assert.equal(request.url, emu.https .. seen.uri)
            for name, value in pairs(request.headers) do
                assert.equal(value, seen.headers[name], name)
            end
        end)

        it("also of a writing operation, body and all", function()
            local ids = { workspaceId = "w-1", sessionClusterId = "s-1" }
            local options = call.options(emu.http)
            local request = emr.prepare(emr.operations.StopSessionCluster, ids, options)
            local got = assert(emr.fetch(request))
            assert.equal(200, got.status)
            local seen = emu:requests()[1]
            assert.equal("ok", seen.verdict)
            assert.equal(request.body, seen.body)
            assert.equal("POST", seen.method)
        end)

        it("can be used once: the second time it is a replay", function()
            local request = prepared()
            assert.equal(200, emr.fetch(request, ca).status)
            assert.equal(400, emr.fetch(request, ca).status)
            assert.equal("SignatureNonceUsed", emu:requests()[2].verdict)
        end)

        it("raises when it is sent to another host than was signed", function()
            local request = prepared()
            request.url = request.url:gsub("//[^/]+", "//127.0.0.1:1")
            for _, f in ipairs { emr.fetch, emr.start } do
                local ok, message = pcall(f, request, ca)
                assert.is_false(ok)
                assert.truthy(message:find("host", 1, true), message)
            end
            assert.equal(0, #emu:requests())
        end)
    end)
end)
