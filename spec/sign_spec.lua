-- emr.sign: ACS3-HMAC-SHA256 alone. Expected values: spec/vectors/acs3.json, made with the vendor's
-- own libraries, and a signer that shares no code with the module's (spec/support/signer.lua).

local cjson = require "cjson"
local emr = require "emr"

local child = require "spec.support.child"
local growth = require "spec.support.growth"
local signer = require "spec.support.signer"
local wrong = require "spec.support.wrong"

local EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
local KEY = { access_key_id = "LTAI5tEXAMPLE", access_key_secret = "CANARYSECRETcanary0000000000" }

local function vectors()
    local file = assert(io.open("spec/vectors/acs3.json"))
    local list = cjson.decode(file:read("*a"))
    file:close()
    return list
end

local function copy(value)
    if type(value) ~= "table" then
        return value
    end
    local result = {}
    for name, member in pairs(value) do
        result[name] = copy(member)
    end
    return result
end

-- A request that uses every field.
local function request(changes)
    local r = {
        method = "POST", path = "/api/v1/a%20b",
        query = { regionId = "cn-hangzhou", b = "1 2" },
        headers = { host = "h.example", ["x-acs-action"] = "Act", accept = "text/plain" },
        body = "{}",
    }
    for name, value in pairs(changes or {}) do
        r[name] = value
    end
    return r
end

