-- busted's usual output; after it, in build/LUA/rows, what became of each row of the fault
-- catalogue, and last the one line that CI reads.

local rows = require "spec.support.rows"

-- A line for each row of each test: row, outcome, name, reason.
local function record(file, outcome, list)
    for _, test in ipairs(list) do
        for _, row in ipairs(rows.of(test.name)) do
            local texts = { row, outcome, test.name, tostring(test.message or "") }
            for i, text in ipairs(texts) do
                texts[i] = text:gsub("%s+", " ")
            end
            file:write(table.concat(texts, "\t"), "\n")
        end
    end
end

local function record_all(handler)
    local file = io.open((os.getenv "BUILD" or "build") .. "/rows", "w")
    if file then
        record(file, "passed", handler.successes)
        record(file, "skipped", handler.pendings)
        record(file, "failed", handler.failures)
        record(file, "failed", handler.errors)
        file:close()
    end
end

return function(options)
    local handler = require("busted.outputHandlers." .. options.defaultOutput)(options)

    require("busted").subscribe({ "suite", "end" }, function()
        record_all(handler)
        io.write(("\n%d passed, %d failed, %d skipped\n"):format(handler.successesCount,
            handler.failuresCount + handler.errorsCount, handler.pendingsCount))
        return nil, true
    end)
    return handler
end
