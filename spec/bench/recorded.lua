-- Instructions a call as a ratio to the base row's. Recorded on
-- AMD EPYC, 2 cores, Linux 6.18.44-fc-v595, curl 7.88.1, OpenSSL 3.0.22, 2026-11-22.
-- `lua5.4 spec/bench/run.lua record` writes this, `make bench-check` compares.
return {
    call = 1.911,
    client = 2.164,
    parse = 1.416,
}
