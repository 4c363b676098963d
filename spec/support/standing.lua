--- What must hold after every row of the fault catalogue, whatever it was about. busted loads this
--- before the specs (.busted); each test whose name holds a row is followed by these checks:
--- nothing was printed; signals, locale, environment and OpenSSL's error queue are as before; every
--- failure on the way looked as it must; a good call works at once; descriptors and memory are
--- back where they were.

local busted = require "busted"

local call = require "spec.support.call"
local checker = require "spec.support.checker"
local child = require "spec.support.child"
local outcomes = require "spec.support.outcomes"
local rows = require "spec.support.rows"

-- By how much there may be more than before. The engine keeps a connection for each call that was
-- in flight, handles with the buffers of their replies, and CA certificates; a row's server may
-- still run, on a pipe. LuaJIT gives back the buffer of a long string in many steps.
local MORE = {
    ["the Lua heap"] = rawget(_G, "jit") and 4096 or 512, ["malloc's heap"] = 4096,  -- KiB
    sockets = 64, pipes = 1, ["other descriptors"] = 0,
}

local process, host  -- C helpers
local listening


local function full_name(element)
    local names = {}
    while element and element.name and element.descriptor ~= "file" do
        table.insert(names, 1, element.name)
        element = busted.parent(element)
    end
    return table.concat(names, " ")
end


local function measure()
    collectgarbage()
    local open = host.descriptors()
    local state = host.state()
    state.signals = process.signals()
    return state, {
        ["the Lua heap"] = collectgarbage "count", ["malloc's heap"] = host.allocated(),
        sockets = open.socket, pipes = open.fifo, ["other descriptors"] = open.other,
    }
end


local function listen()
    if not checker.sanitizer then  -- whose last words must be seen
        host.listen()
        listening = true
    end
end


local function heard()
    local text = ""
    if listening then
        listening = false
        text = host.heard()
    end
    return text
end


local function grown(before, now)
    for name, amount in pairs(before) do
        local more = now[name] - amount
        if more > MORE[name] then
            return ("%s: %g more than before"):format(name, more)
        end
    end
end


local function check(state, amounts)
    local text = heard()
    assert(text == "", "something was printed: " .. text)
    outcomes.check()
    assert(host.error() == "", "OpenSSL's error queue holds " .. host.error())
    call.cloud():reset()
    call.works()
    call.cloud():reset()
    local more, now
    for _ = 1, 4 do  -- a loop or a client goes in stages, each with a collection
        local amounts_now
        now, amounts_now = measure()
        more = grown(amounts, amounts_now)
        if not more then
            break
        end
    end
    assert(not more, more)
    for name, value in pairs(state) do
        assert(now[name] == value, name .. " is not as before")
    end
end


busted.subscribe({ "suite", "start" }, function()
    process, host = child.load "process", child.load "standing"
    call.works()
    call.cloud():reset()
    return nil, true
end)


busted.subscribe({ "test", "start" }, function(element)
    local name = full_name(element)
    if #rows.of(name) > 0 then
        local run, state, amounts = element.run, measure()
        outcomes.forget()
        host.clear()
        element.run = function(...)
            run(...)
            check(state, amounts)
        end
        listen()
    end
    return nil, true
end)


busted.subscribe({ "test", "end" }, function()
    heard()
    return nil, true
end, { priority = 1 })
