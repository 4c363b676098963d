-- The strict JSON decoder (RFC 8259; fault catalogue, rows F3 to F8 and F11; design section 4,
-- response). Expected values are the RFC's and the design's.

local cjson = require "cjson"
local emr = require "emr"
local lfs = require "lfs"

local checker = require "spec.support.checker"
local child = require "spec.support.child"

local NULL = emr.null
local SUITE = "spec/data/JSONTestSuite/"

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

local function nested(depth, open, close)
    return open:rep(depth) .. (open:find("{", 1, true) and "1" or "") .. close:rep(depth)
end

-- Fails as JSON must, and shows nothing of the text. `name` tells the text to the reader.
local function refused(text, name)
    local value, message, err = emr.decode(text)
    assert(value == nil and err, name)
    assert.same({ "protocol", "json", false }, { err.kind, err.code, err.retryable })
    assert.equal(message, err.message)
    assert.equal(message, tostring(err))
    assert.is_nil(message:find("[%c\127-\255]"))
    assert.is_nil(message:find("CANARY", 1, true))
    assert.is_true(#message <= 512)
end


describe("emr.decode", function()
    describe("y: accepts", function()
        local cases = {
            -- structures
            { "[]", {} }, { "{}", {} }, { " [ ] ", {} }, { "\t\n\r {\n}\t\n\r ", {} },
            { "[1]", { 1 } }, { "[1,2,3]", { 1, 2, 3 } }, { "[ 1 , 2 ]", { 1, 2 } },
            { "[[],[[]],{}]", { {}, { {} }, {} } }, { '{"a":{}}', { a = {} } },
            { '{"a":1,"b":[2,{"c":3}]}', { a = 1, b = { 2, { c = 3 } } } },
            { '{"":0}', { [""] = 0 } }, { '{"1":1}', { ["1"] = 1 } },
            { '{ "a" : 1 , "b" : 2 }', { a = 1, b = 2 } },
            { '{"a":1,"a":2}', { a = 2 } }, { '{"a":1,"a":null}', {} },
            { '{"a":null,"a":1}', { a = 1 } }, { '{"a":{"b":1},"a":{}}', { a = {} } },
            -- words
            { "true", true }, { "false", false }, { "null", NULL },
            { "[true,false]", { true, false } },
            { "[null]", { NULL } }, { "[1,null,2,null]", { 1, NULL, 2, NULL } },
            { "[[null],{}]", { { NULL }, {} } }, { '{"a":null}', {} },
            { '{"a":[null,{"b":null,"c":[null]}]}', { a = { NULL, { c = { NULL } } } } },
            -- strings
            { '""', "" }, { '"a"', "a" }, { '"a b"', "a b" }, { '"\127"', "\127" },
            { '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t' }, { '"/"', "/" },
            { '"\\u0041\\u00e9\\u6D4b"', "A\195\169\230\181\139" },
            { '"\\u0000"', "\0" }, { '"a\\u0000b"', "a\0b" },
            { '{"a\\u0000b":1}', { ["a\0b"] = 1 } },
            { '"\\ud83d\\ude00"', "\240\159\152\128" }, { '"\\uD834\\uDD1E"', "\240\157\132\158" },
            { '"\\udbff\\udfff"', "\244\143\191\191" }, { '"\\uffff"', "\239\191\191" },
            { '"\\u2028\226\128\168"', "\226\128\168\226\128\168" },
            { '"\230\181\139\240\159\152\128"', "\230\181\139\240\159\152\128" },
            { '"\\u00ff1234567890123456"', "\195\1911234567890123456" },
            { '"\195\1911234567890123456"', "\195\1911234567890123456" },
            { '"[1,2"', "[1,2" }, { '"\\\\u0000"', "\\u0000" },
            { '"// no comment"', "// no comment" },
            { '["12345678901234567",1234567890123456]', { "12345678901234567", 1234567890123456 } },
            -- numbers
            { "0", 0 }, { "-1", -1 }, { "12", 12 }, { "1.5", 1.5 }, { "-0.5", -0.5 },
            { "1e2", 100 }, { "1E2", 100 }, { "1e+2", 100 }, { "1E-2", 0.01 }, { "0e1", 0 },
            { "0.0", 0 }, { "1.25e2", 125 }, { "[0,-0,0.10]", { 0, 0, 0.1 } },
            { "1e00002", 100 }, { "123.456e-3", 0.123456 },
        }
        for _, case in ipairs(cases) do
            it(("%q"):format(case[1]), function()
                local value, message = emr.decode(case[1])
                assert.is_nil(message)
                assert.same(case[2], value)
            end)
        end

        it("a string of 1 MiB", function()
            local text = ("\230\181\139x"):rep(262144)
            assert.equal(text, emr.decode('"' .. text .. '"'))
        end)

        it("an array of 100 000 elements", function()
            local value = emr.decode("[" .. ("1.0,null,"):rep(50000) .. "7]")
            assert.equal(100001, #value)
            assert.same({ 1, NULL, 7 }, { value[99999], value[100000], value[100001] })
        end)
    end)

    describe("n: refuses", function()
        local groups = {
            ["F3: structures"] = {
                "", " ", "\n", "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]",
                "[1 2]", "[1]]", "[1}", "{]", "[][]", "[] {}", "{}}", '{"a"}', '{"a":}', '{"a":1',
                '{"a":1,}', '{,"a":1}', '{"a":1,,"b":2}', '{"a" 1}', '{"a"::1}', '{"a":1 "b":2}',
                "{1:1}", "{a:1}", "{true:1}", "{'a':1}", '{"a":1}#', '{"a":1};', "[1]x", "1 2",
                '"a" "b"', ",", ":", "*", "[*]", "<null>", "[<null>]", "()", "[1;2]", '{"a"=1}',
                '{"a":1,"b"}', "{[]:1}", "[\f]", "[\11]", "\194\160[]", "[\226\129\160]", "[]\0",
                "\0[]", "[\0]", "[1]\0CANARY",
            },
            ["F3: words"] = {
                "nul", "nulll", "NULL", "Null", "tru", "True", "TRUE", "fals", "falsee", "nil",
                "none", "undefined", "[nul]", "[tru", "[fals]", "truefalse", "true false", "t", "n",
                "f",
            },
            ["F4: numbers"] = {
                "NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf", "-inf", "[NaN]", "[Infinity]",
                "0x10", "0xA", "0x", "-0x1", "012", "00", "-012", "-01", "+1", "++1", "-", "--1",
                "- 1", "1.", "-2.", "2.e3", "1.e", ".5", "-.5", "-.123", "1e", "1E+", "1e-",
                "1e+-2", "1ee2", "1e2.5", "1.2.3", "1_000", "1,000", "1'000", "0b1", "0o7", "1f",
                "1L", "1a", "0.1a", "1 .5", "1e 2", "[1.]", "[-]", "[1e]", "[012]", "\239\188\145",
                "[1e999x]", "1..2", "0e", "0e+",
            },
            ["F4: numbers that are too large"] = {
                "1e999", "-1e999", "1e309", "[1e400]", '{"a":1e999}', '{"a":[{"b":-1e999}]}',
                ("9"):rep(400), "-" .. ("9"):rep(400), "[1," .. ("9"):rep(310) .. "]",
                ("9"):rep(400) .. ".5", "1" .. ("0"):rep(309),
            },
            ["F6: strings"] = {
                '"', '"a', "'a'", "a", "[a]", '["a]', '["a', '"\\"', '"\\', '"\\x41"', '"\\a"',
                '"\\0"', '"\\\'"', '"\\U0041"', '"\\u"', '"\\u1"', '"\\u12"', '"\\u123"', '"\\u123',
                '"\\u12G4"', '"\\u 123"', '"\\u-123"', '"\\u+123"', '"\\u0x12"', '"\\', '"\\u',
                "\"\\\0\"", '"a\nb"', '"a\tb"', '"a\rb"', '"a\0b"', '"\1"', '"\31"', '["\n"]',
                '{"a\nb":1}', '"a"b', '""""', "\226\128\156a\226\128\157", "`a`", '"\\\n"',
                '"\\\226\130\172"',
            },
            ["F6: half surrogate pairs"] = {
                '"\\ud800"', '"\\udfff"', '"\\ud83d"', '"\\ude00\\ud83d"', '"\\ud83dx"',
                '"\\ud83d\\n"', '"\\ud83d\\u0041"', '"\\ud83d\\ud83d"', '"\\ud83d\\ud83d\\ude00"',
                '"\\ud83d\\u"', '"\\ud83d\\u12"', '"\\ud83d\\', '{"\\ud800":1}',
            },
            ["F6: text that is not UTF-8"] = {
                '"\128"', '"\255"', '"\254"', '"\192\175"', '"\193\191"', '"\224\128\175"',
                '"\224\159\191"', '"\240\128\128\175"', '"\240\143\191\191"', '"\237\160\128"',
                '"\237\191\191"', '"\244\144\128\128"', '"\245\128\128\128"', '"\230\181"',
                '"\230"', '"\240\159\152"', '"\230\181x"', '"\195(', '{"\255":1}', "\255", "[\255]",
                '"\2551234567890123456"', '"\248\136\128\128\128"',
            },
            ["F6: byte order marks and other encodings"] = {
                "\239\187\191{}", "\239\187\191", "{}\239\187\191", "\239\187{}", "\254\255\0{\0}",
                "\255\254{\0}\0", "\0\0\0{\0\0\0}",
            },
            ["F3: comments"] = {
                "// x\n{}", "{} // x", "/* x */{}", "{}/* x */", "[1,/* x */2]", "{}#x", "# x\n{}",
                "-- x\n{}", "<!-- x -->{}",
            },
            ["F3: what services answer instead"] = {
                "<html></html>", '<?xml version="1.0"?>', "CANARY", "OK", "callback({})",
                ")]}',\n{}", "\31\139\8\0", "{}{}", "{}\n{}",
            },
            ["F5: too many levels"] = {
                nested(65, "[", "]"), nested(65, '{"a":', "}"), nested(65, "[", ""),
                nested(1001, "[", "]"), nested(1001, '{"a":', "}"), nested(33, '[{"a":', "}]"),
                "[1," .. nested(64, "[", "]") .. "]",
            },
        }
        for group, texts in pairs(groups) do
            it(group, function()
                for i, text in ipairs(texts) do
                    refused(text, ("%d, %q"):format(i, text:sub(1, 40)))
                end
            end)
        end

        it("F5: a million levels, in less than 50 ms", function()
            for _, open in ipairs { "[", '{"a":' } do
                local text = open:rep(1000000)
                local best = math.huge
                for _ = 1, 3 do
                    local before = emr.now()
                    refused(text)
                    best = math.min(best, emr.now() - before)
                end
                assert.is_true(best < 0.05, best)
            end
        end)
    end)

    it("F5: takes no stack for each level: a million are refused with 160 KiB of it", function()
        child.printed("ok\n", child.lua([[
            for _, open in ipairs { "[", '{"a":' } do
                call.failed("protocol", "json", emr.decode(open:rep(1000000)))
            end
            assert(emr.decode(("["):rep(64) .. ("]"):rep(64)))
            print "ok"
        ]], { under = ("sh -c 'ulimit -s %d; exec \"$@\"' sh"):format(
            checker.sanitizer and 2048 or 160) }))
    end)

    it("F5: accepts 64 levels", function()
        for _, kind in ipairs { { "[", "]" }, { '{"a":', "}" } } do
            local value = assert(emr.decode(nested(64, kind[1], kind[2])))
            local depth = 0
            while type(value) == "table" do
                depth, value = depth + 1, value[1] or value.a
            end
            assert.equal(64, depth)
        end
        assert(emr.decode(nested(32, '[{"a":', "}]")))
    end)

    describe("gives numbers as", function()
        local function subtype(expected, value)
            if math.type then
                assert.equal(expected, math.type(value))
            end
        end

        -- Texts, and how the integer prints, on every Lua up to 14 digits.
        local integers = {
            { "0", 0 }, { "1", 1 }, { "1.0", 1 }, { "1e3", 1000 }, { "-0", 0 }, { "-0.0", 0 },
            { "0.0", 0 }, { "-0e7", 0 }, { "100E-2", 1 }, { "1.5e1", 15 }, { "-7.000", -7 },
            { "1735689600000", 1735689600000 }, { "1735689600000.0", 1735689600000 },
            { "1.7356896e12", 1735689600000 }, { "99999999999999", 99999999999999 },
            { "999999999999999", 999999999999999 }, { "1234567890123456", 1234567890123456 },
            { "-1234567890123456", -1234567890123456 }, { "9007199254740991", 2 ^ 53 - 1 },
            { "9007199254740992", 2 ^ 53 }, { "-9007199254740992", -2 ^ 53 },
            { "9007199254740992.0", 2 ^ 53 }, { "9.007199254740992e15", 2 ^ 53 }, { "1e-999", 0 },
        }
        for _, case in ipairs(integers) do
            it("F7: " .. case[1] .. ": an integer, wherever it stands", function()
                for _, text in ipairs { "%s", "[%s]", '{"a":%s}', '[{"a":[1,%s]}]' } do
                    local value = emr.decode(text:format(case[1]))
                    while type(value) == "table" do
                        value = value[2] or value[1] or value.a
                    end
                    assert.equal(case[2], value)
                    subtype("integer", value)
                    assert.is_true(1 / value ~= -math.huge)
                    if math.abs(value) < 1e14 then
                        assert.equal(("%.0f"):format(case[2]), tostring(value))
                    end
                end
            end)
        end

        local floats = {
            { "9007199254740993", 2 ^ 53 }, { "-9007199254740993", -2 ^ 53 },
            { "9007199254740994", 2 ^ 53 + 2 }, { "9007199254740995", 2 ^ 53 + 4 },
            { "9223372036854775807", 2 ^ 63 },
            { "9223372036854775808", 2 ^ 63 }, { "18446744073709551616", 2 ^ 64 },
            { "123456789012345678901234567890", 1.2345678901234568e29 }, { "1e300", 1e300 },
            { "-1e16", -1e16 }, { "1e16", 1e16 }, { ("9"):rep(308), 1e308 },
            { "1.7976931348623157e308", 1.7976931348623157e308 },
            { "4.9406564584124654e-324", 2 ^ -1074 }, { "0.1", 0.1 }, { "-2.5", -2.5 },
            { "0." .. ("0"):rep(300) .. "1", 1e-301 }, { "1." .. ("1"):rep(1000), 10 / 9 },
        }
        for _, case in ipairs(floats) do
            it("F7: " .. case[1]:sub(1, 30) .. ": the nearest float", function()
                for _, text in ipairs { "%s", "[%s]", '{"a":%s}' } do
                    local value = emr.decode(text:format(case[1]))
                    value = type(value) == "table" and (value[1] or value.a) or value
                    assert.equal(case[2], value)
                    subtype("float", value)
                end
            end)
        end
    end)

    describe("finds numbers and nulls", function()
        local function subtypes(value)
            if type(value) == "table" then
                for _, item in pairs(value) do
                    subtypes(item)
                end
            elseif math.type and type(value) == "number" then
                assert.equal("integer", math.type(value))
            end
        end

        local cases = {
            -- in and out of what holds them
            { '{"a":{"b":{"c":1.0},"d":2.0},"e":3.0}', { a = { b = { c = 1 }, d = 2 }, e = 3 } },
            { '[[1.0,[2.0]],{"a":[[]],"b":[[3.0]]},4.0]',
                { { 1, { 2 } }, { a = { {} }, b = { { 3 } } }, 4 } },
            { '{"a":{"b":[]},"c":{"d":null,"e":[{"f":1.0,"g":null},{"f":2.0}]}}',
                { a = { b = {} }, c = { e = { { f = 1 }, { f = 2 } } } } },
            { '[null,[null,1.0],{"a":null},2.0]', { NULL, { NULL, 1 }, {}, 2 } },
            -- under names that are written with escapes
            { '{"a\\u0062":1.0,"\\u0063":null}', { ab = 1 } },
            { '{"\\"":{"\\\\":2.0},"\\n":[3.0]}', { ['"'] = { ["\\"] = 2 }, ["\n"] = { 3 } } },
            { '{"a\\u0000b":{"\\u0000":1.0}}', { ["a\0b"] = { ["\0"] = 1 } } },
            { '{"\\ud83d\\ude00":1.0}', { ["\240\159\152\128"] = 1 } },
            { '{"":{"":1.0},"1":2.0}', { [""] = { [""] = 1 }, ["1"] = 2 } },
            -- under a name that is there twice: the last counts
            { '{"a":1.0,"a":"x"}', { a = "x" } }, { '{"a":"x","a":1.0}', { a = 1 } },
            { '{"a":{"b":1.0},"a":2.0}', { a = 2 } },
            { '{"a":2.0,"a":{"b":1.0}}', { a = { b = 1 } } },
            { '{"a":{"b":{"c":1.0}},"a":{"b":2.0},"d":3.0}', { a = { b = 2 }, d = 3 } },
            { '{"a":[1.0,2.0],"a":{"b":3.0}}', { a = { b = 3 } } },
            { '{"a":{"b":3.0},"a":[1.0,null]}', { a = { 1, NULL } } },
            { '{"a":[3.0],"a":[null]}', { a = { NULL } } },
            { '{"a":{"b":null},"a":{"b":"x"},"a":{"b":1.0}}', { a = { b = 1 } } },
            { '{"a":1234567890123456,"a":"1"}', { a = "1" } },
        }
        for _, case in ipairs(cases) do
            it("F7, F8: " .. case[1], function()
                local value = emr.decode(case[1])
                assert.same(case[2], value)
                subtypes(value)
            end)
        end
    end)

    it("F8: gives null in arrays as the NULL that cjson and nginx know", function()
        assert.equal("userdata", type(emr.null))
        assert.equal(cjson.null, emr.decode("[null]")[1])
    end)

    -- Files y_ must be accepted, files n_ refused. For files i_ the suite leaves the choice; ours:
    -- no half surrogates, no broken UTF-8, nothing beyond a double.
    describe("F11: JSONTestSuite", function()
        local ACCEPTED = {}
        for _, name in ipairs { "double_huge_neg_exp", "real_underflow", "too_big_neg_int",
            "too_big_pos_int", "very_big_negative_int" } do
            ACCEPTED["i_number_" .. name .. ".json"] = true
        end

        for kind, count in pairs { y = 95, n = 188, i = 35 } do
            it(("F11: %d files %s_"):format(count, kind), function()
                local found = 0
                for name in lfs.dir(SUITE) do
                    if name:find("^" .. kind .. "_.*%.json$") then
                        found = found + 1
                        if kind == "y" or ACCEPTED[name] then
                            assert(emr.decode(read(SUITE .. name)) ~= nil, name)
                        else
                            refused(read(SUITE .. name), name)
                        end
                    end
                end
                assert.equal(count, found)
            end)
        end
    end)

    it("F4: is not touched by what the host sets on its lua-cjson", function()
        local settings = { decode_max_depth = 1, decode_invalid_numbers = true,
            decode_array_with_array_mt = true }
        local before = {}
        finally(function()
            for name, value in pairs(before) do
                cjson[name](value)
            end
        end)
        for name, value in pairs(settings) do
            if cjson[name] then
                before[name] = cjson[name]()
                cjson[name](value)
            end
        end
        local value = emr.decode("[[]]")
        assert.same({ {} }, value)
        assert.is_nil(getmetatable(value))
        assert.is_nil(getmetatable(value[1]))
        refused("NaN")
    end)

    it("raises on what is not text, and names it", function()
        for _, value in ipairs { 1, true, {}, print, io.stdout } do
            local ok, message = pcall(emr.decode, value)
            assert.is_false(ok)
            assert.truthy(message:find("string expected", 1, true), message)
        end
        assert.is_false(pcall(emr.decode))
    end)
end)
