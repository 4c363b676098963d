--- The proxy that the environment names, and for whom it is not. C looks at no environment.

local M = {}

-- The metadata service of an ECS instance.
local METADATA = "100.100.100.200"

local function host_of(url)
    local authority = url:gsub("^%a[%w+.-]*://", ""):match "^[^/?#]*"
    return (authority:match "^%[(.-)%]" or authority:match "^[^:]*"):lower()
end

local function is_near(host)
    return host == "localhost" or host:find "%.localhost$" or host:find "^127%." or host == "::1"
        or host == METADATA
end

--- What `https_proxy`, `HTTPS_PROXY` and `no_proxy` say. Empty text counts as not set.
---@param getenv fun(name: string): string?
---@return {proxy: string?, no_proxy: string?}
function M.from_environment(getenv)
    local function read(name)
        local value = getenv(name)
        return value ~= "" and value or nil
    end
    return {
        proxy = read "https_proxy" or read "HTTPS_PROXY",
        no_proxy = read "no_proxy" or read "NO_PROXY",
    }
end

--- Whether a proxy of the environment serves that address: never for plain http, this machine and
-- the metadata service.
---@param url string   a URL, or what the option `endpoint` takes
---@return boolean
function M.serves(url)
    return not url:lower():find "^http:" and not is_near(host_of(url))
end

return M
