-- The bindings to the operating system: files, programs, clock and random numbers.

local emr = require "emr"
local lfs = require "lfs"
local socket = require "socket"

local call = require "spec.support.call"
local checker = require "spec.support.checker"
local child = require "spec.support.child"
local descriptors = require "spec.support.descriptors"

local dir

setup(function()
    dir = call.cloud().dir .. "/files"
    lfs.mkdir(dir)
end)


local function sh(command)
    local status = os.execute("cd '" .. dir .. "' && " .. command)
    assert(status == 0 or status == true, command)
end


local function write(name, text, mode)
    local path = dir .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    sh(("chmod %s '%s'"):format(mode or "600", name))
    return path
end


local function raises(what, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "did not raise: " .. what)
    assert.truthy(tostring(message):find(what, 1, true), message)
end


describe("read_file", function()
    it("returns every byte, and the permission bits", function()
        local bytes = ("\0\r\n\255 text"):rep(5000)
        for octal, mode in pairs { ["600"] = 384, ["644"] = 420, ["400"] = 256, ["777"] = 511 } do
            local text, got = emr.read_file(write("file-" .. octal, bytes, octal))
            assert.equal(bytes, text)
            assert.equal(mode, got)
        end
        assert.equal("", (emr.read_file(write("empty", ""))))
    end)

    it("follows a symbolic link", function()
        write("target", "text")
        sh "ln -sf target link"
        assert.equal("text", (emr.read_file(dir .. "/link")))
    end)

    it("reads what has no size, such as a file of /proc", function()
        assert.truthy(emr.read_file("/proc/self/status"):find("VmRSS", 1, true))
    end)

    local function fails(path, max)
        local err
        local seconds = call.seconds(function()
            err = call.failed("credentials", "unreadable", emr.read_file(path, max))
        end)
        call.took(0, 0, seconds)
        assert.truthy(err.message:find(path, 1, true), err.message)
    end

    it("J3: does not wait for a FIFO", function()  -- in a child: if it does, that one is killed
        sh "rm -f fifo && mkfifo fifo"
        child.printed("ok\n", child.lua(([[
            for _ = 1, 2 do
                call.failed("credentials", "unreadable", emr.read_file(%q))
            end
            print "ok"
        ]]):format(dir .. "/fifo")))
    end)

    it("J3: reads nothing that is no regular file", function()
        sh "rm -f dangling && ln -s nowhere dangling"
        local before = descriptors.count()
        for _, path in ipairs { dir, dir .. "/missing", dir .. "/dangling",
            "/dev/null", "/dev/zero", "/dev/tty", dir .. "/missing/too", "" } do
            fails(path)
        end
        assert.equal(before, descriptors.count())
    end)

    it("B7, J3: what must not be read is unreadable, also as a CA file", function()
        if checker.coverage then
            pending "without rights no counts are written, which is then told"
            return
        end
        child.printed("ok\n", child.lua([[
            local path = call.cloud().dir .. "/secret"
            assert(io.open(path, "w")):close()
            os.execute("chmod 000 " .. path)
            assert(require("process").renounce())
            call.failed("credentials", "unreadable", emr.read_file(path))
            local err = call.failed("tls", "ca", call.get(HTTPS, { ca_file = path }))
            assert(err.message:find(path, 1, true))
            assert(err.message:find("the user of this process may read", 1, true))
            print "ok"
        ]], { leaks = true }))  -- the sanitizer cannot look for them without rights
    end)

    it("J3: takes a file up to the limit and none larger, and shows no content", function()
        local path = write("sized", ("CANARY"):rep(100))
        assert.equal(600, #emr.read_file(path, 600))
        fails(path, 599)
        fails(path, 0)
        fails("/proc/self/status", 10)
        sh "truncate -s 10M large"
        fails(dir .. "/large", 65536)
    end)

    it("raises for the caller's mistakes", function()
        raises("path", emr.read_file, "a\0b")
        for _, wrong in ipairs { {}, true, print } do
            raises("#1", emr.read_file, wrong)
        end
        raises("#1", emr.read_file)
        for _, wrong in ipairs { -1, 0 / 0, 1 / 0, 1e300, "many", {} } do
            raises("#2", emr.read_file, write("some", ""), wrong)
        end
    end)
end)


describe("run", function()
    it("returns exit status, output and errors", function()
        local status, out, err = emr.run { "sh", "-c", "echo out; echo err >&2; exit 3" }
        assert.same({ 3, "out\n", "err\n" }, { status, out, err })
        assert.same({ 0, "", "" }, { emr.run { "true" } })
        assert.same({ 1, "", "" }, { emr.run { "/bin/false" } })
    end)

    it("uses no shell: every word arrives as it is", function()
        local words = { "printf", "<%s>", "a b", "$HOME", "`id`", "*", "'\"", "", ";exit", "\255" }
        local expected = "<" .. table.concat(words, "><", 3) .. ">"
        assert.equal(expected, (select(2, emr.run(words))))
    end)

    it("a program that was killed by signal n has status 128 + n", function()
        for name, number in pairs { TERM = 15, KILL = 9, PIPE = 13 } do
            assert.equal(128 + number, (emr.run { "sh", "-c", "kill -" .. name .. " $$" }))
        end
    end)

    it("gives it our environment, an empty input, and no descriptor of ours", function()
        assert.same({ 0, "", "" }, { emr.run { "cat" } })
        local path = os.getenv("PATH")
        assert.equal(path, (select(2, emr.run { "sh", "-c", "printf %s \"$PATH\"" })))
        child.printed("true\n", child.lua([[
            local function open()
                return (select(2, emr.run { "ls", "/proc/self/fd" }))
            end
            local before = open()
            call.works()
            local transfer = call.start(HTTPS)
            print(open() == before)
            assert(call.finish(transfer))
        ]]))
    end)

    it("keeps both streams apart, however much comes", function()
        local script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; echo end"
        local status, out, err = emr.run({ "sh", "-c", script }, { max_output = 400000 })
        assert.same({ 0, 300004, 300000 }, { status, #out, #err })
    end)

    local function fails(argv, options)
        local result, message, err = emr.run(argv, options)
        assert.is_nil(result)
        call.failed("credentials", nil, result, message, err)
        assert.truthy(message:find(argv[1], 1, true), message)
    end

    it("a program that does not exist, or cannot run, is a failure", function()
        if checker.valgrind then
            pending("under valgrind posix_spawn does not learn that exec failed")
            return
        end
        fails { "emr-no-such-program" }
        fails { dir }
        fails { write("data", "no program") }
        fails { "" }
    end)

    it("ends what takes too long, whatever it does", function()
        for _, script in ipairs {
            "sleep 20", "trap '' TERM INT; sleep 20; sleep 20", "exec sleep 20",
            "exec >&- 2>&-; sleep 20",                -- its output has ended
            "sleep 20 & exit 0",                      -- somebody else holds its output
            "while :; do echo x; sleep 0.01; done",   -- never silent
        } do
            local LIMIT = 0.15
            local seconds = call.seconds(fails, { "sh", "-c", script }, { timeout = LIMIT })
            call.took(LIMIT, LIMIT, seconds)
        end
    end)

    it("ends its children, too", function()
        local list = dir .. "/pids"
        fails({ "sh", "-c", "sleep 21 & echo $! >'" .. list .. "'; sh -c 'sleep 21; :' & wait" },
            { timeout = 0.15 })
        local pid = assert(io.open(list)):read("*l")
        call.step_until(function()  -- it may take the kernel a moment
            local file = io.open("/proc/" .. pid .. "/cmdline")
            local command = file and file:read("*a") or ""
            if file then
                file:close()
            end
            return not command:find("sleep", 1, true)
        end, "the end of a grandchild")
    end)

    it("ends what prints too much; what just fits is returned", function()
        local options = { max_output = 1000, timeout = 5 }
        assert.equal(1000, #select(2, emr.run({ "head", "-c", "1000", "/dev/zero" }, options)))
        for _, script in ipairs { "head -c 1001 /dev/zero", "head -c 1001 /dev/zero >&2",
            "cat /dev/zero", "echo x; cat /dev/zero >&2" } do
            call.took(0, 0, call.seconds(fails, { "sh", "-c", script }, options))
        end
    end)

    it("leaves no descriptor and no dead child behind", function()
        local before = descriptors.count()
        for _ = 1, 20 do
            emr.run { "true" }
            emr.run { "emr-no-such-program" }
        end
        emr.run({ "sleep", "20" }, { timeout = 0.01 })
        assert.equal(before, descriptors.count())
        child.printed("false\n", child.lua([[
            emr.run { "true" }
            emr.run({ "sleep", "20" }, { timeout = 0.01 })
            emr.run { "emr-no-such-program" }
            print((pcall(require("process").wait, -1)))
        ]]))
    end)

    it("leaves transfers alone", function()
        local transfer = call.start(call.cloud().https)
        emr.run { "true" }
        assert.truthy(call.finish(transfer))
    end)

    it("raises for the caller's mistakes and starts nothing", function()
        local mark = dir .. "/started"
        local function refuses(what, argv, options)
            raises(what, emr.run, argv, options)
        end
        refuses("#1", nil)
        refuses("#1", "true")
        refuses("argv", {})
        refuses("argv[2]", { "touch", 7 })
        refuses("argv[2]", { "touch", mark .. "\0" })
        refuses("argv[1]", { {}, mark })
        refuses("#2", { "touch", mark }, 5)
        refuses("nonsense", { "touch", mark }, { nonsense = 1 })
        for _, name in ipairs { "timeout", "max_output" } do
            for _, wrong in ipairs { -1, 0 / 0, 1 / 0, 1e300, "30", {} } do
                refuses(name, { "touch", mark }, { [name] = wrong })
            end
        end
        refuses("timeout", { "touch", mark }, { timeout = 0 })
        assert.is_nil(lfs.attributes(mark))
    end)
end)


describe("now", function()
    it("counts seconds and never goes back", function()
        local before, wall = emr.now(), os.time()
        local last = before
        for _ = 1, 1000 do
            local now = emr.now()
            assert(now >= last)
            last = now
        end
        socket.sleep(0.05)  -- a step would end with a transfer that another spec has left
        assert(emr.now() - before >= 0.05)
        assert(emr.now() - before <= os.time() - wall + 1)
    end)
end)


describe("random", function()
    it("draws from [0, 1), evenly and never the same", function()
        local N, seen, low = 4000, {}, 0
        for _ = 1, N do
            local x = emr.random()
            assert(x >= 0 and x < 1 and not seen[x])
            seen[x] = true
            low = low + (x < 0.5 and 1 or 0)
        end
        assert(math.abs(low - N / 2) < 250, low .. " in the lower half")  -- 8 standard deviations
    end)

    it("draws differently in every process", function()
        local script = "print(('%.17g'):format(emr.random()))"
        local first, second = child.lua(script), child.lua(script)
        assert.equal(0, first.status)
        assert.not_equal(first.out, second.out)
    end)
end)
