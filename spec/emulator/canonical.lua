-- luacheck: std ngx_lua
-- The canonical request of ACS3-HMAC-SHA256, from the raw request, and its signature.

local digest = require "digest"

local M = { ALGORITHM = "ACS3-HMAC-SHA256" }


local function escape(text)
    return (text:gsub("[^%w%-_%.~]", function(c)
        return ("%%%02X"):format(c:byte())
    end))
end


local function unescape(text)
    return (text:gsub("%%(%x%x)", function(digits)
        return string.char(tonumber(digits, 16))
    end))
end


--- The pairs of a query or form in the order they came: { {name, value}, ... }, decoded.
function M.pairs_of(query)
    local list = {}
    for pair in query:gmatch("[^&]+") do
        local name, value = pair:match("^([^=]*)=?(.*)$")
        list[#list + 1] = { unescape((name:gsub("+", " "))), unescape((value:gsub("+", " "))) }
    end
    return list
end


local function sorted_query(pairs_list)
    table.sort(pairs_list, function(a, b)
        if a[1] ~= b[1] then
            return a[1] < b[1]
        end
        return a[2] < b[2]
    end)
    local out = {}
    for i, pair in ipairs(pairs_list) do
        out[i] = escape(pair[1]) .. "=" .. escape(pair[2])
    end
    return table.concat(out, "&")
end


-- No decoding and no normalising: only the three spellings that the vendor's signers unify.
local function canonical_uri(path)
    path = path:gsub("+", "%%20"):gsub("*", "%%2A"):gsub("%%7E", "~")
    return path == "" and "/" or path
end


-- Equal names in any letter case are one header: its values sorted and joined.
local function canonical_header(header_list, name)
    local values = {}
    for _, header in ipairs(header_list) do
        if header[1]:lower() == name then
            values[#values + 1] = header[2]:match("^%s*(.-)%s*$")
        end
    end
    table.sort(values)
    return name .. ":" .. table.concat(values, ",") .. "\n"
end


--- Must this header be signed when it is sent?
function M.is_signed(name)
    return name == "host" or name == "content-type" or name:sub(1, 6) == "x-acs-"
end


--- The names of all headers that have to be signed, sorted.
function M.signed_names(header_list)
    local names, seen = {}, {}
    for _, header in ipairs(header_list) do
        local name = header[1]:lower()
        if M.is_signed(name) and not seen[name] then
            seen[name] = true
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end


--- request: method, path, query (raw text), header_list, body (or hashed_payload).
function M.canonical_request(request, names)
    local headers = {}
    for i, name in ipairs(names) do
        headers[i] = canonical_header(request.header_list, name)
    end
    return table.concat({
        request.method,
        canonical_uri(request.path),
        sorted_query(M.pairs_of(request.query)),
        table.concat(headers),
        table.concat(names, ";"),
        request.hashed_payload or digest.sha256(request.body),
    }, "\n")
end


function M.string_to_sign(canonical_request)
    return M.ALGORITHM .. "\n" .. digest.sha256(canonical_request)
end


function M.signature(secret, string_to_sign)
    return digest.hmac_sha256(secret, string_to_sign)
end


M.escape, M.unescape, M.sorted_query = escape, unescape, sorted_query

return M
