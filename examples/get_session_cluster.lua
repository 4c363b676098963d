-- One signed call with the native module alone: reads a session cluster and prints some of it.
--
--     export ALIBABA_CLOUD_ACCESS_KEY_ID=... ALIBABA_CLOUD_ACCESS_KEY_SECRET=...
--     lua5.4 examples/get_session_cluster.lua WORKSPACE CLUSTER [REGION]
--
-- Without REGION that of ALIBABA_CLOUD_REGION_ID counts. `make emulator` sets all variables that
-- are read here; it has the session cluster s-1 of the workspace w-1.
-- Exit status: 0, or 1 when the call failed, or 2 when an argument is missing.

local emr = require "emr"

local workspace, cluster, region = arg[1], arg[2], arg[3] or os.getenv "ALIBABA_CLOUD_REGION_ID"
if not cluster or not region then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER [REGION]\n")
    os.exit(2)
end

local response, message = emr.get_session_cluster({
    workspaceId = workspace,
    sessionClusterId = cluster,
}, {
    region = region,
    endpoint = os.getenv "EMR_ENDPOINT",  -- nil: that of the region
    ca_file = os.getenv "EMR_CA_FILE",  -- nil: that of the system
})
if not response then
    io.stderr:write(message, "\n")
    os.exit(1)
end
for _, name in ipairs { "sessionClusterId", "name", "state", "displayReleaseVersion", "webUI" } do
    print(("%-22s %s"):format(name, tostring(response.sessionCluster[name])))
end
