-- The checks that follow every row (support/standing.lua) notice what they are there for.

local checker = require "spec.support.checker"
local child = require "spec.support.child"

-- What a row does, and what is said about it then.
local MISDEEDS = {
    { [[print "hello"]], "something was printed: hello" },
    { [[io.stderr:write "hello"]], "something was printed: hello" },
    { [[held = io.open "/dev/null"]], "other descriptors: 1 more" },
    { [[local pipe = io.popen "true"
        held = { pipe, io.popen "true" }]], "pipes: 2 more" },
    { [[held = ("x"):rep(8000000)]], "heap: " },
    { [[os.setlocale "C.UTF-8"]], "locale is not as before" },
    { [[require("spec.support.child").load("process").storm(1000)]], "signals is not as before" },
    { [[local context = require "ssl.context"
        context.loadcert(context.create "tlsv1_2", "/nonexistent")]],
        "OpenSSL's error queue holds" },
    { [[require "emr.failure"("state", nil, "the key is CANARY")]], "a secret is shown" },
    { [[require "emr.failure"("nonsense", nil, "odd")]], "no kind" },
    { [[local socket = require "socket"
        held = {}
        for i = 1, 70 do held[i] = socket.bind("127.0.0.1", 0) end]], "sockets: 70 more" },
    { [[emr.fetch({ url = call.cloud().raw "silence" }, { timeout = 0.1 })]], nil },
}

local TEMPLATE = [[
local emr = require "emr"
local call = require "spec.support.call"
local held
describe("a row", function()
    %s
    it("that behaves", function() assert.truthy(emr or call or held) end)
end)
]]

local function specs()
    local list = {}
    for i, misdeed in ipairs(MISDEEDS) do
        list[i] = ("it('E1: %d', function() %s end)"):format(i, misdeed[1])
    end
    return table.concat(list, "\n")
end

describe("the rules that hold after every row", function()
    it("are broken by whoever breaks them, and by nobody else", function()
        if checker.sanitizer then
            pending "the sanitizers' own words are not held back"
        end
        local result = child.spec(TEMPLATE:format(specs()))
        for i, misdeed in ipairs(MISDEEDS) do
            local said = result.out:match("a row E1: " .. i .. "\n([^\n]*)")
            if misdeed[2] then
                assert(said and said:find(misdeed[2], 1, true), said or misdeed[1])
            else
                assert.is_nil(said)
            end
        end
    end)
end)
