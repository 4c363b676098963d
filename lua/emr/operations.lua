--- The catalogue: what each operation of EMR Serverless Spark looks like on the wire, as data.
-- The C binding builds requests from it; the client takes its methods, the waiter its states.
-- A new operation is one more table here and nothing else; `make reference` then writes its page,
-- and what editors know of it.
--
-- Facts: the vendor's Go SDK (emr-serverless-spark-20230808, v1.27.0) and the reference pages.

---@class emr.Field
---@field name string            the API's own spelling
---@field type string            string int32 int64 double boolean any object array<T>
---                              map<string,string>
---@field fields? emr.Field[]    members of an object, or of each element of an array<object>
---@field required? boolean      a request without it raises
---@field about? string          what it means
---@field example? string        as JSON
---@field values? string[]       those that are known; others may come
---@field model? string          what the object, or the element, is called in `emr.types`

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
---@field about string           what it does, in a sentence
---@field version string         the API version, as signed
---@field product string
---@field hosts {public: string, vpc: string?}   with {region} where the region goes
---@field method "GET"|"POST"|"PUT"|"DELETE"
---@field path string            with {field} where a mandatory path parameter goes
---@field params? emr.Field[]    what these mean (documentation)
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

local WORKSPACE_ID = {
    name = "workspaceId", type = "string", about = "The workspace.", example = '"w-1234abcd"',
}
local REGION = {
    name = "regionId", type = "string",
    about = "The region. Sent in any case; default that of the options.", example = '"cn-hangzhou"',
}
local REQUEST_ID = {
    name = "requestId", type = "string",
    about = "Names this very call to the vendor's support.",
    example = '"DD6B1B2A-5837-5237-ABE4-FF0C8944****"',
}
local CLUSTER_ID = {
    name = "sessionClusterId", type = "string", about = "The session cluster.",
    example = '"1234abcd-12ab-34cd-56ef-1234567890ab"',
}
local QUEUE = {
    name = "queueName", type = "string", about = "The queue that it takes its resources from.",
    example = '"dev_queue"',
}

local AUTO_START = {
    name = "autoStartConfiguration", type = "object", model = "AutoStart",
    about = "Whether a job that arrives starts it.",
    fields = {
        { name = "enable", type = "boolean", about = "True: it starts by itself.",
            example = "false" },
    },
}
local AUTO_STOP = {
    name = "autoStopConfiguration", type = "object", model = "AutoStop",
    about = "Whether it stops when nobody uses it.",
    fields = {
        { name = "enable", type = "boolean", about = "True: it stops by itself.",
            example = "false" },
        { name = "idleTimeoutMinutes", type = "int32",
            about = "After so many minutes without work.", example = "60" },
    },
}
local APPLICATION_CONFIGS = {
    name = "applicationConfigs", type = "array<object>", model = "ApplicationConfig",
    about = "Settings of Spark, each a line of a configuration file.",
    fields = {
        { name = "configFileName", type = "string", about = "The file.",
            example = '"spark-defaults.conf"' },
        { name = "configItemKey", type = "string", about = "The setting.",
            example = '"spark.app.name"' },
        { name = "configItemValue", type = "string", about = "Its value.", example = '"test"' },
    },
}
local RELEASE = {
    name = "releaseVersion", type = "string", about = "The version of Serverless Spark.",
    example = '"esr-4.0.0 (Spark 3.5.2, Scala 2.12)"',
}
local DISPLAY_RELEASE = {
    name = "displayReleaseVersion", type = "string",
    about = "That version as the console shows it.",
    example = '"esr-4.0.0 (Spark 3.5.2, Scala 2.12)"',
}
local NAME = { name = "name", type = "string", about = "Its name.", example = '"test"' }
local KIND = {
    name = "kind", type = "string", values = { "SQL", "NOTEBOOK", "THRIFT" },
    about = "What it is for; fixed once it is made. The reference page also names SQLSCRIPT, JAR "
        .. "and PYTHON.",
    example = '"SQL"',
}
local FUSION = {
    name = "fusion", type = "boolean", about = "Whether the Fusion engine speeds Spark up.",
    example = "false",
}
local ENVIRONMENT = {
    name = "envId", type = "string", about = "The environment that it runs in.",
    example = '"env-cpv569tlhtgndjl8****"',
}
local PUBLIC_ENDPOINT = {
    name = "publicEndpointEnabled", type = "boolean",
    about = "Whether it can be reached from the internet.", example = "false",
}

local MAX_RESULTS = {
    name = "maxResults", type = "int32", about = "How many a page holds, at most.",
    example = "20",
}
local NEXT_TOKEN = {
    name = "nextToken", type = "string",
    about = "Where the next page begins. None: the first in a request, no more in a reply.",
    example = '"1"',
}

