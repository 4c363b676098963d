-- Where a request goes: regions and endpoints (fault catalogue, rows B3 to B6).

local cjson = require "cjson"
local emr = require "emr"

local attempt = require "spec.support.attempt"
local emulator = require "spec.support.emulator"

local request, options = attempt.request, attempt.options

local function endpoints()
    local file = assert(io.open("spec/data/endpoints.json"))
    local data = cjson.decode(file:read("*a"))
    file:close()
    return data
end

-- The scheme and the authority of a prepared request.
local function base(changes)
    return attempt.prepared(request(), changes).url:match("^https?://[^/]*")
end


describe("a region", function()
    before_each(function()
        emulator.get():reset()
    end)

    local data = endpoints()
    local networks = { public = data.endpoints, vpc = data.vpc_endpoints }
    for network, hosts in pairs(networks) do
        local count = 0
        for region, host in pairs(hosts) do
            count = count + 1
            it(("%s, %s, is at %s"):format(region, network, host), function()
                assert.equal("https://" .. host,
                    base { endpoint = false, region = region, network = network })
                if network == "public" then
                    assert.equal("https://" .. host, base { endpoint = false, region = region })
                end
            end)
        end
        assert(count == 15)
    end

    it("that nobody has heard of follows the same pattern", function()
        assert.equal("https://emr-serverless-spark.xx-new-7.aliyuncs.com",
            base { endpoint = false, region = "xx-new-7" })
        assert.equal("https://emr-serverless-spark-vpc.xx-new-7.aliyuncs.com",
            base { endpoint = false, region = "xx-new-7", network = "vpc" })
        assert.equal("https://emr-serverless-spark." .. ("r"):rep(63) .. ".aliyuncs.com",
            base { endpoint = false, region = ("r"):rep(63) })
    end)

    local bad = {
        "cn/hangzhou", "cn@evil", "cn:443", "cn#", "cn?x", "cn hangzhou", " cn", "cn ",
        "evil.com/", "cn.evil", "cn-hangzhou.", "CN-HANGZHOU", "Cn-hangzhou", "cn\\evil", "cn%2e",
        "c\195\173n", "", ".", "..", "cn_hangzhou", ("c"):rep(65), "cn\0evil", "cn\r\nx: y",
    }
    for _, region in ipairs(bad) do
        it(("B3: %q raises"):format(region), function()
            attempt.refused("region", request(), options { region = region })
            attempt.refused("region", request(), options { region = region, endpoint = false })
            attempt.refused("regionId", request { regionId = region }, options { region = false })
            attempt.refused("regionId", request { regionId = region }, options())
        end)
    end

    it("is missing: raises, even with an endpoint", function()
        attempt.refused("region", request(), options { region = false })
        attempt.refused("region", request(), options { region = false, endpoint = false })
    end)

    it("is always sent: the request's, else the options'", function()
        local cases = {
            { nil, "cn-beijing", "cn-beijing" },
            { "cn-beijing", nil, "cn-beijing" },
            { "cn-beijing", "cn-shanghai", "cn-beijing" },
        }
        for _, case in ipairs(cases) do
            emulator.get():reset()
            local got = attempt.accepted(request { regionId = case[1] },
                { region = case[2] or false })
            assert.equal("regionId=" .. case[3], got.query)
        end
    end)

    it("of the options chooses the host, else the request's", function()
        local of = "https://emr-serverless-spark.%s.aliyuncs.com/"
        local url = attempt.prepared(request { regionId = "cn-beijing" },
            { endpoint = false, region = "cn-shanghai" }).url
        assert.equal(1, url:find(of:format("cn-shanghai"), 1, true), url)
        url = attempt.prepared(request { regionId = "cn-beijing" },
            { endpoint = false, region = false }).url
        assert.equal(1, url:find(of:format("cn-beijing"), 1, true), url)
    end)
end)


