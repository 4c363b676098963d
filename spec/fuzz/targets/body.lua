--- Lua values to the JSON of a request, by the types of a descriptor: what was taken comes back
-- when it is read again. Input: a JSON object, as the source of the values.

local emr = require "emr"

local rules = require "spec.fuzz.rules"

local OPERATION = {
    name = "Fuzz", version = "1", product = "fuzz", hosts = { public = "localhost" },
    method = "POST", path = "/", retry = "safe",
    body = {
        { name = "text", type = "string" },
        { name = "flag", type = "boolean" },
        { name = "small", type = "int32" },
        { name = "large", type = "int64" },
        { name = "number", type = "double" },
        { name = "map", type = "map<string,string>" },
        { name = "list", type = "array<string>" },
        { name = "any", type = "any" },
        { name = "object", type = "object", fields = {
            { name = "enable", type = "boolean" },
            { name = "any", type = "any" },
        } },
        { name = "objects", type = "array<object>", fields = {
            { name = "key", type = "string" },
            { name = "numbers", type = "array<double>" },
        } },
    },
}
local KEY = { access_key_id = "id", access_key_secret = "CANARYSECRET" }

return function(input)
    local request = emr.decode(input)
    if type(request) ~= "table" then
        return
    end
    local ok, prepared = pcall(emr.prepare, OPERATION, request, KEY)
    if not ok then
        rules.mistake(prepared)
        return
    end
    local again = assert(emr.decode(prepared.body))
    assert(rules.alike(request, again), "what was sent is not what was given: " .. prepared.body)
end
