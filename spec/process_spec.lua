-- The module inside a process: forks, signals, ends, and that it leaves its host as it was. Rows
-- K1, K7, K8, K9, I8, and what must hold after every row: no output, signals untouched.

local call = require "spec.support.call"
local checker = require "spec.support.checker"
local child = require "spec.support.child"

local OWN = "needs the stock interpreter"

describe("after a fork", function()
    local emu

    setup(function()
        emu = call.cloud()
    end)

    before_each(function()
        emu:reset()
    end)

    -- Runs `in_child` in a forked process between two calls of the parent; `transfer` was started
    -- before. The child's end closes its Lua state, as a script's does.
    local function forked(url, in_child)
        return child.lua(([[
            local process = require "process"
            local URL = %s
            assert(call.get(URL))
            local transfer = call.start(URL, { timeout = 2 })
            emr.step(0.01)
            local pid = process.fork()
            if pid == 0 then
                local ok, message = pcall(function()
                    %s
                end)
                if not ok then
                    io.stderr:write(message, "\n")
                end
                os.exit(ok and 0 or 1, not jit and _VERSION ~= "Lua 5.1" or nil)
            end
            assert(process.wait(pid) == 0, "the child failed")
            assert(call.finish(transfer).sessionCluster.state == "Running")
            local last = call.start(URL)
            assert(call.finish(last))
            print(last:info().reused)
        ]]):format(url, in_child), { leaks = true })  -- the child gives up its parent's engine
    end

    -- The connections of the requests, in order.
    local function connections()
        local list = {}
        for i, request in ipairs(emu:requests()) do
            assert.equal("ok", request.verdict)
            list[i] = request.connection
        end
        return list
    end

    for _, url in ipairs { "HTTP", "HTTPS" } do
        it("K1: parent and child both complete calls, on connections of their own: " .. url,
            function()
                -- the transfer's reply comes after the child has ended
                emu:fault { name = "slow", seconds = 0.2, skip = 1 }
                child.printed("true\n", forked(url, [[
                    for _ = 1, 3 do
                        assert(call.get(URL).sessionCluster.state == "Running")
                    end
                    assert(call.finish(call.start(URL)))
                ]]))
                local list = connections()
                assert.equal(7, #list)
                -- the parent's first, its transfer's, the child's four, the parent's last
                local mine = { [list[1]] = true, [list[2]] = true }
                for i = 3, 6 do
                    assert.is_nil(mine[list[i]])
                    assert.equal(list[3], list[i])
                end
                assert.is_true(mine[list[7]])
            end)
    end

    it("K1: the child's inherited transfers are cancelled, the parent's go on", function()
        emu:fault { name = "slow", seconds = 0.1, skip = 1 }
        child.printed("true\n", forked("HTTPS", [[
            call.failed("cancelled", nil, transfer:result())
            assert(emr.finished() == nil)
            assert(emr.step(0) == 0)
            transfer:cancel()
            call.failed("cancelled", nil, transfer:result())
            transfer = nil
            collectgarbage()
            collectgarbage()
            call.works()
        ]]))
    end)

    it("K1: a child that uses nothing disturbs nothing, however it ends", function()
        for _, ending in ipairs { "", "collectgarbage()", "transfer:cancel()", "emr.step(0.01)",
            "emr.pollfd()", "transfer:info()", "tostring(transfer)", "emr.timeout()" } do
            emu:reset()
            emu:fault { name = "slow", seconds = 0.05, skip = 1 }
            child.printed("true\n", forked("HTTPS", ending))
        end
    end)

    it("K1: a grandchild, too, begins anew", function()
        child.printed("true\n", forked("HTTP", [[
            assert(call.get(URL))
            local pid = process.fork()
            if pid == 0 then
                call.works()
                os.exit(0)
            end
            assert(process.wait(pid) == 0)
            call.works()
        ]]))
        assert.equal(6, #connections())
    end)

    it("K1: the child closes nothing that is not the module's", function()
        child.printed("ok\n", child.lua([[
            local process = require "process"
            -- libcurl closes a socket that never got connected without saying so
            for _ = 1, 3 do
                call.get(call.emulator.raw("refuse"))
                local transfer = call.start(call.emulator.raw("never_accept"))
                emr.step(0.01)
                transfer:cancel()
            end
            local files = {}
            for i = 1, 20 do  -- these take the numbers that became free
                files[i] = assert(io.open("/proc/self/status"))
            end
            local pid = process.fork()
            if pid == 0 then
                call.works()
                for i = 1, 20 do
                    if not files[i]:read(1) then
                        os.exit(1)
                    end
                end
                os.exit(0)
            end
            assert(process.wait(pid) == 0, "the child lost a file")
            print "ok"
        ]], { leaks = true }))
    end)

    it("K1: a child that holds a connection which its parent has closed keeps nobody awake",
        function()
            child.printed("0\n", child.lua([[
                local peer = require "spec.support.peer"
                local process = require "process"
                local server = peer.new()
                local function serve(connection)
                    local transfer = call.start(server.url)
                    connection = connection or server:accept()
                    connection:request()
                    connection:send(peer.reply(peer.sample()))
                    assert(call.finish(transfer))
                    return connection
                end
                local connection = serve(serve(serve()))
                local fifo = os.tmpname()
                os.execute(("rm %s; mkfifo %s"):format(fifo, fifo))
                local pid = process.fork()
                if pid == 0 then
                    io.open(fifo):close()  -- waits for the parent
                    os.exit(0)
                end
                connection.socket:shutdown()  -- the child has this end, too
                serve()
                local ready = require("socket").select({ { getfd = emr.pollfd } }, nil, 0.05)
                print(#ready)
                io.open(fifo, "w"):close()
                process.wait(pid)
                os.remove(fifo)
            ]], { leaks = true }))
        end)

    it("G10: no nonce of the parent's comes again in its children", function()
        -- A million; the nonces are C's, so that one Lua is enough for all of them.
        local each = rawget(_G, "jit") and 250000 or 2500
        child.printed(4 * each .. "\n", child.lua(([[
            local process = require "process"
            local function nonce()
                return emr.prepare(emr.operations.GetSessionCluster, call.IDS,
                    call.options(HTTP)).headers["x-acs-signature-nonce"]
            end
            nonce()
            local path, workers = os.tmpname(), {}
            for i = 1, 4 do
                workers[i] = process.fork()
                if workers[i] == 0 then
                    local file = io.open(path .. i, "w")
                    for _ = 1, %d do
                        file:write(nonce(), "\n")
                    end
                    file:close()
                    os.exit(0)
                end
            end
            for _, worker in ipairs(workers) do
                process.wait(worker)
            end
            os.execute("LC_ALL=C sort -u " .. path .. "[1-4] | wc -l; rm " .. path .. "*")
        ]]):format(each), { limit = 120 }))
    end)
end)


describe("I8: Ctrl-C under the stock interpreter", function()
    -- Sends ourselves a SIGINT in a moment.
    local SOON = [[
        os.execute("(sleep 0.1; kill -INT " .. require("process").getpid() .. ") >/dev/null 2>&1 &")
        local SILENT = call.emulator.raw("silence")
        local began = emr.now()
    ]]

    -- The program must end by the interpreter's own error, in time.
    local function interrupted(script)
        if checker.sanitizer then
            pending(OWN)
            return
        end
        local result
        local seconds = call.seconds(function()
            result = child.lua(script .. "\n for _ = 1, 1e7 do end print 'never reached'")
        end)
        assert.same({ 1, "" }, { result.status, result.out })
        assert.truthy(result.err:find("interrupted!", 1, true), result.err)
        assert(seconds < 1.5, "took " .. seconds)  -- with the child's start and the 0.1 s before
    end

    for what, statement in pairs {
        ["a call"] = "call.get(SILENT, { timeout = 5 })",
        ["fetch"] = "emr.fetch({ url = SILENT }, { timeout = 5 })",
        ["step"] = "emr.step(5)",
        ["step with transfers in flight"] = "local t = call.start(SILENT) emr.step(5) t:cancel()",
        ["run"] = "emr.run({ 'sleep', '20' }, { timeout = 5 })",
    } do
        it("ends " .. what .. " within a second", function()
            interrupted(SOON .. statement)
        end)

        it("ends " .. what .. " in a coroutine as well", function()
            interrupted(SOON .. "coroutine.wrap(function() " .. statement .. " end)()")
        end)
    end

    it("that is pending already ends every call in a coroutine at once", function()
        interrupted [[
            local SILENT = call.emulator.raw("silence")
            coroutine.wrap(function()
                require("process").raise(2)
                for _ = 1, 3 do
                    emr.step(1)
                    call.failed("cancelled", nil, call.get(SILENT, { timeout = 1 }))
                end
            end)()
        ]]
    end)

    it("caught by the program, it leaves calls working", function()
        if checker.sanitizer then
            pending(OWN)
            return
        end
        child.printed("false\ttrue\n", child.lua(SOON .. [[
            local ok = pcall(function()
                call.get(SILENT, { timeout = 5 })
                for _ = 1, 1e7 do end
            end)
            call.works()
            print(ok, emr.now() - began < 1)
        ]]))
    end)
end)


describe("I8: a storm of SIGALRM, SIGCHLD and SIGWINCH", function()
    it("neither ends nor shortens a call, a sleep or a program", function()
        child.printed("ok\n", child.lua([[
            local process = require "process"
            process.storm(0.005)
            local emu = call.emulator
            local function takes(seconds, f, ...)
                call.took(seconds, seconds, call.seconds(f, ...))
            end
            takes(0.1, emr.step, 0.1)
            takes(0.1, function()
                call.failed("timeout", "attempt",
                    call.get(emu.raw("silence"), { timeout = 0.1 }))
            end)
            takes(0.1, function()
                call.failed("timeout", "connect",
                    call.get(emu.raw("never_accept"), { connect_timeout = 0.1 }))
            end)
            takes(0.1, function()
                assert(emr.run { "sleep", "0.1" } == 0)
            end)
            for _ = 1, 20 do
                call.works()
                assert(call.get(HTTPS))
            end
            assert(emr.read_file("/proc/self/status"))
            assert(process.counted() > 100, "no storm")
            print "ok"
        ]]))
    end)

    it("with 100 transfers in flight ends none of them", function()
        child.printed("100\n", child.lua([[
            require("process").storm(0.005)
            local good = 0
            local transfers = {}
            for i = 1, 100 do
                transfers[i] = call.start(i % 2 == 0 and HTTP or HTTPS)
            end
            for i = 1, 100 do
                good = good + (call.finish(transfers[i]) and 1 or 0)
            end
            print(good)
        ]]))
    end)
end)


describe("a process that has no descriptor left", function()
    it("is told so, whatever was there before, and goes on when it has some again", function()
        child.printed("memory memory nil memory connect credentials Running\n", child.lua([[
            local files
            local function take_all()
                files = {}
                repeat
                    local file = io.open("/dev/null")
                    files[#files + 1] = file
                until not file
            end
            local function give_back()
                for _, file in ipairs(files) do
                    file:close()
                end
            end
            local function word(_, _, err)
                return err.kind == "network" and err.code or err.kind
            end
            assert(emr.operations)  -- a file, too
            take_all()
            local words = { word(call.get(HTTP)), word(call.start(HTTP):result()),
                tostring(emr.timeout()), word(emr.pollfd()) }
            give_back()
            call.works()
            take_all()
            words[5] = word(call.get("http://127.0.0.1:1"))
            words[6] = word(emr.run { "true" })
            give_back()
            words[7] = call.get(HTTP).sessionCluster.state
            print(table.concat(words, " "))
        ]], { under = "sh -c 'ulimit -n 64; exec \"$@\"' sh" }))
    end)
end)


describe("a peer that closes while we write", function()
    it("K9: does not kill a process whose SIGPIPE is at its default", function()
        child.printed("ok\n", child.lua([[
            local process = require "process"
            process.default(13)
            local before = process.signals()
            local emu, body = call.emulator, ("x"):rep(4000000)
            for _, how in ipairs { "fin", "rst" } do
                for _, tls in ipairs { false, true } do
                    tls = tls and {} or nil
                    local url = emu.raw("hang_up", { how = how, tls = tls })
                    local ca = { ca_file = emu.ca_file, timeout = 2 }
                    call.failed("network", nil, emr.fetch({ method = "POST", url = url .. "/",
                        body = body }, ca))
                    call.failed("network", nil, call.get(url))
                    -- a kept connection that the peer has closed
                    url = emu.raw("dead_idle", { how = how, tls = tls, seconds = 0 })
                    for _ = 1, 3 do
                        call.get(url)
                        emr.step(0.005)
                    end
                    url = emu.raw("dead_on_request", { how = how, tls = tls })
                    for _ = 1, 3 do
                        call.get(url)
                    end
                end
            end
            call.works()
            assert(process.signals() == before, "a signal's disposition has changed")
            print "ok"
        ]]))
    end)
end)


describe("the end of a Lua state", function()
    local ENDINGS = {
        ["the script's end"] = "",
        ["os.exit with closing"] = "os.exit(0, true)",  -- 5.1 knows no closing
        ["os.exit without"] = "os.exit(0)",
        ["an abandoned coroutine"] = [[
            local co = coroutine.create(function()
                local mine = call.start(SILENT)
                coroutine.yield(mine)
            end)
            coroutine.resume(co)
        ]],
        ["a finalizer that uses the module"] = [[
            local function last()
                pcall(emr.step, 0)
                pcall(function()  -- cancelled: what a last finalizer makes is itself not finalized
                    call.start(HTTP):cancel()
                end)
                pcall(call.get, HTTP)
            end
            if newproxy then
                getmetatable(newproxy(true)).__gc = last
            else
                setmetatable({}, { __gc = last })
            end
        ]],
    }

    for what, ending in pairs(ENDINGS) do
        it("K7: is quiet with transfers in flight: " .. what, function()
            child.printed("", child.lua([[
                SILENT = call.emulator.raw("silence")
                transfers = {}
                for i = 1, 5 do
                    transfers[i] = call.start(SILENT)
                    call.start(HTTPS)
                    call.start(call.emulator.raw("never_accept"))
                end
                emr.step(0.02)
                call.works()
            ]] .. ending))
        end)
    end

    it("K8: 200 fresh states in one process, each with calls and something in flight", function()
        local result = child.host([[
            call.works()
            call.start(HTTPS)
            emr.step(0.001)
        ]], { states = 200 })
        if not result then
            pending(OWN)
            return
        end
        child.printed("libcurl is mapped\n", result)
    end)

    it("K8: leaves no descriptor and no thread behind, state after state", function()
        -- Each state looks at the process as it finds it; the first ones are warm-up.
        local result = child.host([[
            local lfs = require "lfs"
            local counts = {}
            for i, name in ipairs { "/proc/self/fd", "/proc/self/task" } do
                counts[i] = 0
                for _ in lfs.dir(name) do
                    counts[i] = counts[i] + 1
                end
            end
            local path = call.emulator.dir .. "/counts"
            local file = io.open(path)
            local before = file and file:read("*a")
            local now = table.concat(counts, " ")
            assert(not before or before == now, tostring(before) .. ", then " .. now)
            file = assert(io.open(path, "w"))
            file:write(now)
            file:close()
            assert(call.get(HTTPS))
            call.start(HTTP)
        ]], { states = 20 })
        if not result then
            pending(OWN)
            return
        end
        child.printed("libcurl is mapped\n", result)
    end)
end)


describe("the host process", function()
    it("sees no output, and its signals and environment stay as they were", function()
        child.printed("true\n", child.lua([[
            local process = require "process"
            local emu = call.emulator
            local before = process.signals()
            call.get(HTTPS)
            call.get(HTTPS, { ca_file = "/nonexistent" })
            call.get(emu.raw("unknown_root"))
            call.get(emu.raw("handshake_garbage"))
            call.get(emu.raw("smtp"))
            call.get(emu.raw("silence"), { timeout = 0.02 })
            call.get(emu.raw("refuse"))
            call.start(emu.raw("silence")):cancel()
            emr.run { "sh", "-c", "echo out; echo err >&2" }
            emr.read_file("/nonexistent")
            print(process.signals() == before)
        ]]))
    end)

    it("finds OpenSSL's queue of errors empty after a failure", function()
        child.printed("Running\n", child.lua([[
            -- luaossl reports whatever an earlier caller left in the queue of this thread
            local ok, rand = pcall(require, "openssl.rand")
            local pkey = require "openssl.pkey"
            local emu = call.emulator
            for _, url in ipairs { emu.raw("unknown_root"), emu.raw("handshake_garbage"),
                emu.raw("tls10_only"), emu.raw("cut", { how = "rst", tls = {} }) } do
                call.get(url)
                assert(pkey.new({ type = "EC", curve = "prime256v1" }))
            end
            call.get(HTTPS, { ca_file = emu.dir })
            call.get(HTTPS, { client_cert = emu.ca_file, client_key = emu.ca_file })
            assert(ok and rand.ready())
            print(call.get(HTTPS).sessionCluster.state)
        ]]))
    end)

    it("may have a locale with a decimal comma, from the start or set in between", function()
        local dir = call.cloud().dir
        local made = child.run(("localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8'"):format(dir))
        local works = made.status < 2 and child.lua("print(os.setlocale('de_DE.UTF-8'))",
            { env = { LOCPATH = dir } }).out
        if works ~= "de_DE.UTF-8\n" then
            pending("no locale with a decimal comma can be made here")
            return
        end
        local script = [[
            os.setlocale("de_DE.UTF-8")
            local value = emr.decode('{"a":0.5,"b":[0.1e1],"c":1735689600000}')
            assert(value.a == 1 / 2 and value.b[1] == 1, "numbers are read wrong")
            local operation = {}
            for name, field in pairs(emr.operations.StopSessionCluster) do
                operation[name] = field
            end
            operation.body = { { name = "x", type = "double" } }
            local request = emr.prepare(operation, { workspaceId = "w-1", x = 0.5 },
                call.options(HTTP))
            call.works { timeout = 1.5 }
            print(request.body, ("%d"):format(value.c))
        ]]
        -- LUA_INIT runs before the module is loaded
        for _, init in ipairs { "", "os.setlocale('de_DE.UTF-8')" } do
            child.printed('{"x":0.5}\t1735689600000\n', child.lua(script,
                { env = { LOCPATH = dir, LUA_INIT = init }, leaks = true }))  -- setlocale does
        end
    end)
end)
