-- The README is true: each of its blocks is run as it is printed, what it lists is what there is,
-- and its links lead somewhere.

local cjson = require "cjson"

local annotations = require "tools.annotations"
local child = require "spec.support.child"
local emulator = require "spec.support.emulator"
local nginx = require "spec.support.nginx"

local LANGUAGES = { lua = true, sh = true, nginx = true, json = true, text = true }

local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
end

local function write(path, text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
end

-- The fenced blocks: {language, text, line, section}.
local function blocks_of(text)
    local blocks, block, section, number = {}, nil, "", 0
    for line in text:gmatch "([^\n]*)\n" do
        number = number + 1
        section = not block and line:match "^#+ (.*)$" or section
        local fence = line:match "^```(.*)$"
        if not fence then
            if block then
                block.text = block.text .. line .. "\n"
            end
        elseif block then
            blocks[#blocks + 1], block = block, nil
        else
            block = { language = fence, text = "", line = number, section = section }
        end
    end
    return blocks
end

local README = read "README.md"
local BLOCKS = blocks_of(README)

local function each(language)
    local i = 0
    return function()
        repeat
            i = i + 1
        until not BLOCKS[i] or BLOCKS[i].language == language
        return BLOCKS[i], BLOCKS[i + 1]
    end
end

local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The first column of the table that begins with this header line, without backquotes.
local function column(header)
    local names = {}
    local rows = README:match(header:gsub("%p", "%%%0") .. "[^\n]*\n|[-|]+\n(.-)\n\n")
    for row in (rows .. "\n"):gmatch "| (.-) | [^\n]*\n" do
        names[#names + 1] = row
    end
    return names
end

local function words_in(texts, pattern)
    local found = {}
    for _, text in ipairs(texts) do
        for word in text:gmatch(pattern) do
            found[word] = true
        end
    end
    return found
end


describe("README:", function()
    local emu

    setup(function()
        emu = emulator.get()
    end)

    before_each(function()
        emu:reset()
        for _, id in ipairs { "s-1", "s-2" } do
            emu:cluster { workspaceId = "w-1", sessionClusterId = id, states = { "Running" } }
        end
    end)

    it("has no block in a language that nobody checks", function()
        assert.is_true(#BLOCKS > 20)
        for _, block in ipairs(BLOCKS) do
            assert.is_true(LANGUAGES[block.language], "line " .. block.line)
        end
    end)

    -- Runs a program in the folder of this tree, with the key of the emulator in the environment.
    local function run(path, lua_path)
        local words = { "env -u LUA_INIT" }
        local variables = {
            EMR_ENDPOINT = emu.https, EMR_CA_FILE = emu.ca_file, HOME = emu.dir,
            ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
            ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret,
            ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true",
            LUA_PATH = lua_path .. package.path, LUA_CPATH = package.cpath,
        }
        for name, value in pairs(variables) do
            words[#words + 1] = quoted(name .. "=" .. value)
        end
        return child.run(("%s %s %s"):format(table.concat(words, " "),
            quoted((child.interpreter())), quoted(path)))
    end

    local programs = 0
    for block, following in each "lua" do
        programs = programs + 1
        it(("the Lua block of '%s' runs (%d)"):format(block.section, programs), function()
            local path = emu.dir .. "/readme.lua"
            write(path, block.text)
            local result = run(path, "spec/support/elsewhere/?.lua;")
            assert.equal(0, result.status, result.err)
            assert.is_nil((result.out .. result.err):find("CANARY", 1, true))
            if following and following.language == "text" then
                local expected = following.text:gsub("%s+", " "):gsub(" $", "")
                assert.equal(expected, result.out:gsub("%s+", " "):sub(1, #expected))
            end
        end)
    end

    it("the first script runs without installing, with what `make emulator` says", function()
        local directory = emu.dir .. "/first"
        local source
        for block in each "lua" do
            source = block.text:find "^%-%- first.lua\n" and block.text or source
        end
        write(emu.dir .. "/first.lua", source)
        local run_emulator = "exec spec/emulator/run foreground " .. quoted(directory)
        local pipe = assert(io.popen(run_emulator, "r"))
        local told
        repeat
            local line = assert(pipe:read "*l", "the emulator did not start")
            told = line:match "^  (%. .*emulator%.env)$"
        until told
        local pid = cjson.decode(read(directory .. "/emulator.json")).pid
        local command = ("%s; exec %s %s/first.lua"):format(told, (child.interpreter()), emu.dir)
        local result = child.run("env -u LUA_PATH -u LUA_CPATH sh -c " .. quoted(command))
        os.execute(("kill %d"):format(pid))
        pipe:close()
        assert.equal(0, result.status, result.err)
        assert.matches("^poll 1: Starting\npoll 2: Starting\npoll 3: Running\n", result.out)
        assert.matches(" can be used: https:", result.out)
    end)

    nginx.describe("the nginx block", function()
        it("works in a real nginx", function()
            local block = each "nginx" ()
            local root = nginx.root()
            local text = block.text
            for printed, here in pairs {
                ["include /etc/nginx/modules-enabled/*.conf;"] = "@load@ @user@",
                ["daemon off;\nerror_log stderr;\npid /tmp/emr-nginx.pid;"] =
                    "daemon off; pid nginx.pid; error_log error.log notice;",
                ["listen 127.0.0.1:8080;"] = "listen 127.0.0.1:@port@;",
                ["/usr/local/share/lua/5.1/?.lua;"] = root .. "/lua/?.lua;@lua_path@;",
                ["/usr/local/lib/lua/5.1/?.so;"] = root .. "/build/luajit/?.so;",
            } do
                local from, to = text:find(printed, 1, true)
                assert.is_number(from, printed)
                text = text:sub(1, from - 1) .. here .. text:sub(to + 1)
            end
            local server = nginx.start { whole = text, env = {
                EMR_ENDPOINT = emu.https, EMR_CA_FILE = emu.ca_file,
                ALIBABA_CLOUD_ACCESS_KEY_ID = emu.access_key_id,
                ALIBABA_CLOUD_ACCESS_KEY_SECRET = emu.access_key_secret,
            } }
            local body, status = server:get "/"
            emu:fault { name = "error", status = 404, code = "ResourceNotFound" }
            local _, missing = server:get "/"
            server:stop()
            assert.same({ "Running\n", 200, 404 }, { body, status, missing })
        end)
    end)

    it("the settings of the editor are JSON and name the folder that is installed", function()
        local block = each "json" ()
        local makefile = read "Makefile"
        assert.matches("\nPREFIX = /usr/local\n", makefile)
        assert.matches("\nLUADIR = $%(PREFIX%)/share/lua/$%(LUA_ABI%)\n", makefile)
        assert.same({ ["workspace.library"] = { "/usr/local/share/lua/5.4/emr" } },
            cjson.decode(block.text))
    end)

    local function anchors(path)
        local found = {}
        for heading in read(path):gmatch "\n#+ ([^\n]*)" do
            found[heading:lower():gsub("[^%w%s_-]", ""):gsub(" ", "-")] = true
        end
        return found
    end

    for _, page in ipairs { "README.md", "REFERENCE.md", "CONTRIBUTING.md" } do
        it("links lead to files and headings that are there: " .. page, function()
            for target in read(page):gmatch "%]%(([^)]*)%)" do
                local path, anchor = target:match "^([^#]*)#?(.*)$"
                path = path == "" and page or path
                if not target:find "^https://" then
                    local file = assert(io.open(path))
                    file:close()
                    assert.is_true(anchor == "" or anchors(path)[anchor] == true, target)
                end
            end
        end)
    end

    it("its table of errors has all kinds", function()
        local kinds = {}
        for kind in read "lua/emr/failure.lua":gmatch '%-%-%-| "(%l+)"' do
            kinds[kind] = true
        end
        assert.same(kinds, words_in(column "| `kind` | `code` |", "`(%l+)`"))
    end)

    it("its tables list all options, and all functions of the native module", function()
        local fields, functions = {}, {}
        for _, block in ipairs(annotations.read(read "lua/emr/types.lua")) do
            local signature = annotations.signature(block)
            if block.class == "emr.Options" then
                for _, field in ipairs(block.fields) do
                    fields[field.name] = true
                end
            elseif signature and signature.owner == "emr" then
                functions[signature.name] = true
            end
        end
        assert.same(fields, words_in(column "| option | default |", "`([%l_]+)`"))
        assert.same(functions, words_in(column "| call | returns |", "`emr%.(%l[%l_]*)%("))
    end)
end)


describe("README, in a shell:", function()
    -- The commands that its blocks name, with their arguments.
    local function commands(name)
        local found = {}
        name = name:gsub("%p", "%%%0")
        for block in each "sh" do
            for line in block.text:gmatch "[^\n]+" do
                local arguments = line:gsub("^sudo ", ""):match("^" .. name .. "%f[%A](.*)$")
                found[#found + 1] = arguments and arguments:gsub("%s+#.*$", "")
            end
        end
        return found
    end

    it("no command is one that nobody checks", function()
        local known = { ["make"] = true, ["apt-get"] = true, ["apk"] = true, ["dnf"] = true,
            ["brew"] = true, ["luarocks"] = true, ["."] = true, ["lua5.4"] = true,
            ["/usr/sbin/nginx"] = true, ["#"] = true }
        for block in each "sh" do
            for line in block.text:gmatch "[^\n]+" do
                assert.is_true(known[line:gsub("^sudo ", ""):match "^%S+"], line)
            end
        end
    end)

    local makefile = read "Makefile"

    local function has_target(name)
        return makefile:find("%f[%w-]" .. name:gsub("%-", "%%-") .. "%f[^%w-][ %l-]*:")
    end

    it("make has the targets and takes the variables", function()
        for _, arguments in ipairs(commands "make") do
            for word in arguments:gmatch "%S+" do
                local variable = word:match "^([%u_]+)="
                local known = variable and makefile:find(variable, 1, true) or has_target(word)
                assert.is_truthy(known, word)
            end
        end
    end)

    it("make has the targets that the text names, here and in CONTRIBUTING.md", function()
        for target in (README .. read "CONTRIBUTING.md"):gmatch "`make (%l[%l-]*)" do
            assert.is_truthy(has_target(target), target)
        end
    end)

    -- What a system calls what is needed, by the table of tools/install-packages; those of LuaRocks
    -- apart. `groups` says which rows: a pattern for each group.
    local function packages(system, rows)
        local script = read "tools/install-packages"
        local values = { deb_lua = "lua5.4", deb_dev = "liblua5.4-dev", abi = "5.4" }
        local names, rocks = {}, {}
        local rows_of_all = script:match "cat <<EOT\n(.-)\nEOT":gsub("%$([%l_]+)", values)
        for line in rows_of_all:gmatch "[^\n]+" do
            local cells = {}
            for cell in (line .. "|"):gmatch "%s*(.-)%s*|" do
                cells[#cells + 1] = cell
            end
            local group, thing = cells[1]:match "^(%S+)%s+(.*)$"
            for name in (rows[group] and thing:find(rows[group]) and cells[system + 1] or "")
                :gmatch "%S+" do
                local rock = name:match "^rock:(.*)$"
                local list = rock and rocks or names
                list[rock or name] = true
            end
        end
        return names, rocks
    end

    local SYSTEMS = { "apt-get", "apk", "dnf", "brew" }
    local NEEDED, JSON = { build = "", demo = "^lua$" }, { demo = "^module cjson$" }
    for system, command in ipairs(SYSTEMS) do
        it(command .. " gets what tools/install-packages would", function()
            local names, rocks = packages(system, NEEDED)
            local json_names, json_rocks = packages(system, JSON)
            for name in pairs(json_names) do
                names[name] = true
            end
            for name in pairs(json_rocks) do
                rocks[name], names.luarocks = true, true
            end
            names.make = true
            local told = commands(command)[1]:gsub("^ %l+", "")
            assert.same(names, words_in({ told }, "%S+"))
            local told_rocks = words_in(commands "luarocks", "install (%S+)")
            for rock in pairs(rocks) do
                assert.is_true(told_rocks[rock], rock)
            end
        end)
    end
end)
