---@meta emr
-- luacheck: ignore
-- What `require "emr"` gives, for editors that speak LuaCATS (lua-language-server and others): the
-- functions that are written in C, their tables, and the modules behind them. No program loads
-- this file. What an operation takes and returns is in types/operations.lua.
--
-- Everything here works under Lua 5.1 to 5.4 and LuaJIT, and unless it says otherwise in every
-- phase of nginx. A caller's mistake (a wrong type, an unknown name, a value out of range) raises
-- and names the argument; everything else comes back as `nil, message, err`, see `emr.Error`. The
-- types of the last two leave out that they are nil after success, so that editors do not ask for
-- a check of what is known to be there.

---@class emr
---@field null lightuserdata      a JSON null inside an array; the same value as cjson.null
---@field _VERSION string
---@field _NAME string            "emr"
---@field client emr.client
---@field credentials emr.credentials
---@field retry emr.retry
---@field waiter emr.waiter
---@field paginate emr.paginate
---@field await emr.await
---@field operations emr.Operations   the catalogue: each operation's descriptor by its name
local emr = {}

---@class emr.Options                what a native call and a client take
---@field region? string             "cn-hangzhou"; else `request.regionId`
---@field endpoint? string           host, host:port or URL in place of the region's own; a trailing
---  dot of the host is dropped
---@field network? "public"|"vpc"    which of the region's endpoints; "public"
---@field access_key_id? string      with its secret; a call without any key takes that of the three
---  ALIBABA_CLOUD_* variables
---@field access_key_secret? string
---@field security_token? string     of a temporary key
---@field connect_timeout? number    seconds, 0.001 to 3600; 5
---@field timeout? number            seconds for one attempt, name lookup included; 10
---@field ca_file? string            PEM file of trusted CAs; default the system's. The server's
---  certificate is always verified
---@field ca_path? string            a directory of them
---@field client_cert? string        PEM file, where the server wants a certificate of ours
---@field client_key? string         its key, if not in the same file
---@field proxy? string              URL of a proxy; the environment's are not looked at
---@field no_proxy? string           hosts that are reached without it, with commas
---@field user_agent? string         appended to ours; at most 256 bytes
---@field headers? table<string, string>   more headers; `x-acs-*` ones are signed, those that emr
---  sets itself are refused
---@field max_response_bytes? integer   1 to 2^30; 1 MiB
---@field clock_offset? number       seconds added to the wall clock when signing; 0
---@field allow_http? boolean        plain http to other hosts than this one; false
---@field blocking? boolean          inside nginx: block the worker; false

---@class emr.HttpRequest
---@field method? string             "GET"
---@field url string                 http:// or https://
---@field headers? table<string, string>
---@field body? string

---@class emr.HttpReply
---@field status integer
---@field headers table<string, string>   names in lower case; a repeated one joined with ", "
---@field body string

---@class emr.Signable               a request, exactly as it is signed
---@field method? string             default ""
---@field path? string               as sent, so already encoded; empty means "/"
---@field query? table<string, string>     raw values
---@field headers? table<string, string>   `host`, `content-type` and `x-acs-*` count
---@field body? string
---@field hashed_payload? string     in place of the hash of `body`, hex

---@class emr.Signature
---@field authorization string       the header's value
---@field signature string           hex
---@field signed_headers string      "host;x-acs-action;..."
---@field canonical_request string
---@field string_to_sign string

---@class emr.TransferInfo           while it runs: zeros
---@field status? integer            the HTTP status
---@field request_id? string
---@field server_time? number        of its `Date` header, in seconds since 1970
---@field verified boolean           over TLS, with a certificate that was verified
---@field reused boolean             answered on a kept connection
---@field lookup number              seconds from the start until the name was resolved,
---@field connect number             the connection stood,
---@field tls number                 TLS stood,
---@field first_byte number          the first byte came,
---@field total number               all was there

---@class emr.Transfer               an attempt in flight
local Transfer = {}

--- One signed attempt at GetSessionCluster. Blocks until the reply is there; tries once.
-- Inside nginx it returns kind `unsupported`, code `blocking`, unless `options.blocking`: use
-- `emr.client` there.
---@param request emr.GetSessionCluster.Request
---@param options? emr.Options
---@return emr.GetSessionCluster.Response? response   shaped like the JSON: whole numbers up to 2^53
---  are integers, null members are absent, unknown ones are kept
---@return string message
---@return emr.Error err   any kind but `state`
function emr.get_session_cluster(request, options) end

--- The same for any operation, one of `emr.operations` or a descriptor of your own.
---@param operation emr.Operation
---@param request table      the API's own names
---@param options? emr.Options
---@return table? response
---@return string message
---@return emr.Error err
function emr.call(operation, request, options) end

