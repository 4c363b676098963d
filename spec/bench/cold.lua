-- A script that makes one call, for the row of a cold one.

local emr = require "emr"

local workspace, cluster = os.getenv "BENCH_PATH":match "/workspaces/(.-)/sessionClusters/(.-)$"
assert(emr.get_session_cluster({ workspaceId = workspace, sessionClusterId = cluster }, {
    region = "cn-hangzhou", endpoint = os.getenv "BENCH_URL", ca_file = os.getenv "BENCH_CA",
    access_key_id = "bench-id", access_key_secret = "bench-secret-of-30-characters!",
}))
