-- The emulator on its own: does it check what the real cloud checks, and show what it should?
-- Requests are signed by spec/support/signer.lua, which shares no code with it.

local cjson = require "cjson"

local emulator = require "spec.support.emulator"
local signer = require "spec.support.signer"

local GET_PATH = "/api/v1/workspaces/w-1/sessionClusters/s-1"
local LIST_PATH = "/api/v1/workspaces/w-1/sessionClusters"
local EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


describe("the emulator", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
    end)

    local function request(with)
        return signer.request(emu.http, with)
    end

    local function send(signed)
        return signer.send(emu.http, signed)
    end

    local function call(with, key)
        return send(signer.sign(request(with), key or emu))
    end

    -- A request with the temporary key and every header that may be signed.
    local function full_request()
        return request {
            method = "POST", action = "StopSessionCluster", body = '{"sessionClusterId":"s-1"}',
            path = LIST_PATH .. "/action/stopSessionCluster",
            headers = {
                ["content-type"] = "application/json; charset=utf-8",
                ["x-acs-security-token"] = emu.sts.security_token,
                ["x-acs-credentials-provider"] = "default/env",
            },
        }
    end

    describe("verifies signatures:", function()
        it("agrees with every known vector", function()
            local file = assert(io.open("spec/vectors/acs3.json"))
            local vectors = cjson.decode(file:read("*a"))
            file:close()
            assert.is_true(#vectors > 25)
            for _, vector in ipairs(vectors) do
                local headers = {}
                for name, value in pairs(vector.headers) do
                    headers[#headers + 1] = { name, value }
                end
                local result = emu:canonical {
                    method = vector.method, path = vector.path, query = signer.query(vector.query),
                    header_list = headers, body = vector.body ~= cjson.null and vector.body or "",
                    hashed_payload = vector.hashed_payload,
                    access_key_secret = vector.access_key_secret,
                }
                assert.equal(vector.canonical_request, result.canonical_request, vector.name)
                assert.equal(vector.string_to_sign, result.string_to_sign, vector.name)
                assert.equal(vector.signature, result.signature, vector.name)
            end
        end)

        it("takes a good request, with a permanent key and with a temporary one", function()
            assert.equal(200, call().status)
            assert.equal(200, send(signer.sign(full_request(), emu.sts)).status)
        end)

        it("reads the query as servers do: a blank may travel as +", function()
            local signed = signer.sign(request { query = { regionId = "x", note = "a b" } }, emu)
            signed.query = signed.query:gsub("%%20", "+")
            assert.equal(200, send(signed).status)
        end)

        it("refuses a changed byte anywhere in the path", function()
            local first, last = GET_PATH:find("w-1", 1, true)
            for i = 2, #GET_PATH do
                local in_id = (i >= first and i <= last) or i > #GET_PATH - 3
                local signed = signer.sign(request(), emu)
                local byte = GET_PATH:sub(i, i) == "0" and "1" or "0"
                signed.path = GET_PATH:sub(1, i - 1) .. byte .. GET_PATH:sub(i + 1)
                assert.equal(in_id and "SignatureDoesNotMatch" or "InvalidApi.NotFound",
                    send(signed).json.Code, signed.path)
            end
        end)

        it("refuses a changed byte anywhere in the query", function()
            local query = request().query
            for i = 1, #query do
                local signed = signer.sign(request(), emu)
                signed.query = query:sub(1, i - 1) .. "X" .. query:sub(i + 1)
                assert.equal("SignatureDoesNotMatch", send(signed).json.Code, signed.query)
            end
        end)

        it("refuses a changed byte anywhere in the body", function()
            local body = full_request().body
            for i = 1, #body do
                local signed = signer.sign(full_request(), emu.sts)
                signed.body = body:sub(1, i - 1) .. "X" .. body:sub(i + 1)
                assert.equal("SignatureDoesNotMatch", send(signed).json.Code, signed.body)
            end
        end)

        it("refuses a changed byte in each signed header", function()
            local code = {
                ["x-acs-action"] = "InvalidApi.NotFound",
                ["x-acs-version"] = "InvalidApi.NotFound",
                ["x-acs-security-token"] = "InvalidSecurityToken.Malformed",
            }
            local count = 0
            for name, value in pairs(full_request().headers) do
                local signed = signer.sign(full_request(), emu.sts)
                if name == "x-acs-date" then    -- another second, still in the window
                    signed.headers[name] = signer.now(-61)
                else
                    signed.headers[name] = value:sub(1, -2) .. (value:match("1$") and "2" or "1")
                end
                assert.equal(code[name] or "SignatureDoesNotMatch", send(signed).json.Code, name)
                count = count + 1
            end
            assert.equal(9, count)
        end)

        it("refuses a changed secret, signature, key id and algorithm", function()
            local secret = emu.access_key_secret:sub(1, -2) .. "X"
            assert.equal("SignatureDoesNotMatch", call(nil,
                { access_key_id = emu.access_key_id, access_key_secret = secret }).json.Code)
            for pattern, code in pairs {
                ["Signature=%x"] = "IncompleteSignature",
                ["Credential=L"] = "InvalidAccessKeyId.NotFound",
                ["^ACS3"] = "IncompleteSignature",
            } do
                local signed = signer.sign(request(), emu)
                signed.headers.authorization = signed.headers.authorization:gsub(pattern, "%0_")
                assert.equal(code, send(signed).json.Code, pattern)
            end
            local signed = signer.sign(request(), emu)
            local last = signed.headers.authorization:sub(-1)
            signed.headers.authorization = signed.headers.authorization:sub(1, -2)
                .. (last == "0" and "1" or "0")
            assert.equal("SignatureDoesNotMatch", send(signed).json.Code)
        end)

        it("shows its string-to-sign when they differ, as the cloud does", function()
            local signed = signer.sign(request(), emu)
            signed.query = "regionId=elsewhere"
            local canonical = ("GET\n%s\nregionId=elsewhere\n"):format(GET_PATH)
            local message = send(signed).json.Message
            assert.truthy(message:find("ACS3%-HMAC%-SHA256\n%x+ "))
            assert.truthy(message:find(canonical, 1, true))
        end)

        it("wants host, content type and every x-acs- header to be signed", function()
            for omitted in pairs(full_request().headers) do
                local sent, names = full_request(), {}
                for name in pairs(sent.headers) do
                    if name ~= omitted then
                        names[#names + 1] = name
                    end
                end
                assert.equal("IncompleteSignature",
                    send(signer.sign(sent, emu.sts, names)).json.Code, omitted)
            end
        end)

        it("wants all mandatory headers", function()
            for _, name in ipairs { "date", "signature-nonce", "content-sha256" } do
                local sent = request()
                sent.headers["x-acs-" .. name] = nil
                assert.equal("IncompleteSignature", send(signer.sign(sent, emu)).json.Code, name)
            end
            assert.equal("IncompleteSignature", send(request()).json.Code)
        end)

        it("compares the content hash with the body", function()
            local sent = request { method = "POST", action = "StopSessionCluster", body = "{}",
                path = LIST_PATH .. "/action/stopSessionCluster",
                headers = { ["x-acs-content-sha256"] = EMPTY_HASH } }
            assert.equal("SignatureDoesNotMatch", send(signer.sign(sent, emu)).json.Code)
        end)
    end)

    describe("checks who calls, when and what:", function()
        it("the date, within 15 minutes of its own clock", function()
            for offset, code in pairs {
                [-16 * 60] = "InvalidTimeStamp.Expired",
                [16 * 60] = "InvalidTimeStamp.Expired",
                [-86400] = "InvalidTimeStamp.Expired",
                [-14 * 60] = "ok",
                [14 * 60] = "ok",
            } do
                assert.equal(code, call({ date = signer.now(offset) }).json.Code or "ok")
            end
            local function code(date)
                return call({ date = date }).json.Code
            end
            assert.equal("InvalidTimeStamp.Format", code("2026-01-01 00:00:00"))
            assert.equal("IllegalTimestamp", code("2026-13-01T00:00:00Z"))
        end)

        it("the date, when its clock is set wrong, and tells its time in Date", function()
            emu:clock(3600)
            local reply = call()
            assert.equal("InvalidTimeStamp.Expired", reply.json.Code)
            local expected = {}
            for second = 3598, 3602 do
                expected[os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + second)] = true
            end
            assert.is_true(expected[reply.headers.date])
            assert.equal(200, call({ date = signer.now(3600) }).status)
        end)

        it("the nonce: once only, and a refused request does not use it up", function()
            local headers = { ["x-acs-signature-nonce"] = "the same again" }
            local wrong = { access_key_id = emu.access_key_id, access_key_secret = "wrong" }
            assert.equal("SignatureDoesNotMatch", call({ headers = headers }, wrong).json.Code)
            assert.equal(200, call({ headers = headers }).status)
            local reply = call { headers = headers }
            assert.equal(400, reply.status)
            assert.equal("SignatureNonceUsed", reply.json.Code)
        end)

        it("the key", function()
            local unknown = { access_key_id = "LTAI5tNobody", access_key_secret = "x" }
            local reply = call(nil, unknown)
            assert.equal(404, reply.status)
            assert.equal("InvalidAccessKeyId.NotFound", reply.json.Code)
            reply = call(nil, emu.keys.inactive)
            assert.equal(403, reply.status)
            assert.equal("InvalidAccessKeyId.Inactive", reply.json.Code)
        end)

        it("the security token", function()
            local function code(key, token)
                return call({ headers = { ["x-acs-security-token"] = token } }, key).json.Code
            end
            local expired = emu.keys.expired
            assert.is_nil(code(emu.sts, emu.sts.security_token))
            assert.equal("InvalidSecurityToken.Malformed", code(emu.sts, "nonsense"))
            assert.equal("InvalidSecurityToken.Expired", code(expired, expired.security_token))
            assert.equal("InvalidSecurityToken.MismatchWithAccessKey",
                code(emu.sts, expired.security_token))
            assert.equal("MissingSecurityToken", code(emu.sts, nil))
            emu:expire(emu.sts.access_key_id)
            assert.equal("InvalidSecurityToken.Expired", code(emu.sts, emu.sts.security_token))
        end)

        it("action, version, path and method", function()
            assert.equal("InvalidApi.NotFound", call({ action = "ListSessionClusters" }).json.Code)
            assert.equal("InvalidApi.NotFound", call({ action = "Nonsense" }).json.Code)
            assert.equal("InvalidApi.NotFound",
                call({ headers = { ["x-acs-version"] = "2023-08-09" } }).json.Code)
            local reply = call { path = "/api/v1/elsewhere" }
            assert.equal(404, reply.status)
            assert.equal("InvalidApi.NotFound", reply.json.Code)
            reply = call { method = "PUT" }
            assert.equal(403, reply.status)
            assert.equal("UnsupportedHTTPMethod", reply.json.Code)
        end)

        it("the region, which has to be in the query", function()
            assert.equal("MissingParameter.regionId", call({ query = {} }).json.Code)
            assert.equal("MissingParameter.regionId", call({ query = { regionId = "" } }).json.Code)
        end)

        it("and answers in the gateway's shape, with request id and date", function()
            local reply = call { query = {} }
            assert.equal(400, reply.status)
            for _, name in ipairs { "RequestId", "HostId", "Code", "Message", "Recommend" } do
                assert.equal("string", type(reply.json[name]), name)
            end
            assert.equal(reply.json.RequestId, reply.headers["x-acs-request-id"])
            assert.truthy(reply.headers.date)
        end)
    end)

    it("tells which requests it saw", function()
        local signed = signer.sign(request { query = { regionId = "x y", b = "" } }, emu)
        send(signed)
        local seen = emu:requests()
        assert.equal(1, #seen)
        assert.equal(GET_PATH .. "?b=&regionId=x%20y", seen[1].uri)
        assert.equal("b=&regionId=x%20y", seen[1].query)
        assert.equal("GET", seen[1].method)
        assert.equal("ok", seen[1].verdict)
        assert.equal("GetSessionCluster", seen[1].operation)
        assert.equal(signed.headers.authorization, seen[1].headers.authorization)
        send(signed)
        seen = emu:requests("GetSessionCluster")
        assert.equal("SignatureNonceUsed", seen[2].verdict)
        assert.not_equal(seen[1].connection, seen[2].connection)
        assert.equal(0, #emu:requests("StopSessionCluster"))
    end)
end)
