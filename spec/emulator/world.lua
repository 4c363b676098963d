-- luacheck: std ngx_lua
-- What a spec can set: the clock of this cloud. Every date and every expiry is reckoned by it.

local M = { skew = 0 }


function M.now()
    return ngx.time() + M.skew
end


function M.iso(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end


function M.reset()
    M.skew = 0
end


return M
