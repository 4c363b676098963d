-- Many session clusters at once: asks all of them, then waits for those that are on their way,
-- beside each other over a few kept connections. The whole takes as long as its slowest part.
--
--     lua5.4 examples/many_clusters.lua WORKSPACE CLUSTER...
--
-- Keys and region come from where the vendor's tools look for them.
-- Exit status: 0 when all run, 1 when one does not get there within 300 seconds or a call failed,
-- 2 when an argument is missing.

local emr = require "emr"

if not arg[2] then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER...\n")
    os.exit(2)
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
}

local ids, questions = {}, {}
for i = 2, #arg do
    local id = { workspaceId = arg[1], sessionClusterId = arg[i] }
    ids[#ids + 1] = id
    questions[#questions + 1] = { "GetSessionCluster", id }  -- one call is a name and a request
end
local replies, errors = client:all(questions, { concurrency = 32 })

local waits, waiting = {}, {}
for i, reply in ipairs(replies) do
    local state = reply and reply.sessionCluster.state or errors[i].message
    print(ids[i].sessionClusterId, state)
    if state == "Starting" then
        waiting[#waiting + 1] = ids[i].sessionClusterId
        waits[#waits + 1] = function()  -- anything else is a function that returns as calls do
            return client:wait_session_cluster(ids[i], { timeout = 300 })
        end
    end
end

local status = next(errors) and 1 or 0
replies, errors = client:all(waits)
for i, cluster in ipairs(waiting) do
    print(cluster, replies[i] and replies[i].sessionCluster.state or errors[i].message)
end
os.exit(next(errors) and 1 or status)
