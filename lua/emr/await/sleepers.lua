--- Who sleeps until when: a binary heap, so that thousands may sleep and the next one is at hand.
-- A sleeper is a table of the caller's; its fields `due` and `place` belong to the heap.

---@class emr.Sleepers
local methods = {}
local Sleepers = { __name = "emr.Sleepers", __index = methods }

local function put(self, place, sleeper)
    self[place] = sleeper
    sleeper.place = place
end

-- Moves a sleeper towards the root while it is due before its parent.
local function up(self, place)
    local sleeper = self[place]
    while place > 1 do
        local parent = math.floor(place / 2)
        if self[parent].due <= sleeper.due then
            break
        end
        put(self, place, self[parent])
        place = parent
    end
    put(self, place, sleeper)
end

-- Moves a sleeper away from the root while it is due after a child.
local function down(self, place)
    local sleeper, count = self[place], #self
    while 2 * place <= count do
        local child = 2 * place
        if child < count and self[child + 1].due < self[child].due then
            child = child + 1
        end
        if sleeper.due <= self[child].due then
            break
        end
        put(self, place, self[child])
        place = child
    end
    put(self, place, sleeper)
end

--- Adds one, who is not there yet.
function methods:add(sleeper, due)
    sleeper.due = due
    local place = #self + 1
    self[place] = sleeper
    up(self, place)
end

--- Takes one out, who is there.
function methods:remove(sleeper)
    local place, count = sleeper.place, #self
    local last = self[count]
    self[count] = nil
    if place < count then
        put(self, place, last)
        up(self, place)
        down(self, last.place)
    end
    sleeper.due, sleeper.place = nil, nil
end

--- When the first is due; math.huge when nobody sleeps.
---@return number
function methods:first_due()
    return self[1] and self[1].due or math.huge
end

local M = {}

---@return emr.Sleepers
function M.new()
    return setmetatable({}, Sleepers)
end

return M
