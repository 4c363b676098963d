-- For cron: sees that session clusters run before work begins. Says nothing when all is well,
-- since cron mails whatever is printed, and ends in time for its next turn.
--
--     */10 * * * *  lua5.4 /path/to/examples/cron.lua WORKSPACE CLUSTER...
--
-- The clusters are looked after beside each other, each for at most EMR_SECONDS (240). What is
-- down is started. Keys and region come from where the vendor's tools look for them.
-- Exit status: 0 when all run, 1 when one cannot get there or a call failed for good, 2 when an
-- argument is missing, 3 when only the time was over, 4 when the keys are not usable.

local emr = require "emr"

local workspace, seconds = arg[1], tonumber(os.getenv("EMR_SECONDS") or 240)
if not arg[2] or not seconds then
    io.stderr:write("usage: ", arg[0], " WORKSPACE CLUSTER...\n")
    os.exit(2)
end

local STATUS = { timeout = 3, credentials = 4 }
local GRAVITY = { [0] = 0, [3] = 1, [1] = 2, [4] = 3 }  -- time may heal 3; a person must see to 4

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
}
local list = {}
for i = 2, #arg do
    list[i - 1] = function()
        return client:start_and_wait_session_cluster({
            workspaceId = workspace,
            sessionClusterId = arg[i],
        }, { timeout = seconds })
    end
end

local results, errors = client:all(list)
local status = 0
for i, result in ipairs(results) do
    if not result then
        local err = errors[i]
        io.stderr:write(arg[i + 1], ": ", err.message, "\n")
        local mine = STATUS[err.kind] or 1
        status = GRAVITY[mine] > GRAVITY[status] and mine or status
    end
end
os.exit(status)
