-- The main job: waits until a session cluster runs, with a progress line, then prints some of it.
--
--     lua5.4 examples/wait_until_running.lua WORKSPACE CLUSTER [SECONDS]
--
-- Waits 300 seconds unless told otherwise; a bad minute of the network or the service does not end
-- it. Keys and region come from where the vendor's tools look for them.
-- Exit status: 0 when it runs, 1 when it cannot get there or a call failed for good, 2 when an
-- argument is missing, 3 when the time was over.

local emr = require "emr"

local workspace, cluster, seconds = arg[1], arg[2], tonumber(arg[3] or 300)
if not cluster or not seconds then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER [SECONDS]\n")
    os.exit(2)
end

-- One line drawn over and over on a terminal; a line for each poll in a log.
local drawn = os.execute "test -t 2"
local on_terminal = drawn == true or drawn == 0

local function draw(poll)
    local text = ("%5.1f s  poll %d: %s"):format(poll.elapsed, poll.poll,
        poll.kind and poll.kind .. " " .. (poll.code or "") or poll.state)
    if poll.next_delay then
        text = ("%s, next in %.1f s"):format(text, poll.next_delay)
    end
    io.stderr:write(on_terminal and ("\r%-70s"):format(text) or text .. "\n")
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
}
local response, info, err = client:wait_session_cluster({
    workspaceId = workspace,
    sessionClusterId = cluster,
}, { state = "Running", timeout = seconds, on_poll = draw })
io.stderr:write(on_terminal and "\n" or "")

if not response then
    io.stderr:write(info, "\n")
    os.exit(err.kind == "timeout" and 3 or 1)
end
for _, name in ipairs { "sessionClusterId", "name", "state", "displayReleaseVersion", "webUI" } do
    print(("%-22s %s"):format(name, tostring(response.sessionCluster[name])))
end
