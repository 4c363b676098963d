--- A reply on its way to a table or an error. Input: "STATUS Operation", headers and body as in
-- HTTP.

local emr = require "emr"

local rules = require "spec.fuzz.rules"

return function(input)
    local first, headers, body = rules.message(input)
    local status, name = first:match("^(%d*) ?(%a*)")
    local operation = emr.operations[name] or emr.operations.GetSessionCluster
    local reply = { status = tonumber(status:sub(1, 3)) or 200, headers = headers, body = body }
    local result, message, err = emr.parse(operation, reply)
    if not rules.result(result, message, err) then
        assert(reply.status >= 200 and reply.status < 300, "a good result of a bad status")
        rules.assert_same(result, emr.decode(body), "it is not what the body says")
        for member, type_ in pairs(operation.frame) do
            local value = result[member]
            assert(type(value) == (type_ == "string" and "string" or "table")
                or value == nil and type_ == "array", member .. " is not what it should be")
        end
    else
        assert((err.status or 0) == reply.status, "another status")
        local _, again = emr.parse(operation, reply)
        assert(message == again, "another message the second time")
    end
end
