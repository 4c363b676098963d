--- Writes what is told about the public API from where it stands: REFERENCE.md from the annotations
-- in the code and the catalogue, lua/emr/types/operations.lua (for editors) from the catalogue.
-- `make reference` runs it; spec/reference_spec.lua sees to it that the files are up to date.

local annotations = require "tools.annotations"
local operations = require "emr.operations"

local WIDTH = 100
local TYPES = {
    string = "string", boolean = "boolean", int32 = "integer", int64 = "integer",
    double = "number", any = "any", ["map<string,string>"] = "table<string, string>",
}
local REPEATED = {
    safe = "after any failure that may pass",
    with_client_token = "after any failure that may pass, with the same client token",
    check_first = "only when nothing was sent, or when the service was throttling",
}

-- The parts of the reference: which file, and what its owners of functions are called outside.
local PARTS = {
    { title = "Native module", file = "lua/emr/types.lua", skip = true,
        owners = { emr = "emr.", Transfer = "transfer:" },
        intro = "Each call is one attempt: nothing is repeated, and calls that wait block. They "
            .. "work on every Lua and, unless it is said, in every phase of nginx." },
    { title = "Clients", file = "lua/emr/client.lua",
        owners = { M = "emr.client.", methods = "client:" } },
    { title = "Options of a client", file = "lua/emr/settings.lua", owners = {} },
    { title = "Errors", file = "lua/emr/failure.lua", owners = {}, only = "emr.Error",
        intro = "What is not the caller's mistake comes back as `nil, message, err`. Which codes a "
            .. "kind has is in [README.md](README.md#errors)." },
    { title = "Credentials", file = "lua/emr/credentials.lua",
        owners = { M = "emr.credentials." } },
    { title = "Roles", file = "lua/emr/credentials/sts.lua", owners = {}, skip = true },
    { title = "ECS metadata", file = "lua/emr/credentials/metadata.lua", owners = {},
        only = "emr.EcsSettings", skip = true },
    { title = "Keys", file = "lua/emr/credentials/keys.lua", owners = {} },
    { title = "World", file = "lua/emr/credentials/world.lua", owners = {} },
    { title = "Retry", file = "lua/emr/retry.lua",
        owners = { M = "emr.retry.", Retry = "retry:" } },
    { title = "Waiters", file = "lua/emr/waiter.lua", owners = { M = "emr.waiter." } },
    { title = "Pages", file = "lua/emr/paginate.lua", owners = { M = "emr.paginate." } },
    { title = "Ways to wait", file = "lua/emr/await.lua", owners = { M = "emr.await." } },
    { title = "Descriptors", file = "lua/emr/operations.lua", owners = {} },
}

local PRIVATE = { ["emr.Tasks"] = true, emr = true }
-- Where the methods of a class are that has no fields.
local METHODS = { Client = "clients", Retry = "retry", Transfer = "native-module" }

local M = {}

local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
end

-- The names of a table's members, sorted.
local function names_of(map)
    local names = {}
    for name in pairs(map) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

--- What a client calls an operation: GetSessionCluster is get_session_cluster.
---@param name string
---@return string
function M.method(name)
    return (name:gsub("%u", function(letter) return "_" .. letter:lower() end):sub(2))
end

-- {operation, method, noun (of those that have states)}, by name.
local function catalogue()
    local list = {}
    for i, name in ipairs(names_of(operations)) do
        local method = M.method(name)
        local noun = operations[name].states and method:gsub("^get_", "")
        list[i] = { operation = operations[name], method = method, noun = noun }
    end
    return list
end

-- The members that a good reply surely has: an empty list may be left out.
local function surely(operation)
    local sure = {}
    for name, kind in pairs(operation.frame or {}) do
        sure[name] = kind ~= "array" or nil
    end
    return sure
end

