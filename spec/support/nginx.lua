-- A real nginx with the Lua module for the specs, on a free loopback port. It ends with this
-- process, however that ends: its shell waits on a pipe that closes then.

local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"

local ROOT = (debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "../.."
local READY_SECONDS = 15
http.TIMEOUT = READY_SECONDS
local MODULES = { "ndk_http_module.so", "ngx_http_lua_module.so" }
local PLACES = { "/usr/lib/nginx/modules", "/usr/share/nginx/modules" }
local TEMPORARY = { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" }

-- @words@ come from the options of `start`. It runs as whoever runs the specs: the worker has to
-- read what lies in their folders.
local CONF = [[
@load@
daemon off;
@user@
worker_processes @workers@;
worker_rlimit_nofile @files@;
pid nginx.pid;
error_log error.log notice;
@main@
events { worker_connections @connections@; }
http {
    access_log off;
    @temporary@
    lua_package_path "@root@/lua/?.lua;@root@/?.lua;@lua_path@;";
    lua_package_cpath "@root@/@build@/?.so;;";
    lua_socket_log_errors off;
    keepalive_requests 1000000;
    @http@
    server {
        listen 127.0.0.1:@port@ backlog=4096;
        default_type text/plain;
        @server@
    }
}
]]

-- The shell that starts it in a folder, ends it when its standard input ends, and cleans up.
local SCRIPT = [[
directory=%s; cd "$directory" || exit
exec 2>stderr; : >error.log
nginx=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "${EMR_NGINX:-nginx}")
{ %s %s "$nginx" -p . -c nginx.conf -e error.log >/dev/null; : >ended; } &
read -r _
[ -f ended ] || kill -TERM "$(cat nginx.pid)"
wait; cd /; rm -rf "$directory"
]]

local Nginx = { __name = "emr.spec.Nginx" }
Nginx.__index = Nginx

local M = {}

local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The first line that a command prints.
local function output(command)
    local pipe = assert(io.popen(command))
    local line = pipe:read("*l")
    pipe:close()
    return line
end

local function exists(path)
    local file = io.open(path)
    return file ~= nil and file:close() ~= nil
end

local function load_modules()
    local given = os.getenv("EMR_NGINX_MODULES")
    for _, directory in ipairs(given and { given } or PLACES) do
        if exists(directory .. "/" .. MODULES[2]) then
            local lines = {}
            for i, name in ipairs(MODULES) do
                lines[i] = ('load_module "%s/%s";'):format(directory, name)
            end
            return table.concat(lines, "\n")
        end
    end
    return ""  -- built in, as in OpenResty
end

--- A port that nobody listens on.
function M.free_port()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    server:close()
    return math.floor(port)
end

local function configuration(o, port)
    local temporary = {}
    for i, name in ipairs(TEMPORARY) do
        temporary[i] = ("%s_temp_path tmp_%s;"):format(name, name)
    end
    local files = tonumber(output("ulimit -Hn")) or 65536
    local values = {
        load = load_modules(), root = o.root, port = port,
        user = output("id -u") == "0" and "user root root;" or "",
        files = math.min(files, 65536), connections = math.floor(math.min(files, 65536) / 2),
        lua_path = os.getenv("EMR_NGINX_LUA_PATH") or "",
        temporary = table.concat(temporary, " "),
        build = os.getenv "EMR_NGINX_BUILD" or "build/luajit",
        workers = o.workers or 1, main = o.main or "", http = o.http or "", server = o.server or "",
    }
    return ((o.whole or CONF):gsub("@([%l_]+)@", values))
end

local function environment(variables)
    local words = { "env -i" }
    for name, value in pairs(variables or {}) do
        words[#words + 1] = quoted(name .. "=" .. value)
    end
    return table.concat(words, " ")
end

local function is_listening(port)
    local connection = socket.connect("127.0.0.1", port)
    return connection ~= nil and connection:close() ~= nil
end

function Nginx:read(name)
    local file = assert(io.open(self.directory .. "/" .. name))
    local text = file:read("*a")
    file:close()
    return text
end

function Nginx:has_pid()
    self.pid = exists(self.directory .. "/nginx.pid") and tonumber(self:read("nginx.pid"))
    return self.pid
end

function Nginx:wait_until_ready(port)
    local deadline = socket.gettime() + READY_SECONDS
    while not (self:has_pid() and is_listening(port)) do
        if socket.gettime() > deadline or exists(self.directory .. "/ended") then
            local why = self:read("stderr") .. self:log()
            self:stop()
            error("nginx did not start: " .. why, 4)
        end
        socket.sleep(0.01)
    end
end

--- The top folder of this tree.
function M.root()
    return output("cd " .. quoted(ROOT) .. " && pwd")
end

--- Starts one. `main`, `http` and `server` are directives for those places of its configuration,
-- `env` its whole environment (a table), `workers` how many of them, `under` a command to run it;
-- `whole` is a configuration in place of all, with the same @words@.
---@param o table   {main?, http?, server?, env?, workers?, under?, whole?}
---@return table server   {url, pid, directory, ...}
function M.start(o)
    local root = M.root()
    local directory = output("mktemp -d /tmp/emr-nginx.XXXXXX")
    local port = M.free_port()
    local self = setmetatable({
        directory = directory, port = port, url = "http://127.0.0.1:" .. port, root = root,
    }, Nginx)
    local file = assert(io.open(directory .. "/nginx.conf", "w"))
    file:write(configuration(setmetatable({ root = root }, { __index = o }), port))
    file:close()
    self.pipe = assert(io.popen(SCRIPT:format(quoted(directory), environment(o.env),
        o.under or ""), "w"))
    self:wait_until_ready(port)
    return self
end

-- A table of strings, numbers and such tables as Lua text.
local function literal(value)
    if type(value) == "string" then
        return ("%q"):format(value)
    elseif type(value) ~= "table" then
        return tostring(value)
    end
    local members = {}
    for name, member in pairs(value) do
        members[#members + 1] = ("[%q] = %s"):format(name, literal(member))
    end
    return "{ " .. table.concat(members, ", ") .. " }"
end

--- Starts one that has the global `t`, which is inside_nginx.lua with a client for the emulator, a
-- shared dictionary `marks`, and a few locations.
---@param o table   as for `start`, and {options?, init?}: more options of every client, and more
---  Lua for init_by_lua
function M.with_client(emu, o)
    local options = {
        region = "cn-hangzhou", endpoint = emu.http, deadline = 5,
        access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
    }
    for name, value in pairs(o.options or {}) do
        options[name] = value ~= "none" and value or nil
    end
    local dictionary_and_client = ([[
        lua_shared_dict marks 1m;
        init_by_lua_block {
            t = require("spec.support.inside_nginx").open(%s)
            %s
        }]]):format(literal(options), o.init or "")
    local server = [[
        location = /ping { return 200; }
        location = /ask { content_by_lua_block { ngx.print(t.ask()) } }
        location = /marks { content_by_lua_block { t.say_marks() } }
        location = /clear { content_by_lua_block { ngx.shared.marks:flush_all() } }
        location = /in_flight { content_by_lua_block { ngx.print(t.emr.step(0)) } }
    ]]
    return M.start {
        main = o.main, env = o.env, workers = o.workers,
        http = dictionary_and_client .. (o.http or ""), server = server .. (o.server or ""),
    }
end

--- The words that `t.mark` has left.
function Nginx:marks()
    local marks = {}
    for name, text in self:get("/marks"):gmatch("(%S+) ([^\n]*)\n") do
        marks[name] = text
    end
    return marks
end

--- Waits until `condition` gives something, and returns that.
function Nginx:wait_until(condition, what, seconds)
    local deadline = socket.gettime() + (seconds or READY_SECONDS)
    repeat
        local found = condition()
        if found then
            return found
        end
        socket.sleep(0.005)
    until socket.gettime() > deadline
    error("waited in vain for " .. what .. "\n" .. (exists(self.directory) and self:log() or ""), 2)
end

--- What stands in its error log.
function Nginx:log()
    return self:read("error.log")
end

--- Those lines of the error log that tell of trouble: warn and worse, but for those that match one
-- of the given patterns.
---@param ... string   patterns of what is expected
function Nginx:troubles(...)
    local lines = {}
    for line in self:log():gmatch("[^\n]+") do
        local expected = line:find("^%S+ %S+ %[notice%]") or line:find("^%S+ %S+ %[info%]")
        for _, pattern in ipairs { ... } do
            expected = expected or line:find(pattern)
        end
        if not expected then
            lines[#lines + 1] = line
        end
    end
    return table.concat(lines, "\n")
end

--- The process ids of its workers.
function Nginx:workers()
    local pids = {}
    local pipe = assert(io.popen("cat /proc/" .. self.pid .. "/task/*/children"))
    for pid in pipe:read("*a"):gmatch("%d+") do
        pids[#pids + 1] = tonumber(pid)
    end
    pipe:close()
    return pids
end

function Nginx:signal(name)
    os.execute(("kill -%s %d"):format(name, self.pid))
end

--- One GET, or a POST with a body, on a connection of its own.
---@return string? body   nil where there was no reply at all
---@return integer|string status   then the reason
---@return table? headers
function Nginx:get(path, body)
    local parts = {}
    local ok, status, headers = http.request {
        method = body and "POST" or "GET",
        url = self.url .. path,
        headers = body and { ["content-length"] = #body } or nil,
        source = body and ltn12.source.string(body) or nil,
        sink = ltn12.sink.table(parts),
    }
    return ok and table.concat(parts), status, headers
end

--- Sends a GET and returns at once. What is returned waits for the reply and gives its body, or nil
-- if the server has hung up; called with "give up" it hangs up itself.
function Nginx:request(path)
    local connection = assert(socket.connect("127.0.0.1", self.port))
    connection:settimeout(READY_SECONDS)
    assert(connection:send(("GET %s HTTP/1.0\r\n\r\n"):format(path)))
    return function(give_up)
        if give_up then
            connection:close()
            return
        end
        local reply = connection:receive("*a")
        connection:close()
        return reply and reply:match("^HTTP/1.%d 200 .-\r\n\r\n(.*)$")
    end, connection
end

-- The seconds that requests on a kept connection take, sorted: each from when it is due, which
-- `next_due`, called with how many there were, tells until it gives false.
local function times_of(connection, next_due)
    local times = {}
    local due = next_due(0)
    while due do
        assert(connection:send("GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        repeat
            local line = assert(connection:receive("*l"))
        until line == ""
        times[#times + 1] = socket.gettime() - due
        due = next_due(#times)
    end
    table.sort(times)
    return times
end

local function kept_connection(self)
    local connection = assert(socket.connect("127.0.0.1", self.port))
    connection:setoption("tcp-nodelay", true)
    connection:settimeout(READY_SECONDS)
    return connection
end

--- The 99th percentile of `count` requests that have nothing to do with emr, in seconds.
function Nginx:p99(count)
    local connection = kept_connection(self)
    local times = times_of(connection, function(n) return n < count and socket.gettime() end)
    connection:close()
    return times[math.ceil(0.99 * count)]
end

--- The seconds that `count` such requests take, sorted, when one is sent each `every` seconds. What
-- a late reply holds up counts from when it should have been sent.
function Nginx:paced(count, every)
    local connection, first = kept_connection(self), socket.gettime()
    local times = times_of(connection, function(n)
        local due = first + n * every
        local early = due - socket.gettime()
        if early > 0 then
            socket.sleep(early)
            due = socket.gettime()  -- waking up late is no fault of the server
        end
        return n < count and due
    end)
    connection:close()
    return times
end

--- Sends such requests until `reply`, which Nginx:request has returned, is there.
---@return number slowest, integer count
function Nginx:ping_until(awaited)
    local connection = kept_connection(self)
    local times = times_of(connection, function()
        socket.sleep(0.005)
        return #socket.select({ awaited }, nil, 0) == 0 and socket.gettime()
    end)
    connection:close()
    return times[#times] or 0, #times
end

--- How many descriptors its first worker has open.
function Nginx:descriptors()
    return tonumber(output("ls /proc/" .. self:workers()[1] .. "/fd | wc -l"))
end

--- How much memory the master has, in KiB.
function Nginx:resident()
    local status = output("grep VmRSS /proc/" .. self.pid .. "/status")
    return tonumber(status:match("%d+"))
end

--- Whether a process is there, and is not just waiting to be buried.
function M.is_alive(pid)
    local line = output(("cat /proc/%d/stat 2>/dev/null"):format(pid))
    return line ~= nil and line:match("%) (%a)") ~= "Z"
end

function Nginx:is_running()
    return not exists(self.directory .. "/ended")
end

--- A library to preload, in which hangs-long.test is looked up for 20 s: spec/support/process.c.
function M.hanging_names()
    require("spec.support.child").lua("", { preload = true })  -- compiles it
    return require("spec.support.emulator").get().dir .. "/process.so"
end

--- Asserts that the error log tells of no trouble, but for lines that match one of the patterns,
-- and holds no secret.
function M.check(server, ...)
    local troubles = server:troubles(...)
    assert(troubles == "", "error log: " .. troubles)
    assert(not server:log():find("CANARY", 1, true), "a secret is in the error log")
end

--- Like busted's `describe`, but not where another run does these specs: they do not depend on the
-- Lua that busted runs under.
function M.describe(name, f)
    local skip = os.getenv("EMR_SKIP_NGINX")
    if skip and skip ~= "" then
        require("busted").pending(name)
    else
        require("busted").describe(name, f)
    end
end

--- Ends it, if it still runs, and removes its folder.
function Nginx:stop()
    if self.pipe then
        self.pipe:close()
        self.pipe = nil
    end
end

return M
