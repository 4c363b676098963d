-- Reads a session cluster with the rights of a RAM role, taken on with the key there is.
--
--     lua5.4 examples/assume_role.lua ROLE_ARN WORKSPACE CLUSTER
--
-- The role's key is kept and renewed before it is over, so a daemon may keep such a client for
-- weeks. EMR_STS_ENDPOINT leads to another server for the role; so does EMR_ENDPOINT, since the
-- emulator is both. Keys and region come from where the vendor's tools look for them.
-- Exit status: 0, or 1 when a call failed, or 2 when an argument is missing.

local emr = require "emr"

local role, workspace, cluster = arg[1], arg[2], arg[3]
if not cluster then
    io.stderr:write("usage: ", arg[0], " ROLE_ARN WORKSPACE CLUSTER\n")
    os.exit(2)
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
    credentials = emr.credentials.assume_role {
        source = emr.credentials.default {},
        role_arn = role,
        role_session_name = "emr-example",
        sts_endpoint = os.getenv("EMR_STS_ENDPOINT") or os.getenv("EMR_ENDPOINT"),
    },
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