--- The signed HTTP request of a call, for another HTTP client to send; no I/O. It is good for one
-- sending within 15 minutes. The header `host` is among the headers.
---@param operation emr.Operation
---@param request table
---@param options? emr.Options
---@return emr.HttpRequest? http_request
---@return string message
---@return emr.Error err   kinds `credentials`, `memory`
function emr.prepare(operation, request, options) end

--- What `call` would return for this HTTP reply; no I/O.
---@param operation emr.Operation
---@param reply {status: integer, headers: table<string, string>?, body: string?}   header names in
---  any letter case
---@return table? response
---@return string message
---@return emr.Error err   kinds `service`, `throttled`, `protocol`
function emr.parse(operation, reply) end

--- ACS3-HMAC-SHA256 alone: signs exactly what it is given and adds nothing; no I/O.
---@param http_request emr.Signable
---@param credentials {access_key_id: string, access_key_secret: string}
---@return emr.Signature? signature
---@return string message
---@return emr.Error err   kind `memory`
function emr.sign(http_request, credentials) end

--- Begins an attempt and returns at once. What goes wrong comes out of `transfer:result()`.
-- Works in every phase of nginx, but nothing moves there by itself: `emr.client` does that.
---@param operation emr.Operation|emr.HttpRequest   or a ready-made HTTP request, then its options
---@param request? table|emr.Options
---@param options? emr.Options
---@return emr.Transfer transfer
---@overload fun(http_request: emr.HttpRequest, options?: emr.Options): emr.Transfer
function emr.start(operation, request, options) end

--- Moves every transfer of this Lua state. Without seconds it takes what is ready, for about 1 ms
-- at most; with them it returns when a transfer has ended or they have passed, also when nothing
-- is in flight. Inside nginx, seconds above 0 need `blocking`.
---@param seconds? number   0 to 604800; 0
---@param options? {blocking: boolean?}
---@return integer? in_flight
---@return string message
---@return emr.Error err   kinds `unsupported`, `memory`, `cancelled` (Ctrl-C)
function emr.step(seconds, options) end

--- A transfer that has ended and was not handed out yet, in the order of their ends.
---@return emr.Transfer? transfer   nil: none
function emr.finished() end

--- A ready-made HTTP request through the same engine and limits. Blocks, as `call` does.
---@param http_request emr.HttpRequest
---@param options? emr.Options       those that concern keys and region are of no use
---@return emr.HttpReply? reply      whatever its status
---@return string message
---@return emr.Error err   kinds `network`, `timeout`, `tls`, `protocol`, `unsupported`, `memory`
function emr.fetch(http_request, options) end

--- What is known of the last call that blocked here, `get_session_cluster`, `call` or `fetch`.
---@return emr.TransferInfo   zeros if there was none
function emr.info() end

--- One descriptor for all transfers: it is readable when `emr.step(0)` has something to do.
---@return integer? descriptor
---@return string message
---@return emr.Error err   kind `unsupported`, code `platform`: no epoll; or `memory`
function emr.pollfd() end

--- What to wait for on that descriptor, as cqueues asks it.
---@return "r"
function emr.events() end

--- The seconds after which `emr.step(0)` has something to do even if nothing is readable.
---@return number? seconds   nil: nothing is in flight
function emr.timeout() end

--- The strict JSON decoder behind `parse`: no comments, no NaN, nesting up to 64 levels.
---@param text string
---@return any value         null is `nil` in an object, `emr.null` elsewhere
---@return string message
---@return emr.Error err    kind `protocol`, code `json`
function emr.decode(text) end

--- Seconds on a clock that nobody sets.
---@return number seconds
function emr.now() end

--- A number from the system's random source.
---@return number   from [0, 1)
function emr.random() end

--- A whole regular file. Never blocks on a pipe or a device.
---@param path string
---@param max? integer       bytes, up to 2^30; 1 MiB
---@return string? text
---@return integer|string mode   its permission bits, or the message
---@return emr.Error err    kind `credentials`, code `unreadable`
function emr.read_file(path, max) end

--- Runs a program without a shell, its standard input empty; at the limit it is killed, with all
-- that it has started. Never inside nginx.
---@param argv string[]      1 to 256 words
---@param options? {timeout: number?, max_output: integer?}   seconds, 60; bytes of each
---  stream, 64 KiB
---@return integer? status   128 + n for signal n
---@return string stdout     or the message
---@return string|emr.Error stderr   or the error: kinds `credentials` (code `unavailable`),
---  `unsupported`
function emr.run(argv, options) end

--- Nothing while it runs, then what `call` or `fetch` returns; the same each time. After `cancel`:
-- kind `cancelled`.
---@return any result
---@return string message
---@return emr.Error err
function Transfer:result() end

--- What is known of it; whole once it has ended.
---@return emr.TransferInfo
function Transfer:info() end

--- Gives everything back. Safe at any time, and twice; collecting the transfer does the same.
function Transfer:cancel() end

return emr
