local operations = require "emr.operations"

local CLUSTERS = "/api/v1/workspaces/{workspaceId}/sessionClusters"

-- What the vendor's SDK says of the family.
local FACTS = {
    CreateSessionCluster = {
        "POST", CLUSTERS, "regionId",
        "applicationConfigs autoStartConfiguration autoStopConfiguration clientToken "
            .. "displayReleaseVersion envId fusion kind name publicEndpointEnabled queueName "
            .. "releaseVersion",
        "with_client_token", "requestId sessionClusterId",
    },
    GetSessionCluster = {
        "GET", CLUSTERS .. "/{sessionClusterId}", "regionId", nil, "safe",
        "requestId sessionCluster",
    },
    ListSessionClusters = {
        "GET", CLUSTERS, "kind maxResults nextToken queueName regionId sessionClusterId", nil,
        "safe", "maxResults nextToken requestId sessionClusters totalCount",
    },
    StartSessionCluster = {
        "POST", CLUSTERS .. "/action/startSessionCluster", "regionId",
        "queueName sessionClusterId", "check_first", "requestId sessionClusterId",
    },
    StopSessionCluster = {
        "POST", CLUSTERS .. "/action/stopSessionCluster", "regionId",
        "queueName sessionClusterId", "check_first", "requestId sessionClusterId",
    },
}

local TYPES = {
    string = true, int32 = true, int64 = true, double = true, boolean = true, any = true,
    object = true, ["array<object>"] = true, ["array<string>"] = true,
    ["map<string,string>"] = true,
}

local function names(fields)
    local list = {}
    for i, field in ipairs(fields) do
        list[i] = field.name
    end
    table.sort(list)
    return table.concat(list, " ")
end

local function check_types(fields)
    for _, field in ipairs(fields or {}) do
        assert.is_true(TYPES[field.type], field.name)
        check_types(field.fields)
    end
end

describe("the catalogue", function()
    it("has the session-cluster family, each under its name, and nothing else", function()
        local found, expected = {}, {}
        for name, operation in pairs(operations) do
            assert.equal(name, operation.name)
            found[name] = true
        end
        for name in pairs(FACTS) do
            expected[name] = true
        end
        assert.same(expected, found)
    end)

    for name, fact in pairs(FACTS) do
        it(name .. " is as the vendor's SDK has it", function()
            local operation = operations[name]
            assert.equal("2023-08-08", operation.version)
            assert.equal("emr-serverless-spark.{region}.aliyuncs.com", operation.hosts.public)
            assert.equal("emr-serverless-spark-vpc.{region}.aliyuncs.com", operation.hosts.vpc)
            assert.same({ fact[1], fact[2] }, { operation.method, operation.path })
            assert.equal(fact[3], names(operation.query))
            assert.equal(fact[4], operation.body and names(operation.body))
            assert.equal(fact[5], operation.retry)
            assert.equal(fact[6], names(operation.response))
            check_types(operation.query)
            check_types(operation.body)
            check_types(operation.response)
        end)
    end

    it("a client token is a field of the body that has it", function()
        assert.equal("clientToken", operations.CreateSessionCluster.client_token)
        for name, operation in pairs(operations) do
            assert.equal(name == "CreateSessionCluster", operation.client_token ~= nil)
        end
    end)

    it("every element of the reference page is in the reply of GetSessionCluster", function()
        local cluster = operations.GetSessionCluster.response[1]
        assert.equal("applicationConfigs autoStartConfiguration autoStopConfiguration "
            .. "connectionToken displayReleaseVersion domain domainInner draftId envId extra "
            .. "fusion gmtCreate kind name publicEndpointEnabled queueName releaseVersion "
            .. "sessionClusterId startTime state stateChangeReason userId userName webUI "
            .. "workspaceId", names(cluster.fields))
        local nested = {}
        for _, field in ipairs(cluster.fields) do
            nested[field.name] = field.fields and names(field.fields)
        end
        assert.same({
            stateChangeReason = "code message",
            autoStartConfiguration = "enable",
            autoStopConfiguration = "enable idleTimeoutMinutes",
            applicationConfigs = "configFileName configItemKey configItemValue",
        }, nested)
    end)

    it("knows the states, and no state twice", function()
        local states = operations.GetSessionCluster.states
        assert.equal("sessionCluster.state", states.field)
        assert.equal("sessionCluster.stateChangeReason", states.reason)
        local seen, list = {}, {}
        for _, group in ipairs { "pending", "ready", "stopped", "failure" } do
            for _, state in ipairs(states[group]) do
                assert.is_nil(seen[state])
                seen[state], list[#list + 1] = true, state
            end
        end
        table.sort(list)
        assert.same({ "Error", "NotStarted", "Running", "Starting", "Stopped", "Stopping" }, list)
        assert.truthy(operations[states.start])
    end)

    -- GetSessionCluster with one field changed raises, and names the field.
    local function malformed(field, value)
        local emr = require "emr"
        local operation = {}
        for key, known in pairs(operations.GetSessionCluster) do
            operation[key] = known
        end
        operation[field] = value
        assert.error_matches(function()
            emr.prepare(operation, { workspaceId = "w-1", sessionClusterId = "s-1", x = { y = 1 } },
                { region = "cn-hangzhou", access_key_id = "id", access_key_secret = "secret" })
        end, "operation." .. field, 1, true)
    end

    it("a descriptor whose echo is no parameter of its path raises", function()
        for _, name in ipairs { "workspaceID", "regionId", 7 } do
            malformed("echo", { name })
        end
    end)

    it("a descriptor that is none raises and names the field", function()
        local many = {}
        for i = 1, 65 do
            many[i] = { name = "f" .. i, type = "string" }
        end
        for _, field in ipairs { "name", "version", "product", "method", "path" } do
            malformed(field, false)
            malformed(field, "a\nb")
        end
        for _, path in ipairs { "/{workspaceId", ("/{a}"):rep(9) } do
            malformed("path", path)
        end
        for _, field in ipairs { "query", "body" } do
            for _, fields in ipairs { "x", { "x" }, many, { { name = "x" } },
                { { type = "any" } } } do
                malformed(field, fields)
            end
        end
        malformed("body", { { name = "x", type = "object", fields = { { name = "y" } } } })
        malformed("frame", { "object" })
        malformed("frame", { sessionCluster = true })
        malformed("hosts", "example.com")
        malformed("hosts", { vpc = "example.com" })
    end)

    it("pages of a list are told by fields that exist", function()
        local list = operations.ListSessionClusters
        local page = list.pagination
        assert.truthy(names(list.query):find(page.token_param, 1, true))
        assert.truthy(names(list.query):find(page.limit_param, 1, true))
        for _, field in ipairs { page.next_field, page.items_field, page.total_field } do
            assert.truthy(names(list.response):find(field, 1, true), field)
        end
    end)
end)
