--- Walking through a list that the API hands out in pages. What a page looks like is data
-- (`pagination` of the operation).
-- Works in every Lua; on PUC 5.1 a call cannot yield inside a `for` iterator, so it blocks there.

local failure = require "emr.failure"
local path = require "emr.path"

---@class emr.paginate
local M = {}

-- The token of the page after `page`; nil after the last; false, message, err when it is no token
-- or one that was there before: the walk would never end.
local function next_token(operation, page, seen)
    local field = operation.pagination.next_field
    local token = path(page, field)
    if token == nil or token == "" then
        return nil
    end
    local wrong = type(token) ~= "string" and "is no text"
        or seen[token] and "repeats: the listing would never end"
    if wrong then
        return false, select(2, failure("protocol", "shape",
            ("%s: %s %s"):format(operation.name, field, wrong)))
    end
    seen[token] = true
    return token
end

--- An iterator over pages, each a whole response. A failure is yielded once as
-- `false, message, err`, then the loop ends.
--     for page, message, err in emr.paginate.pages(ask, operation, request) do ... end
---@param ask fun(request: table): table?, string?, emr.Error?   one page
---@param operation emr.Operation   one with `pagination`
---@param request table             is not changed; may hold a page size and a token to begin with
---@return fun(): table|false|nil, string?, emr.Error?
function M.pages(ask, operation, request)
    local current = {}
    for name, value in pairs(request) do
        current[name] = value
    end
    local seen, token, ended, message, err = {}, nil, false, nil, nil
    local function failed_once()
        local text = message
        message = nil
        if text then
            return false, text, err
        end
    end
    return function()
        if ended then
            return failed_once()
        end
        local page
        page, message, err = ask(current)
        if page ~= nil then
            token, message, err = next_token(operation, page, seen)
        end
        ended = page == nil or not token
        current[operation.pagination.token_param] = token or nil
        if page ~= nil then
            return page
        end
        return failed_once()
    end
end

--- The same over the items of all pages. What is no list of items ends it as `protocol`/`shape`.
---@param ask fun(request: table): table?, string?, emr.Error?
---@param operation emr.Operation
---@param request table
---@return fun(): any, string?, emr.Error?
function M.items(ask, operation, request)
    local field = operation.pagination.items_field
    local next_page = M.pages(ask, operation, request)
    local items, position = {}, 0
    return function()
        while items and position >= #items do
            local page, message, err = next_page()
            if not page then
                items = nil
                return page, message, err
            end
            items, position = path(page, field), 0
            if type(items) ~= "table" then
                items = nil
                return false, select(2, failure("protocol", "shape",
                    ("%s: %s is no list"):format(operation.name, field)))
            end
        end
        if not items then
            return nil
        end
        position = position + 1
        return items[position]
    end
end

return M
