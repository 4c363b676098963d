-- Puts text into the README where a comment says which command writes it:
--
--     <!-- written by make NAME -->
--     <!-- until here -->

local README = "README.md"
local BEGIN, END = "<!-- written by make %s -->\n", "<!-- until here -->\n"

local function read()
    local file = assert(io.open(README))
    local text = file:read "*a"
    file:close()
    return text
end

--- Replaces what stands there.
return function(name, written)
    local text = read()
    local _, first = text:find(BEGIN:format(name), 1, true)
    local last = first and text:find(END, first, true)
    assert(last, README .. " has no marks for make " .. name)
    local file = assert(io.open(README, "w"))
    file:write(text:sub(1, first), written, text:sub(last))
    file:close()
end
