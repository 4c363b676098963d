-- The providers against the emulated cloud: true signatures, true HTTP, true files.
local cjson = require "cjson"
local emr = require "emr"
local emulator = require "spec.support.emulator"
local worlds = require "spec.support.world"

local credentials = emr.credentials

local IDS = { workspaceId = "w-1", sessionClusterId = "s-1" }
local ROLE = "acs:ram::123456:role/spark"

describe("a provider against the emulator", function()
    local emu, env, shift

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
        emu:raw_reset()
        -- whatever fails here must not go looking for a true metadata service
        env, shift = { ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true" }, 0
    end)

    local function with_ca(options)
        options.ca_file = emu.ca_file
        return options
    end

    -- The real world, but for the environment, the test CA, and hosts that are not ours.
    local function world()
        return {
            clock = function() return emr.now() + shift end,
            wall_clock = function() return os.time() + shift end,
            getenv = function(name) return env[name] end,
            fetch = function(request, options)
                request.url = request.url:gsub("^https://oauth%.aliyun%.com", emu.https)
                return emr.fetch(request, with_ca(options))
            end,
            call = function(operation, request, options)
                return emr.call(operation, request, with_ca(options))
            end,
        }
    end

    local function file(name, text)
        local path = emu.dir .. "/" .. name
        local handle = assert(io.open(path, "wb"))
        handle:write(text)
        handle:close()
        os.execute("chmod 600 " .. path)
        return path
    end

    local function own_key()
        return { access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret }
    end

    local function profile_file(profile)
        profile.name = "dev"
        return file("config.json", cjson.encode { current = "dev", profiles = { profile } })
    end

    -- A client that has nothing but this provider or environment.
    local function client(options)
        options.region, options.endpoint, options.ca_file = "cn-hangzhou", emu.https, emu.ca_file
        options.getenv = function(name) return env[name] end
        return emr.client.new(options)
    end

    local function verdicts(operation)
        local list = {}
        for i, request in ipairs(emu:requests(operation)) do
            list[i] = request.verdict
        end
        return list
    end

    it("AssumeRole is signed as the service wants it, and its key is accepted", function()
        local provider = credentials.assume_role { source = own_key, role_arn = ROLE,
            role_session_name = "spec", sts_endpoint = emu.https }
        local key = assert(provider(world()))
        assert.matches("^STS%.", key.access_key_id)
        local left = key.expiration - os.time()
        -- an hour, give or take: os.time is some milliseconds late, and nginx has its own clock
        assert.is_true(left > 3590 and left <= 3605, left)
        assert.same({ "ok" }, verdicts "AssumeRole")
        local cluster = assert(client { credentials = function() return key end }
            :get_session_cluster(IDS))
        assert.equal("s-1", cluster.sessionCluster.sessionClusterId)
        assert.same({ "ok" }, verdicts "GetSessionCluster")
    end)

    it("AssumeRole over AssumeRole hands the token on", function()
        local first = credentials.assume_role { source = own_key, role_arn = ROLE,
            sts_endpoint = emu.http }
        local key = credentials.assume_role { source = first, role_arn = ROLE, policy = "{}",
            sts_endpoint = emu.http .. "/" }(world())
        assert.is_table(key)
        assert.same({ "ok", "ok" }, verdicts "AssumeRole")
    end)

    it("AssumeRole tells code, status and request id of a refusal", function()
        for role, code in pairs { missing = "EntityNotExist.Role", forbidden = "NoPermission" } do
            local err = worlds.refused("unavailable", credentials.assume_role { source = own_key,
                role_arn = "acs:ram::1:role/" .. role, sts_endpoint = emu.https }, world())
            assert.matches(code, err.message, 1, true)
            assert.is_number(err.status)
            assert.is_string(err.request_id)
            assert.is_false(err.retryable)
        end
    end)

    it("L1: AssumeRole with a wrong secret shows neither secret nor string to sign", function()
        local err = worlds.refused("unavailable", credentials.assume_role {
            role_arn = ROLE, sts_endpoint = emu.https, source = function()
                return { access_key_id = emu.access_key_id, access_key_secret = worlds.SECRET }
            end }, world())
        assert.matches("SignatureDoesNotMatch", err.message)
        assert.not_matches("ACS3", err.message)
    end)

    it("OIDC posts the token of the file, which may be replaced between two calls", function()
        local path = file("oidc-token", emu.oidc_token .. ".first\n")
        local provider = credentials.oidc { role_arn = ROLE, oidc_token_file = path,
            oidc_provider_arn = "acs:ram::1:oidc-provider/k8s", sts_endpoint = emu.https }
        assert.matches("^STS%.", assert(provider(world())).access_key_id)
        file("oidc-token", emu.oidc_token .. ".second")
        assert(provider(world()))
        file("oidc-token", "CANARYwrong")
        local err = worlds.refused("unavailable", provider, world())
        assert.matches("AuthenticationFail.OIDCToken.Invalid", err.message, 1, true)
        local requests = emu:requests "AssumeRoleWithOIDC"
        assert.equal(3, #requests)
        assert.matches("OIDCToken=" .. emu.oidc_token .. ".first&", requests[1].body, 1, true)
        assert.matches("OIDCToken=" .. emu.oidc_token .. ".second&", requests[2].body, 1, true)
        assert.is_nil(requests[1].headers.authorization)
    end)

    local function operations_seen()
        local list = {}
        for i, request in ipairs(emu:requests()) do
            list[i] = request.operation
        end
        return table.concat(list, " ")
    end

    it("J7: the metadata service, newer and older mode", function()
        local provider = credentials.ecs { endpoint = emu.http }
        assert.equal("ecs_ram_role", assert(provider(world())).source)
        assert.equal("MetadataToken MetadataRole MetadataKey", operations_seen())
        emu:reset()
        emu:metadata { v2 = false }
        assert.is_table(provider(world()))
        worlds.refused("unavailable", credentials.ecs { endpoint = emu.http,
            disable_imdsv1 = true }, world())
        emu:reset()
        emu:metadata { v1 = false }
        assert.is_table(provider(world()))
    end)

    it("J7: strange answers of the metadata service", function()
        local provider = credentials.ecs { endpoint = emu.http, role_name = "emr-emulator-role" }
        for _, row in ipairs {
            { "malformed", { name = "html", status = 200 } },
            { "malformed", { name = "empty" } },
            { "unavailable", { name = "status", status = 404 } },
            { "unavailable", { name = "status", status = 500, times = 2 } },
            { "unavailable", { name = "huge", bytes = 70000, times = 2 } },
            { "unavailable", { name = "redirect", times = 2 } },
        } do
            emu:reset()
            row[2].operation = "MetadataKey"
            emu:fault(row[2])
            worlds.refused(row[1], provider, world())
        end
        emu:reset()
        emu:handout { code = "Failed" }
        worlds.refused("unavailable", provider, world())
        for _, role in ipairs { "a/b", "..", "<html>" } do
            emu:reset()
            emu:metadata { role = role }
            worlds.refused("malformed", credentials.ecs { endpoint = emu.http }, world())
        end
    end)

    it("J6: goes to no other host when the metadata service redirects", function()
        local elsewhere = emu.raw("good")
        for _, operation in ipairs { "MetadataToken", "MetadataRole", "MetadataKey" } do
            emu:reset()
            emu:fault { name = "redirect", operation = operation, times = 2, headers =
                { location = elsewhere .. "/" } }
            credentials.ecs { endpoint = emu.http }(world())
        end
        assert.equal(0, #emu:raw_log(elsewhere))
    end)

    it("J6: a service that refuses to connect is given up at once", function()
        local gone = emu.raw("refuse")
        local start = emr.now()
        worlds.refused("unavailable", credentials.ecs { endpoint = gone }, world())
        assert.is_true(emr.now() - start < 1)
    end)

    it("J6: one that accepts and says nothing costs no more than the deadline", function()
        local silent = emu.raw("silence")
        local bounded = world()
        bounded.deadline = bounded.clock() + 0.2
        worlds.refused("deadline", credentials.ecs { endpoint = silent }, bounded)
        assert.is_true(bounded.clock() < bounded.deadline + 0.2)
    end)

    it("the credentials URI", function()
        env.ALIBABA_CLOUD_CREDENTIALS_URI = emu.http .. "/credentials"
        assert.equal("credential_uri", assert(credentials.uri()(world())).source)
        emu:handout { omit = { "SecurityToken" } }
        assert.matches("SecurityToken",
            worlds.refused("malformed", credentials.uri(), world()).message)
    end)

    it("CloudSSO and OAuth logins of the CLI, and one that is over", function()
        local over = os.time() + 600
        local sso = { mode = "CloudSSO", cloud_sso_sign_in_url = emu.https .. "/start",
            cloud_sso_account_id = "1", cloud_sso_access_config = "ac",
            access_token = emu.access_tokens.CloudSSO, cloud_sso_access_token_expire = over }
        local oauth = { mode = "OAuth", oauth_site_type = "CN",
            oauth_access_token = emu.access_tokens.OAuth, oauth_access_token_expire = over }
        local function fetch(profile)
            return credentials.profile { file = profile_file(profile) }
        end
        assert.equal("cli_profile/cloud_sso", assert(fetch(sso)(world())).source)
        assert.equal("cli_profile/oauth", assert(fetch(oauth)(world())).source)
        sso.access_token, oauth.oauth_access_token = "CANARYold", "CANARYold"
        worlds.refused("expired", fetch(sso), world())
        worlds.refused("expired", fetch(oauth), world())
    end)

    it("J8: a service that gives no usable end is asked once per 10 s", function()
        for _, settings in ipairs { { omit = { "Expiration" } }, { expiration = "soon" },
            { expiration = "2020-01-01T00:00:00Z" }, { expiration = "9999-12-31T23:59:59Z" } } do
            emu:reset()
            emu:handout(settings)
            local provider = credentials.cached(credentials.uri {
                url = emu.http .. "/credentials" })
            for _ = 1, 20 do
                assert(provider(world()))
            end
            assert.equal(1, #emu:requests())
            shift = shift + 11
            assert(provider(world()))
            assert.equal(2, #emu:requests())
        end
    end)

    it("G12: a client renews a key that the API calls expired, once, and repeats", function()
        local c = client { credentials = credentials.assume_role { source = own_key,
            role_arn = ROLE, sts_endpoint = emu.https }, deadline = 20 }
        assert(c:get_session_cluster(IDS))
        emu:expire()
        assert(c:get_session_cluster(IDS))
        assert(c:get_session_cluster(IDS))
        assert.same({ "ok", "ok" }, verdicts "AssumeRole")
        assert.same({ "ok", "InvalidSecurityToken.Expired", "ok", "ok" },
            verdicts "GetSessionCluster")
    end)

    it("J5: an expired key that cannot be renewed costs one request", function()
        local key = emu.keys.expired
        for name, options in pairs {
            static = { credentials = { access_key_id = key.access_key_id,
                access_key_secret = key.access_key_secret,
                security_token = key.security_token } },
            environment = { credentials = credentials.environment() },
        } do
            emu:reset()
            env.ALIBABA_CLOUD_ACCESS_KEY_ID = key.access_key_id
            env.ALIBABA_CLOUD_ACCESS_KEY_SECRET = key.access_key_secret
            env.ALIBABA_CLOUD_SECURITY_TOKEN = key.security_token
            local _, _, err = client(options):get_session_cluster(IDS)
            assert.equal("service", err.kind, name)
            assert.equal("InvalidSecurityToken.Expired", err.code, name)
            assert.equal(1, #emu:requests(), name)
        end
    end)

    describe("the same client call", function()
        local function environment()
            env.ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id
            env.ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret
        end

        local ways = {
            ["the environment"] = environment,
            ["a CLI profile"] = function()
                local profile = own_key()
                profile.mode = "AK"
                env.ALIBABA_CLOUD_CONFIG_FILE = profile_file(profile)
            end,
            ["an INI file"] = function()
                local key = own_key()
                env.ALIBABA_CLOUD_CREDENTIALS_FILE = file("credentials.ini",
                    ("[default]\ntype = access_key\naccess_key_id = %s\naccess_key_secret = %s\n")
                    :format(key.access_key_id, key.access_key_secret))
            end,
            ["the metadata service"] = function()
                return credentials.ecs { endpoint = emu.http }
            end,
            ["AssumeRole"] = function()
                environment()
                return credentials.assume_role { source = credentials.default(), role_arn = ROLE,
                    sts_endpoint = emu.https }
            end,
            ["the credentials URI"] = function()
                env.ALIBABA_CLOUD_CREDENTIALS_URI = emu.http .. "/credentials"
            end,
            ["a process"] = function()
                local output = own_key()
                output.mode = "AK"
                return credentials.process { command = "cat '" .. file("key.json",
                    cjson.encode(output)) .. "'" }
            end,
        }
        for name, prepare in pairs(ways) do
            it("works with keys from " .. name, function()
                local reply, message = client { credentials = prepare() }:get_session_cluster(IDS)
                assert.is_table(reply, message)
                assert.same({ "ok" }, verdicts "GetSessionCluster")
            end)
        end
    end)
end)
