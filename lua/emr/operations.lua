--- The catalogue: what each operation of EMR Serverless Spark looks like on the wire, as data.
-- The C binding builds requests from it; the client takes its methods, the waiter its states.
-- A new operation is one more table here and nothing else.
--
-- Facts: the vendor's Go SDK (emr-serverless-spark-20230808, v1.27.0) and the reference pages.

---@class emr.Field
---@field name string            the API's own spelling
---@field type string            string int32 int64 double boolean any object array<T>
---                              map<string,string>
---@field fields? emr.Field[]    members of an object, or of each element of an array<object>
---@field required? boolean      a request without it raises

---@class emr.Pagination
---@field token_param string     request field that takes the token of the next page
---@field limit_param string     request field with the page size
---@field next_field string      where the reply holds the next token; a path like "data.next"
---@field items_field string     where the reply holds the items; a path
---@field total_field? string    where the reply counts all items

---@class emr.States
---@field field string           where the reply holds the state; a path like "sessionCluster.state"
---@field reason? string         where it holds {code, message} of the last change
---@field pending string[]       on the way to another state
---@field ready string[]         up and usable
---@field stopped string[]       down; stays so until somebody starts it
---@field stopping string[]      on the way down
---@field failure string[]       broken: waiting for another state is in vain
---@field start? string          the operation that starts the resource

---@class emr.Operation
---@field name string            the action, as signed
---@field version string         the API version, as signed
---@field product string
---@field hosts {public: string, vpc: string?}   with {region} where the region goes
---@field method "GET"|"POST"|"PUT"|"DELETE"
---@field path string            with {field} where a mandatory path parameter goes
---@field query? emr.Field[]
---@field body? emr.Field[]      members of the JSON body
---@field frame? table<string, "object"|"array"|"string">   what a good reply must hold
---@field echo? string[]         path parameters that a reply repeats; one that names another
---                              was for another request (looked at where a repeat is safe)
---@field response? emr.Field[]  what a good reply may hold (documentation; not enforced)
---@field retry "safe"|"with_client_token"|"check_first"    when a repeat is safe
---@field client_token? string   body field that makes a repeat safe
---@field pagination? emr.Pagination
---@field states? emr.States

local VERSION = "2023-08-08"
local PRODUCT = "emr-serverless-spark"
local HOSTS = {
    public = "emr-serverless-spark.{region}.aliyuncs.com",
    vpc = "emr-serverless-spark-vpc.{region}.aliyuncs.com",
}

local CLUSTERS = "/api/v1/workspaces/{workspaceId}/sessionClusters"

local REGION = { name = "regionId", type = "string" }
local REQUEST_ID = { name = "requestId", type = "string" }
local CLUSTER_ID = { name = "sessionClusterId", type = "string" }

local AUTO_START = {
    name = "autoStartConfiguration", type = "object",
    fields = { { name = "enable", type = "boolean" } },
}
local AUTO_STOP = {
    name = "autoStopConfiguration", type = "object",
    fields = {
        { name = "enable", type = "boolean" },
        { name = "idleTimeoutMinutes", type = "int32" },
    },
}
local APPLICATION_CONFIGS = {
    name = "applicationConfigs", type = "array<object>",
    fields = {
        { name = "configFileName", type = "string" },
        { name = "configItemKey", type = "string" },
        { name = "configItemValue", type = "string" },
    },
}

-- A session cluster as Get returns it; List leaves out envId. Times are milliseconds since 1970,
-- though the reference prints dates: whatever comes is passed on.
local CLUSTER = {
    { name = "workspaceId", type = "string" },
    CLUSTER_ID,
    { name = "userId", type = "string" },
    { name = "queueName", type = "string" },
    { name = "state", type = "string" },
    {
        name = "stateChangeReason", type = "object",
        fields = { { name = "code", type = "string" }, { name = "message", type = "string" } },
    },
    AUTO_START,
    AUTO_STOP,
    APPLICATION_CONFIGS,
    { name = "releaseVersion", type = "string" },
    { name = "name", type = "string" },
    { name = "userName", type = "string" },
    { name = "kind", type = "string" },
    { name = "webUI", type = "string" },
    { name = "draftId", type = "string" },
    { name = "domain", type = "string" },
    { name = "displayReleaseVersion", type = "string" },
    { name = "fusion", type = "boolean" },
    { name = "envId", type = "string" },
    { name = "gmtCreate", type = "int64" },
    { name = "startTime", type = "int64" },
    { name = "domainInner", type = "string" },
    { name = "extra", type = "string" },
    { name = "publicEndpointEnabled", type = "boolean" },
    { name = "connectionToken", type = "string" },
}

