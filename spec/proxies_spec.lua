local proxies = require "emr.proxies"

local function from(env)
    return proxies.from_environment(function(name) return env[name] end)
end

describe("proxies", function()
    it("B9: come from https_proxy, HTTPS_PROXY and no_proxy", function()
        assert.same({ proxy = "a" }, from { https_proxy = "a", HTTPS_PROXY = "b" })
        assert.same({ proxy = "b" }, from { HTTPS_PROXY = "b" })
        assert.same({ no_proxy = "x,y" }, from { no_proxy = "x,y" })
    end)

    it("B9: from nothing else; empty counts as not set", function()
        assert.same({}, from { http_proxy = "a", HTTP_PROXY = "a", all_proxy = "a" })
        assert.same({}, from { https_proxy = "", no_proxy = "" })
        assert.same({ proxy = "b" }, from { https_proxy = "", HTTPS_PROXY = "b" })
    end)

    it("B9: are not for this machine, the metadata service or plain http", function()
        for _, url in ipairs {
            "localhost", "LocalHost:8443", "https://localhost/x", "a.localhost", "127.0.0.1",
            "https://127.1.2.3:1/", "[::1]:8443", "https://[::1]/", "100.100.100.200",
            "http://100.100.100.200/latest", "http://example.com", "HTTP://example.com",
        } do
            assert.is_false(proxies.serves(url), url)
        end
    end)

    it("are for the rest", function()
        for _, url in ipairs {
            "emr-serverless-spark.cn-hangzhou.aliyuncs.com", "https://sts.aliyuncs.com/",
            "example.com:8443", "localhost.example.com", "https://1.127.0.1/",
            "https://[2001:db8::1]:443/",
        } do
            assert.is_true(proxies.serves(url), url)
        end
    end)
end)
