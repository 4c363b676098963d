--- What watches over this process, if anything: it changes what memory, time and children are like.
return {
    valgrind = (os.getenv("LD_PRELOAD") or ""):find("vgpreload", 1, true) ~= nil,
    coverage = os.getenv("EMR_NGINX_BUILD") ~= nil,  -- `make coverage` has builds of its own
    sanitizer = os.getenv("LUA_BIN") ~= nil,  -- `make asan` has an interpreter of its own
}