-- Start and stop take the same request and give the same reply. The SDK calls the id optional;
-- without it there is nothing to start.
local SWITCH = {
    { name = "queueName", type = "string" },
    { name = "sessionClusterId", type = "string", required = true },
}
local SWITCHED = { CLUSTER_ID, REQUEST_ID }

---@type table<string, emr.Operation>
return {
    CreateSessionCluster = {
        name = "CreateSessionCluster",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "POST",
        path = CLUSTERS,
        query = { REGION },
        body = {
            APPLICATION_CONFIGS,
            AUTO_START,
            AUTO_STOP,
            { name = "clientToken", type = "string" },
            { name = "displayReleaseVersion", type = "string" },
            { name = "envId", type = "string" },
            { name = "fusion", type = "boolean" },
            { name = "kind", type = "string" },
            { name = "name", type = "string" },
            { name = "publicEndpointEnabled", type = "boolean" },
            { name = "queueName", type = "string" },
            { name = "releaseVersion", type = "string" },
        },
        frame = { sessionClusterId = "string" },
        response = SWITCHED,
        retry = "with_client_token",
        client_token = "clientToken",
    },

    GetSessionCluster = {
        name = "GetSessionCluster",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "GET",
        path = CLUSTERS .. "/{sessionClusterId}",
        query = { REGION },
        frame = { sessionCluster = "object" },
        echo = { "workspaceId", "sessionClusterId" },
        response = {
            { name = "sessionCluster", type = "object", fields = CLUSTER },
            REQUEST_ID,
        },
        retry = "safe",
        states = {
            field = "sessionCluster.state",
            reason = "sessionCluster.stateChangeReason",
            pending = { "Starting", "Stopping" },
            ready = { "Running" },
            stopped = { "Stopped", "NotStarted" },
            stopping = { "Stopping" },
            failure = { "Error" },
            start = "StartSessionCluster",
        },
    },

    ListSessionClusters = {
        name = "ListSessionClusters",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "GET",
        path = CLUSTERS,
        query = {
            { name = "kind", type = "string" },
            { name = "maxResults", type = "int32" },
            { name = "nextToken", type = "string" },
            { name = "queueName", type = "string" },
            REGION,
            CLUSTER_ID,
        },
        frame = { sessionClusters = "array" },
        echo = { "workspaceId" },
        response = {
            { name = "sessionClusters", type = "array<object>", fields = CLUSTER },
            { name = "maxResults", type = "int32" },
            { name = "nextToken", type = "string" },
            { name = "totalCount", type = "int32" },
            REQUEST_ID,
        },
        retry = "safe",
        pagination = {
            token_param = "nextToken",
            limit_param = "maxResults",
            next_field = "nextToken",
            items_field = "sessionClusters",
            total_field = "totalCount",
        },
    },

    StartSessionCluster = {
        name = "StartSessionCluster",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "POST",
        path = CLUSTERS .. "/action/startSessionCluster",
        query = { REGION },
        body = SWITCH,
        frame = { sessionClusterId = "string" },
        response = SWITCHED,
        retry = "check_first",
    },

    StopSessionCluster = {
        name = "StopSessionCluster",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "POST",
        path = CLUSTERS .. "/action/stopSessionCluster",
        query = { REGION },
        body = SWITCH,
        frame = { sessionClusterId = "string" },
        response = SWITCHED,
        retry = "check_first",
    },
}