describe("an endpoint", function()
    before_each(function()
        emulator.get():reset()
    end)

    local HTTP = { "http://127.0.0.1", "http://127.255.0.9:8080", "http://localhost:81",
        "http://[::1]:8080" }

    -- Accepted, and what it means. B6: a default port is left out, others are kept.
    local good = {
        ["h.example"] = "https://h.example",
        ["h.example:8443"] = "https://h.example:8443",
        ["https://h.example"] = "https://h.example",
        ["https://h.example/"] = "https://h.example",
        ["h.example/"] = "https://h.example",
        ["h.example:8443/"] = "https://h.example:8443",
        ["https://h.example:443"] = "https://h.example",
        ["h.example:443"] = "https://h.example",
        ["https://h.example:80"] = "https://h.example:80",
        ["http://127.0.0.1:80"] = "http://127.0.0.1",
        ["http://127.0.0.1:443"] = "http://127.0.0.1:443",
        ["h.example:1"] = "https://h.example:1",
        ["h.example:65535"] = "https://h.example:65535",
        ["H.Example:8443"] = "https://h.example:8443",
        ["HTTPS://H.EXAMPLE"] = "https://h.example",
        ["HTTP://LocalHost:81"] = "http://localhost:81",
        ["localhost"] = "https://localhost",
        ["192.0.2.1"] = "https://192.0.2.1",
        ["[::1]"] = "https://[::1]",
        ["[2001:db8::1]:8443"] = "https://[2001:db8::1]:8443",
        ["https://[2001:DB8::A]"] = "https://[2001:db8::a]",
        ["https://[2001:db8::1]:443/"] = "https://[2001:db8::1]",
        [("a"):rep(63) .. ".example"] = "https://" .. ("a"):rep(63) .. ".example",
    }
    for _, url in ipairs(HTTP) do
        good[url] = url
    end
    for endpoint, expected in pairs(good) do
        it(("B4, B6: %q is %s, in the URL and in the signed host"):format(endpoint, expected),
            function()
                assert.equal(expected, base { endpoint = endpoint })
            end)
    end

    it("B4: with a trailing dot has one host, in the URL and in the signature", function()
        assert.equal(base { endpoint = "h.example.:8443" },
            base { endpoint = "https://H.Example.:8443/" })
    end)

    local bad = {
        "user:pw@h.example", "user@h.example", "https://user:pw@h.example", "@h.example",
        "https://h.example@evil.example", "h.example/path", "https://h.example/a", "h.example//",
        "https://h.example/?", "h.example?x=1", "h.example#f", "https://h.example/#", "h example",
        " h.example", "h.example ", "https:// h.example", "h.example\t", "h.example\\@evil.example",
        "h.example:0", "h.example:65536", "h.example:abc", "h.example:", "h.example:-1",
        "h.example:+80", "h.example: 80", "h.example:80:80", "h.example:8443x", "h.example:9999999",
        ("h"):rep(300), ("h."):rep(150) .. "example", ("a"):rep(64) .. ".example", "h..example",
        ".example", ".", "", "/", "https://", "https:///x", "https://:443", ":443", "[::1",
        "[::1]x", "[::1]:", "[::1]:0", "[zz]", "[]", "::1", "[::1%25eth0]", "[127.0.0.1]",
        "ftp://h.example", "file:///etc/passwd", "file://localhost/etc/hosts", "gopher://h.example",
        "ws://h.example", "httpss://h.example", "https:h.example", "https:/h.example",
        "https//h.example", "h.example\0", "h.example\0.evil.example", "h.example\r\nx: y",
        "h%2eexample", "h,example", "h.example;x", "*.example", "{region}.example",
        "\195\169.example",
    }
    for _, endpoint in ipairs(bad) do
        it(("B4, B5: %q raises"):format(endpoint), function()
            attempt.refused("endpoint", request(), options { endpoint = endpoint })
            attempt.refused("endpoint", request(),
                options { endpoint = endpoint, allow_http = true })
        end)
    end

    -- The HTTP library reads these as addresses and would send another host than was signed.
    for _, endpoint in ipairs { "127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1",
        "127.0.0.1.", "1.2.3.4.5", "256.1.1.1" } do
        it(("B6: %q raises, or stays what was signed"):format(endpoint), function()
            local ok, prepared = pcall(emr.prepare, emr.operations.GetSessionCluster, request(),
                options { endpoint = endpoint })
            if ok then
                assert.matches("^https://127%.0%.0%.1/", prepared.url)
            else
                assert.truthy(prepared:find("endpoint", 1, true), prepared)
            end
        end)
    end

    for _, endpoint in ipairs { "http://h.example", "http://h.example:8080", "http://192.0.2.1",
        "http://128.0.0.1", "http://0.0.0.0", "http://127.0.0.1.example",
        "http://localhost.example", "http://xlocalhost", "http://[::2]", "http://[2001:db8::1]" } do
        it(("B5: %q raises unless allow_http is set"):format(endpoint), function()
            attempt.refused("endpoint", request(), options { endpoint = endpoint })
            attempt.refused("endpoint", request(),
                options { endpoint = endpoint, allow_http = false })
            assert.equal(endpoint, base { endpoint = endpoint, allow_http = true })
        end)
    end

    it("B6: is received as the host that was signed, over http and https", function()
        local emu = emulator.get()
        local port = emu.https:match("%d+$")
        for _, endpoint in ipairs { emu.http, emu.https, "LOCALHOST:" .. port,
            "https://127.0.0.1:" .. port .. "/", "HTTP://LocalHost:" .. emu.http:match("%d+$") } do
            emu:reset()
            local got = attempt.accepted(request(), { endpoint = endpoint })
            assert.equal(got.headers.host, got.headers.host:lower())
        end
    end)

    it("takes the place of the region's host, whatever the network", function()
        for _, network in ipairs { "public", "vpc" } do
            assert.equal("https://h.example", base { endpoint = "h.example", network = network })
        end
    end)
end)
