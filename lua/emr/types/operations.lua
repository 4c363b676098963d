---@meta _
-- luacheck: ignore
-- What operations take and return, for editors. Written by `make reference` from
-- lua/emr/operations.lua: what is changed here gets lost.

---@class emr.ApplicationConfig
---@field configFileName? string The file. Example: "spark-defaults.conf"
---@field configItemKey? string The setting. Example: "spark.app.name"
---@field configItemValue? string Its value. Example: "test"

---@class emr.AutoStart
---@field enable? boolean True: it starts by itself. Example: false

---@class emr.AutoStop
---@field enable? boolean True: it stops by itself. Example: false
---@field idleTimeoutMinutes? integer After so many minutes without work. Example: 60

---@class emr.CreateSessionCluster.Request
---@field workspaceId string The workspace. Example: "w-1234abcd"
---@field regionId? string The region. Sent in any case; default that of the options. Example:
---  "cn-hangzhou"
---@field applicationConfigs? emr.ApplicationConfig[] Settings of Spark, each a line of a
---  configuration file.
---@field autoStartConfiguration? emr.AutoStart Whether a job that arrives starts it.
---@field autoStopConfiguration? emr.AutoStop Whether it stops when nobody uses it.
---@field clientToken? string Two requests with the same token make one cluster. `emr.client` adds
---  one. Example: "8e6aae2810c8f67229ca70bb31cd6028"
---@field displayReleaseVersion? string That version as the console shows it. Example: "esr-4.0.0
---  (Spark 3.5.2, Scala 2.12)"
---@field envId? string The environment that it runs in. Example: "env-cpv569tlhtgndjl8****"
---@field fusion? boolean Whether the Fusion engine speeds Spark up. Example: false
---@field kind? "SQL"|"NOTEBOOK"|"THRIFT"|string What it is for; fixed once it is made. The
---  reference page also names SQLSCRIPT, JAR and PYTHON. Example: "SQL"
---@field name? string Its name. Example: "test"
---@field publicEndpointEnabled? boolean Whether it can be reached from the internet. Example: false
---@field queueName? string The queue that it takes its resources from. Example: "dev_queue"
---@field releaseVersion? string The version of Serverless Spark. Example: "esr-4.0.0 (Spark 3.5.2,
---  Scala 2.12)"

---@class emr.CreateSessionCluster.Response
---@field sessionClusterId string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"
---@field requestId? string Names this very call to the vendor's support. Example:
---  "DD6B1B2A-5837-5237-ABE4-FF0C8944****"

---@class emr.StateChangeReason
---@field code? string As a code; `1000000` is good. Example: "1000000"
---@field message? string In words. Example: "ok"

---@class emr.SessionCluster
---@field workspaceId? string The workspace. Example: "w-1234abcd"
---@field sessionClusterId? string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"
---@field userId? string Who made it, as an id. Example: "123xxxxxxxx"
---@field queueName? string The queue that it takes its resources from. Example: "dev_queue"
---@field state? "NotStarted"|"Starting"|"Running"|"Stopping"|"Stopped"|"Error"|string How it is.
---  `Starting` and `Stopping` are on the way, `Running` can be used, `NotStarted` and `Stopped`
---  stay until somebody starts it, `Error` is broken. Compare in any letter case. Example:
---  "Running"
---@field stateChangeReason? emr.StateChangeReason Why the state last changed.
---@field autoStartConfiguration? emr.AutoStart Whether a job that arrives starts it.
---@field autoStopConfiguration? emr.AutoStop Whether it stops when nobody uses it.
---@field applicationConfigs? emr.ApplicationConfig[] Settings of Spark, each a line of a
---  configuration file.
---@field releaseVersion? string The version of Serverless Spark. Example: "esr-4.0.0 (Spark 3.5.2,
---  Scala 2.12)"
---@field name? string Its name. Example: "test"
---@field userName? string Who made it, by name. Example: "user1"
---@field kind? "SQL"|"NOTEBOOK"|"THRIFT"|string What it is for; fixed once it is made. The
---  reference page also names SQLSCRIPT, JAR and PYTHON. Example: "SQL"
---@field webUI? string Where its Spark UI is. Example: "https://spark-ui/link"
---@field draftId? string The development job that is attached to it. Example: "TSK-xxxxxxxx"
---@field domain? string The host name of its Spark UI. Example: "your.domain.com"
---@field displayReleaseVersion? string That version as the console shows it. Example: "esr-4.0.0
---  (Spark 3.5.2, Scala 2.12)"
---@field fusion? boolean Whether the Fusion engine speeds Spark up. Example: false
---@field envId? string The environment that it runs in. Example: "env-cpv569tlhtgndjl8****"
---@field gmtCreate? integer When it was made, in milliseconds since 1970. Example: 1735689600000
---@field startTime? integer When it was last started, in milliseconds since 1970. Example:
---  1735689600000
---@field domainInner? string Its endpoint inside the region. Example:
---  "emr-spark-gateway-cn-hangzhou-internal.data.aliyuncs.com"
---@field extra? string More about it, as JSON in a string. Example:
---  "{\"extraInfoKey\":\"extraInfoValue\"}"
---@field publicEndpointEnabled? boolean Whether it can be reached from the internet. Example: false
---@field connectionToken? string Opens the session: a secret. `emr` shows it in no message and no
---  error.

