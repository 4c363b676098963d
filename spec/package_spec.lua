-- What is packaged: one version everywhere, a changelog in its form, every file in the rockspec, a
-- module that exports one symbol and links what it needs.

local checker = require "spec.support.checker"

local function read(path)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    return text
end

local function lines_of(command)
    local lines = {}
    local pipe = assert(io.popen(command))
    for line in pipe:lines() do
        lines[#lines + 1] = line
    end
    pipe:close()
    return lines
end

local function rockspec()
    local path = lines_of("ls *.rockspec")[1]
    local fields = {}
    local chunk = assert((loadstring or load)(read(path), path, "t", fields))
    if setfenv then
        setfenv(chunk, fields)
    end
    chunk()
    return fields, path
end

local function module_file()
    for template in package.cpath:gmatch("[^;]+") do
        local path = template:gsub("?", "emr")
        local file = io.open(path, "rb")
        if file then
            file:close()
            return path
        end
    end
    error("emr.so is not built")
end

describe("the version", function()
    local version = read("src/version.h"):match('#define EMR_VERSION "([^"]+)"')

    it("is a version number", function()
        assert.matches("^%d+%.%d+%.%d+$", version)
    end)

    it("is the module's", function()
        assert.equal(version, require("emr")._VERSION)
    end)

    it("is the rockspec's, in its name and inside", function()
        local fields, path = rockspec()
        assert.equal(version .. "-1", fields.version)
        assert.equal("emr-" .. version .. "-1.rockspec", path)
        assert.equal("file://emr-" .. version .. ".tar.gz", fields.source.url)
    end)

    it("is the newest of the changelog", function()
        assert.equal(version, read("CHANGELOG.md"):match("\n## %[?(%d+%.%d+%.%d+)"))
    end)
end)

describe("the changelog", function()
    local KINDS = { Added = true, Changed = true, Deprecated = true, Removed = true, Fixed = true,
        Security = true }
    local text = read("CHANGELOG.md")

    it("has the form of Keep a Changelog", function()
        assert.matches("^# Changelog\n", text)
        assert.matches("keepachangelog%.com/en/1%.1%.0", text)
        local place = "title"
        for line in text:gmatch("[^\n]+") do
            if line:find("^## ") then
                assert.truthy(line == "## [Unreleased]"
                    or line:find("^## %[%d+%.%d+%.%d+%] %- %d%d%d%d%-%d%d%-%d%d$"), line)
                place = "version"
            elseif line:find("^### ") then
                assert.truthy(place ~= "title" and KINDS[line:match("^### (%a+)$")], line)
                place = "entries"
            elseif place ~= "title" then
                assert.equal("entries", place)
                assert.truthy(line:find("^%- %S") or line:find("^  %S"), line)
            end
        end
        assert.equal("entries", place)
    end)

    it("has the newest version first", function()
        local before
        for major, minor, patch in text:gmatch("\n## %[(%d+)%.(%d+)%.(%d+)%]") do
            local version = major * 1e6 + minor * 1e3 + patch
            assert.is_true(not before or version < before)
            before = version
        end
        assert.is_number(before)
    end)
end)

describe("the rockspec", function()
    it("lists every C file", function()
        local sources = rockspec().build.modules.emr.sources
        local expected = lines_of("LC_ALL=C ls src/*.c")
        assert.equal(table.concat(expected, "\n"), table.concat(sources, "\n"))
    end)

    it("lists every Lua file under the name that require uses", function()
        local listed, expected = {}, {}
        for name, path in pairs(rockspec().build.modules) do
            if name ~= "emr" then
                listed[#listed + 1] = path .. " as " .. name
            end
        end
        for i, path in ipairs(lines_of("find lua -name '*.lua'")) do
            expected[i] = path .. " as " .. path:match("^lua/(.*)%.lua$"):gsub("/", ".")
        end
        table.sort(listed)
        table.sort(expected)
        assert.equal(table.concat(expected, "\n"), table.concat(listed, "\n"))
    end)
end)

describe("the built module", function()
    it("exports luaopen_emr and nothing else", function()
        if checker.coverage then
            pending "has what counts lines, too"
            return
        end
        local symbols = {}
        for _, line in ipairs(lines_of("nm -D --defined-only " .. module_file())) do
            local symbol = line:match("%S+$")
            if not symbol:match("^_") then  -- the platform's own: _init, _fini, __bss_start ...
                symbols[#symbols + 1] = symbol
            end
        end
        assert.same({ "luaopen_emr" }, symbols)
    end)

    it("links libcurl and libcrypto, and leaves Lua to the program that loads it", function()
        local libraries = table.concat(lines_of("ldd " .. module_file()), "\n")
        assert.matches("libcurl%.so", libraries)
        assert.matches("libcrypto%.so", libraries)
        assert.not_matches("liblua", libraries)
    end)
end)


describe("SECURITY.md", function()
    local function text_of(path)
        local file = assert(io.open(path))
        local text = file:read("*a")
        file:close()
        return text
    end

    it("names in each line specs that are there, and rows that they try", function()
        local count = 0
        for line in text_of("SECURITY.md"):gmatch("[^\n]+") do
            local specs = ""
            for path in line:gmatch("%]%((spec/[%w_]+%.lua)%)") do
                specs = specs .. text_of(path)
                count = count + 1
            end
            for row in line:gmatch("%f[%w]%u%d+%f[%W]") do
                assert(specs:find("%f[%w]" .. row .. "%f[%W]"), row .. " is not tried: " .. line)
            end
        end
        assert(count > 10, "it names no specs")
    end)
end)
