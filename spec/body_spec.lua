-- JSON bodies: Lua values by their declared types (design section 4, operation descriptors).

local cjson = require "cjson"
local emr = require "emr"

local attempt = require "spec.support.attempt"
local emulator = require "spec.support.emulator"
local wrong = require "spec.support.wrong"

local CREATE = "CreateSessionCluster"
local NAN, INF = 0 / 0, 1 / 0

-- The body that these fields make.
local function body(fields)
    fields.workspaceId = "w-1"
    return attempt.prepared(fields, nil, CREATE).body
end

local function refused(path, fields)
    fields.workspaceId = "w-1"
    attempt.refused(path, fields, attempt.options(), CREATE)
end

-- A descriptor of our own, for types that the session clusters do not use.
local function operation(fields)
    local copy = {}
    for name, value in pairs(emr.operations[CREATE]) do
        copy[name] = value
    end
    copy.body = fields
    return copy
end

local function body_of(type_name, value)
    return emr.prepare(operation { { name = "x", type = type_name } },
        { workspaceId = "w-1", x = value }, attempt.options()).body
end


describe("a body", function()
    before_each(function()
        emulator.get():reset()
    end)

    it("arrives as it was prepared, with its type and its hash", function()
        local fields = {
            workspaceId = "w-1", name = "nightly \230\181\139 \"x\" \\ / \n", kind = "SQL",
            queueName = "dev_queue", clientToken = "t-1", fusion = false,
            publicEndpointEnabled = true, autoStopConfiguration = {
                enable = true, idleTimeoutMinutes = 60,
            },
            applicationConfigs = {
                { configFileName = "spark.conf", configItemKey = "a", configItemValue = "" },
                { configItemKey = "b", configItemValue = "1" },
            },
        }
        local got, prepared = attempt.accepted(fields, nil, CREATE)
        assert.equal("POST", prepared.method)
        assert.equal("/api/v1/workspaces/w-1/sessionClusters?regionId=cn-hangzhou", got.uri)
        assert.equal("application/json; charset=utf-8", got.headers["content-type"])
        assert.equal(tostring(#prepared.body), got.headers["content-length"])
        assert.is_nil(got.headers.expect)
        fields.workspaceId = nil
        assert.same(fields, cjson.decode(got.body))
    end)

    it("is {} when no field is given, and is sent", function()
        assert.equal("{}", body {})
        assert.equal("{}", attempt.accepted({ workspaceId = "w-1" }, nil, CREATE).body)
    end)

    -- What each Lua value becomes; the request's own fields come in the catalogue's order.
    local exact = {
        ["an empty table is [] where an array is declared"] =
            { '{"applicationConfigs":[]}', { applicationConfigs = {} } },
        ["an empty table is {} where an object is declared"] =
            { '{"autoStartConfiguration":{}}', { autoStartConfiguration = {} } },
        ["an empty table is {} inside an array of objects"] =
            { '{"applicationConfigs":[{},{}]}', { applicationConfigs = { {}, {} } } },
        ["emr.null is null"] = { '{"autoStartConfiguration":null,"name":null}',
            { name = emr.null, autoStartConfiguration = emr.null } },
        ["an empty string is one"] = { '{"name":""}', { name = "" } },
        ["a number with an integral value is an integer"] =
            { '{"autoStopConfiguration":{"idleTimeoutMinutes":60}}',
                { autoStopConfiguration = { idleTimeoutMinutes = 6e1 } } },
        ["an int32 reaches from -2147483648 on"] =
            { '{"autoStopConfiguration":{"idleTimeoutMinutes":-2147483648}}',
                { autoStopConfiguration = { idleTimeoutMinutes = -2147483648 } } },
        ["an int32 reaches to 2147483647"] =
            { '{"autoStopConfiguration":{"idleTimeoutMinutes":2147483647}}',
                { autoStopConfiguration = { idleTimeoutMinutes = 2147483647 } } },
        ["control characters are escaped"] =
            { '{"name":"\\u0000\\u0001\\u001f"}', { name = "\0\1\31" } },
        ["UTF-8 stays"] = { '{"name":"\230\181\139\240\159\152\128"}',
            { name = "\230\181\139\240\159\152\128" } },
    }
    for what, case in pairs(exact) do
        it(what, function()
            assert.equal(case[1], body(case[2]))
        end)
    end

    it("is JSON for any bytes in a string", function()
        local bytes = {}
        for byte = 0, 127 do
            bytes[byte + 1] = string.char(byte)
        end
        local name = table.concat(bytes)
        assert.same({ name = name }, emr.decode(body { name = name }))
        assert.is_table(emr.decode(body { name = "a\255b\192\175\237\160\128" }))
    end)

    it("holds numbers by their declared types", function()
        assert.equal('{"x":1735689600000}', body_of("int64", 1735689600000))
        assert.equal('{"x":9007199254740992}', body_of("int64", 2 ^ 53))
        assert.equal('{"x":-1}', body_of("int64", -1))
        assert.equal('{"x":2}', body_of("double", 2))
        assert.equal(0.1, cjson.decode(body_of("double", 0.1)).x)
        assert.equal(1e300, cjson.decode(body_of("double", 1e300)).x)
        assert.equal('{"x":["a","b"]}', body_of("array<string>", { "a", "b" }))
        assert.equal('{"x":[]}', body_of("array<string>", {}))
        assert.equal('{"x":{}}', body_of("map<string,string>", {}))
        assert.equal('{"x":{"k":"v"}}', body_of("map<string,string>", { k = "v" }))
        assert.equal('{"x":[1,true,"a",[2]]}', body_of("any", { 1, true, "a", { 2 } }))
        assert.equal('{"x":{"k":{"l":[null]}}}', body_of("any", { k = { l = { emr.null } } }))
    end)

    describe("raises, and names the place, when", function()
        local scalars = {
            { "request.name", "string", function(v) return { name = v } end },
            { "request.fusion", "boolean", function(v) return { fusion = v } end },
            { "request.autoStartConfiguration", "table",
                function(v) return { autoStartConfiguration = v } end },
            { "request.autoStartConfiguration.enable", "boolean",
                function(v) return { autoStartConfiguration = { enable = v } } end },
            { "request.autoStopConfiguration.idleTimeoutMinutes", "number",
                function(v) return { autoStopConfiguration = { idleTimeoutMinutes = v } } end },
            { "request.applicationConfigs", "table",
                function(v) return { applicationConfigs = v } end },
            { "request.applicationConfigs[2]", "table",
                function(v) return { applicationConfigs = { {}, v } } end },
            { "request.applicationConfigs[2].configItemKey", "string",
                function(v) return { applicationConfigs = { {}, { configItemKey = v } } } end },
        }
        for _, case in ipairs(scalars) do
            for type_name, value in pairs(wrong.types(case[2])) do
                it(("%s is a %s"):format(case[1], type_name), function()
                    refused(case[1], case[3](value))
                end)
            end
        end

        for _, value in ipairs { 1.5, 2147483648, -2147483649, NAN, INF, -INF, 1e300 } do
            it("an int32 is " .. value, function()
                refused("request.autoStopConfiguration.idleTimeoutMinutes",
                    { autoStopConfiguration = { idleTimeoutMinutes = value } })
            end)
        end

        for type_name, values in pairs {
            int64 = { 0.5, 2 ^ 54, NAN, INF, "1" }, double = { NAN, INF, -INF, "1" },
            ["array<string>"] = { { 1 }, { k = "v" }, "a" },
            ["map<string,string>"] = { { "a" }, { k = 1 }, "a" },
            any = { print, io.stdout, { print }, { k = print } },
        } do
            it("a value is no " .. type_name, function()
                for _, value in ipairs(values) do
                    local ok, message = pcall(body_of, type_name, value)
                    assert.is_false(ok)
                    assert.truthy(message:find("request.x", 1, true), message)
                end
            end)
        end

        it("a name in it is not known", function()
            refused("'minutes'", { autoStopConfiguration = { minutes = 1 } })
            refused("request.autoStopConfiguration", { autoStopConfiguration = { minutes = 1 } })
            refused("request.applicationConfigs[1]", { applicationConfigs = { { value = "x" } } })
            refused("'Name'", { Name = "x" })
        end)

        it("an array has holes or names", function()
            refused("request.applicationConfigs", { applicationConfigs = { {}, nil, {} } })
            refused("request.applicationConfigs", { applicationConfigs = { [2] = {} } })
            refused("request.applicationConfigs", { applicationConfigs = { {}, n = 1 } })
            refused("request.applicationConfigs", { applicationConfigs = { configItemKey = "x" } })
        end)

        it("it has no end", function()
            local endless = {}
            endless.k = endless
            local ok, message = pcall(body_of, "any", endless)
            assert.is_false(ok)
            assert.truthy(message:find("request.x", 1, true))
        end)
    end)

    it("is left as it is", function()
        local configs = { { configItemKey = "a" } }
        body { applicationConfigs = configs }
        assert.same({ { configItemKey = "a" } }, configs)
    end)

    it("is refused in one short line, whatever the names in it", function()
        local deep = print
        for _ = 1, 20 do
            deep = { [("k"):rep(50)] = deep }
        end
        for type_name, value in pairs {
            ["map<string,string>"] = { ["a\nb\127\255c"] = {} },
            object = { [("a"):rep(1e6)] = print },
            any = deep,
        } do
            local ok, message = pcall(body_of, type_name, value)
            assert.is_false(ok)
            assert.is_true(#message <= 512, #message)
            assert.is_nil(message:find "[%c\127]")
            assert.is_string(emr.decode('"' .. message .. '"'))  -- else it is not UTF-8
            assert.matches("request%.x%.[ak]", message)
        end
    end)
end)
