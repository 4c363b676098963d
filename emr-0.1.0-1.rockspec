rockspec_format = "3.0"
package = "emr"
version = "0.1.0-1"
source = {
    url = "file://emr-0.1.0.tar.gz",
}
description = {
    summary = "Client for Alibaba Cloud EMR Serverless Spark",
    detailed = [[
        Signed calls over one shared libcurl engine, with retries, credentials and waiters,
        blocking in a plain script and without blocking in an event loop.]],
    license = "MIT",
}
supported_platforms = { "linux" }
dependencies = {
    "lua >= 5.1, < 5.5",
    "lua-cjson >= 2.1.0",
}
external_dependencies = {
    CURL = { library = "curl" },
    CRYPTO = { library = "crypto" },
    SSL = { library = "ssl" },
}
build = {
    type = "builtin",
    modules = {
        emr = {
            sources = {
                "src/acs3.c",
                "src/body.c",
                "src/buffer.c",
                "src/core.c",
                "src/decode.c",
                "src/easy.c",
                "src/emr.c",
                "src/endpoint.c",
                "src/engine.c",
                "src/failure.c",
                "src/fill.c",
                "src/host.c",
                "src/http.c",
                "src/json.c",
                "src/operation.c",
                "src/options.c",
                "src/outcome.c",
                "src/poller.c",
                "src/pure.c",
                "src/request.c",
                "src/response.c",
                "src/scratch.c",
                "src/sockets.c",
                "src/system.c",
                "src/transfer.c",
            },
            libraries = { "curl", "ssl", "crypto" },
            incdirs = { "$(CURL_INCDIR)", "$(CRYPTO_INCDIR)", "$(SSL_INCDIR)" },
            libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)", "$(SSL_LIBDIR)" },
        },
        ["emr.await"] = "lua/emr/await.lua",
        ["emr.await.cqueues"] = "lua/emr/await/cqueues.lua",
        ["emr.await.luv"] = "lua/emr/await/luv.lua",
        ["emr.await.nginx"] = "lua/emr/await/nginx.lua",
        ["emr.call"] = "lua/emr/call.lua",
        ["emr.client"] = "lua/emr/client.lua",
        ["emr.credentials"] = "lua/emr/credentials.lua",
        ["emr.credentials.cache"] = "lua/emr/credentials/cache.lua",
        ["emr.credentials.chain"] = "lua/emr/credentials/chain.lua",
        ["emr.credentials.environment"] = "lua/emr/credentials/environment.lua",
        ["emr.credentials.expiry"] = "lua/emr/credentials/expiry.lua",
        ["emr.credentials.files"] = "lua/emr/credentials/files.lua",
        ["emr.credentials.http"] = "lua/emr/credentials/http.lua",
        ["emr.credentials.ini"] = "lua/emr/credentials/ini.lua",
        ["emr.credentials.keys"] = "lua/emr/credentials/keys.lua",
        ["emr.credentials.login"] = "lua/emr/credentials/login.lua",
        ["emr.credentials.metadata"] = "lua/emr/credentials/metadata.lua",
        ["emr.credentials.process"] = "lua/emr/credentials/process.lua",
        ["emr.credentials.profile"] = "lua/emr/credentials/profile.lua",
        ["emr.credentials.sts"] = "lua/emr/credentials/sts.lua",
        ["emr.credentials.text"] = "lua/emr/credentials/text.lua",
        ["emr.credentials.uri"] = "lua/emr/credentials/uri.lua",
        ["emr.credentials.world"] = "lua/emr/credentials/world.lua",
        ["emr.exchange"] = "lua/emr/exchange.lua",
        ["emr.failure"] = "lua/emr/failure.lua",
        ["emr.operations"] = "lua/emr/operations.lua",
        ["emr.options"] = "lua/emr/options.lua",
        ["emr.paginate"] = "lua/emr/paginate.lua",
        ["emr.path"] = "lua/emr/path.lua",
        ["emr.proxies"] = "lua/emr/proxies.lua",
        ["emr.retry"] = "lua/emr/retry.lua",
        ["emr.settings"] = "lua/emr/settings.lua",
        ["emr.skew"] = "lua/emr/skew.lua",
        ["emr.waiter"] = "lua/emr/waiter.lua",
    },
}
