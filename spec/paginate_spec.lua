local failure = require "emr.failure"
local operations = require "emr.operations"
local paginate = require "emr.paginate"

local LIST = operations.ListSessionClusters

-- Answers with the given pages in turn; a page is {token, item, ...} or a function.
local function server(pages)
    local requests = {}
    return function(request)
        local copy = {}
        for name, value in pairs(request) do
            copy[name] = value
        end
        requests[#requests + 1] = copy
        local page = pages[#requests]
        if type(page) == "function" then
            return page()
        end
        local items = {}
        for i = 2, #page do
            items[i - 1] = { name = page[i] }
        end
        return { sessionClusters = items, nextToken = page[1] or nil }
    end, requests
end

local function fail()
    return failure("service", "Forbidden", "not yours", { status = 403 })
end

-- Everything an iterator yields, each round as a list.
local function drain(iterator, most)
    local rounds = {}
    for _ = 1, most or 100 do
        local a, b, c = iterator()
        if a == nil then
            return rounds
        end
        rounds[#rounds + 1] = { a, b, c }
    end
    error("it does not end")
end

local function names(rounds)
    local list = {}
    for i, round in ipairs(rounds) do
        list[i] = round[1] and round[1].name or round[1]
    end
    return list
end

describe("pages", function()
    it("follow nextToken until there is none, the rest of the request unchanged", function()
        local ask, requests = server { { "t1", "a" }, { "t2", "b" }, { false, "c" } }
        local request = { workspaceId = "w-1", maxResults = 1 }
        local rounds = drain(paginate.pages(ask, LIST, request))
        assert.equal(3, #rounds)
        assert.equal("c", rounds[3][1].sessionClusters[1].name)
        assert.same({
            { workspaceId = "w-1", maxResults = 1 },
            { workspaceId = "w-1", maxResults = 1, nextToken = "t1" },
            { workspaceId = "w-1", maxResults = 1, nextToken = "t2" },
        }, requests)
        assert.same({ workspaceId = "w-1", maxResults = 1 }, request)
    end)

    it("an empty token ends them, an empty page does not", function()
        local ask, requests = server { { "t1" }, { "", "a" } }
        assert.equal(2, #drain(paginate.pages(ask, LIST, {})))
        assert.equal(2, #requests)
    end)

    it("begin where the request says", function()
        local ask, requests = server { { false, "z" } }
        drain(paginate.pages(ask, LIST, { nextToken = "t9" }))
        assert.equal("t9", requests[1].nextToken)
    end)

    it("yield a failure once as false, message, err, then end", function()
        local ask, requests = server { { "t1", "a" }, fail }
        local iterator = paginate.pages(ask, LIST, {})
        local rounds = drain(iterator)
        assert.equal(2, #rounds)
        assert.is_false(rounds[2][1])
        assert.equal("not yours", rounds[2][2])
        assert.equal("Forbidden", rounds[2][3].code)
        assert.is_nil(iterator())
        assert.equal(2, #requests)
    end)

    it("work in a for loop", function()
        local ask = server { { "t1", "a" }, fail }
        local seen = {}
        for page, message in paginate.pages(ask, LIST, {}) do
            seen[#seen + 1] = page and "page" or message
        end
        assert.same({ "page", "not yours" }, seen)
    end)

    it("a token that repeats ends them with an error, not never", function()
        local ask, requests = server { { "t1", "a" }, { "t2", "b" }, { "t1", "c" } }
        local rounds = drain(paginate.pages(ask, LIST, {}))
        assert.equal(3, #requests)
        assert.equal("c", rounds[3][1].sessionClusters[1].name)
        assert.is_false(rounds[4][1])
        assert.truthy(rounds[4][2]:find("nextToken repeats", 1, true))
        assert.same({ "protocol", "shape" }, { rounds[4][3].kind, rounds[4][3].code })
    end)

    it("a token that is no text is protocol, shape", function()
        local ask = server { { 7, "a" } }
        local rounds = drain(paginate.pages(ask, LIST, {}))
        assert.equal("shape", rounds[2][3].code)
    end)
end)

describe("items", function()
    it("come from all pages in order, over empty ones too", function()
        local ask = server { { "t1", "a", "b" }, { "t2" }, { false, "c" } }
        assert.same({ "a", "b", "c" }, names(drain(paginate.items(ask, LIST, {}))))
    end)

    it("are none when there is none", function()
        assert.same({}, drain(paginate.items(server { { false } }, LIST, {})))
    end)

    it("of the next page are asked for only when needed", function()
        local ask, requests = server { { "t1", "a" }, { false, "b" } }
        local iterator = paginate.items(ask, LIST, {})
        iterator()
        assert.equal(1, #requests)
        iterator()
        assert.equal(2, #requests)
    end)

    it("yield a failure once, after what came before it, then end", function()
        local ask, requests = server { { "t1", "a" }, fail }
        local iterator = paginate.items(ask, LIST, {})
        local rounds = drain(iterator)
        assert.same({ "a", false }, names(rounds))
        assert.equal("Forbidden", rounds[2][3].code)
        assert.is_nil(iterator())
        assert.equal(2, #requests)
    end)

    it("where there is no list of them is protocol, shape", function()
        local iterator = paginate.items(function() return {} end, LIST, {})
        local rounds = drain(iterator)
        assert.equal(1, #rounds)
        assert.equal("shape", rounds[1][3].code)
        assert.is_nil(iterator())
    end)

    it("are found by a path", function()
        local logs = {
            name = "ListLogs",
            pagination = {
                token_param = "marker", limit_param = "maxKeys",
                next_field = "data.nextMarker", items_field = "data.list",
            },
        }
        local function ask(request)
            local first = request.marker == nil
            return { data = { list = { { name = first and "a" or "b" } },
                nextMarker = first and "m" or nil } }
        end
        assert.same({ "a", "b" }, names(drain(paginate.items(ask, logs, {}))))
    end)
end)
