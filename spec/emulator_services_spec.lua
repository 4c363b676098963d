-- The services of the emulator: session clusters, STS, and the other places that hand out keys.

local cjson = require "cjson"

local emulator = require "spec.support.emulator"
local signer = require "spec.support.signer"

local LIST_PATH = "/api/v1/workspaces/w-1/sessionClusters"
-- SHA-256 of the example reply in the operation's reference page
local SAMPLE_HASH = "812da74ef90d4aa7bab62addad2e9e3cd87fecd81ddfaaa0491a45c6e073e367"
local FORM = "application/x-www-form-urlencoded"
local ROLE = "acs:ram::1234567890123456:role/reader"


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

    -- A plain request, without any signature.
    local function plain(method, path, headers, body)
        headers = headers or {}
        headers.host = emu.http:match("//(.*)")
        return signer.send(emu.http,
            { method = method, path = path, query = "", headers = headers, body = body or "" })
    end

    -- Takes a key as a document spells it, and asks the API with it.
    local function code_with(document)
        local key = { access_key_id = document.AccessKeyId,
            access_key_secret = document.AccessKeySecret }
        local headers = { ["x-acs-security-token"] = document.SecurityToken }
        return call({ headers = headers }, key).json.Code
    end

    local function state(with)
        return call(with).json.sessionCluster.state
    end

    local function post(action, body)
        local verb = action:match("^Create") and "" or "/action/" .. action:gsub("^S", "s")
        return call { method = "POST", action = action, body = cjson.encode(body),
            path = LIST_PATH .. verb }
    end

    describe("keeps session clusters:", function()
        it("w-1/s-1 starts twice, then runs", function()
            for _, expected in ipairs { "Starting", "Starting", "Running", "Running" } do
                assert.equal(expected, state())
            end
        end)

        it("the documented reply, byte for byte", function()
            local reply = call { path = "/api/v1/workspaces/w-1234abcd/sessionClusters/"
                .. "1234abcd-12ab-34cd-56ef-1234567890ab" }
            assert.equal(SAMPLE_HASH, signer.sha256(reply.body))
        end)

        it("a script of states, with the reason of a failure", function()
            emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1",
                states = { "Starting", { state = "Error", code = "42", message = "no quota" } } }
            assert.equal("Starting", state())
            local cluster = call().json.sessionCluster
            assert.equal("Error", cluster.state)
            assert.same({ code = "42", message = "no quota" }, cluster.stateChangeReason)
        end)

        it("states that last for a time instead of for a request", function()
            emu:cluster { workspaceId = "w-1", sessionClusterId = "s-1", states = {
                { state = "Stopped", seconds = 0 },
                { state = "Starting", seconds = 3600 },
                "Running",
            } }
            assert.equal("Starting", state())
            assert.equal("Starting", state())
        end)

        it("fields of one's own, and an id with reserved characters", function()
            emu:cluster { workspaceId = "w-1", sessionClusterId = "a/b ?%",
                fields = { name = "mine" } }
            local reply = call { path = LIST_PATH .. "/" .. signer.escape("a/b ?%") }
            assert.equal("a/b ?%", reply.json.sessionCluster.sessionClusterId)
            assert.equal("mine", reply.json.sessionCluster.name)
            assert.truthy(reply.json.sessionCluster.connectionToken:match("^CANARY"))
        end)

        it("one that does not exist: 404 in the service's shape", function()
            local reply = call { path = LIST_PATH .. "/none" }
            assert.equal(404, reply.status)
            assert.equal("ResourceNotFound", reply.json.code)
            assert.equal(reply.headers["x-acs-request-id"], reply.json.requestId)
        end)

        it("stop and start, refused in the wrong state", function()
            local body = { sessionClusterId = "s-1" }
            assert.equal("OperationDenied", post("StartSessionCluster", body).json.code)
            assert.equal("s-1", post("StopSessionCluster", body).json.sessionClusterId)
            assert.equal("Stopping", state())
            assert.equal("Stopped", state())
            assert.equal("OperationDenied", post("StopSessionCluster", body).json.code)
            assert.equal("s-1", post("StartSessionCluster", body).json.sessionClusterId)
            assert.equal("Starting", state())
            assert.equal("Running", state())
        end)

        it("create, once per client token", function()
            local body = { name = "new", kind = "SQL", clientToken = "t-1" }
            local id = post("CreateSessionCluster", body).json.sessionClusterId
            assert.equal(id, post("CreateSessionCluster", body).json.sessionClusterId)
            body.clientToken = "t-2"
            assert.not_equal(id, post("CreateSessionCluster", body).json.sessionClusterId)
            local cluster = call({ path = LIST_PATH .. "/" .. id }).json.sessionCluster
            assert.equal("new", cluster.name)
            assert.equal("Starting", cluster.state)
        end)

        it("list, in pages", function()
            for i = 2, 7 do
                emu:cluster { workspaceId = "w-1", sessionClusterId = "s-" .. i }
            end
            local seen, token = {}, nil
            for page = 1, 3 do
                local reply = call { action = "ListSessionClusters", path = LIST_PATH,
                    query = { regionId = "x", maxResults = "3", nextToken = token } }
                assert.equal(7, reply.json.totalCount)
                for _, cluster in ipairs(reply.json.sessionClusters) do
                    seen[#seen + 1] = cluster.sessionClusterId
                end
                token = reply.json.nextToken
                assert.equal(page < 3, token ~= nil)
            end
            assert.same({ "s-1", "s-2", "s-3", "s-4", "s-5", "s-6", "s-7" }, seen)
        end)

        it("list, filtered, empty, or asked wrongly", function()
            local function list(query)
                query.regionId = "x"
                return call { action = "ListSessionClusters", path = LIST_PATH, query = query }
            end
            assert.equal(1, #list({ sessionClusterId = "s-1" }).json.sessionClusters)
            assert.truthy(list({ kind = "NOTEBOOK" }).body:find('"sessionClusters":[]', 1, true))
            assert.equal("InvalidParameter", list({ nextToken = "made up" }).json.Code)
            assert.equal("InvalidParameter", list({ maxResults = "0" }).json.Code)
        end)
    end)

    describe("has an STS:", function()
        local function assume(query, key)
            query.RoleSessionName = query.RoleSessionName or "me"
            return call({ method = "POST", path = "/", query = query,
                action = "AssumeRole", version = "2015-04-01" }, key)
        end

        local function with_oidc(form)
            return plain("POST", "/", { ["content-type"] = FORM }, signer.query(form))
        end

        it("AssumeRole gives a key that the API takes", function()
            local reply = assume { RoleArn = ROLE }
            assert.equal(200, reply.status)
            assert.is_nil(code_with(reply.json.Credentials))
            assert.equal("acs:ram::1234567890123456:assumed-role/reader/me",
                reply.json.AssumedRoleUser.Arn)
            assert.truthy(reply.json.Credentials.Expiration:match("^2%d%d%d%-%d%d%-%d%dT.*Z$"))
        end)

        it("AssumeRole with parameters in a form", function()
            local body = signer.query { RoleArn = ROLE, RoleSessionName = "me" }
            local reply = call { method = "POST", path = "/", action = "AssumeRole", query = {},
                version = "2015-04-01", body = body,
                headers = { ["content-type"] = FORM } }
            assert.equal(200, reply.status)
        end)

        it("AssumeRole with the RPC signature", function()
            -- the example of the vendor's documentation
            assert.equal("9NaGiOspFP5UPcwX8Iwt2YJXXuk=", signer.rpc_signature("GET", signer.query {
                AccessKeyId = "testid", Action = "DescribeDedicatedHosts", Format = "JSON",
                RegionId = "cn-beijing", SignatureMethod = "HMAC-SHA1", SignatureVersion = "1.0",
                SignatureNonce = "edb2b34af0af9a6d14deaf7c1a5315eb", Version = "2014-05-26",
                Timestamp = "2023-03-13T08:34:30Z" }, "testsecret"))
            local function signed(secret)
                local query = signer.query { Action = "AssumeRole", Version = "2015-04-01",
                    Format = "JSON", RoleArn = ROLE, RoleSessionName = "me",
                    SignatureMethod = "HMAC-SHA1", SignatureVersion = "1.0",
                    SignatureNonce = signer.nonce(), Timestamp = signer.now(),
                    AccessKeyId = emu.access_key_id }
                local signature = signer.rpc_signature("POST", query, secret)
                return signer.send(emu.http, { method = "POST", path = "/",
                    query = query .. "&Signature=" .. signer.escape(signature),
                    headers = { host = "sts.aliyuncs.com" }, body = "" })
            end
            assert.is_nil(code_with(signed(emu.access_key_secret).json.Credentials))
            assert.equal("SignatureDoesNotMatch", signed("wrong").json.Code)
        end)

        it("AssumeRole says what is wrong", function()
            for code, query in pairs {
                ["MissingParameter.RoleArn"] = {},
                ["InvalidParameter.RoleArn"] = { RoleArn = "nonsense" },
                ["InvalidParameter.DurationSeconds"] = { RoleArn = ROLE, DurationSeconds = "60" },
                ["EntityNotExist.Role"] = { RoleArn = "acs:ram::1:role/missing" },
                ["NoPermission"] = { RoleArn = "acs:ram::1:role/forbidden" },
            } do
                assert.equal(code, assume(query).json.Code)
            end
            assert.equal("SignatureDoesNotMatch", assume({ RoleArn = ROLE },
                { access_key_id = emu.access_key_id, access_key_secret = "wrong" }).json.Code)
        end)

        it("AssumeRoleWithOIDC needs no signature but a good token", function()
            local form = { Action = "AssumeRoleWithOIDC", Version = "2015-04-01", RoleArn = ROLE,
                OIDCProviderArn = "acs:ram::1:oidc-provider/p", RoleSessionName = "me",
                OIDCToken = emu.oidc_token .. "2" }
            assert.is_nil(code_with(with_oidc(form).json.Credentials))
            form.OIDCToken = emu.oidc_token .. "\n"
            assert.equal("AuthenticationFail.OIDCToken.Invalid", with_oidc(form).json.Code)
            form.OIDCToken = nil
            assert.equal("MissingParameter.OIDCToken", with_oidc(form).json.Code)
        end)

        it("its keys live as long as a spec wishes", function()
            local document = assume({ RoleArn = ROLE }).json.Credentials
            emu:expire(document.AccessKeyId)
            assert.equal("InvalidSecurityToken.Expired", code_with(document))
            emu:handout { lifetime = -1 }
            document = assume({ RoleArn = ROLE }).json.Credentials
            assert.equal("InvalidSecurityToken.Expired", code_with(document))
            emu:handout { expiration = "soon", omit = { "SecurityToken" } }
            document = assume({ RoleArn = ROLE }).json.Credentials
            assert.equal("soon", document.Expiration)
            assert.is_nil(document.SecurityToken)
        end)
    end)

    describe("has a metadata service:", function()
        local TOKEN_TTL = "x-aliyun-ecs-metadata-token-ttl-seconds"
        local BASE = "/latest/meta-data/ram/security-credentials/"

        local function token()
            return plain("PUT", "/latest/api/token", { [TOKEN_TTL] = "21600" })
        end

        local function get(path, value)
            return plain("GET", path, { ["x-aliyun-ecs-metadata-token"] = value })
        end

        it("token, role, key", function()
            local value = token().body
            local role = get(BASE, value).body
            local document = get(BASE .. role, value).json
            assert.equal("Success", document.Code)
            assert.is_nil(code_with(document))
            assert.equal(404, get(BASE .. "other", value).status)
            assert.equal(401, get(BASE, "made up").status)
            assert.equal(400, plain("PUT", "/latest/api/token", { [TOKEN_TTL] = "21601" }).status)
        end)

        it("old, new, or with an odd role name", function()
            assert.equal(200, get(BASE).status)
            emu:metadata { v1 = false }
            assert.equal(403, get(BASE).status)
            assert.equal(200, get(BASE, token().body).status)
            emu:metadata { v1 = true, v2 = false, role = "../evil" }
            assert.equal(404, token().status)
            assert.equal("../evil", get(BASE).body)
        end)

        it("suffers faults like everything else", function()
            emu:fault { name = "html", status = 500, operation = "MetadataRole" }
            assert.equal(200, token().status)
            assert.equal(500, get(BASE).status)
            emu:handout { code = "Failed" }
            assert.equal("Failed", get(BASE .. get(BASE).body).json.Code)
        end)
    end)

    it("has a credentials URI, CloudSSO and OAuth", function()
        assert.is_nil(code_with(plain("GET", "/credentials").json))
        local function bearer(name)
            return { authorization = "Bearer " .. name, ["content-type"] = "application/json" }
        end
        local account = '{"AccountId":"1","AccessConfigurationId":"ac-1"}'
        local sso = plain("POST", "/cloud-credentials", bearer(emu.access_tokens.CloudSSO), account)
        assert.is_nil(code_with(sso.json.CloudCredential))
        assert.equal(401, plain("POST", "/cloud-credentials", bearer("old"), account).status)
        assert.equal(400,
            plain("POST", "/cloud-credentials", bearer(emu.access_tokens.CloudSSO), "{}").status)
        local key = plain("POST", "/v1/exchange", bearer(emu.access_tokens.OAuth)).json
        assert.is_nil(code_with { AccessKeyId = key.accessKeyId,
            AccessKeySecret = key.accessKeySecret, SecurityToken = key.securityToken })
        assert.equal(401, plain("POST", "/v1/exchange", bearer("old")).status)
    end)

    it("marks every secret that it knows or hands out", function()
        for _, key in pairs(emu.keys) do
            assert.truthy(key.access_key_secret:match("^CANARY"))
            assert.truthy((key.security_token or "CANARY"):match("^CANARY"))
        end
        local document = plain("GET", "/credentials").json
        assert.truthy(document.AccessKeySecret:match("^CANARY"))
        assert.truthy(document.SecurityToken:match("^CANARY"))
    end)
end)
