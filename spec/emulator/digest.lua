-- luacheck: std ngx_lua
-- SHA-256 and HMAC in lower-case hex, by way of the libcrypto that nginx carries.

local ffi = require "ffi"

ffi.cdef [[
    typedef struct evp_md_st EVP_MD;
    const EVP_MD *EVP_sha256(void);
    unsigned char *SHA256(const unsigned char *data, size_t length, unsigned char *digest);
    unsigned char *HMAC(const EVP_MD *type, const void *key, int key_length,
                        const unsigned char *data, size_t length,
                        unsigned char *digest, unsigned int *digest_length);
]]

local SIZE = 32

local M = {}


local function hex(bytes)
    return (bytes:gsub(".", function(c)
        return ("%02x"):format(c:byte())
    end))
end


function M.sha256(data)
    local out = ffi.new("unsigned char[?]", SIZE)
    ffi.C.SHA256(data, #data, out)
    return hex(ffi.string(out, SIZE))
end


function M.hmac_sha256(key, data)
    local out = ffi.new("unsigned char[?]", SIZE)
    local length = ffi.new("unsigned int[1]")
    ffi.C.HMAC(ffi.C.EVP_sha256(), key, #key, data, #data, out, length)
    return hex(ffi.string(out, length[0]))
end


return M
