--- Keys from the three environment variables that every tool of the vendor knows.

local options = require "emr.options"
local keys = require "emr.credentials.keys"
local worlds = require "emr.credentials.world"

local NAMES = {
    access_key_id = "ALIBABA_CLOUD_ACCESS_KEY_ID",
    access_key_secret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    security_token = "ALIBABA_CLOUD_SECURITY_TOKEN",
}

local M = {}

-- nginx empties the environment of its workers, which surprises everybody once.
local function where()
    if package.loaded.ngx or rawget(_G, "ngx") then
        return "environment (nginx passes on only what an 'env NAME;' directive names)"
    end
    return "environment"
end

--- See `emr.credentials.environment`.
---@return emr.Provider
function M.environment(given)
    options.check(given, {}, "credentials.environment")
    return function(world)
        world = worlds.complete(world)
        local found = {}
        for field, variable in pairs(NAMES) do
            found[field] = world.getenv(variable)
        end
        return keys.new(where(), "env", found, NAMES)
    end
end

return M
