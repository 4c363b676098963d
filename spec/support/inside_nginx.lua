--- What the nginx specs run inside nginx: `t` in their locations. Opened in init_by_lua, so that
-- its client is one that was made there.

local emr = require "emr"
local ngx = require "ngx"

local M = { emr = emr, ids = { workspaceId = "w-1", sessionClusterId = "s-1" } }

--- `options` are those of every client: the emulator's address and key.
function M.open(options)
    M.options = options
    M.client = M.new()
    return M
end

--- A client with more options; "none" takes one away.
function M.new(more)
    local all = {}
    for _, options in ipairs { M.options, more or {} } do
        for name, value in pairs(options) do
            all[name] = value ~= "none" and value or nil
        end
    end
    return emr.client.new(all)
end

--- What a call has come to, as one line: the state, or kind/code and the message.
function M.word(result, message, err)
    if result then
        return result.sessionCluster and result.sessionCluster.state or "ok"
    end
    return ("%s/%s: %s"):format(err.kind, tostring(err.code), message)
end

function M.ask(given, client)
    return M.word((client or M.client):get_session_cluster(M.ids, given))
end

--- Leaves a word for the spec, which reads it at /marks.
function M.mark(name, text)
    ngx.shared.marks:set(name, text)
end

--- The answer of a location: all marks, a line each.
function M.say_marks()
    for _, name in ipairs(ngx.shared.marks:get_keys()) do
        ngx.say(name, " ", ngx.shared.marks:get(name))
    end
end

--- Runs f in `n` light threads beside each other.
---@return table results, number seconds
function M.crowd(n, f)
    local began, list = emr.now(), {}
    for i = 1, n do
        list[i] = function() return f(i) end
    end
    local results, errors = M.client:all(list, { concurrency = n })
    for i, err in pairs(errors) do
        results[i] = tostring(err)
    end
    return results, emr.now() - began
end

--- How many of each there are, in one line.
function M.tally(words)
    local counts, names = {}, {}
    for _, word in ipairs(words) do
        word = word:match("^[^:]*")
        if not counts[word] then
            counts[word], names[#names + 1] = 0, word
        end
        counts[word] = counts[word] + 1
    end
    table.sort(names)
    for i, name in ipairs(names) do
        names[i] = counts[name] .. " " .. name
    end
    return table.concat(names, ", ")
end

return M
