-- Session clusters from a shell: a small command, and a program to begin a larger one with.
--
--     lua5.4 examples/emr-cli.lua list w-1
--     lua5.4 examples/emr-cli.lua wait w-1 s-1 --state Running --timeout 600
--     lua5.4 examples/emr-cli.lua --help
--
-- Needs argparse and dkjson (Debian: lua-argparse lua-dkjson). What the exit status means is at
-- the end of its --help, for scripts to rely on.

local argparse = require "argparse"
local dkjson = require "dkjson"
local emr = require "emr"

local NOTES = [[
A table for people leaves out what is nested; --output json is the API's reply.
Keys come from where the vendor's tools look for them, and so does the region.
EMR_ENDPOINT and EMR_CA_FILE lead to another server; `make emulator` has one.

Exit status:
    0   done
    1   something else went wrong
    2   wrong use: an argument, an option, or no region
    3   the time was over
    4   no usable key: none was found, or the API refuses it
    5   the state that is waited for cannot be reached any more
    6   the server was not reached, or is not to be trusted
    7   the API refused, failed, or replied what makes no sense
    8   there is no such session cluster or workspace
  130   ended by Ctrl-C]]

local WRONG_USE, NO_KEY, MISSING, INTERRUPTED = 2, 4, 8, 130
local STATUS = {  -- by kind of error
    timeout = 3, credentials = NO_KEY, state = 5, network = 6, tls = 6,
    throttled = 7, service = 7, protocol = 7,
}
local KEY_REFUSED = {
    "^InvalidAccessKeyId", "^InvalidSecurityToken", "^SignatureDoesNotMatch", "^Forbidden",
    "^NoPermission",
}

-- The code comes first: HTTP 404 is also said of a wrong key or a wrong address of the API.
local function status_of(err)
    local code = err.code or ""
    for _, pattern in ipairs(KEY_REFUSED) do
        if code:find(pattern) then
            return NO_KEY
        end
    end
    return err.status == 404 and not code:find "^Invalid" and MISSING or STATUS[err.kind] or 1
end

local function fail(status, message)
    io.stderr:write("emr-cli: ", message, "\n")
    os.exit(status)
end

local function on_one_cluster(parser, name, summary)
    local command = parser:command(name, summary)
    command:argument "workspace"
    command:argument "cluster"
    return command
end

local function command_line()
    local parser = argparse("emr-cli.lua", "Session clusters of EMR Serverless Spark.", NOTES)
    parser:command_target "command"
    parser:option("--region", "Region, such as cn-hangzhou.")
    parser:option("--output", "How to print the reply.", "table"):choices { "table", "json" }
    parser:flag("--show-token", "Print the connection token, which opens the session.")
    parser:command("list", "All session clusters of a workspace."):argument "workspace"
    on_one_cluster(parser, "get", "What the API says of a session cluster.")
    on_one_cluster(parser, "start", "Start one that is stopped. Does not wait.")
    on_one_cluster(parser, "stop", "Stop one that runs. Does not wait.")
    local wait = on_one_cluster(parser, "wait", "Wait until it is in a state.")
    wait:option("--state", "The state.", "Running")
    wait:option("--timeout", "Seconds.", "600"):convert(tonumber)
    function parser:error(message)  -- self is the command that was meant
        fail(WRONG_USE, message .. "\n" .. self:get_usage())
    end
    return parser
end

local function is_terminal(descriptor)
    local answer = os.execute("test -t " .. descriptor)
    return answer == true or answer == 0
end

local function draw(poll)
    io.stderr:write(("\r%5.0f s  %-40s"):format(poll.elapsed, poll.state or poll.kind or ""),
        poll.next_delay and "" or "\n")
end

local commands = {}

function commands.list(client, args)
    local clusters = {}
    local request = { workspaceId = args.workspace, maxResults = 100 }
    for cluster, message, err in client:items("ListSessionClusters", request) do
        if not cluster then
            return nil, message, err
        end
        clusters[#clusters + 1] = cluster
    end
    return { sessionClusters = clusters }
end

function commands.wait(client, args, id)
    return client:wait_session_cluster(id, {
        state = args.state, timeout = args.timeout, on_poll = is_terminal(2) and draw or nil,
    })
end

function commands.get(client, _, id)
    return client:get_session_cluster(id)
end

function commands.start(client, _, id)
    return client:start_session_cluster(id)
end

function commands.stop(client, _, id)
    return client:stop_session_cluster(id)
end

local function hide_tokens(reply)
    for _, cluster in ipairs(reply.sessionClusters or { reply.sessionCluster }) do
        cluster.connectionToken = cluster.connectionToken and "(--show-token shows it)"
    end
end

-- The names of a reply's members in the order of the API's reference.
local function add_names(fields, names)
    for _, field in ipairs(fields) do
        if not names[field.name] then
            names[field.name] = true
            names[#names + 1] = field.name
        end
        add_names(field.fields or {}, names)
    end
    return names
end

local NAMES = add_names(emr.operations.GetSessionCluster.response, {})

local function print_json(reply)
    print(dkjson.encode(reply, { indent = true, keyorder = NAMES, exception = function(_, value)
        return value == emr.null and "null" or nil
    end }))
end

-- What others have named must not steer the terminal.
local function print_row(format, ...)
    print((format:format(...):gsub("%c", "?")))
end

local function print_table(reply)
    for _, cluster in ipairs(reply.sessionClusters or {}) do
        print_row("%-24s %-12s %s", cluster.sessionClusterId, cluster.state, cluster.name or "")
    end
    local members = reply.sessionCluster or reply
    for _, name in ipairs(NAMES) do
        if members[name] ~= nil and type(members[name]) ~= "table" then
            print_row("%-24s %s", name, tostring(members[name]))
        end
    end
end

local function run(args)
    local client = emr.client.new {
        region = args.region,
        endpoint = os.getenv "EMR_ENDPOINT",
        ca_file = os.getenv "EMR_CA_FILE",
        on_warning = function(message) io.stderr:write("warning: ", message, "\n") end,
    }
    return commands[args.command](client, args, {
        workspaceId = args.workspace,
        sessionClusterId = args.cluster,
    })
end

local args = command_line():parse()
local ok, reply, message, err = pcall(run, args)
if not ok then  -- raised: a wrong use, or Ctrl-C as the interpreter tells it
    local why = tostring(reply):gsub("^%S+:%d+: ", "")
    local interrupted = why == "interrupted!"
    io.stderr:write(interrupted and is_terminal(2) and "\n" or "")  -- below the progress line
    fail(interrupted and INTERRUPTED or WRONG_USE, why)
elseif not reply then
    fail(status_of(err), message)
end
if not args.show_token then
    hide_tokens(reply)
end
local print_reply = args.output == "json" and print_json or print_table
print_reply(reply)
