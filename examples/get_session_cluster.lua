-- One signed call: reads a session cluster and prints what the API says of it.
--
--     export ALIBABA_CLOUD_ACCESS_KEY_ID=... ALIBABA_CLOUD_ACCESS_KEY_SECRET=...
--     lua5.4 examples/get_session_cluster.lua WORKSPACE CLUSTER [REGION]
--
-- EMR_REGION stands in for REGION. EMR_ENDPOINT and EMR_CA_FILE lead to another server, such as
-- the one that `make emulator` starts (it has the session cluster s-1 of the workspace w-1).
-- Exit status: 0, or 1 when the call failed, or 2 when an argument is missing.

local emr = require "emr"
local show = dofile((arg[0]:match("^.*/") or "") .. "show.lua")

local workspace, cluster, region = arg[1], arg[2], arg[3]
if not cluster then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER [REGION]\n")
    os.exit(2)
end

local response, message = emr.get_session_cluster({
    workspaceId = workspace,
    sessionClusterId = cluster,
}, {
    region = region or os.getenv("EMR_REGION") or "cn-hangzhou",
    endpoint = os.getenv("EMR_ENDPOINT"),
    ca_file = os.getenv("EMR_CA_FILE"),
})
if not response then
    io.stderr:write(message, "\n")
    os.exit(1)
end
show(response)
