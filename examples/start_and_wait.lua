-- Starts a session cluster unless it runs already, and waits until it does.
--
--     lua5.4 examples/start_and_wait.lua WORKSPACE CLUSTER [SECONDS]
--
-- Waits 600 seconds unless told otherwise. Running it twice does no harm: what runs or is on its
-- way is not started again. Keys and region come from where the vendor's tools look for them.
-- Exit status: 0 when it runs, 1 when it cannot get there or a call failed for good, 2 when an
-- argument is missing, 3 when the time was over.

local emr = require "emr"

local workspace, cluster, seconds = arg[1], arg[2], tonumber(arg[3] or 600)
if not cluster or not seconds then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER [SECONDS]\n")
    os.exit(2)
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
    on_attempt = function(info)  -- each request, as it is answered
        io.stderr:write(("  %s, attempt %d: %s\n"):format(info.operation, info.attempt,
            info.code or info.kind or info.status))
    end,
}
local response, info, err = client:start_and_wait_session_cluster({
    workspaceId = workspace,
    sessionClusterId = cluster,
}, { timeout = seconds })

if not response then
    io.stderr:write(info, "\n")
    os.exit(err.kind == "timeout" and 3 or 1)
end
print(("%s is %s after %.1f s"):format(cluster, response.sessionCluster.state, info.elapsed))
