-- The server under the bench: a plain nginx with one worker that serves files over https, with
-- keep-alive, from descriptors that stay open. Its certificate is its own CA.

local cjson = require "cjson"
local nginx = require "spec.support.nginx"

local M = {}

local CERTIFICATE = "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost"
    .. " -addext subjectAltName=DNS:localhost -keyout %s/key.pem -out %s/ca.pem 2>/dev/null"

local PATH = "/api/v1/workspaces/w-1234abcd/sessionClusters/"
local CLUSTER = "1234abcd%-12ab%-34cd%-56ef%-1234567890ab"
local DELAYS = { 3, 50, 100, 2000 }  -- milliseconds
local POLLS = 4

-- What is asked for is the name of the session cluster, which its reply repeats: "documented",
-- "configs-N", "after-N" (the documented one, N ms later), or "wait-X", which runs at each
-- POLLS-th poll.
local SERVER = [[
    listen 127.0.0.1:@port@ ssl backlog=4096;
    ssl_certificate @dir@/ca.pem;
    ssl_certificate_key @dir@/key.pem;
    location = /status { stub_status; }
    location @path@ {
        alias @dir@/;
        open_file_cache max=100;
        default_type application/json;
        add_header x-acs-request-id DD6B1B2A-5837-5237-ABE4-FF0C8944A000;
    }
    location ~ ^@path@after-(?<ms>[0-9]+)$ {
        alias @dir@/after-$ms;
        default_type application/json;
        rewrite_by_lua_block { ngx.sleep(ngx.var.ms / 1000) }
    }
    location @path@wait- {
        content_by_lua_block {
            local name = ngx.var.uri:match "[^/]+$"
            local runs = ngx.shared.polls:incr(name, 1, 0) % @polls@ == 0
            local reply = documented:gsub("documented", name, 1)
            ngx.print(runs and reply or reply:gsub("Running", "Starting"))
        }
    }
]]

local INIT = [[
    lua_shared_dict polls 10m;
    init_by_lua_block {
        local file = assert(io.open "@dir@/documented")
        documented = file:read "*a"
        file:close()
    }
]]

local function write(dir, name, text)
    local file = assert(io.open(("%s/%s"):format(dir, name), "w"))
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
---@return table server     {url, ca_file, dir, path(name), accepted(), cpu(), stop()}
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
    local values = { port = nginx.free_port(), dir = dir, path = PATH, polls = POLLS }
    local server = nginx.start {
        main = main,
        http = INIT:gsub("@(%l+)@", values),
        server = SERVER:gsub("@(%l+)@", values),
    }
    local self = {
        url = "https://localhost:" .. values.port, ca_file = dir .. "/ca.pem", dir = dir,
    }

    function self.path(name)
        return PATH .. name
    end

    local worker = server:workers()[1]

    --- The seconds of processor time that its worker has taken.
    function self.cpu()
        local file = assert(io.open(("/proc/%d/schedstat"):format(worker)))
        local nanoseconds = file:read "*n"
        file:close()
        return nanoseconds / 1e9
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
