local cjson = require "cjson"
local credentials = require "emr.credentials"
local ini = require "emr.credentials.ini"
local worlds = require "spec.support.world"

local SECRET = worlds.SECRET
local FILE = "/home/u/.alibabacloud/credentials"
local ROLE = "acs:ram::123456:role/spark"

local function with_file(text, state)
    local world
    world, state = worlds.new(state)
    state.env.HOME = "/home/u"
    state.files[FILE] = text
    return world, state
end

local function key_section(name, id, secret)
    return ("[%s]\ntype = access_key\naccess_key_id = %s\naccess_key_secret = %s\n")
        :format(name, id, secret or SECRET)
end

describe("an INI text", function()
    it("has sections, keys and comments; a value is the rest of its line", function()
        assert.same({
            default = { type = "access_key", a = "b # c", d = "e=f", g = "h;i", j = "acs:ram::1" },
            ["other one"] = { k = "l" },
        }, ini.parse(table.concat({
            "# comment", "; comment", "  # indented comment", "", "[default]", "type=access_key",
            "  A = b # c  ", "d = e=f", "g: h;i", "j = acs:ram::1", "empty =", "[ other one ]",
            "k\t=\tl",
        }, "\n")))
    end)

    it("J3: may have CRLF and no break at the end", function()
        assert.same({ d = { a = "b", c = "d" } }, ini.parse("[d]\r\na = b\r\n\r\nc = d"))
    end)

    it("J3: names the first bad line", function()
        for text, line in pairs {
            ["oops"] = 1,
            ["[d]\n\n# x\noops"] = 4,
            ["[d\na = b"] = 1,
            ["a = b\n[d]"] = 1,
            ["[d]\n= b"] = 2,
        } do
            local sections, bad = ini.parse(text)
            assert.is_nil(sections)
            assert.equal(line, bad)
        end
    end)
end)

