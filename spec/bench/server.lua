-- The server under the bench: a plain nginx with one worker that serves files over https, with
-- keep-alive, from memory as far as the system keeps them there. Its certificate is its own CA.

local cjson = require "cjson"
local nginx = require "spec.support.nginx"

local M = {}

local CERTIFICATE = "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost"
    .. " -addext subjectAltName=DNS:localhost -keyout %s/key.pem -out %s/ca.pem 2>/dev/null"

local SERVER = [[
    listen 127.0.0.1:@port@ ssl backlog=4096;
    ssl_certificate @dir@/ca.pem;
    ssl_certificate_key @dir@/key.pem;
    location = /status { stub_status; }
    root @dir@;
    add_header x-acs-request-id DD6B1B2A-5837-5237-ABE4-FF0C8944A000;
    location ~ "/sessionClusters/after-(?<ms>[0-9]+)$" {
        default_type application/json;
        rewrite_by_lua_block { ngx.sleep(ngx.var.ms / 1000) }
        try_files /after-$ms.json =404;
    }
    location ~ "/sessionClusters/(?<name>[\w-]+)$" {
        default_type application/json;
        try_files /$name.json =404;
    }
]]

local WORKSPACE = "w-1234abcd"
local CLUSTER = "1234abcd%-12ab%-34cd%-56ef%-1234567890ab"
local DELAYS = { 3, 100 }  -- milliseconds

-- A reply names the cluster that was asked for, which here is the name of its file.
local function write(dir, name, text)
    local file = assert(io.open(("%s/%s.json"):format(dir, name), "w"))
    file:write((text:gsub(CLUSTER, name, 1)))
    file:close()
end

local function sample()
    local file = assert(io.open "spec/emulator/sample.json")
    local text = file:read "*a"
    file:close()
    return text
end

-- The documented reply with `n` applicationConfigs, as a service prints it: without blanks.
local function with_configs(n)
    local reply = cjson.decode(sample())
    local configs = reply.sessionCluster.applicationConfigs
    for i = 2, n do
        configs[i] = {
            configFileName = "spark-defaults.conf",
            configItemKey = ("spark.executor.extraOption.%d"):format(i),
            configItemValue = ("value-of-the-option-%d"):format(i),
        }
    end
    return cjson.encode(reply)
end

--- Starts it. `dir` is removed by stop().
---@param sizes integer[]   also serves replies with so many applicationConfigs, as "configs-N"
---@param main string       directives for nginx
---@return table server     {url, ca_file, dir, path(name), accepted(), stop()}
function M.start(sizes, main)
    local pipe = assert(io.popen "mktemp -d /tmp/emr-bench.XXXXXX")
    local dir = pipe:read "*l"
    pipe:close()
    assert(os.execute(CERTIFICATE:format(dir, dir)))
    write(dir, "documented", sample())
    for _, ms in ipairs(DELAYS) do
        write(dir, "after-" .. ms, sample())
    end
    for _, n in ipairs(sizes) do
        write(dir, "configs-" .. n, with_configs(n))
    end
    local values = { port = nginx.free_port(), dir = dir }
    local server = nginx.start {
        main = main,
        server = SERVER:gsub("@(%l+)@", values),
    }
    local self = {
        url = "https://localhost:" .. values.port, ca_file = dir .. "/ca.pem", dir = dir,
    }

    function self.path(name)
        return "/api/v1/workspaces/" .. WORKSPACE .. "/sessionClusters/" .. name
    end

    --- How many connections it has taken, those of this question left out.
    local questions = 0
    function self.accepted()
        questions = questions + 1
        return tonumber(server:get("/status"):match "requests%s+(%d+)") - questions
    end

    function self.stop()
        server:stop()
        os.execute("rm -rf " .. dir)
    end

    return self
end

return M
