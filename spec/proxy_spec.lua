-- Proxies: rows B8 and, of B9, that C takes nothing from the environment.

local call = require "spec.support.call"
local child = require "spec.support.child"
local emulator = require "spec.support.emulator"

local unpack = table.unpack or unpack

describe("a proxy", function()
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

    it("is asked for CONNECT and nothing else; the request is for the server", function()
        local proxy = emu.raw("proxy")
        local response, message = call.get(emu.https, { proxy = proxy, security_token = false })
        assert(response, message)
        local requests = emu:requests()
        assert.equal(1, #requests)
        assert.equal("ok", requests[1].verdict)
        local log = emu:raw_log(proxy)
        assert.equal(1, #log)
        assert.equal("CONNECT " .. emu.https:match("//(.*)") .. " HTTP/1.1\r\n",
            log[1].requests[1]:match("^.-\n"))
        local head = log[1].requests[1]:lower()
        for _, secret in ipairs { "authorization", "x-acs-", "canary", "workspaces" } do
            assert.is_nil(head:find(secret, 1, true), secret)
        end
    end)

    it("is asked for the whole URL over plain http, and a server for its target", function()
        local server = emu.raw("good"):gsub("^https:", "http:")
        for _, options in ipairs { {}, { proxy = server }, { proxy = server, no_proxy = "*" } } do
            assert(call.get(server, options))
        end
        local direct, proxied = unpack(emu:raw_log(server))
        local target = "/api/v1/workspaces/" .. call.IDS.workspaceId .. "/sessionClusters/"
            .. call.IDS.sessionClusterId .. "?regionId=cn-hangzhou"
        local function asked(request)
            return request:match "^GET (.-) HTTP/1.1\r\n"
        end
        assert.equal(target, asked(direct.requests[1]))
        assert.equal(server .. target, asked(proxied.requests[1]))
        assert.equal(target, asked(direct.requests[2]))
    end)

    describe("B8: that fails is network/proxy:", function()
        local function fails(what, proxy, retryable, limits)
            it(what, function()
                local options = { proxy = type(proxy) == "function" and proxy() or proxy }
                for name, value in pairs(limits or {}) do
                    options[name] = value
                end
                local err = call.failed("network", "proxy", call.get(emu.https, options))
                assert.equal(retryable, err.retryable)
                for _, entry in ipairs(emu:raw_log(options.proxy)) do
                    assert.is_nil(entry.received:lower():find("x-acs-", 1, true))
                    assert.is_nil(entry.received:lower():find("authorization", 1, true))
                end
                assert.equal(0, #emu:requests())
                call.works()
            end)
        end
        local function raw(name, argument)
            return function()
                return emu.raw(name, argument)
            end
        end

        fails("refusing connections", raw("refuse"), true)
        fails("answering 407", raw("proxy", { mode = "407" }), false)
        fails("answering 503", raw("proxy", { mode = "503" }), true)
        fails("hanging up", raw("proxy", { mode = "fin" }), true)
        fails("resetting", raw("proxy", { mode = "rst" }), true)
        fails("silent", raw("proxy", { mode = "silent" }), true, { connect_timeout = 0.15 })
        fails("silent until the attempt is over", raw("proxy", { mode = "silent" }), true,
            { timeout = 0.15 })
        fails("no proxy at all", raw("smtp"), true)

        it("a name that cannot be looked up", function()
            child.printed("ok\n", child.lua([[
                call.failed("network", "proxy", call.get(HTTPS, { proxy = "http://none.test:1" }))
                call.works()
                print "ok"
            ]], { preload = true }))
        end)
    end)

    it("B8: a bad URL raises or is network/proxy, and its password is not shown", function()
        for _, bad in ipairs { "gopher://u:CANARY@127.0.0.1:1", "http://u:CANARY@127.0.0.1:99999",
            "http://u:CANARY@[::1", "//u:CANARY@x:y" } do
            local ok, result, message, err = pcall(call.get, emu.https, { proxy = bad })
            if ok then
                call.failed("network", "proxy", result, message, err)
            else
                assert.is_nil(tostring(result):find("CANARY", 1, true))
            end
        end
        assert.equal(0, #emu:requests())
    end)

    it("is given its password, and a failure does not show it", function()
        local url = emu.raw("proxy", { mode = "407" })
        call.failed("network", "proxy", call.get(emu.https,
            { proxy = url:gsub("//", "//user:CANARY@") }))
        local received = emu:raw_log(url)[1].received:lower()
        assert.truthy(received:find("proxy-authorization: basic", 1, true))
    end)

    it("is not used for the hosts in no_proxy", function()
        local proxy = emu.raw("proxy")
        for _, no_proxy in ipairs { "localhost", "example.com,localhost", "*" } do
            assert.truthy(call.get(emu.https, { proxy = proxy, no_proxy = no_proxy }))
        end
        assert.same({}, emu:raw_log(proxy))
    end)

    it("B9: of the environment is ignored, for https as for http", function()
        local proxy = emu.raw("proxy", { mode = "503" })
        local env = { no_proxy = "example.com", NO_PROXY = "example.com" }
        for _, name in ipairs { "https_proxy", "http_proxy", "all_proxy" } do
            env[name], env[name:upper()] = proxy, proxy
        end
        child.printed("Running\nRunning\ntrue\n", child.lua([[
            print(call.get(HTTPS).sessionCluster.state)
            print(call.get(HTTP).sessionCluster.state)
            print(emr.fetch({ url = HTTPS }, { ca_file = call.cloud().ca_file }) ~= nil)
        ]], { env = env }))
        assert.same({}, emu:raw_log(proxy))
    end)
end)
