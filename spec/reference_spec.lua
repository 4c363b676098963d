-- What is told about the API and what there is: annotations, catalogue, native module, option
-- tables, and the files that are generated of them.

local cjson = require "cjson"
local emr = require "emr"

local annotations = require "tools.annotations"
local reference = require "tools.reference"

local TYPES = "lua/emr/types.lua"
local OPERATIONS = "lua/emr/types/operations.lua"
local SIMPLE = {
    string = true, number = true, integer = true, boolean = true, table = true, any = true,
    ["nil"] = true, ["function"] = true, lightuserdata = true, fun = true, ["false"] = true,
}

local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
end

local function lua_files()
    local files = {}
    local pipe = assert(io.popen "find lua/emr -name '*.lua' | sort")
    for path in pipe:lines() do
        files[#files + 1] = path
    end
    pipe:close()
    return files
end

local function sorted(set)
    local names = {}
    for name in pairs(set) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

-- The blocks of documented functions of one owner in a file, by name.
local function functions_of(path, owner)
    local found = {}
    for _, block in ipairs(annotations.read(read(path))) do
        local signature = annotations.signature(block)
        if signature and signature.owner == owner then
            block.signature = signature
            found[signature.name] = block
        end
    end
    return found
end

-- The names of the functions in a table.
local function functions_in(module)
    local found = {}
    for name, value in pairs(module) do
        if type(value) == "function" then
            found[name] = true
        end
    end
    return sorted(found)
end

-- All classes, of all files; a class that is in several has the fields of all.
local function all_classes()
    local classes = {}
    for _, path in ipairs(lua_files()) do
        for _, block in ipairs(annotations.read(read(path))) do
            if block.class then
                local class = classes[block.class] or { parents = block.parents, fields = {} }
                for _, field in ipairs(block.fields) do
                    class.fields[field.name] = field
                end
                classes[block.class] = class
            elseif block.alias then
                classes[block.alias] = { parents = {}, fields = {} }
            end
        end
    end
    return classes
end

local classes = all_classes()

-- The names of a class's fields, those of its parents included.
local function fields_of(name, into)
    into = into or {}
    for field in pairs(classes[name].fields) do
        into[field] = true
    end
    for _, parent in ipairs(classes[name].parents) do
        fields_of(parent, into)  -- those that are classes of ours
    end
    return into
end


describe("generated", function()
    for path, text in pairs(reference.files()) do
        it(path .. " is what `make reference` writes", function()
            assert.is_true(text == read(path), "run make reference")
        end)
    end
end)


describe("documented", function()
    it("are all functions of the native module, and no others", function()
        local native = {}
        for name, value in pairs(emr) do
            native[name] = type(value) == "function" or nil
        end
        assert.same(sorted(native), sorted(functions_of(TYPES, "emr")))
    end)

    it("are its other members", function()
        local members = {}
        for name in pairs(classes["emr"].fields) do
            assert.is_not_nil(emr[name], name)  -- loads the modules, too
        end
        for name, value in pairs(emr) do
            members[name] = type(value) ~= "function" or nil
        end
        assert.same(sorted(members), sorted(classes["emr"].fields))
    end)

    it("are the methods of a transfer", function()
        local transfer = emr.start { url = "http://127.0.0.1:9/" }
        transfer:cancel()
        assert.same(functions_in(debug.getmetatable(transfer).__index),
            sorted(functions_of(TYPES, "Transfer")))
        local info = fields_of "emr.TransferInfo"
        for name in pairs(transfer:info()) do
            assert.is_true(info[name], name)
        end
    end)

    it("are the methods of a client", function()
        local told = functions_of(OPERATIONS, "Client")
        for name in pairs(functions_of("lua/emr/client.lua", "methods")) do
            assert.is_nil(told[name])
            told[name] = true
        end
        local client = emr.client.new { region = "cn-hangzhou" }
        assert.same(functions_in(getmetatable(client).__index), sorted(told))
    end)

    for _, name in ipairs { "client", "credentials", "retry", "waiter", "paginate", "await" } do
        it("are the functions of emr." .. name, function()
            local told = functions_of("lua/emr/" .. name .. ".lua", "M")
            for _, known in ipairs(functions_in(emr[name])) do
                assert.is_not_nil(told[known] or known == "fresh_nonce", known)
                told[known] = nil
            end
            assert.same({}, sorted(told))
        end)
    end

    it("is every parameter, in order, of whatever is told of at all", function()
        local count = 0
        for _, part in ipairs(reference.parts) do
            for owner in pairs(part.owners) do
                for name, block in pairs(functions_of(part.file, owner)) do
                    local told = {}
                    for i, param in ipairs(block.params) do
                        told[i] = param.name
                    end
                    local there = block.signature.params or table.concat(told, ", ")
                    assert.equal(there, table.concat(told, ", "), part.file .. ": " .. name)
                    assert.is_true(block.text[1] ~= nil, part.file .. ": " .. name)
                    count = count + 1
                end
            end
        end
        assert.is_true(count > 40, count)
    end)
end)


describe("a type", function()
    local function check(text, where)
        text = text:gsub('"[^"]*"', ""):gsub("[%w_]+%??%s*:", "")
        for name in text:gmatch "[%a_][%w_.]*" do
            assert.is_true(SIMPLE[name] or classes[name] ~= nil, where .. ": no type " .. name)
        end
    end

    it("that an annotation names is there", function()
        local count = 0
        for _, path in ipairs(lua_files()) do
            for _, block in ipairs(annotations.read(read(path))) do
                for _, list in ipairs { block.fields or {}, block.params, block.returns } do
                    for _, entry in ipairs(list) do
                        check(entry.type, path)
                        count = count + 1
                    end
                end
                for _, parent in ipairs(block.parents or {}) do
                    check(parent, path)
                end
            end
        end
        assert.is_true(count > 300, count)
    end)
end)


describe("options:", function()
    local function agree(class, there)
        assert.same(sorted(there), sorted(fields_of(class)))
    end

    it("those of native calls are those of src/options.c", function()
        local there = {}
        for name in read("src/options.c"):gmatch '\n  {"([%l_]+)", %u+, at%(' do
            there[name] = true
        end
        agree("emr.Options", there)
    end)

    it("those of a client are those that it takes", function()
        agree("emr.ClientOptions", require("emr.settings").rules)
        agree("emr.CallOptions", require("emr.settings").call_rules)
    end)

    it("those of waiters are those that they take", function()
        agree("emr.WaiterOptions", emr.waiter.rules)
        local given = { timeout = 1, state = "Running" }
        for name in pairs(fields_of "emr.StateOptions") do
            given[name] = given[name] or false  -- of a wrong type, where it is none but known
        end
        local client = emr.client.new { region = "cn-hangzhou" }
        local _, message = pcall(client.wait_session_cluster, client, {}, given)
        assert.is_nil(message:find("unknown", 1, true), message)
    end)

    it("the numbers of retries are those that it takes", function()
        local numbers = fields_of "emr.RetryNumbers"
        numbers.deadline = nil  -- the client's own option
        assert.same(sorted(emr.retry.rules), sorted(numbers))
    end)
end)


describe("the catalogue", function()
    -- The types of JSON values, by what the catalogue calls them.
    local JSON = { string = "string", boolean = "boolean", int32 = "number", int64 = "number" }

    local function check(field, where)
        where = where .. "." .. field.name
        assert.is_true(#(field.about or "") > 5, where .. " says nothing")
        if not field.fields then
            local example = emr.decode(assert(field.example, where .. " has no example"))
            assert.equal(JSON[field.type], type(example), where)
        else
            assert.is_string(field.model, where)
        end
        for _, inner in ipairs(field.fields or {}) do
            check(inner, where)
        end
    end

    it("tells of every field what it means, with an example of its type", function()
        for name, operation in pairs(emr.operations) do
            assert.matches("%.$", operation.about)
            local lists = { operation.params, operation.query, operation.body or {},
                operation.response }
            for _, fields in ipairs(lists) do
                for _, field in ipairs(fields) do
                    check(field, name)
                end
            end
        end
    end)

    it("names what stands in the path", function()
        for name, operation in pairs(emr.operations) do
            local i = 0
            for param in operation.path:gmatch "{(.-)}" do
                i = i + 1
                assert.equal(param, operation.params[i].name, name)
            end
            assert.equal(i, #operation.params)
        end
    end)

    it("has the examples of the reference page, but for the times, told as dates there", function()
        local sample = cjson.decode(read "spec/emulator/sample.json")

        local function compare(fields, values)
            for name in pairs(values) do
                local told = false
                for _, field in ipairs(fields) do
                    told = told or field.name == name
                end
                assert.is_true(told, name)
            end
            for _, field in ipairs(fields) do
                local value = values[field.name]
                if field.fields then
                    compare(field.fields, field.type:find "^array" and value[1] or value)
                elseif field.type ~= "int64" then
                    assert.equal(value, emr.decode(field.example), field.name)
                end
            end
        end

        compare(emr.operations.GetSessionCluster.response, sample)
    end)
end)
