-- A log line for every attempt, as JSON on stderr: what was asked, how it ended, where the time
-- went, and the request id that the vendor's support wants. Nothing in it is secret.
--
--     lua5.4 examples/log_attempts.lua WORKSPACE CLUSTER
--
-- Keys and region come from where the vendor's tools look for them.
-- Exit status: 0, or 1 when the call failed, or 2 when an argument is missing.

local cjson = require "cjson"
local emr = require "emr"

local workspace, cluster = arg[1], arg[2]
if not cluster then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER\n")
    os.exit(2)
end

local function log(info)
    io.stderr:write(cjson.encode {
        time = os.date "!%Y-%m-%dT%H:%M:%SZ",
        operation = info.operation,
        attempt = info.attempt,
        outcome = info.kind or "ok",
        code = info.code,
        status = info.status,
        request_id = info.request_id,
        next_in = info.delay,  -- seconds; nothing after the last attempt
        connect = info.connect,
        first_byte = info.first_byte,
        total = info.total,
        reused = info.reused,
    }, "\n")
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
    on_attempt = log,
}
local response, message = client:get_session_cluster {
    workspaceId = workspace,
    sessionClusterId = cluster,
}
if not response then
    io.stderr:write(message, "\n")
    os.exit(1)
end
print(("%s is %s"):format(cluster, response.sessionCluster.state))
