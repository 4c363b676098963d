-- Keys from a place of your own. Here: a directory with one file for each part of the key, as
-- Kubernetes mounts a secret. What is written there later counts from five minutes after.
--
--     lua5.4 examples/custom_provider.lua DIRECTORY WORKSPACE CLUSTER
--
-- The files are access_key_id, access_key_secret and, for a temporary key, security_token.
-- Exit status: 0, or 1 when there is no key or the call failed, or 2 when an argument is missing.

local emr = require "emr"

local directory, workspace, cluster = arg[1], arg[2], arg[3]
if not cluster then
    io.stderr:write("usage: ", arg[0], " DIRECTORY WORKSPACE CLUSTER\n")
    os.exit(2)
end

-- A provider is a function that returns a key, or nil and a message. `world` is the client's view
-- of the outside: here its files and its clock, so that this works in nginx and in a test alike.
local function mounted_secret(world)
    local function part(name)
        local text, message = world.read_file(directory .. "/" .. name, 4096)
        return text and text:match "^%s*(.-)%s*$", message
    end

    local id, message = part "access_key_id"
    if not id then
        return nil, message
    end
    local secret
    secret, message = part "access_key_secret"
    if not secret then
        return nil, message
    end
    return {
        access_key_id = id,
        access_key_secret = secret,
        security_token = part "security_token",
        expiration = world.wall_clock() + 300,  -- the client asks again before that
        source = "mounted secret",
    }
end

local client = emr.client.new {
    endpoint = os.getenv "EMR_ENDPOINT",  -- `make emulator` sets these two;
    ca_file = os.getenv "EMR_CA_FILE",  -- nil is the real cloud
    -- Where there is nothing, look on: any provider can be an element of a chain.
    credentials = emr.credentials.chain { mounted_secret, emr.credentials.environment {} },
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
