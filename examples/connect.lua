-- The client of the other examples, made from the environment. Used by them, with dofile.
--
-- Keys come from wherever the vendor's tools find them: variables, `aliyun configure`, the INI
-- file, an ECS role. EMR_REGION chooses the region; without it the client looks at
-- ALIBABA_CLOUD_REGION_ID and the CLI profile. EMR_ENDPOINT and EMR_CA_FILE lead to another
-- server, such as the one that `make emulator` starts.

local emr = require "emr"

-- `more` holds further options of the client.
return function(more)
    local options = {
        region = os.getenv("EMR_REGION") or os.getenv("EMR_ENDPOINT") and "cn-hangzhou",
        endpoint = os.getenv("EMR_ENDPOINT"),
        ca_file = os.getenv("EMR_CA_FILE"),
        on_warning = function(message) io.stderr:write("warning: ", message, "\n") end,
    }
    for name, value in pairs(more or {}) do
        options[name] = value
    end
    return emr.client.new(options)
end