---@class emr.GetSessionCluster.Request
---@field workspaceId string The workspace. Example: "w-1234abcd"
---@field sessionClusterId string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"
---@field regionId? string The region. Sent in any case; default that of the options. Example:
---  "cn-hangzhou"

---@class emr.GetSessionCluster.Response
---@field sessionCluster emr.SessionCluster The session cluster.
---@field requestId? string Names this very call to the vendor's support. Example:
---  "DD6B1B2A-5837-5237-ABE4-FF0C8944****"

---@class emr.ListSessionClusters.Request
---@field workspaceId string The workspace. Example: "w-1234abcd"
---@field kind? "SQL"|"NOTEBOOK"|"THRIFT"|string What it is for; fixed once it is made. The
---  reference page also names SQLSCRIPT, JAR and PYTHON. Example: "SQL"
---@field maxResults? integer How many a page holds, at most. Example: 20
---@field nextToken? string Where the next page begins. None: the first in a request, no more in a
---  reply. Example: "1"
---@field queueName? string The queue that it takes its resources from. Example: "dev_queue"
---@field regionId? string The region. Sent in any case; default that of the options. Example:
---  "cn-hangzhou"
---@field sessionClusterId? string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"

---@class emr.ListSessionClusters.Response
---@field sessionClusters? emr.SessionCluster[] Those of this page; `envId` is left out.
---@field maxResults? integer How many a page holds, at most. Example: 20
---@field nextToken? string Where the next page begins. None: the first in a request, no more in a
---  reply. Example: "1"
---@field totalCount? integer How many there are on all pages. Example: 200
---@field requestId? string Names this very call to the vendor's support. Example:
---  "DD6B1B2A-5837-5237-ABE4-FF0C8944****"

---@class emr.StartSessionCluster.Request
---@field workspaceId string The workspace. Example: "w-1234abcd"
---@field regionId? string The region. Sent in any case; default that of the options. Example:
---  "cn-hangzhou"
---@field queueName? string The queue that it takes its resources from. Example: "dev_queue"
---@field sessionClusterId string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"

---@class emr.StartSessionCluster.Response
---@field sessionClusterId string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"
---@field requestId? string Names this very call to the vendor's support. Example:
---  "DD6B1B2A-5837-5237-ABE4-FF0C8944****"

---@class emr.StopSessionCluster.Request
---@field workspaceId string The workspace. Example: "w-1234abcd"
---@field regionId? string The region. Sent in any case; default that of the options. Example:
---  "cn-hangzhou"
---@field queueName? string The queue that it takes its resources from. Example: "dev_queue"
---@field sessionClusterId string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"

---@class emr.StopSessionCluster.Response
---@field sessionClusterId string The session cluster. Example:
---  "1234abcd-12ab-34cd-56ef-1234567890ab"
---@field requestId? string Names this very call to the vendor's support. Example:
---  "DD6B1B2A-5837-5237-ABE4-FF0C8944****"

---@alias emr.OperationName
---| "CreateSessionCluster"
---| "GetSessionCluster"
---| "ListSessionClusters"
---| "StartSessionCluster"
---| "StopSessionCluster"

---@class emr.Operations: table<string, emr.Operation>
---@field CreateSessionCluster emr.Operation
---@field GetSessionCluster emr.Operation
---@field ListSessionClusters emr.Operation
---@field StartSessionCluster emr.Operation
---@field StopSessionCluster emr.Operation

---@class emr.Client
local Client = {}

--- Makes a session cluster and returns its id.
---@param request emr.CreateSessionCluster.Request
---@param options? emr.CallOptions
---@return emr.CreateSessionCluster.Response? response
---@return string message
---@return emr.Error err
function Client:create_session_cluster(request, options) end

--- Reads one session cluster: its state, its settings, where it is reached.
---@param request emr.GetSessionCluster.Request
---@param options? emr.CallOptions
---@return emr.GetSessionCluster.Response? response
---@return string message
---@return emr.Error err
function Client:get_session_cluster(request, options) end

--- Waits until it is in a state.
---@param request emr.GetSessionCluster.Request
---@param options emr.StateOptions
---@return emr.GetSessionCluster.Response? response
---@return emr.WaitInfo|string info or the message
---@return emr.Error err
function Client:wait_session_cluster(request, options) end

--- Starts it if it is down, and waits until it is in a state.
---@param request emr.GetSessionCluster.Request|emr.StartSessionCluster.Request
---@param options emr.StateOptions
---@return emr.GetSessionCluster.Response? response
---@return emr.WaitInfo|string info or the message
---@return emr.Error err
function Client:start_and_wait_session_cluster(request, options) end

--- Lists the session clusters of a workspace, page by page.
---@param request emr.ListSessionClusters.Request
---@param options? emr.CallOptions
---@return emr.ListSessionClusters.Response? response
---@return string message
---@return emr.Error err
function Client:list_session_clusters(request, options) end

--- Starts a session cluster; it is up once its state is Running.
---@param request emr.StartSessionCluster.Request
---@param options? emr.CallOptions
---@return emr.StartSessionCluster.Response? response
---@return string message
---@return emr.Error err
function Client:start_session_cluster(request, options) end

--- Stops a session cluster; it is down once its state is Stopped.
---@param request emr.StopSessionCluster.Request
---@param options? emr.CallOptions
---@return emr.StopSessionCluster.Response? response
---@return string message
---@return emr.Error err
function Client:stop_session_cluster(request, options) end
