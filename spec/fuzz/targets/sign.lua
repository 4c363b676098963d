--- emr.sign against another implementation, the emulator's own. Input: "METHOD path secret query",
-- then headers and body as in HTTP; the query's values are not encoded.

local emr = require "emr"

local rules = require "spec.fuzz.rules"
local signer = require "spec.support.signer"

local digest = { sha256 = signer.sha256, hmac_sha256 = signer.hmac_sha256 }
package.loaded.digest = digest -- inside nginx it is another
local canonical = require "spec.emulator.canonical"

local OTHER = { access_key_id = "other", access_key_secret = "other" }

local function query_of(text)
    local query, list = {}, {}
    for name, value in text:gmatch("([^&=]+)=([^&]*)") do
        query[name] = value
    end
    for name, value in pairs(query) do
        list[#list + 1] = { name, value }
    end
    return query, canonical.sorted_query(list)
end

-- The same map, filled in another order, which may be another order of `pairs`.
local function reversed(map)
    local names, copy = {}, {}
    for name in pairs(map) do
        table.insert(names, 1, name)
    end
    for _, name in ipairs(names) do
        copy[name] = map[name]
    end
    return copy
end

local function expected(request, query, secret)
    local list = {}
    for name, value in pairs(request.headers) do
        list[#list + 1] = { name, value }
    end
    local names = canonical.signed_names(list)
    local text = canonical.canonical_request({
        method = request.method, path = request.path, query = query, header_list = list,
        body = request.body,
    }, names)
    local to_sign = canonical.string_to_sign(text)
    return {
        canonical_request = text, string_to_sign = to_sign,
        signed_headers = table.concat(names, ";"),
        signature = canonical.signature(secret, to_sign),
    }
end

return function(input)
    local first, headers, body = rules.message(input)
    local method, path, secret, rest = first:match("^(%S*) ?(%S*) ?(%S*) ?(.*)$")
    local query, sorted = query_of(rest)
    local request = { method = method, path = path, query = query, headers = headers, body = body }
    local key = { access_key_id = "id", access_key_secret = secret }
    local got = emr.sign(request, key)
    for name, value in pairs(expected(request, sorted, secret)) do
        assert(got[name] == value, name .. " differs")
    end
    emr.sign(request, OTHER)
    request.headers, request.query = reversed(headers), reversed(query)
    rules.assert_same(got, emr.sign(request, key), "the order of the headers matters")
end
