-- Waits for session clusters inside a libuv loop, which goes on with other work meanwhile.
--
--     lua5.4 examples/luv.lua WORKSPACE CLUSTER...
--
-- Needs luv (Debian: lua-luv).
-- Keys and region come from where the vendor's tools look for them.
-- Exit status: 0 when all run, 1 when one does not get there within 300 seconds, 2 when an
-- argument is missing.

local uv = require "luv"
local emr = require "emr"

if not arg[2] then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER...\n")
    os.exit(2)
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
    await = "luv",
}
local waiting, status = #arg - 1, 0
local ticker = uv.new_timer()

local function wait(cluster)
    local reply, message = client:wait_session_cluster(
        { workspaceId = arg[1], sessionClusterId = cluster }, { timeout = 300 })
    if reply then
        print(cluster .. " is " .. reply.sessionCluster.state)
    else
        io.stderr:write(cluster, ": ", message, "\n")
        status = 1
    end
    waiting = waiting - 1
    if waiting == 0 then
        ticker:close()
    end
end

ticker:start(0, 1000, function()
    io.stderr:write(waiting, " to go\n")  -- here the loop serves something else
end)
for i = 2, #arg do
    coroutine.wrap(wait)(arg[i])
end

uv.run()
os.exit(status)