-- A session cluster as Get returns it; List leaves out envId. Times are milliseconds since 1970,
-- though the reference prints dates: whatever comes is passed on.
local CLUSTER = {
    WORKSPACE_ID,
    CLUSTER_ID,
    { name = "userId", type = "string", about = "Who made it, as an id.",
        example = '"123xxxxxxxx"' },
    QUEUE,
    {
        name = "state", type = "string",
        values = { "NotStarted", "Starting", "Running", "Stopping", "Stopped", "Error" },
        about = "How it is. `Starting` and `Stopping` are on the way, `Running` can be used, "
            .. "`NotStarted` and `Stopped` stay until somebody starts it, `Error` is broken. "
            .. "Compare in any letter case.",
        example = '"Running"',
    },
    {
        name = "stateChangeReason", type = "object", model = "StateChangeReason",
        about = "Why the state last changed.",
        fields = {
            { name = "code", type = "string", about = "As a code; `1000000` is good.",
                example = '"1000000"' },
            { name = "message", type = "string", about = "In words.", example = '"ok"' },
        },
    },
    AUTO_START,
    AUTO_STOP,
    APPLICATION_CONFIGS,
    RELEASE,
    NAME,
    { name = "userName", type = "string", about = "Who made it, by name.", example = '"user1"' },
    KIND,
    { name = "webUI", type = "string", about = "Where its Spark UI is.",
        example = '"https://spark-ui/link"' },
    { name = "draftId", type = "string", about = "The development job that is attached to it.",
        example = '"TSK-xxxxxxxx"' },
    { name = "domain", type = "string", about = "The host name of its Spark UI.",
        example = '"your.domain.com"' },
    DISPLAY_RELEASE,
    FUSION,
    ENVIRONMENT,
    { name = "gmtCreate", type = "int64", about = "When it was made, in milliseconds since 1970.",
        example = "1735689600000" },
    { name = "startTime", type = "int64",
        about = "When it was last started, in milliseconds since 1970.",
        example = "1735689600000" },
    { name = "domainInner", type = "string", about = "Its endpoint inside the region.",
        example = '"emr-spark-gateway-cn-hangzhou-internal.data.aliyuncs.com"' },
    { name = "extra", type = "string", about = "More about it, as JSON in a string.",
        example = '"{\\"extraInfoKey\\":\\"extraInfoValue\\"}"' },
    PUBLIC_ENDPOINT,
    { name = "connectionToken", type = "string",
        about = "Opens the session: a secret. `emr` shows it in no message and no error.",
        example = '""' },
}

-- Start and stop take the same request and give the same reply. The SDK calls the id optional;
-- without it there is nothing to start.
local SWITCH = {
    QUEUE,
    {
        name = "sessionClusterId", type = "string", required = true, about = CLUSTER_ID.about,
        example = CLUSTER_ID.example,
    },
}
local SWITCHED = { CLUSTER_ID, REQUEST_ID }

---@type emr.Operations
return {
    CreateSessionCluster = {
        name = "CreateSessionCluster",
        about = "Makes a session cluster and returns its id.",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "POST",
        path = CLUSTERS,
        params = { WORKSPACE_ID },
        query = { REGION },
        body = {
            APPLICATION_CONFIGS,
            AUTO_START,
            AUTO_STOP,
            {
                name = "clientToken", type = "string",
                about = "Two requests with the same token make one cluster. `emr.client` adds one.",
                example = '"8e6aae2810c8f67229ca70bb31cd6028"',
            },
            DISPLAY_RELEASE,
            ENVIRONMENT,
            FUSION,
            KIND,
            NAME,
            PUBLIC_ENDPOINT,
            QUEUE,
            RELEASE,
        },
        frame = { sessionClusterId = "string" },
        response = SWITCHED,
        retry = "with_client_token",
        client_token = "clientToken",
    },

    GetSessionCluster = {
        name = "GetSessionCluster",
        about = "Reads one session cluster: its state, its settings, where it is reached.",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "GET",
        path = CLUSTERS .. "/{sessionClusterId}",
        params = { WORKSPACE_ID, CLUSTER_ID },
        query = { REGION },
        frame = { sessionCluster = "object" },
        echo = { "workspaceId", "sessionClusterId" },
        response = {
            {
                name = "sessionCluster", type = "object", model = "SessionCluster",
                about = "The session cluster.", fields = CLUSTER,
            },
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
        about = "Lists the session clusters of a workspace, page by page.",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "GET",
        path = CLUSTERS,
        params = { WORKSPACE_ID },
        query = {
            KIND,
            MAX_RESULTS,
            NEXT_TOKEN,
            QUEUE,
            REGION,
            CLUSTER_ID,
        },
        frame = { sessionClusters = "array" },
        echo = { "workspaceId" },
        response = {
            {
                name = "sessionClusters", type = "array<object>", model = "SessionCluster",
                about = "Those of this page; `envId` is left out.", fields = CLUSTER,
            },
            MAX_RESULTS,
            NEXT_TOKEN,
            { name = "totalCount", type = "int32", about = "How many there are on all pages.",
                example = "200" },
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
        about = "Starts a session cluster; it is up once its state is Running.",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "POST",
        path = CLUSTERS .. "/action/startSessionCluster",
        params = { WORKSPACE_ID },
        query = { REGION },
        body = SWITCH,
        frame = { sessionClusterId = "string" },
        response = SWITCHED,
        retry = "check_first",
    },

    StopSessionCluster = {
        name = "StopSessionCluster",
        about = "Stops a session cluster; it is down once its state is Stopped.",
        version = VERSION, product = PRODUCT, hosts = HOSTS,
        method = "POST",
        path = CLUSTERS .. "/action/stopSessionCluster",
        params = { WORKSPACE_ID },
        query = { REGION },
        body = SWITCH,
        frame = { sessionClusterId = "string" },
        response = SWITCHED,
        retry = "check_first",
    },
}
