-- Every input that the fuzzer begins with, and every one that once broke something, again.
-- spec/fuzz/README.md tells how to fuzz.

local lfs = require "lfs"

local FOLDERS = { "spec/fuzz/seeds", "spec/fuzz/regressions" }

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

-- The names in a folder, sorted; none if there is no such folder.
local function names(path)
    local list = {}
    if not lfs.attributes(path, "mode") then
        return list
    end
    for name in lfs.dir(path) do
        list[#list + 1] = name:sub(1, 1) ~= "." and name or nil
    end
    table.sort(list)
    return list
end

for _, file in ipairs(names "spec/fuzz/targets") do
    local target = file:match("^(.*)%.lua$")
    describe("the fuzzer's target " .. target, function()
        for _, folder in ipairs(FOLDERS) do
            for _, name in ipairs(names(folder .. "/" .. target)) do
                it("bears " .. name, function()
                    require("spec.fuzz.targets." .. target)(read(("%s/%s/%s"):format(folder,
                        target, name)))
                end)
            end
        end
    end)
end
