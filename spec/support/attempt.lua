-- Attempts of the native module against the emulator: those that must be refused before anything is
-- sent, and those that must arrive as they were prepared.

local emr = require "emr"

local call = require "spec.support.call"
local emulator = require "spec.support.emulator"
local signer = require "spec.support.signer"

local M = {}


--- The request of a good GetSessionCluster with `changes`; a value of false takes a field out.
function M.request(changes)
    local request = { workspaceId = "w-1", sessionClusterId = "s-1" }
    for name, value in pairs(changes or {}) do
        request[name] = value or nil
    end
    return request
end


--- Options for the emulator with `changes`, in the same way.
function M.options(changes)
    return call.options(emulator.get().http, changes)
end


local function operation(name)
    return emr.operations[name or "GetSessionCluster"]
end


-- What a mistake looks like: an error in one line that names the culprit and shows no value.
local function assert_mistake(name, ok, message)
    assert(not ok, "not refused; it should name " .. name)
    assert(type(message) == "string", "raised a " .. type(message))
    assert(message:find(name, 1, true), ("%q does not name %s"):format(message, name))
    assert(#message <= 512 and not message:find("[%c\127]"), "not one short line: " .. message)
    assert(not message:find("CANARY", 1, true), "it shows a value: " .. message)
end


--- Asserts that a call raises, names `name`, shows no value (values hold "CANARY"), and sends
--- nothing.
function M.refused(name, request, options, operation_name)
    local descriptor = operation(operation_name)
    assert_mistake(name, pcall(emr.prepare, descriptor, request, options))
    assert_mistake(name, pcall(emr.call, descriptor, request, options))
    assert_mistake(name, pcall(emr.start, descriptor, request, options))
    assert(#emulator.get():requests() == 0, "something was sent")
end


local function split(prepared)
    local scheme, authority, target = prepared.url:match("^(https?)://([^/]+)(/.*)$")
    return scheme, authority, target
end


--- Asserts that a prepared request is signed as wire.md 2 says, and returns it.
function M.verified(prepared, key)
    local _, authority, target = split(prepared)
    local headers = prepared.headers
    assert(headers.host == authority, "host " .. headers.host .. " for " .. prepared.url)
    local signed, names = {}, {}
    for name, value in pairs(headers) do
        assert(name == name:lower(), name)
        if name == "host" or name == "content-type" or name:find("^x%-acs%-") then
            signed[name], names[#names + 1] = value:match("^[ \t]*(.-)[ \t]*$"), name
        end
    end
    local path, query = target:match("^([^?]*)%??(.*)$")
    local again = signer.sign({
        method = prepared.method, path = path, query = query,
        headers = signed, body = prepared.body or "",
    }, key, names)
    local got = headers.authorization
    assert(again.headers.authorization == got, "another signature would be right: " .. got)
    assert(headers["x-acs-content-sha256"] == signer.sha256(prepared.body or ""), "content hash")
    return prepared
end


--- Prepares a good GetSessionCluster with these changes and verifies it.
function M.prepared(request, options, operation_name)
    local all = M.options(options)
    local prepared = assert(emr.prepare(operation(operation_name), request, all))
    return M.verified(prepared, all)
end


--- Calls, and asserts that the emulator received one request, byte for byte the one of prepare, and
--- found nothing wrong with it. Returns it as received and as prepared.
function M.accepted(request, options, operation_name)
    local emu = emulator.get()
    local prepared = M.prepared(request, options, operation_name)
    emr.call(operation(operation_name), request, M.options(options))
    local seen = emu:requests()
    local got = assert(seen[1], "nothing was received")
    local _, authority, target = split(prepared)
    assert(#seen == 1, "several requests")
    assert(got.verdict == "ok", got.verdict)
    assert(got.method == prepared.method, got.method)
    assert(got.uri == target, got.uri .. " was received instead of " .. target)
    assert(got.headers.host == authority, got.headers.host)
    assert(got.body == (prepared.body or ""), got.body)
    return got, prepared
end


return M
