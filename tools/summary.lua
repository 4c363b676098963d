-- busted's usual output, and after it the one line that CI reads.
return function(options)
    local handler = require("busted.outputHandlers." .. options.defaultOutput)(options)

    require("busted").subscribe({ "suite", "end" }, function()
        io.write(("\n%d passed, %d failed, %d skipped\n"):format(handler.successesCount,
            handler.failuresCount + handler.errorsCount, handler.pendingsCount))
        return nil, true
    end)
    return handler
end
