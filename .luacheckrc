std = "max"
max_line_length = 100
include_files = { "**/*.lua", "*.rockspec", ".busted", ".luacheckrc" }
exclude_files = { "build" }

files["spec/**/*_spec.lua"] = { std = "max+busted" }
files["spec/emulator"] = { std = "ngx_lua" }
files["*.rockspec"] = { std = "max+rockspec" }
