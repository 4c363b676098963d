local cjson = require "cjson"
local credentials = require "emr.credentials"
local worlds = require "spec.support.world"

local SECRET, TOKEN = worlds.SECRET, worlds.TOKEN
local FILE = "/home/u/.aliyun/config.json"
local ROLE = "acs:ram::123456:role/spark"

-- A world whose CLI file has these profiles; the first is the current one.
local function with_profiles(profiles, state)
    local world
    world, state = worlds.new(state)
    state.env.HOME = "/home/u"
    state.files[FILE] = cjson.encode { current = profiles[1].name, profiles = profiles }
    return world, state
end

local function with_profile(fields, state)
    fields.name = fields.name or "dev"
    return with_profiles({ fields }, state)
end

local function ak(name)
    return { name = name, mode = "AK", access_key_id = "LTAI" .. name, access_key_secret = SECRET }
end

local function assuming(id)
    return { call = function(_, request)
        return { Credentials = worlds.reply((id or "STS.") .. request.RoleArn) }
    end }
end

describe("credentials.profile, the choice", function()
    it("takes the name given, then the variable's, then the current one", function()
        local world, state = with_profiles { ak "one", ak "two", ak "three" }
        local function id(options)
            return credentials.profile(options)(world).access_key_id
        end
        assert.equal("LTAIone", id())
        state.env.ALIBABA_CLOUD_PROFILE = "two"
        assert.equal("LTAItwo", id())
        assert.equal("LTAIthree", id { name = "three" })
    end)

    it("takes the file given, then the variable's, then the one at home", function()
        local world, state = with_profile(ak "home")
        state.files["/a"] = cjson.encode { current = "a", profiles = { ak "a" } }
        state.files["/b"] = cjson.encode { current = "b", profiles = { ak "b" } }
        assert.equal("LTAIhome", credentials.profile()(world).access_key_id)
        state.env.ALIBABA_CLOUD_CONFIG_FILE = "/a"
        assert.equal("LTAIa", credentials.profile()(world).access_key_id)
        assert.equal("LTAIb", credentials.profile { file = "/b" }(world).access_key_id)
        state.env.ALIBABA_CLOUD_CONFIG_FILE, state.env.HOME = nil, nil
        state.env.USERPROFILE = "/home/u"
        assert.equal("LTAIhome", credentials.profile()(world).access_key_id)
    end)

    it("J3: no such profile is malformed, with path and name", function()
        local world = with_profile(ak "one")
        local err = worlds.refused("malformed", credentials.profile { name = "nope" }, world)
        assert.matches(FILE, err.message, 1, true)
        assert.matches("'nope'", err.message, 1, true)
    end)

    it("says what to set when there is no home and no current profile", function()
        assert.matches("HOME",
            worlds.refused("none", credentials.profile(), (worlds.new())).message)
        local world, state = with_profile(ak "one")
        state.files[FILE] = '{"profiles":[]}'
        assert.matches("ALIBABA_CLOUD_PROFILE",
            worlds.refused("malformed", credentials.profile(), world).message)
    end)
end)

