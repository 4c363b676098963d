-- The faults of the emulator: those that nginx produces by name, and the raw server's scenarios.

local cjson = require "cjson"
local socket = require "socket"

local emulator = require "spec.support.emulator"
local signer = require "spec.support.signer"


describe("the emulator", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    local function call(with, key)
        return signer.send(emu.http, signer.sign(signer.request(emu.http, with), key or emu))
    end

    describe("produces faults by name:", function()
        -- name (with arguments) -> what the reply must look like
        local function has(text)
            return function(reply)
                return reply.body:find(text, 1, true) ~= nil
            end
        end
        local function header(name, value)
            return function(reply)
                return reply.headers[name] == value
            end
        end
        local CASES = {
            { { name = "status", status = 503 }, 503, has '"Code":"ServiceUnavailable"' },
            { { name = "status", status = 418, body = "tea", type = "text/x" }, 418, has "tea" },
            { { name = "status", headers = { ["x-more"] = "yes" } }, 503, header("x-more", "yes") },
            { { name = "error", code = "Forbidden.RAM", status = 403 }, 403,
                has '"Code":"Forbidden.RAM"' },
            { { name = "service", code = "Busy" }, 400, has '"code":"Busy"' },
            { { name = "code_in_200" }, 200, has '"code":"Error.Internal"' },
            { { name = "null_code" }, 400, has '"code":null' },
            { { name = "empty_code" }, 400, has '"code":""' },
            { { name = "xml" }, 400, has "<Code>InvalidParameter</Code>" },
            { { name = "html", status = 504 }, 504, header("content-type", "text/html") },
            { { name = "echo" }, 400, has "authorization: ACS3" },
            { { name = "throttling", retry_after_ms = 1500 }, 400,
                header("x-acs-retry-after", "1500") },
            { { name = "throttling", status = 429 }, 429, has '"Code":"Throttling.User"' },
            { { name = "throttling", retry_after = "soon" }, 400, header("retry-after", "soon") },
            { { name = "throttling", time_left = 2000 }, 400,
                header("x-ratelimit-user", "Limit:1,Remain:0,TimeLeft:2000,Reset:1234") },
            { { name = "redirect", status = 307, location = "file:///etc/passwd" }, 307,
                header("location", "file:///etc/passwd") },
            { { name = "challenge" }, 401, header("www-authenticate", 'Basic realm="emulator"') },
            { { name = "empty" }, 200, header("content-length", "0") },
            { { name = "empty", status = 204 }, 204, header("content-length", nil) },
            { { name = "garbage" }, 200, has "garbage" },
            { { name = "huge", bytes = 300000, declared = true }, 200, function(reply)
                return #reply.body == 300000
            end },
            { { name = "gzip" }, 200, header("content-encoding", "gzip") },
            { { name = "nulls" }, 200, has '"state":null' },
            { { name = "big_integers" }, 200, has "9007199254740993" },
            { { name = "empty_array" }, 200, has '"applicationConfigs":[]' },
            { { name = "slow", seconds = 0.01 }, 200, has '"sessionCluster"' },
        }

        for _, case in ipairs(CASES) do
            local fault, status, check = case[1], case[2], case[3]
            it(fault.name .. " " .. status, function()
                emu:fault(fault)
                local reply = call()
                assert.equal(status, reply.status)
                assert.is_true(check(reply), reply.body:sub(1, 300))
                assert.equal(fault.name, emu:requests()[1].fault)
                assert.equal(200, call().status)
            end)
        end

        it("reset and close, without a reply", function()
            for _, name in ipairs { "reset", "close" } do
                emu:fault { name = name }
                local reply, _, bytes = call()
                assert.is_nil(reply)
                assert.equal("", bytes or "")
            end
        end)

        it("truncated: the head promises more than comes", function()
            emu:fault { name = "truncated", bytes = 7 }
            local reply = call()
            assert.equal(7, #reply.body)
            assert.is_true(tonumber(reply.headers["content-length"]) > 7)
        end)

        it("a name that does not exist is the spec's mistake", function()
            assert.has_error(function()
                emu:fault { name = "nonsense" }
            end)
        end)
    end)

    it("applies faults in order, as often as told, and only to whom they are meant for", function()
        emu:cluster { workspaceId = "w-1", sessionClusterId = "s-2" }
        emu:fault { name = "status", times = 2 }
        emu:fault { name = "throttling", skip = 1 }
        emu:fault { name = "html", sessionClusterId = "s-2" }
        local seen = {}
        for i = 1, 5 do
            seen[i] = call().status
        end
        assert.same({ 503, 503, 200, 400, 200 }, seen)
        assert.equal(502, call({ path = "/api/v1/workspaces/w-1/sessionClusters/s-2" }).status)
    end)

    it("lets no fault hide a bad signature", function()
        emu:fault { name = "html" }
        local wrong = { access_key_id = emu.access_key_id, access_key_secret = "wrong" }
        assert.equal("SignatureDoesNotMatch", call(nil, wrong).json.Code)
        assert.equal(502, call().status)
    end)

    it("can lose the reply to what it has carried out", function()
        emu:fault { name = "close", executed = true }
        assert.is_nil((call { method = "POST", action = "StopSessionCluster",
            path = "/api/v1/workspaces/w-1/sessionClusters/action/stopSessionCluster",
            body = '{"sessionClusterId":"s-1"}' }))
        assert.equal("Stopping", call().json.sessionCluster.state)
    end)

    describe("speaks TLS:", function()
        it("with its own CA", function()
            local tls = { mode = "client", protocol = "any", verify = "peer", cafile = emu.ca_file }
            local signed = signer.sign(signer.request(emu.https), emu)
            assert.equal(200, signer.send(emu.https, signed, tls).status)
            assert.equal("https", emu:requests()[1].scheme)
            tls.cafile = emu:certificate("other_ca")
            assert.is_nil((signer.connect(emu.https, tls)))
        end)

        it("oddly, when a certificate is asked for that nobody should trust", function()
            local tls = { mode = "client", protocol = "any", verify = "peer", cafile = emu.ca_file }
            for name, good in pairs {
                tls = true, tls12_only = true, tls13_only = true, with_intermediate = true,
                expired = false, not_yet_valid = false, self_signed = false, unknown_root = false,
                intermediate_missing = false, issued_by_leaf = false, rsa_1024 = false,
                sha1 = false, tls10_only = false, null_cipher = false, anonymous = false,
                handshake_fin = false, handshake_rst = false, handshake_plain = false,
                handshake_garbage = false, handshake_alert = false,
            } do
                local url = emu.raw(name)
                local connection = signer.connect(url, tls)
                assert.equal(good, connection ~= nil, name)
                if connection then
                    connection:close()
                end
                assert.equal(0, #emu:raw_log(url)[1].requests, name)
            end
            emu:raw_reset()
        end)

        it("with a client certificate", function()
            local certificate, key = emu:certificate("client")
            local tls = { mode = "client", protocol = "any", verify = "peer", cafile = emu.ca_file,
                certificate = certificate, key = key }
            local url = emu.raw("client_certificate")
            local connection = assert(signer.connect(url, tls))
            connection:send("GET / HTTP/1.1\r\n\r\n")
            assert.equal("HTTP/1.1 200 OK", connection:receive("*l"))
            connection:close()
            emu:raw_reset()
        end)
    end)

    describe("has a raw server:", function()
        local REQUEST = "GET /x HTTP/1.1\r\nhost: raw\r\n\r\n"

        after_each(function()
            emu:raw_reset()
        end)

        local function ask(scenario, argument)
            return signer.exchange(emu.raw(scenario, argument), REQUEST)
        end

        it("a good reply, and a log of what it was asked", function()
            local url = emu.raw("good")
            local connection = assert(signer.connect(url))
            for _ = 1, 2 do
                connection:send(REQUEST)
                assert.equal("HTTP/1.1 200 OK", connection:receive("*l"))
                local length
                repeat
                    local line = connection:receive("*l")
                    length = line:match("^Content%-Length: (%d+)$") or length
                until line == ""
                local body = connection:receive(tonumber(length))
                assert.equal("Running", cjson.decode(body).sessionCluster.state)
            end
            connection:close()
            assert.equal(0, #emu:raw_log(emu.raw("silence")))
            local log = emu:raw_log(url)
            assert.equal(1, #log)
            assert.equal("good", log[1].scenario)
            assert.same({ REQUEST, REQUEST }, log[1].requests)
            assert.equal(REQUEST .. REQUEST, log[1].received)
        end)

        it("wrong bytes, by name", function()
            for name, start in pairs {
                http10 = "HTTP/1.0 200 OK\r\n", http12 = "HTTP/1.2 ",
                no_reason = "HTTP/1.1 200\r\n", lf_only = "HTTP/1.1 200 OK\nDate",
                bare_json = "{\n  \"sessionCluster\"", bare_html = "<html>",
                smtp = "220 ", ssh = "SSH-2.0", interim = "HTTP/1.1 100 Interim",
                status = "HTTP/1.1 99 ", challenge = "HTTP/1.1 401 ",
                folded = "HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\n",
                no_colon = "HTTP/1.1 200 OK\r\nthis line has no colon\r\n",
                nul_in_header = "HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\n",
                cookies = "HTTP/1.1 200 OK\r\nSet-Cookie: ",
            } do
                assert.equal(start, ask(name):sub(1, #start), name)
            end
            assert.equal("HTTP/1.1 abc ", ask("status", { code = "abc" }):sub(1, 13))
            assert.truthy(ask("content_length", { value = "+5" })
                :find("\nContent-Length: +5\r\n", 1, true))
            assert.truthy(ask("chunk_size", { size = "zz" }):find("\r\n\r\nzz\r\n", 1, true))
            assert.is_true(#ask("long_header") > 50000)
            assert.truthy(ask("reply", { status = "407 No", headers = { A = "b" }, body = "c" })
                :match("^HTTP/1.1 407 No\r\n.*\r\nA: b\r\n\r\nc$"))
            assert.equal("any\0byte", ask("bytes", { bytes = "any\0byte" }))
            assert.equal("any", ask("bytes", { bytes = "any\0byte", cut = 3 }))
        end)

        it("replies cut anywhere", function()
            assert.equal("", (ask("cut", { at = "start" })))
            assert.equal("HTTP/", (ask("cut", { at = "status" })))
            local head, body = ask("cut", { at = "body", bytes = 10 }):match("^(.-\r\n\r\n)(.*)$")
            assert.truthy(head)
            assert.equal(10, #body)
            assert.equal("0\r\n\r\n", ask("chunked_cut", { bytes = 100000 }):sub(-5))
            assert.not_equal("0\r\n\r\n", ask("chunked_cut"):sub(-5))
        end)

        it("inside TLS as well", function()
            local tls = { mode = "client", protocol = "any", verify = "peer", cafile = emu.ca_file }
            local url = emu.raw("cut", { at = "status", tls = {} })
            assert.equal("HTTP/", (signer.exchange(url, REQUEST, tls)))
            assert.truthy(emu:raw_log(url)[1].handshake:match("^TLS"))
        end)

        it("ports that nobody serves", function()
            assert.is_nil((socket.connect("127.0.0.1", emu.raw("refuse"):match("%d+$"))))
            local connection = socket.tcp()
            connection:settimeout(0.05)
            assert.is_nil((connection:connect("127.0.0.1", emu.raw("never_accept"):match("%d+$"))))
        end)

        it("kept connections that turn out dead or dirty", function()
            for scenario, requests in pairs { dead_idle = 1, dead_on_request = 2 } do
                local url = emu.raw(scenario, { seconds = 0 })
                local all = signer.exchange(url, REQUEST .. REQUEST)
                assert.equal(1, select(2, all:gsub("HTTP/1.1 200 OK", "")))
                assert.equal(requests, #emu:raw_log(url)[1].requests)
            end
        end)

        it("a proxy for CONNECT that tells what it saw", function()
            local url = emu.raw("proxy", { to = emu.http:match("//(.*)") })
            local connection = assert(signer.connect(url))
            connection:send("CONNECT api.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert.truthy(connection:receive("*l"):match("^HTTP/1.1 200 "))
            assert.equal("", connection:receive("*l"))
            connection:send(signer.bytes(signer.sign(signer.request(emu.http), emu)))
            assert.equal("HTTP/1.1 200 OK", connection:receive("*l"))
            connection:close()
            assert.equal("CONNECT api.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
                emu:raw_log(url)[1].received)
            for _, mode in ipairs { "407", "503" } do
                local reply = signer.exchange(emu.raw("proxy", { mode = mode }),
                    "CONNECT a:443 HTTP/1.1\r\n\r\n")
                assert.equal("HTTP/1.1 " .. mode, reply:sub(1, 12))
            end
        end)
    end)

    it("runs from the command line too, and leaves nothing behind", function()
        local run = "spec/emulator/run "
        local dir = os.tmpname()
        os.remove(dir)
        assert(os.execute(run .. "start " .. dir .. " >/dev/null"))
        local other = emulator.attach(dir)
        assert.not_equal(emu.http, other.http)
        local reply = signer.send(other.http, signer.sign(signer.request(other.http), other))
        assert.equal(200, reply.status)
        assert(os.execute(run .. "stop " .. dir))
        assert.is_nil((socket.connect("127.0.0.1", other.http:match("%d+$"))))
        assert.is_nil((io.open(dir .. "/emulator.json")))
    end)
end)
