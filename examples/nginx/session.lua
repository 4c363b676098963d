--- A session cluster as all workers of an nginx see it: its state is kept in the shared dictionary
-- `session`. One worker at a time asks the API, in a timer, so that no request waits for it;
-- meanwhile, and when the API is down, the last answer counts.

local cjson = require "cjson"
local ngx = require "ngx"

local START_AGAIN = 60  -- seconds

local Session = {}
Session.__index = Session

local M = {}

---@class Session.Options
---@field client emr.Client
---@field request table      {workspaceId, sessionClusterId}
---@field every number       seconds between two questions
---@field keep number        seconds for which an answer counts
---@field start boolean      whether to start a cluster that is stopped

---@param options Session.Options
function M.new(options)
    return setmetatable(options, Session)
end

local function shared()
    return ngx.shared.session
end

--- What is known: `state`, its `age` in seconds, and why the last question failed, if it did.
function Session.known()
    local state, at, why = shared():get("state"), shared():get("at"), shared():get("error")
    return { state = state or "unknown", age = at and ngx.now() - at, error = why }
end

function Session:is_open()
    local known = self.known()
    return known.state:lower() == "running" and known.age <= self.keep
end

local function start_if_down(self, state)
    state = state:lower()
    if self.start and (state == "stopped" or state == "notstarted")
        and shared():add("started", true, START_AGAIN) then
        local started, message = self.client:start_session_cluster(self.request)
        if not started then
            ngx.log(ngx.WARN, message)
        end
    end
end

function Session:ask()
    local reply, message = self.client:get_session_cluster(self.request)
    if not reply then
        ngx.log(ngx.WARN, message)
        shared():set("error", message)
        return
    end
    shared():set("state", reply.sessionCluster.state)
    shared():set("at", ngx.now())
    shared():delete("error")
    start_if_down(self, reply.sessionCluster.state)
end

-- Whoever puts the word "asked" there asks. It vanishes by itself, so that a worker which dies
-- meanwhile holds nobody up.
function Session:refresh()
    if not shared():add("asked", true, self.every) then
        return
    elseif shared():get("state") == nil then
        self:ask()  -- nothing is known: this first request waits for the answer
    else
        ngx.timer.at(0, function() self:ask() end)
    end
end

--- For access_by_lua: lets the request pass while the cluster runs, else answers 503.
function Session:guard()
    self:refresh()
    if self:is_open() then
        return
    end
    local known = self.known()
    ngx.status = 503
    ngx.header["Retry-After"] = math.ceil(self.every)
    ngx.header["Content-Type"] = "text/plain"
    ngx.say("The session cluster is not running: ", known.state, ".")
    ngx.exit(503)
end

--- For content_by_lua: what is known, as JSON.
function Session:status()
    local known = self.known()
    known.open = self:is_open()
    known.cluster = self.request.sessionClusterId
    ngx.say(cjson.encode(known))
end

return M