describe("credentials.ini", function()
    it("reads the section default", function()
        local key = credentials.ini()((with_file(key_section("default", "LTAIini"))))
        assert.equal("LTAIini", key.access_key_id)
        assert.equal(SECRET, key.access_key_secret)
        assert.equal("profile/static_ak", key.source)
    end)

    it("keeps a # in a secret", function()
        local key = credentials.ini()((with_file(key_section("default", "LTAIini", "a#b;c"))))
        assert.equal("a#b;c", key.access_key_secret)
    end)

    it("takes the section given, then the variable's", function()
        local world, state = with_file(key_section("default", "LTAI0")
            .. key_section("one", "LTAI1") .. key_section("two", "LTAI2"))
        state.env.ALIBABA_CLOUD_PROFILE = "one"
        assert.equal("LTAI1", credentials.ini()(world).access_key_id)
        assert.equal("LTAI2", credentials.ini { section = "two" }(world).access_key_id)
    end)

    it("takes the file given, the variable's, then either default name", function()
        local world, state = with_file(nil)
        local function id(options)
            return credentials.ini(options)(world).access_key_id
        end
        state.files[FILE .. ".ini"] = key_section("default", "LTAIb")
        assert.equal("LTAIb", id())
        state.files[FILE] = key_section("default", "LTAIa")
        assert.equal("LTAIa", id())
        state.files["/c"] = key_section("default", "LTAIc")
        state.env.ALIBABA_CLOUD_CREDENTIALS_FILE = "/c"
        assert.equal("LTAIc", id())
        state.files["/d"] = key_section("default", "LTAId")
        assert.equal("LTAId", id { file = "/d" })
    end)

    it("J3: what is missing is named", function()
        local err = worlds.refused("unreadable", credentials.ini(), (with_file(nil)))
        assert.matches(FILE .. " or credentials.ini", err.message, 1, true)
        err = worlds.refused("unreadable", credentials.ini { file = "/x/y" }, (with_file(nil)))
        assert.matches("/x/y", err.message)
        worlds.refused("none", credentials.ini(), (worlds.new()))
    end)

    it("J3: a default file that cannot be read does not give way to the other", function()
        local world, state = with_file(nil)
        state.files[FILE .. ".ini"] = key_section("default", "LTAIb")
        local failure = require "emr.failure"
        world.read_file = function(path)
            return failure("credentials", "unreadable", path .. ": Permission denied")
        end
        assert.matches("Permission denied",
            worlds.refused("unreadable", credentials.ini(), world).message)
    end)

    it("J3: path and line of a bad line, path of a missing section, no content", function()
        local err = worlds.refused("malformed", credentials.ini(),
            (with_file("[default]\ntype = access_key\nCANARY")))
        assert.matches(FILE .. ":3", err.message, 1, true)
        err = worlds.refused("malformed", credentials.ini { section = "nope" },
            (with_file(key_section("default", "LTAI"))))
        assert.matches(FILE .. " has no section [nope]", err.message, 1, true)
        for _, text in ipairs { "", "# CANARY\n", "\239\187\191" } do
            worlds.refused("malformed", credentials.ini(), (with_file(text)))
        end
    end)

    it("J3: BOM and CRLF are accepted", function()
        local text = "\239\187\191" .. key_section("default", "LTAIbom"):gsub("\n", "\r\n")
        local key = credentials.ini()((with_file(text)))
        assert.equal("LTAIbom", key.access_key_id)
        assert.equal(SECRET, key.access_key_secret)
    end)

    it("J4: readable by others works and warns once", function()
        local world, state = with_file { key_section("default", "LTAI"), 420 }
        local provider = credentials.ini()
        provider(world)
        provider(world)
        assert.equal(1, #state.warnings)
        assert.matches("chmod 600", state.warnings[1])
    end)

    it("J2: half a pair is incomplete", function()
        local err = worlds.refused("incomplete", credentials.ini(),
            (with_file("[default]\ntype = access_key\naccess_key_id = LTAI\n")))
        assert.matches("access_key_secret is not", err.message)
    end)

    it("type ram_role_arn", function()
        local world, state = with_file("[default]\ntype = ram_role_arn\naccess_key_id = LTAIown\n"
            .. "access_key_secret = x\nrole_arn = " .. ROLE .. "\nrole_session_name = me\n"
            .. 'policy = {"Version":"1"}\n', { call = function()
            return { Credentials = worlds.reply("STS.role") }
        end })
        assert.equal("profile/ram_role_arn", credentials.ini()(world).source)
        assert.same({ RoleArn = ROLE, RoleSessionName = "me", DurationSeconds = 3600,
            Policy = '{"Version":"1"}' }, state.calls[1].request)
        assert.equal("LTAIown", state.calls[1].options.access_key_id)
    end)

    it("type oidc_role_arn", function()
        local world, state = with_file("[default]\ntype = oidc_role_arn\nrole_arn = " .. ROLE
            .. "\noidc_provider_arn = p\noidc_token_file_path = /t\nrole_session_name = me\n",
            { fetch = function()
                return { status = 200, headers = {},
                    body = cjson.encode { Credentials = worlds.reply("STS.oidc") } }
            end })
        state.files["/t"] = "jwt\n"
        assert.equal("profile/oidc_role_arn", credentials.ini()(world).source)
        assert.matches("OIDCToken=jwt&", state.requests[1].request.body, 1, true)
    end)

    it("type ecs_ram_role, with or without a name", function()
        for line, last in pairs { ["role_name = spark\n"] = 2, ["role_name =\n"] = 3, [""] = 3 } do
            local world, state = with_file("[default]\ntype = ecs_ram_role\n" .. line,
                { fetch = function(request)
                    if request.method == "PUT" then
                        return { status = 200, headers = {}, body = "t" }
                    elseif request.url:find("credentials/$") then
                        return { status = 200, headers = {}, body = "spark" }
                    end
                    local reply = worlds.reply("STS.ecs")
                    reply.Code = "Success"
                    return { status = 200, headers = {}, body = cjson.encode(reply) }
                end })
            assert.equal("profile/ecs_ram_role", credentials.ini()(world).source)
            assert.equal(last, #state.requests)
        end
    end)

    it("an unknown or missing type is refused, and the known ones are listed", function()
        for name, line in pairs { ["''"] = "type =\n", ["'rsa_key_pair'"] = "type = rsa_key_pair\n",
            ["type '"] = "" } do
            local err = worlds.refused("malformed", credentials.ini(),
                (with_file("[default]\n" .. line .. "public_key_id = CANARY\n")))
            assert.matches("access_key, ecs_ram_role, ram_role_arn, oidc_role_arn", err.message, 1,
                true)
            assert.matches(name, err.message, 1, true)
        end
    end)
end)
