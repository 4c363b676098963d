-- Certificates and handshakes: rows B7 and D1 to D7. What the server saw is checked, too: where the
-- certificate is not good, it must not have seen one byte of a request.

local emr = require "emr"

local call = require "spec.support.call"
local child = require "spec.support.child"
local emulator = require "spec.support.emulator"

describe("TLS", function()
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

    local function accepts(what, scenario, more, host)
        it(what .. " is accepted", function()
            local url = emu.raw(scenario):gsub("localhost", host or "%0")
            local response, message = call.get(url, more)
            assert(response, message)
            assert.equal("Running", response.sessionCluster.state)
            assert.equal(1, #emu:raw_log(url)[1].requests)
        end)
    end

    describe("with a certificate that must not be trusted", function()
        -- row, scenario, words of which the message must hold one, host in the endpoint
        for _, case in ipairs {
            { "D1", "expired", "expired" },
            { "D1", "not_yet_valid", "not yet valid" },
            { "D2", "self_signed", "self.signed" },
            { "D2", "unknown_root", "issuer" },
            { "D2", "intermediate_missing", "issuer" },
            { "D2", "issued_by_leaf", "CA" },
            { "D3", "wrong_host", "name" },
            { "D3", "wildcard", "name", "emulator.localhost" },
            { "D3", "wildcard", "name", "a.b.emulator.localhost" },
            { "D3", "dns_only", "name", "127.0.0.1" },
            { "D3", "nul_in_name", "name" },
            { "D4", "rsa_1024", "weak" },
            { "D4", "sha1", "weak" },
            { "D4", "client_usage_only", "purpose" },
        } do
            local row, scenario, words, host = case[1], case[2], case[3], case[4] or "localhost"
            it(("%s: %s at %s is tls/verify"):format(row, scenario, host), function()
                call.works()
                local url = emu.raw(scenario)
                local err = call.failed("tls", "verify", call.get((url:gsub("localhost", host))))
                assert.truthy(err.message:find(words), err.message)
                local log = emu:raw_log(url)
                assert.equal(1, #log)
                assert.same({}, log[1].requests)
                call.works()
            end)
        end
    end)

    it("D4: a short RSA key is refused where the system's settings would take it", function()
        local file = emu.dir .. "/weak.cnf"
        local handle = assert(io.open(file, "w"))
        handle:write("openssl_conf = o\n[o]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n",
            "CipherString = DEFAULT@SECLEVEL=0\n")
        handle:close()
        child.printed("tls\tverify\n", child.lua(([[
            local response, _, err = call.get(%q)
            print(not response and err.kind, not response and err.code)
        ]]):format(emu.raw "rsa_1024"), { env = { OPENSSL_CONF = file } }))
    end)

    describe("with the right host", function()
        accepts("D3: a wildcard for one label", "wildcard", nil, "a.emulator.localhost")
        accepts("D3: a name in upper case in the certificate", "upper_case")
        accepts("D3: a name in upper case in the endpoint", "tls", nil, "LOCALHOST")
        accepts("D3: an address in the certificate", "tls", nil, "127.0.0.1")
        accepts("D2: an intermediate that is sent along", "with_intermediate")
    end)

    describe("protocols:", function()
        accepts("D5: TLS 1.2 alone", "tls12_only")
        accepts("D5: TLS 1.3 alone", "tls13_only")

        for _, scenario in ipairs { "tls10_only", "tls11_only", "null_cipher", "anonymous" } do
            it("D5: " .. scenario .. " is tls/handshake, in one attempt", function()
                local _, log = call.fails("tls", "handshake", scenario)
                assert.same({}, log.requests)
                assert.is_nil(log.handshake)
            end)
        end
    end)

    describe("handshakes that are cut:", function()
        for scenario, reason in pairs {
            handshake_rst = { "network", "reset" },
            handshake_fin = { "network", "reset" },
            handshake_plain = { "tls", "handshake" },
            handshake_garbage = { "tls", "handshake" },
            handshake_alert = { "tls", "handshake" },
        } do
            it(("D6: %s is %s/%s"):format(scenario, reason[1], reason[2]), function()
                call.fails(reason[1], reason[2], scenario)
            end)
        end

        it("D6: silence is a timeout, at the connect limit", function()
            local seconds = call.seconds(function()
                local url = emu.raw("handshake_silence")
                call.failed("timeout", "connect", call.get(url, { connect_timeout = 0.15 }))
                assert.equal(1, #emu:raw_log(url))
            end)
            call.took(0.15, 0.15, seconds)
            call.works()
        end)

        it("D6: a plain http server behind https is tls/handshake", function()
            call.failed("tls", "handshake", call.get((emu.http:gsub("http:", "https:"))))
        end)
    end)

    describe("a client certificate", function()
        local function with(name)
            local cert, key = emu:certificate(name)
            return { client_cert = cert, client_key = key }
        end

        it("D7: that is demanded and not there is tls/client_cert", function()
            local _, log = call.fails("tls", "client_cert", "client_certificate")
            assert.same({}, log.requests)
        end)

        it("D7: under TLS 1.2 as well", function()
            call.fails("tls", "client_cert", "tls",
                { tls = { cert = "server", client = true, high = "TLSv1_2" } })
        end)

        it("that is demanded and given is accepted", function()
            assert.truthy(call.get(emu.raw("client_certificate"), with "client"))
        end)

        it("of a CA that the server does not know is refused", function()
            local err = call.fails("tls", nil, "client_certificate", nil, with "unknown_root")
            assert.is_false(err.retryable)
        end)

        it("that cannot be read is tls/client_cert; nothing is sent", function()
            local good, url = with "client", emu.raw("client_certificate")
            for _, wrong in ipairs {
                { client_cert = "/nonexistent/client.crt", client_key = good.client_key },
                { client_cert = good.client_cert, client_key = "/nonexistent/client.key" },
                { client_cert = emu.ca_file, client_key = good.client_key },  -- not a pair
                { client_cert = emu.dir, client_key = emu.dir },
            } do
                call.failed("tls", "client_cert", call.get(url, wrong))
            end
            for _, entry in ipairs(emu:raw_log(url)) do
                assert.same({}, entry.requests)
            end
            call.works()
        end)
    end)

    describe("the CA", function()
        local function write(name, text)
            local path = emu.dir .. "/" .. name
            local file = assert(io.open(path, "w"))
            file:write(text)
            file:close()
            return path
        end

        it("B7: file that cannot be used is tls/ca and names the path, in one attempt", function()
            for _, path in ipairs { "/nonexistent/ca.pem", write("empty.pem", ""),
                write("garbage.pem", "garbage\n"), emu.dir,
                write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
            } do
                local url = emu.raw("tls")
                local err = call.failed("tls", "ca", call.get(url, { ca_file = path }))
                assert.truthy(err.message:find(path, 1, true), err.message)
                local log = emu:raw_log(url)
                assert(#log <= 1)
                assert.same({}, log[1] and log[1].requests or {})
            end
            call.works()
        end)

        it("B7: directory that is not there is tls/verify; the message says what to set", function()
            local err = call.fails("tls", "verify", "tls", nil,
                { ca_file = false, ca_path = "/nonexistent" })
            assert.truthy(err.message:find("ca_path", 1, true)
                or err.message:find("ca_file", 1, true), err.message)
        end)

        it("directory with hashed names is used", function()
            local pipe = assert(io.popen("openssl x509 -noout -hash -in " .. emu.ca_file))
            local hash = pipe:read("*l")
            pipe:close()
            local file = assert(io.open(emu.ca_file))
            local path = write(hash .. ".0", file:read("*a"))
            file:close()
            local only = { ca_file = false, ca_path = path:match("^(.*)/") }
            local response, message = call.get(emu.https, only)
            assert(response, message)
            call.fails("tls", "verify", "unknown_root", nil, only)
        end)

        it("of the system does not trust the test's, in a transfer as in a call", function()
            local _, log = call.fails("tls", "verify", "tls", nil, { ca_file = false })
            assert.same({}, log.requests)
            emu:reset()
            local transfer = call.start(emu.https, { ca_file = false })
            call.failed("tls", "verify", call.finish(transfer))
            assert.equal(0, #emu:requests())
        end)

        it("that was put right after a refusal is read anew, not in an hour", function()
            local path = write("replaced.pem", "")
            child.printed("Running\n", child.lua(([[
                local process = require "process"
                local path, right = %q, call.emulator.ca_file
                local function fill(from)
                    local source, target = io.open(from), io.open(path, "w")
                    target:write(source:read("*a"))
                    source:close()
                    target:close()
                end
                fill((call.emulator:certificate("unknown_root")))
                call.failed("tls", "verify", call.get(HTTPS, { ca_file = path }))
                fill(right)
                process.advance(2)
                print(assert(call.get(HTTPS, { ca_file = path })).sessionCluster.state)
            ]]):format(path), { preload = true }))
        end)

        it("is all that switches trust: no option turns verification off", function()
            for _, name in ipairs { "verify", "insecure", "ssl_verify", "verify_peer" } do
                assert.has_error(function()
                    emr.get_session_cluster(call.IDS, call.options(emu.https, { [name] = 0 }))
                end)
            end
        end)
    end)
end)
