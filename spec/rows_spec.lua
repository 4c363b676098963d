-- Every row of the fault catalogue is tried.

local lfs = require "lfs"

local rows = require "spec.support.rows"

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

-- The rows that stand at the beginning of a text in quotes: it("E6: ..."), fails("E6", ...).
local function named()
    local found = {}
    for name in lfs.dir "spec" do
        if name:find "_spec%.lua$" then
            for ids in read("spec/" .. name):gmatch "[\"']([A-M]%d%d?[A-M%d, ]*)[:\"']" do
                for id in ids:gmatch "%u%d+" do
                    found[id] = name
                end
            end
        end
    end
    return found
end

describe("the fault catalogue", function()
    it("has 113 rows", function()
        assert.equal(113, #rows.list)
    end)

    it("has a spec for every row", function()
        local found, missing = named(), {}
        for _, id in ipairs(rows.list) do
            if not found[id] then
                missing[#missing + 1] = ("%s, %s"):format(id, rows.title[id])
            end
        end
        assert.same({}, missing)
    end)

    it("has no spec for a row that is not there", function()
        for id, name in pairs(named()) do
            assert(rows.title[id], name .. ": " .. id)
        end
    end)
end)