-- The lines of the canonical request: method, path, query, headers ..., "", names, hash.
local function lines(changes, removed)
    local r = request(changes)
    for _, name in ipairs(removed or {}) do
        r[name] = nil
    end
    local list = {}
    for line in (emr.sign(r, KEY).canonical_request .. "\n"):gmatch("(.-)\n") do
        list[#list + 1] = line
    end
    return list
end


describe("emr.sign", function()
    describe("reproduces the vector", function()
        local list = vectors()
        assert(#list == 32)
        for _, vector in ipairs(list) do
            it(vector.name, function()
                local result = emr.sign({
                    method = vector.method, path = vector.path, query = vector.query,
                    headers = vector.headers, hashed_payload = vector.hashed_payload,
                    body = vector.body ~= cjson.null and vector.body or nil,
                }, vector)
                assert.equal(vector.canonical_request, result.canonical_request)
                assert.equal(vector.string_to_sign, result.string_to_sign)
                assert.equal(vector.signature, result.signature)
                assert.equal(vector.authorization, result.authorization)
                assert.equal(vector.authorization:match("SignedHeaders=([^,]*)"),
                    result.signed_headers)
            end)
        end
    end)

    describe("builds the canonical request:", function()
        local cases = {
            ["an absent path is /"] = { 2, "/", {}, { "path" } },
            ["an empty path is /"] = { 2, "/", { path = "" } },
            ["+ in the path becomes %20"] = { 2, "/a%20b", { path = "/a+b" } },
            ["* in the path becomes %2A"] = { 2, "/a%2Ab", { path = "/a*b" } },
            ["%7E in the path becomes ~"] = { 2, "/a~b%7", { path = "/a%7Eb%7" } },
            ["nothing else in the path changes"] =
                { 2, "//./../a%2fb%7e/%2B:@!/", { path = "//./../a%2fb%7e/%2B:@!/" } },
            ["no query is an empty line"] = { 3, "", {}, { "query" } },
            ["an empty query is an empty line"] = { 3, "", { query = {} } },
            ["an empty value keeps its ="] = { 3, "a=", { query = { a = "" } } },
            ["names of the query sort by bytes"] = { 3, "A=&_=&a=&a.1=&ab=&b=",
                { query = { a = "", ab = "", ["a.1"] = "", A = "", _ = "", b = "" } } },
            ["names of the query are encoded too"] =
                { 3, "%2A%20=1", { query = { ["* "] = "1" } } },
            ["a value of the query is encoded once"] = { 3, "a=%25%2F%2B%20%E4%B8%AD~%FF%00",
                { query = { a = "%/+ \228\184\173~\255\0" } } },
            ["the header's name becomes lower case, its value is trimmed at the ends only"] =
                { 4, "x-acs-a:b  c", { headers = { ["X-Acs-A"] = " \tb  c \t" } } },
            ["other headers are not signed, look-alikes neither"] =
                { 5, "", { headers = { host = "h", ["x-acsa"] = "1", ["x-ac-s"] = "1",
                    ["content-length"] = "1", accept = "a", ["x-ac"] = "" } } },
            ["content-type is signed"] =
                { 4, "content-type:text/plain", { headers = { ["Content-Type"] = "text/plain" } } },
            ["headers that differ in letter case only are joined, in the order of values"] =
                { 4, "x-acs-a:1,2,3", { headers = { ["x-acs-a"] = "3", ["X-acs-a"] = "1",
                    ["x-ACS-a"] = "2" } } },
            ["no header to sign leaves no line"] = { 4, "", {}, { "headers" } },
            ["no body has the hash of nothing"] = { 8, EMPTY_HASH, {}, { "body" } },
            ["an empty body has the hash of nothing"] = { 8, EMPTY_HASH, { body = "" } },
            ["hashed_payload takes the place of the body's hash"] =
                { 8, "abc", { hashed_payload = "abc" } },
        }
        for name, case in pairs(cases) do
            it(name, function()
                assert.equal(case[2], lines(case[3], case[4])[case[1]])
            end)
        end
    end)

    it("agrees with another implementation on a body of 1 MiB", function()
        local body = ("\0\1\255"):rep(349526)
        local result = lines { body = body }
        assert.equal(signer.sha256(body), result[8])
    end)

    it("takes up to 4096 headers and query parameters", function()
        local headers, names, query, pairs_of_query = {}, {}, {}, {}
        for i = 1, 4096 do
            names[i], query[i] = ("x-acs-%04d"):format(i), ("q%04d"):format(i)
            headers[names[i]], pairs_of_query[query[i]] = tostring(i), tostring(i)
            query[i] = query[i] .. "=" .. i
        end
        local r = request { headers = headers, query = pairs_of_query }
        local expected = signer.sign({ method = "POST", path = "/api/v1/a%20b", body = "{}",
            query = table.concat(query, "&"), headers = headers }, KEY, names)
        local authorization = expected.headers.authorization
        headers.authorization = nil -- the other signer has added it
        assert.equal(authorization, emr.sign(r, KEY).authorization)
        for name, map in pairs { headers = headers, query = pairs_of_query } do
            map.more, map.evenmore = "x", "y"
            local ok, message = pcall(emr.sign, request { [name] = map }, KEY)
            assert.is_false(ok)
            assert.truthy(message:find("http_request." .. name, 1, true), message)
        end
    end)

    it("takes any secret bytes", function()
        local all = {}
        for byte = 0, 255 do
            all[byte + 1] = string.char(byte)
        end
        all = table.concat(all)
        local secrets = { "", "\0", "a\0b", "a\0c", all, " \r\n", "\255" }
        for _, length in ipairs { 1, 63, 64, 65, 1000, 100000 } do
            secrets[#secrets + 1] = ("k"):rep(length)
        end
        for i, secret in ipairs(secrets) do
            local expected = signer.sign({
                method = "POST", path = "/api/v1/a%20b", query = "b=1%202&regionId=cn-hangzhou",
                headers = { host = "h.example", ["x-acs-action"] = "Act" }, body = "{}",
            }, { access_key_id = "id", access_key_secret = secret }).headers.authorization
            local result = emr.sign(request(), { access_key_id = "id", access_key_secret = secret })
            assert.equal(expected, result.authorization, "secret " .. i)
        end
    end)

    it("ignores other fields of the credentials", function()
        local more = { security_token = "CANARYTOKEN", expiration = 1, source = {} }
        more.access_key_id, more.access_key_secret = KEY.access_key_id, KEY.access_key_secret
        assert.same(emr.sign(request(), KEY), emr.sign(request(), more))
    end)

    it("changes nothing and depends on nothing but its arguments", function()
        local r, key = request(), copy(KEY)
        local other = { access_key_id = "b", access_key_secret = "another" }
        local first, of_other = emr.sign(r, key), emr.sign(r, other)
        assert.same(request(), r)
        assert.same(KEY, key)
        assert.are_not.equal(first.signature, of_other.signature)
        for _ = 1, 3 do
            assert.same(first, emr.sign(r, key))
            assert.same(of_other, coroutine.wrap(function()
                return emr.sign(r, other)
            end)())
            pcall(emr.sign, request { path = false }, key)
        end
    end)

    it("returns five texts and no secret", function()
        local result = emr.sign(request(), KEY)
        for _, name in ipairs { "authorization", "signature", "signed_headers",
            "canonical_request", "string_to_sign" } do
            assert.is_string(result[name])
            assert.is_nil(result[name]:find("CANARY", 1, true))
            result[name] = nil
        end
        assert.is_nil(next(result))
    end)

    describe("raises and names what is wrong:", function()
        local function refused(expected, ...)
            local ok, message = pcall(emr.sign, ...)
            assert.is_false(ok)
            assert.is_string(message)
            assert.truthy(message:find(expected, 1, true), message)
            assert.is_nil(message:find("CANARY", 1, true), message)
        end

        it("the arguments", function()
            refused("http_request")
            refused("credentials", request())
            for _, value in pairs(wrong.types "table") do
                refused("http_request", value, KEY)
                refused("credentials", request(), value)
            end
        end)

        for _, name in ipairs { "method", "path", "body", "hashed_payload" } do
            it("http_request." .. name, function()
                for _, value in pairs(wrong.types "string") do
                    refused(name, request { [name] = value }, KEY)
                end
            end)
        end

        for _, name in ipairs { "query", "headers" } do
            it("http_request." .. name .. ", its names and its values", function()
                for _, value in pairs(wrong.types "table") do
                    refused(name, request { [name] = value }, KEY)
                end
                for _, value in pairs(wrong.types "string") do
                    refused(name, request { [name] = { a = value } }, KEY)
                    refused(name, request { [name] = { [value] = "a" } }, KEY)
                end
            end)
        end

        for _, name in ipairs { "access_key_id", "access_key_secret" } do
            it("credentials." .. name, function()
                local key = copy(KEY)
                key[name] = nil
                refused(name, request(), key)
                for _, value in pairs(wrong.types "string") do
                    key[name] = value
                    refused(name, request(), key)
                end
            end)
        end

        it("with the very error that an __index raised", function()
            local mistake = {}
            local hostile = setmetatable({}, { __index = function() error(mistake) end })
            for _, arguments in ipairs { { hostile, KEY }, { request(), hostile } } do
                local ok, message = pcall(emr.sign, arguments[1], arguments[2])
                assert.is_false(ok)
                assert.equal(mistake, message)
            end
        end)
    end)

    it("is not disturbed by a finalizer that signs, too", function()
        -- in a state of its own, which is small, so that collections come often
        child.printed("undisturbed\n", child.lua [[
            local KEY = { access_key_id = "a", access_key_secret = "b" }
            local newproxy = rawget(_G, "newproxy")
            local ran = 0
            local function sign(path)
                return emr.sign({ method = "GET", path = path, headers = { host = "h" } }, KEY)
            end
            local function finalizer()
                ran = ran + 1
                sign(("/x"):rep(300))
            end
            local expected = sign "/a".authorization
            for i = 1, 20000 do
                if newproxy then
                    getmetatable(newproxy(true)).__gc = finalizer
                else
                    setmetatable({}, { __gc = finalizer })
                end
                assert(sign "/a".authorization == expected, i)
            end
            assert(ran > 100, ran)
            print "undisturbed"
        ]])
    end)

    -- One leaked block of the smallest size (32 bytes) in each call would be 1 500 KiB in a quarter
    -- of the calls, one leaked Lua value at least 700 KiB.
    it("leaves nothing behind in 200 000 calls", function()
        local heap, process = growth.of([[
            local keys = {
                { access_key_id = "a", access_key_secret = "one" },
                { access_key_id = "b", access_key_secret = "another" },
            }
            return function(i)
                emr.sign({
                    method = "POST", path = "/api/v1/a%20b", query = { regionId = "cn-hangzhou" },
                    headers = { host = "h.example", ["x-acs-n"] = tostring(i) },
                    body = ("x"):rep(i % 100),
                }, keys[i % 50 == 0 and 2 or 1])
            end
        ]], 20000, 200000)
        assert.is_true(heap < 16, ("the Lua heap has grown by %g KiB"):format(heap))
        assert.is_true(process < 256, ("the process has grown by %g KiB"):format(process))
    end)
end)
