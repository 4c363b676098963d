--- What `require "emr"` gives while a spec runs the texts of the README: the module itself, its
-- calls sent to the emulator. A reader's go to the real cloud, which the texts therefore name.

local function load_module()
    for template in package.cpath:gmatch "[^;]+" do
        local open = package.loadlib(template:gsub("?", "emr"), "luaopen_emr")
        if open then
            return open()
        end
    end
    error "emr.so is not on package.cpath"
end

local emr = load_module()
package.loaded.emr = emr

local function elsewhere(options)
    local all = { endpoint = os.getenv "EMR_ENDPOINT", ca_file = os.getenv "EMR_CA_FILE" }
    for name, value in pairs(options or {}) do
        all[name] = value
    end
    return all
end

local client, prepare, fetch = emr.client, emr.prepare, emr.fetch
local new, get_session_cluster = client.new, emr.get_session_cluster

function client.new(options)
    return new(elsewhere(options))
end

function emr.get_session_cluster(request, options)
    return get_session_cluster(request, elsewhere(options))
end

function emr.prepare(operation, request, options)
    return prepare(operation, request, elsewhere(options))
end

function emr.fetch(http_request)
    return fetch(http_request, { ca_file = os.getenv "EMR_CA_FILE" })
end

return emr