describe("credentials.profile, the file", function()
    it("J3: missing is unreadable, with the path", function()
        local world = worlds.new { env = { HOME = "/home/u" } }
        assert.matches(FILE, worlds.refused("unreadable", credentials.profile(), world).message,
            1, true)
        assert.matches("/x/y", worlds.refused("unreadable", credentials.profile { file = "/x/y" },
            world).message)
        world.read_file = function() return nil, "no luck" end -- an injected one may say little
        assert.equal("CLI profile: /x/y: no luck", worlds.refused("unreadable",
            credentials.profile { file = "/x/y" }, world).message)
    end)

    it("J3: empty, cut or not an object is malformed, with path and line, without content",
        function()
            local world, state = with_profile(ak "one")
            for line, text in pairs {
                [FILE .. " is empty"] = "",
                [FILE .. ":3"] = '{\n"current": "CANARY",\n"profiles": [oops CANARY]\n}',
                [FILE .. ":1"] = 'CANARY\n',
                [FILE .. ":5"] = '\n\n\n\nCANARY',
                [FILE .. ":2"] = '{"current": "CANARY",\r\n"profiles": [{"name": "CANARY',
                [FILE .. " is not a JSON object"] = '"CANARY"',
            } do
                state.files[FILE] = text
                local err = worlds.refused("malformed", credentials.profile(), world)
                assert.matches(line:gsub(" is empty", ""), err.message, 1, true)
            end
        end)

    it("J3: BOM and CRLF are accepted", function()
        local world, state = with_profile(ak "one")
        state.files[FILE] = "\239\187\191" .. state.files[FILE]:gsub(",", ",\r\n")
        assert.equal("LTAIone", credentials.profile()(world).access_key_id)
    end)

    it("strange members are skipped or named, never a crash", function()
        local world, state = with_profile(ak "one")
        for _, text in ipairs { '[]', '{"current":5}', '{"current":"d","profiles":"CANARY"}',
            '{"current":"d","profiles":[1,"CANARY",null,[],{"name":5}]}',
            '{"current":"d","profiles":{"name":"d"}}',
            '{"current":"d","profiles":[{"name":"d"}]}',
            '{"current":"d","profiles":[{"name":"d","mode":{}}]}',
            '{"current":"d","profiles":[{"name":"d","mode":"AK","access_key_id":5}]}',
            '{"current":"d","profiles":[{"name":"d","mode":"OIDC","expired_seconds":"CANARY"}]}',
        } do
            state.files[FILE] = text
            worlds.refused("malformed", credentials.profile(), world)
        end
    end)

    it("J4: readable by others works and warns once", function()
        for _, mode in ipairs { 420, 416, 388 } do -- 0644 0640 0604
            local world, state = with_profile(ak "one")
            state.files[FILE] = { state.files[FILE], mode }
            local provider = credentials.profile()
            assert.equal("LTAIone", provider(world).access_key_id)
            assert.equal("LTAIone", provider(world).access_key_id)
            assert.equal(1, #state.warnings)
            assert.matches(FILE, state.warnings[1], 1, true)
            worlds.assert_no_secret(state.warnings)
        end
        local world, state = with_profile(ak "one")
        credentials.profile()(world)
        assert.equal(0, #state.warnings)
    end)
end)

describe("credentials.profile, the modes", function()
    it("AK", function()
        local key = credentials.profile()((with_profile(ak "one")))
        assert.equal(SECRET, key.access_key_secret)
        assert.is_nil(key.security_token)
        assert.equal("cli_profile/static_ak", key.source)
        assert.equal("credentials(cli_profile/static_ak, ...)", tostring(key))
    end)

    it("StsToken", function()
        local key = credentials.profile()((with_profile { mode = "StsToken",
            access_key_id = "STS.a", access_key_secret = SECRET, sts_token = TOKEN }))
        assert.equal(TOKEN, key.security_token)
        assert.equal("cli_profile/static_sts", key.source)
    end)

    it("J2: an empty required field is incomplete and named", function()
        local rows = {
            { "access_key_secret", { mode = "AK", access_key_id = "LTAI",
                access_key_secret = "" } },
            { "access_key_id", { mode = "AK", access_key_secret = SECRET } },
            { "sts_token", { mode = "StsToken", access_key_id = "a", access_key_secret = SECRET } },
            { "source_profile", { mode = "ChainableRamRoleArn", ram_role_arn = ROLE } },
            { "process_command", { mode = "External" } },
            { "credentials_uri", { mode = "CredentialsURI" } },
            { "cloud_sso_account_id", { mode = "CloudSSO", cloud_sso_sign_in_url = "https://s" } },
            { "role_arn", { mode = "RamRoleArn", access_key_id = "a",
                access_key_secret = SECRET } },
            { "ALIBABA_CLOUD_ROLE_ARN", { mode = "OIDC", oidc_token_file = "/t",
                oidc_provider_arn = "p" } },
        }
        for _, row in ipairs(rows) do
            local err = worlds.refused("incomplete", credentials.profile(), (with_profile(row[2])))
            assert.matches(row[1], err.message, 1, true)
        end
    end)

    it("a profile as the CLI first writes it, without keys, is none", function()
        worlds.refused("none", credentials.profile(), (with_profile { mode = "AK",
            access_key_id = "", access_key_secret = "" }))
    end)

    it("RamRoleArn: AssumeRole with the profile's own key and settings", function()
        local world, state = with_profile({ mode = "RamRoleArn", access_key_id = "LTAIown",
            access_key_secret = SECRET, sts_token = "ignored", ram_role_arn = ROLE,
            ram_session_name = "me", expired_seconds = 1800, policy = "{}", external_id = "x",
            sts_region = "cn-beijing", enable_vpc = true }, assuming())
        local key = credentials.profile()(world)
        assert.equal("STS." .. ROLE, key.access_key_id)
        assert.equal("cli_profile/ram_role_arn", key.source)
        local call = state.calls[1]
        assert.same({ RoleArn = ROLE, RoleSessionName = "me", DurationSeconds = 1800,
            Policy = "{}", ExternalId = "x" }, call.request)
        assert.equal("LTAIown", call.options.access_key_id)
        assert.is_nil(call.options.security_token)
        assert.equal("https://sts-vpc.cn-beijing.aliyuncs.com", call.options.endpoint)
    end)

    it("takes an STS endpoint with or without a scheme, and refuses a bad one", function()
        local function profile(endpoint)
            return with_profile({ mode = "RamRoleArn", access_key_id = "LTAI", ram_role_arn = ROLE,
                access_key_secret = SECRET, sts_endpoint = endpoint }, assuming())
        end
        for endpoint, url in pairs {
            ["sts.cn-hangzhou.aliyuncs.com"] = "https://sts.cn-hangzhou.aliyuncs.com",
            ["https://sts.example.com/"] = "https://sts.example.com",
            ["http://localhost:8080"] = "http://localhost:8080",
            ["http://[::1]:8080"] = "http://[::1]:8080",
        } do
            local world, state = profile(endpoint)
            credentials.profile()(world)
            assert.equal(url, state.calls[1].options.endpoint)
        end
        for _, endpoint in ipairs { "http://sts.example.com", "ftp://x", "a b", "u@h", "h/p",
            "localhost.evil.com:x", "http://127.0.0.1.evil.com" } do
            worlds.refused("malformed", credentials.profile(), (profile(endpoint)))
        end
    end)

    it("refuses text that no request may hold, and names the field", function()
        for field, name in pairs { ram_role_arn = "RoleArn", ram_session_name = "RoleSessionName",
            policy = "Policy", external_id = "ExternalId" } do
            for _, value in ipairs { "CANARY\n", "CANARY\0", ("CANARY"):rep(2000) } do
                local profile = { mode = "RamRoleArn", access_key_id = "LTAI", ram_role_arn = ROLE,
                    access_key_secret = SECRET }
                profile[field] = value
                local err = worlds.refused("malformed", credentials.profile(),
                    (with_profile(profile)))
                assert.matches(name, err.message)
            end
        end
    end)

    it("takes 0 expired_seconds for none, as the CLI writes it", function()
        local world, state = with_profile({ mode = "RamRoleArn", access_key_id = "LTAI",
            access_key_secret = SECRET, ram_role_arn = ROLE, expired_seconds = 0 }, assuming())
        credentials.profile()(world)
        assert.equal(3600, state.calls[1].request.DurationSeconds)
    end)

    it("refuses a session of less than 900 s", function()
        for _, seconds in ipairs { 899, -1, 43201, 1000.5 } do
            local err = worlds.refused("malformed", credentials.profile(), (with_profile {
                mode = "RamRoleArn", access_key_id = "LTAI", access_key_secret = SECRET,
                ram_role_arn = ROLE, expired_seconds = seconds }))
            assert.matches("expired_seconds", err.message)
        end
    end)

    it("ChainableRamRoleArn: AssumeRole with the key of another profile, which may chain",
        function()
            local world, state = with_profiles({
                { name = "top", mode = "ChainableRamRoleArn", ram_role_arn = "r1",
                    source_profile = "middle" },
                { name = "middle", mode = "ChainableRamRoleArn", ram_role_arn = "r2",
                    source_profile = "base" },
                ak "base",
            }, assuming())
            assert.equal("STS.r1", credentials.profile()(world).access_key_id)
            assert.equal("r2", state.calls[1].request.RoleArn)
            assert.equal("LTAIbase", state.calls[1].options.access_key_id)
            assert.equal("STS.r2", state.calls[2].options.access_key_id)
            assert.equal(TOKEN, state.calls[2].options.security_token)
        end)

    it("ChainableRamRoleArn: a circle ends, and is shown", function()
        local function link(name, source)
            return { name = name, mode = "ChainableRamRoleArn", ram_role_arn = ROLE,
                source_profile = source }
        end
        local world = with_profiles { link("a", "b"), link("b", "c"), link("c", "b") }
        local err = worlds.refused("malformed", credentials.profile(), world)
        assert.matches("a -> b -> c -> b", err.message, 1, true)
        worlds.refused("malformed", credentials.profile(), (with_profiles { link("a", "a") }))
    end)

    it("ChainableRamRoleArn: the failure of the source is the outcome", function()
        local world = with_profiles { { name = "top", mode = "ChainableRamRoleArn",
            ram_role_arn = ROLE, source_profile = "gone" } }
        assert.matches("'gone'", worlds.refused("malformed", credentials.profile(), world).message)
    end)

    it("EcsRamRole", function()
        local world, state = with_profile({ mode = "EcsRamRole", ram_role_name = "spark" }, {
            fetch = function(request)
                if request.method == "PUT" then
                    return { status = 200, headers = {}, body = "t" }
                end
                local reply = worlds.reply("STS.ecs")
                reply.Code = "Success"
                return { status = 200, headers = {}, body = cjson.encode(reply) }
            end,
        })
        local key = credentials.profile()(world)
        assert.equal("STS.ecs", key.access_key_id)
        assert.equal("cli_profile/ecs_ram_role", key.source)
        assert.matches("/security%-credentials/spark$", state.requests[2].request.url)
    end)

    it("OIDC, with the session name in either spelling", function()
        for _, name in ipairs { "ram_session_name", "role_session_name" } do
            local world, state = with_profile({ mode = "OIDC", oidc_provider_arn = "p",
                oidc_token_file = "/t", ram_role_arn = ROLE, [name] = "mine",
                expired_seconds = 900 }, {
                fetch = function()
                    return { status = 200, headers = {},
                        body = cjson.encode { Credentials = worlds.reply("STS.oidc") } }
                end,
            })
            state.files["/t"] = "jwt"
            assert.equal("cli_profile/oidc_role_arn", credentials.profile()(world).source)
            assert.matches("RoleSessionName=mine&DurationSeconds=900",
                state.requests[1].request.body, 1, true)
        end
    end)

    it("External", function()
        local world, state = with_profile({ mode = "External", process_command = "tool 'a b'" }, {
            run = function()
                return 0, cjson.encode { mode = "AK", access_key_id = "LTAIext",
                    access_key_secret = SECRET }, ""
            end,
        })
        local key = credentials.profile()(world)
        assert.equal("LTAIext", key.access_key_id)
        assert.equal("cli_profile/external", key.source)
        assert.same({ "tool", "a b" }, state.runs[1].argv)
    end)

    it("CredentialsURI", function()
        local world, state = with_profile({ mode = "CredentialsURI",
            credentials_uri = "http://127.0.0.1:9/k" }, {
            fetch = function()
                return { status = 200, headers = {}, body = cjson.encode(worlds.reply("STS.uri")) }
            end,
        })
        assert.equal("cli_profile/credential_uri", credentials.profile()(world).source)
        assert.equal("http://127.0.0.1:9/k", state.requests[1].request.url)
    end)

    it("any letter case of a mode", function()
        for _, mode in ipairs { "ak", "AK", "aK" } do
            local profile = ak "one"
            profile.mode = mode
            assert.is_table(credentials.profile()((with_profile(profile))))
        end
    end)

    it("a mode that only the CLI knows is refused, and the known ones are listed", function()
        for _, mode in ipairs { "RsaKeyPair", "RamRoleArnWithRoleName", "BearerToken", "Anonymous",
            "", "__index" } do
            local world = with_profile { mode = mode, access_key_id = "LTAI",
                access_key_secret = SECRET }
            local found, message, err = credentials.profile()(world)
            assert.is_nil(found)
            assert.equal("malformed", err.code)
            assert.matches("ChainableRamRoleArn", message)
            assert.matches("mode '" .. mode .. "'", message, 1, true)
            assert.not_matches(SECRET, message)
        end
    end)
end)

describe("credentials.profile, logins", function()
    local function sso(fields)
        local profile = { mode = "CloudSSO",
            cloud_sso_sign_in_url = "https://signin.example.com/s/1",
            cloud_sso_account_id = '1"2', cloud_sso_access_config = "ac-1",
            access_token = "CANARYaccess", cloud_sso_access_token_expire = worlds.WALL + 60 }
        for name, value in pairs(fields or {}) do
            profile[name] = value ~= "none" and value or nil
        end
        return profile
    end

    local function answering(status, reply)
        return { fetch = function()
            return { status = status, headers = {}, body = cjson.encode(reply) }
        end }
    end

    it("CloudSSO: exchanges the stored token at the host of the sign-in URL", function()
        local world, state = with_profile(sso(),
            answering(200, { CloudCredential = worlds.reply("STS.sso") }))
        local key = credentials.profile()(world)
        assert.equal("STS.sso", key.access_key_id)
        assert.equal("cli_profile/cloud_sso", key.source)
        local request = state.requests[1].request
        assert.equal("POST", request.method)
        assert.equal("https://signin.example.com/cloud-credentials", request.url)
        assert.equal("Bearer CANARYaccess", request.headers.authorization)
        assert.same({ AccountId = '1"2', AccessConfigurationId = "ac-1" },
            cjson.decode(request.body))
    end)

    it("CloudSSO: over, missing or refused means log in again, with the command", function()
        for _, fields in ipairs { { cloud_sso_access_token_expire = worlds.WALL },
            { cloud_sso_access_token_expire = "none" }, { access_token = "none" },
            { access_token = "CANARY\r\nx: y" } } do
            local world, state = with_profile(sso(fields))
            local err = worlds.refused("expired", credentials.profile(), world)
            assert.matches("aliyun configure --mode CloudSSO --profile dev", err.message, 1, true)
            assert.equal(0, #state.requests)
        end
        worlds.refused("expired", credentials.profile(),
            (with_profile(sso(), answering(401, { Message = "no CANARYaccess" }))))
    end)

    it("CloudSSO: sends the token nowhere but to an https host", function()
        for _, url in ipairs { "http://signin.example.com", "signin.example.com", "https://",
            "https://u@h/", "file:///etc/passwd" } do
            local world, state = with_profile(sso { cloud_sso_sign_in_url = url })
            worlds.refused("malformed", credentials.profile(), world)
            assert.equal(0, #state.requests)
        end
    end)

    it("CloudSSO: what the server refuses is told without the token", function()
        local err = worlds.refused("unavailable", credentials.profile(), (with_profile(sso(),
            answering(403, { Code = "NoAccess", Message = "CANARYaccess may not" }))))
        assert.equal(403, err.status)
        assert.matches("NoAccess", err.message)
    end)

    local OAUTH_REPLY = { accessKeyId = "STS.oauth", accessKeySecret = SECRET,
        securityToken = TOKEN, expiration = worlds.stamp(900), requestId = "R" }

    it("OAuth: exchanges the stored token at its site's host", function()
        for site, host in pairs { CN = "https://oauth.aliyun.com", cn = "https://oauth.aliyun.com",
            INTL = "https://oauth.alibabacloud.com", Intl = "https://oauth.alibabacloud.com" } do
            local world, state = with_profile({ mode = "OAuth", oauth_site_type = site,
                oauth_access_token = "CANARYaccess",
                oauth_access_token_expire = worlds.WALL + 60 }, answering(200, OAUTH_REPLY))
            local key = credentials.profile()(world)
            assert.equal("STS.oauth", key.access_key_id)
            assert.equal(worlds.WALL + 900, key.expiration)
            assert.equal("cli_profile/oauth", key.source)
            local request = state.requests[1].request
            assert.equal(host .. "/v1/exchange", request.url)
            assert.equal("POST", request.method)
            assert.equal("Bearer CANARYaccess", request.headers.authorization)
            assert.equal(1, #state.requests)
        end
    end)

    it("OAuth: over or missing means log in again; an unknown site is malformed", function()
        local function oauth(fields)
            fields.mode = "OAuth"
            return (with_profile(fields))
        end
        local err = worlds.refused("expired", credentials.profile(), oauth { oauth_site_type = "CN",
            oauth_access_token = "CANARYaccess", oauth_access_token_expire = worlds.WALL })
        assert.matches("--mode OAuth --profile dev", err.message, 1, true)
        worlds.refused("expired", credentials.profile(), oauth { oauth_site_type = "CN" })
        worlds.refused("malformed", credentials.profile(), oauth { oauth_access_token = "x" })
        worlds.refused("malformed", credentials.profile(), oauth { oauth_site_type = "US",
            oauth_access_token = "x" })
    end)

    it("OAuth: a reply without the key is malformed", function()
        worlds.refused("malformed", credentials.profile(), (with_profile({ mode = "OAuth",
            oauth_site_type = "CN", oauth_access_token = "CANARYaccess" },
            answering(200, { accessKeyId = "STS.oauth", securityToken = TOKEN }))))
    end)
end)

describe("credentials.region", function()
    it("is the region of the profile in use", function()
        local one, two = ak "one", ak "two"
        one.region_id, two.region_id = "cn-hangzhou", "eu-central-1"
        local world, state = with_profiles { one, two }
        assert.equal("cn-hangzhou", credentials.region(world))
        assert.equal("eu-central-1", credentials.region(world, { name = "two" }))
        state.env.ALIBABA_CLOUD_PROFILE = "two"
        assert.equal("eu-central-1", credentials.region(world))
        state.env.ALIBABA_CLOUD_CLI_PROFILE_DISABLED = "true"
        assert.is_nil(credentials.region(world))
    end)

    it("is nil, silently, for whatever is wrong", function()
        assert.is_nil(credentials.region((worlds.new())))
        assert.is_nil(credentials.region((worlds.new { env = { HOME = "/x" } })))
        local world, state = with_profile(ak "one")
        assert.is_nil(credentials.region(world))
        for _, text in ipairs { "", "{", "[]", '{"current":"d","profiles":[{"name":"d",'
            .. '"region_id":5}]}', '{"current":"d","profiles":[{"name":"d","region_id":""}]}' } do
            state.files[FILE] = { text, 420 }
            assert.is_nil(credentials.region(world))
        end
        assert.equal(0, #state.warnings)
    end)
end)
