-- Where secrets could be left behind: rows L3 to L5. What messages show is checked everywhere
-- (outcomes.lua), what is printed by whoever runs the specs (tools/no-secrets).

local emr = require "emr"

local call = require "spec.support.call"
local child = require "spec.support.child"

-- The same text forwards only inside the Lua state; spec/support/wiped.c looks for it afterwards.
-- It is the end of a longer secret, because free() itself overwrites the beginning of a block.
local BACKWARDS = "yrotcafdesolcafoterces"
local USE = ([[
    local secret = ("x"):rep(64) .. ("%s"):reverse()
    local keys = { access_key_secret = secret }
    for _ = 1, 3 do
        call.failed("service", "SignatureDoesNotMatch", call.get(HTTPS, keys))
        emr.prepare(emr.operations.GetSessionCluster, call.IDS, call.options(HTTP, keys))
        emr.sign({}, { access_key_id = "id", access_key_secret = secret })
        call.start(HTTP, keys):cancel()
    end
    call.start(HTTPS, keys)
    emr.step(0)
]]):format(BACKWARDS)


describe("a secret", function()
    local function remains(plus)
        local result = child.searched(USE, (plus or "") .. BACKWARDS)
        return result and tonumber(result.out), result and result.err
    end

    it("L3: is nowhere in memory once its state is closed, but for what Lua keeps", function()
        local found, printed = remains()
        if not found then
            pending("needs a host of its own" .. (printed or ""))
            return
        end
        assert.same({ 0, "" }, { found, printed })
        assert(remains "+" > 0, "the search finds nothing at all")
    end)

    it("L4: of TLS goes to no file, whatever SSLKEYLOGFILE says, and nothing is printed", function()
        local path = call.cloud().dir .. "/keylog"
        child.printed("Running\n", child.lua([[
            print(assert(call.get(HTTPS)).sessionCluster.state)
        ]], { env = { SSLKEYLOGFILE = path, CURL_DEBUG = "all", CURL_VERBOSE = "1" } }))
        local file = io.open(path)
        if file then
            local text = file:read("*a")
            file:close()
            assert.equal("", text)
        end
    end)

    it("L5: is never returned where callers print an error", function()
        local credentials = emr.credentials
        local env = {
            ALIBABA_CLOUD_ACCESS_KEY_ID = "id", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "CANARY",
        }
        local world = { getenv = function(name) return env[name] end }
        for _, provider in ipairs {
            credentials.static { access_key_id = "id", access_key_secret = "CANARY" },
            credentials.environment {},
            credentials.chain { credentials.environment {} },
            credentials.cached(credentials.environment {}),
        } do
            local key, second, third = provider(world)
            assert.equal("CANARY", key.access_key_secret)
            assert.same({}, { second, third })
        end
    end)
end)
