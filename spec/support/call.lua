--- Native calls of the specs: options for the emulator, the way to an end, and what every failure
-- must be like, whatever has happened.

local emr = require "emr"

local checker = require "spec.support.checker"
local descriptors = require "spec.support.descriptors"
local emulator = require "spec.support.emulator"

local M = {}

--- The documented cluster, whose state is always the same.
M.IDS = {
    workspaceId = "w-1234abcd",
    sessionClusterId = "1234abcd-12ab-34cd-56ef-1234567890ab",
}

-- Time limits in specs are for a machine at its usual speed; valgrind is slower.
local SLOWNESS = checker.valgrind and 10 or 1

-- Section 2.3 of what is tried again: by kind, or by kind and code.
local RETRYABLE = {
    network = true, timeout = true, throttled = true, ["protocol/empty"] = true,
    ["timeout/deadline"] = false, ["credentials/unavailable"] = true,
}
local STATUSES = { [408] = true, [500] = true, [502] = true, [503] = true, [504] = true }


--- The emulator in use; a child process attaches to its parent's.
function M.cloud()
    return M.emulator or emulator.get()
end


--- Options for a call to `url` with a key that the emulator knows, and `more`. A value of false
--- takes an option out.
function M.options(url, more)
    local emu = M.cloud()
    local options = {
        region = "cn-hangzhou", endpoint = url, ca_file = emu.ca_file,
        access_key_id = emu.access_key_id, access_key_secret = emu.access_key_secret,
    }
    for name, value in pairs(more or {}) do
        options[name] = value or nil
    end
    return options
end


function M.get(url, more)
    return emr.get_session_cluster(M.IDS, M.options(url, more))
end


function M.start(url, more)
    return emr.start(emr.operations.GetSessionCluster, M.IDS, M.options(url, more))
end


--- Calls `condition` between steps until it gives something, and returns that.
function M.step_until(condition, what)
    local deadline, turns = emr.now() + 3 * SLOWNESS, 0
    while emr.now() < deadline do
        local found = condition()
        if found then
            return found
        end
        turns = turns + 1
        emr.step(turns < 20 and 0 or 0.002)  -- what happens in this process needs no waiting
    end
    error("waited in vain for " .. (what or "something"), 2)
end


--- Steps a transfer to its end and returns its result.
function M.finish(transfer)
    M.step_until(function()
        return select("#", transfer:result()) > 0
    end, "the end of a transfer")
    return transfer:result()
end


--- The seconds that a function takes.
function M.seconds(f, ...)
    local before = emr.now()
    f(...)
    return emr.now() - before
end


-- Seconds over a limit that are borne. A quiet machine needs 0.02, a shared one sometimes half a
-- second; a limit that is not kept costs 3 s or more everywhere.
local SLACK = 1


--- Asserts that something took at least `min` seconds, and not much more than `max`.
function M.took(min, max, seconds)
    local text = ("took %.3f s, wanted %.3f to %.3f + %g"):format(seconds, min, max, SLACK)
    assert(seconds >= min - 0.005 and seconds <= (max + SLACK) * SLOWNESS, text)
end


--- Asserts that no canary and no signature is in a value, or in the texts of a table.
function M.assert_clean(value)
    if type(value) == "table" then
        for _, member in pairs(value) do
            M.assert_clean(member)
        end
        return
    end
    local text = tostring(value)
    assert(not text:find("CANARY", 1, true) and not text:find("Signature=", 1, true),
        "a secret got out: " .. text)
end


local function retryable(err)
    local exact = RETRYABLE[err.kind .. "/" .. tostring(err.code)]
    if exact == nil then
        exact = RETRYABLE[err.kind] or err.kind == "service" and STATUSES[err.status] or false
    end
    return exact
end


--- Asserts that these are the results of a call that failed so, as every failure must look. Returns
--- the error. Without a code, any will do.
function M.failed(kind, code, result, message, err)
    assert(result == nil, "it did not fail, though " .. kind .. " was to be expected")
    assert(type(err) == "table" and type(message) == "string", "no message and no error")
    local got = ("%s/%s, not %s/%s: %s"):format(err.kind, tostring(err.code), kind, tostring(code),
        message)
    assert(err.kind == kind and (err.code == code or not code), got)
    assert(message == err.message and message == tostring(err), "message and err differ")
    assert(#message <= 512 and not message:find("[%c\127]"), "not one short line: " .. message)
    assert(err.retryable == retryable(err) or err.status == 407, "retryable: " .. got)
    M.assert_clean(err)
    return err
end


--- Asserts that a call to the emulator works at once.
function M.works(more)
    local response, message = M.get(M.cloud().http, more)
    assert(response, message)
    assert(response.sessionCluster.state == "Running", "not the documented cluster")
end


-- Whether descriptors were lost. libcurl may have kept one connection for the next call, dead or
-- not; that call takes or replaces it, while what is lost adds up.
local function loses_descriptors(before, url, options)
    if descriptors.count() <= before then
        return false
    end
    M.get(url, options)
    return descriptors.count() > before + 1
end


--- Asserts that a call to a raw scenario fails so, and what holds after every failure: one
--- connection was enough, its descriptor is given back, and the next call works. Returns the error
--- and the server's log of the connection.
function M.fails(kind, code, scenario, argument, options)
    local emu = M.cloud()
    M.works()
    local url, before = emu.raw(scenario, argument), descriptors.count()
    local err = M.failed(kind, code, M.get(url, options))
    local log = emu:raw_log(url)
    assert(#log <= 1, #log .. " connections")
    assert(not loses_descriptors(before, url, options), "a descriptor is left open")
    M.works()
    return err, log[1]
end


return M
