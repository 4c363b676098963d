-- Instructions a call as a ratio to the base row's, which `make bench-check` compares with.
-- Written by `make bench-record` on
-- AMD EPYC, 2 cores, Linux 6.18.44-fc-v595;
-- libcurl 7.88.1, OpenSSL 3.0.22, Lua 5.4.4, nginx 1.22.1;
-- 2026-11-23.
return {
    call = 1.695,
    flight32 = 1.703,
    client = 1.839,
    parse = 1.278,
}
