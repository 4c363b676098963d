-- Lists all session clusters of a workspace, however many pages that takes.
--
--     lua5.4 examples/list_session_clusters.lua WORKSPACE [PAGE_SIZE]
--
-- Keys and region come from where the vendor's tools look for them.
-- Exit status: 0, or 1 when a call failed, or 2 when an argument is missing.

local emr = require "emr"

local workspace, size = arg[1], tonumber(arg[2] or 20)
if not workspace or not size then
    io.stderr:write("usage: ", arg[0], " WORKSPACE [PAGE_SIZE]\n")
    os.exit(2)
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
}
local count = 0
for cluster, message in client:items("ListSessionClusters", {
    workspaceId = workspace,
    maxResults = size,
}) do
    if not cluster then  -- the failure comes once, then the loop ends
        io.stderr:write(message, "\n")
        os.exit(1)
    end
    count = count + 1
    print(("%-40s %-12s %s"):format(cluster.sessionClusterId, cluster.state, cluster.name or ""))
end
io.stderr:write(count, " session clusters\n")
