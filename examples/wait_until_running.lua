-- The main job: waits until a session cluster runs, then prints it.
--
--     export ALIBABA_CLOUD_ACCESS_KEY_ID=... ALIBABA_CLOUD_ACCESS_KEY_SECRET=...
--     lua5.4 examples/wait_until_running.lua WORKSPACE CLUSTER [SECONDS]
--
-- Waits 300 seconds unless told otherwise. EMR_REGION chooses the region; EMR_ENDPOINT and
-- EMR_CA_FILE lead to another server, such as the one that `make emulator` starts.
-- Exit status: 0 when it runs, 1 when a call failed for good or the cluster cannot get there,
-- 2 when an argument is missing, 3 when the time was over.

local emr = require "emr"
local show = dofile((arg[0]:match("^.*/") or "") .. "show.lua")

local PAUSE = 2
local HOPELESS = { Error = true, Stopped = true, NotStarted = true }

local function stop(status, ...)
    io.stderr:write(table.concat({ ... }), "\n")
    os.exit(status)
end

local workspace, cluster, seconds = arg[1], arg[2], tonumber(arg[3] or 300)
if not cluster or not seconds then
    stop(2, "usage: ", arg[0], " WORKSPACE CLUSTER [SECONDS]")
end

local request = { workspaceId = workspace, sessionClusterId = cluster }
local options = {
    region = os.getenv("EMR_REGION") or "cn-hangzhou",
    endpoint = os.getenv("EMR_ENDPOINT"),
    ca_file = os.getenv("EMR_CA_FILE"),
}
local started = emr.now()
local state

while state ~= "Running" do
    local response, message, err = emr.get_session_cluster(request, options)
    local elapsed = emr.now() - started
    if response then
        state = response.sessionCluster.state
        io.stderr:write(("%5.1f s  %s\n"):format(elapsed, state))
    elseif err.retryable then
        io.stderr:write(("%5.1f s  %s\n"):format(elapsed, message))
    else
        stop(1, message)
    end

    if state == "Running" then
        show(response)
    elseif HOPELESS[state] then
        local reason = response.sessionCluster.stateChangeReason or {}
        stop(1, cluster, " is ", state, ": ", reason.message or "somebody has to start it first")
    elseif elapsed + PAUSE > seconds then
        stop(3, cluster, " is not running after ", seconds, " seconds")
    else
        emr.step(PAUSE)
    end
end