-- The fields of a request: path, query, body.
local function request_fields(operation)
    local all, seen = {}, {}
    local params = operation.params or {}
    for _, fields in ipairs { params, operation.query or {}, operation.body or {} } do
        for _, field in ipairs(fields) do
            if not seen[field.name] then
                all[#all + 1] = { field = field, required = fields == params or field.required }
                seen[field.name] = true
            end
        end
    end
    return all
end

-- The LuaCATS type of a field.
local function type_of(field)
    if field.values then
        return '"' .. table.concat(field.values, '"|"') .. '"|string'
    end
    local element = field.type:match "^array<(.*)>$"
    local name = element or field.type
    name = name == "object" and "emr." .. field.model or TYPES[name]
    return element and name .. "[]" or name
end


-- The definition file ------------------------------------------------------------------------

-- Appends a comment line, broken where it gets too long.
local function comment(lines, text)
    local line = "---"
    for word in text:gmatch "%S+" do
        if #line + 1 + #word > WIDTH and line:find "%S" then
            lines[#lines + 1] = line
            line = "--- "
        end
        line = line .. (line == "---" and word:find "^@" and "" or " ") .. word
    end
    lines[#lines + 1] = line
end

local function class(lines, name, fields)
    lines[#lines + 1] = ""
    comment(lines, "@class emr." .. name)
    for _, entry in ipairs(fields) do
        local field = entry.field
        local example = field.example and field.example ~= '""' and " Example: " .. field.example
        comment(lines, ("@field %s%s %s  %s%s"):format(field.name, entry.required and "" or "?",
            type_of(field), field.about, example or ""))
    end
end

local function reply_fields(fields, sure)
    local entries = {}
    for i, field in ipairs(fields) do
        entries[i] = { field = field, required = sure and sure[field.name] }
    end
    return entries
end

-- The models inside these fields, inner ones first, each once.
local function models(fields, seen, list)
    for _, field in ipairs(fields or {}) do
        models(field.fields, seen, list)
        if field.model and not seen[field.model] then
            seen[field.model] = true
            list[#list + 1] = field
        end
    end
    return list
end

local function add_method(lines, about, name, request, options, returns)
    lines[#lines + 1] = ""
    comment(lines, about)
    comment(lines, "@param request " .. request)
    comment(lines, "@param options" .. options)
    for _, result in ipairs(returns) do
        comment(lines, "@return " .. result)
    end
    lines[#lines + 1] = ("function Client:%s(request, options) end"):format(name)
end

local function methods(lines, entry)
    local name = entry.operation.name
    local request, response = ("emr.%s.Request"):format(name), ("emr.%s.Response? "):format(name)
    add_method(lines, entry.operation.about, entry.method, request, "? emr.CallOptions",
        { response .. "response", "string message", "emr.Error err" })
    if not entry.noun then
        return
    end
    local waited = { response .. "response", "emr.WaitInfo|string info  or the message",
        "emr.Error err" }
    add_method(lines, "Waits until it is in a state.", "wait_" .. entry.noun, request,
        " emr.StateOptions", waited)
    local start = entry.operation.states.start
    if start then
        add_method(lines, "Starts it if it is down, and waits until it is in a state.",
            "start_and_wait_" .. entry.noun,
            ("%s|emr.%s.Request"):format(request, start), " emr.StateOptions", waited)
    end
end

--- The definition file of the operations.
---@return string
function M.types()
    local lines = {
        "---@meta _", "-- luacheck: ignore",
        "-- What operations take and return, for editors. Written by `make reference` from",
        "-- lua/emr/operations.lua: what is changed here gets lost.",
    }
    local seen, list, names = {}, catalogue(), {}
    for i, entry in ipairs(list) do
        local operation = entry.operation
        names[i] = ('---| "%s"'):format(operation.name)
        local found = models(operation.response, seen, models(operation.body, seen, {}))
        for _, field in ipairs(found) do
            class(lines, field.model, reply_fields(field.fields))
        end
        class(lines, operation.name .. ".Request", request_fields(operation))
        class(lines, operation.name .. ".Response",
            reply_fields(operation.response, surely(operation)))
    end
    lines[#lines + 1] = ""
    lines[#lines + 1] = "---@alias emr.OperationName\n" .. table.concat(names, "\n")
    lines[#lines + 1] = ""
    comment(lines, "@class emr.Operations: table<string, emr.Operation>")
    for _, entry in ipairs(list) do
        comment(lines, ("@field %s emr.Operation"):format(entry.operation.name))
    end
    lines[#lines + 1] = "\n---@class emr.Client\nlocal Client = {}"
    for _, entry in ipairs(list) do
        methods(lines, entry)
    end
    return table.concat(lines, "\n") .. "\n"
end


-- The pages ----------------------------------------------------------------------------------

local function cell(text)
    return (text:gsub("|", "\\|"))
end

local function code(text)
    return "`" .. cell(text) .. "`"
end

local function row(lines, ...)
    lines[#lines + 1] = "| " .. table.concat({ ... }, " | ") .. " |"
end

local function header(lines, ...)
    lines[#lines + 1] = ""
    row(lines, ...)
    lines[#lines + 1] = "|" .. ("---|"):rep(select("#", ...))
end

-- Text of a comment; indented lines become a block of code.
local function prose(lines, text)
    local was_code = false
    lines[#lines + 1] = ""
    for _, line in ipairs(text) do
        local is_code = line:find "^    " ~= nil
        if is_code ~= was_code and line ~= "" then
            lines[#lines + 1] = ""
        end
        lines[#lines + 1] = line
        was_code = is_code
    end
end

local function field_rows(lines, fields, prefix, required)
    for _, field in ipairs(fields) do
        local type_name = field.values and "string" or type_of(field):gsub("emr%.%w+", "object")
        local values = field.values and " One of `" .. table.concat(field.values, "` `") .. "`."
        local star = required and required[field.name] and " *" or ""
        row(lines, code(prefix .. field.name) .. star, type_name,
            cell(field.about .. (values or "")), field.example and code(field.example) or "")
        if field.fields then
            local inner = field.type:find "^array" and "[]." or "."
            field_rows(lines, field.fields, prefix .. field.name .. inner)
        end
    end
end

local function field_table(lines, title, fields, required)
    header(lines, title, "type", "meaning", "example")
    field_rows(lines, fields, "", required)
end

local function operation_page(lines, entry)
    local operation = entry.operation
    lines[#lines + 1] = ("\n### %s\n\n%s\n"):format(operation.name, operation.about)
    lines[#lines + 1] = ("    client:%s(request [, options]) -> response\n"):format(entry.method)
    lines[#lines + 1] = ("`%s %s`; a RAM policy has to allow `%s:%s`. Repeated %s."):format(
        operation.method, operation.path, operation.product, operation.name,
        REPEATED[operation.retry])
    if entry.noun then
        lines[#lines + 1] = ("\n`client:wait_%s` waits for a state, `client:start_and_wait_%s` "
            .. "starts it first."):format(entry.noun, entry.noun)
    end
    if operation.pagination then
        lines[#lines + 1] = ('\n`client:items("%s", request)` walks through all pages.'):format(
            operation.name)
    end
    local fields, required = {}, {}
    for i, found in ipairs(request_fields(operation)) do
        fields[i], required[found.field.name] = found.field, found.required
    end
    field_table(lines, "request", fields, required)
    field_table(lines, "response", operation.response, surely(operation))
end

-- A type, as a link where there is a page of it.
local function type_link(name)
    local class_name = name:match "^emr%.([%w.]+)%??$"
    if not class_name then
        return ("`%s`"):format(name)
    end
    local operation = class_name:match "^(%w+)%."
    local anchor = METHODS[class_name] or (operation or "emr" .. class_name):lower()
    return ("[`%s`](#%s)"):format(name, anchor)
end

local function class_page(lines, block)
    lines[#lines + 1] = ("\n#### %s"):format(block.class)
    local about = block.note ~= "" and block.note or nil
    if block.parents[1] then
        about = (about and about .. "; " or "") .. "has the fields of " .. table.concat(
            block.parents, " and of ") .. ", too"
    end
    if about then
        lines[#lines + 1] = "\n" .. about:gsub("^%l", string.upper) .. "."
    end
    header(lines, "field", "type", "meaning")
    for _, field in ipairs(block.fields) do
        local is_ours = field.type:find "^emr%.[%w.]+$"
        row(lines, code(field.name .. (field.optional and "?" or "")),
            is_ours and type_link(field.type) or code(field.type),
            cell(field.about))
    end
end

local function call_line(prefix, block, signature)
    local parts, open = {}, 0
    for i, param in ipairs(block.params) do
        local comma = i > 1 and ", " or ""
        local is_optional = param.optional or param.type:find "%?$"
        open = open + (is_optional and 1 or 0)
        parts[i] = is_optional and (i > 1 and " [" or "[") .. comma .. param.name
            or comma .. param.name
    end
    return ("%s%s(%s%s)"):format(prefix, signature.name, table.concat(parts), ("]"):rep(open))
end

local function function_page(lines, prefix, block, signature)
    lines[#lines + 1] = ("\n### `%s`"):format(call_line(prefix, block, signature))
    prose(lines, block.text)
    if #block.params + #block.returns > 0 then
        lines[#lines + 1] = ""
    end
    for _, param in ipairs(block.params) do
        lines[#lines + 1] = ("- `%s`: %s%s"):format(param.name, type_link(param.type),
            param.about ~= "" and ", " .. param.about or "")
    end
    for _, result in ipairs(block.returns) do
        lines[#lines + 1] = ("- returns %s%s%s"):format(
            result.name ~= "" and "`" .. result.name .. "`: " or "", type_link(result.type),
            (result.about or "") ~= "" and ", " .. result.about or "")
    end
end

-- Functions first, then the tables that they take and return.
local function part_page(lines, part)
    lines[#lines + 1] = ("\n## %s"):format(part.title)
    local blocks = annotations.read(read(part.file))
    if part.intro then
        lines[#lines + 1] = "\n" .. part.intro
    elseif not part.skip then
        prose(lines, blocks[1].text)
    end
    for _, block in ipairs(blocks) do
        local signature = annotations.signature(block)
        local prefix = signature and part.owners[signature.owner]
        if prefix then
            function_page(lines, prefix, block, signature)
        end
    end
    for _, block in ipairs(blocks) do
        local fits = not part.only or part.only == block.class
        if block.fields and block.fields[1] and fits and not PRIVATE[block.class] then
            class_page(lines, block)
        elseif block.alias then
            local definition = block.definition:gsub("^| ", "")
            lines[#lines + 1] = ("\n#### %s\n\n`%s`"):format(block.alias, definition)
        end
    end
end

--- The pages of the reference.
---@return string
function M.pages()
    local lines = {
        "# Reference\n",
        "Written by `make reference` from lua/emr/: what is changed here gets lost.\n",
        "Fields marked * are always there: required in a request, checked in a response. Others",
        "may be missing. Members that the API adds later are kept in a response. In types, `?`",
        "means that nil is possible; `message` and `err` are there after a first nil.\n",
        "- [Operations](#operations): " .. table.concat(names_of(operations), ", "),
    }
    for _, part in ipairs(PARTS) do
        lines[#lines + 1] = ("- [%s](#%s)"):format(part.title, part.title:lower():gsub(" ", "-"))
    end
    lines[#lines + 1] = "\n## Operations"
    for _, entry in ipairs(catalogue()) do
        operation_page(lines, entry)
    end
    for _, part in ipairs(PARTS) do
        part_page(lines, part)
    end
    return table.concat(lines, "\n") .. "\n"
end

--- The files that are written, and what has to be in them.
---@return table<string, string>
function M.files()
    return { ["REFERENCE.md"] = M.pages(), ["lua/emr/types/operations.lua"] = M.types() }
end

M.parts = PARTS

if not ... then
    for path, text in pairs(M.files()) do
        local file = assert(io.open(path, "w"))
        file:write(text)
        file:close()
    end
end

return M
