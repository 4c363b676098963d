# emr: `make help` lists what there is. From outside come LUA, CC, CFLAGS, LIBFLAG, LUA_INCDIR,
# PREFIX, LIBDIR, LUADIR and DESTDIR; pkg-config tells the rest.
LUA = 5.4
LUAS = 5.1 luajit 5.2 5.3 5.4
BUILD = build/$(LUA)
LIBFLAG = -shared
PREFIX = /usr/local
LUA_ABI = $(LUA:luajit=5.1)
LIBDIR = $(PREFIX)/lib/lua/$(LUA_ABI)
LUADIR = $(PREFIX)/share/lua/$(LUA_ABI)
INSTALL = install
PKG_CONFIG = pkg-config

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef
LUA_CFLAGS = $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell \
  LUA=$(LUA); . tools/env.sh; $(PKG_CONFIG) --cflags "$$(lua_package)"))
ALL_CFLAGS = -std=gnu99 -O2 -fPIC -fvisibility=hidden $(WARNINGS) $(LUA_CFLAGS) \
  $(shell $(PKG_CONFIG) --cflags libcurl libssl libcrypto) $(CPPFLAGS) $(CFLAGS)
LIBS = $(shell $(PKG_CONFIG) --libs libcurl libssl libcrypto)

MODULE = $(BUILD)/emr.so
OBJECTS = $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/*.c))
LUA_FILES = $(patsubst lua/%,%,$(shell find lua -name '*.lua'))

# Those of LUAS that are on this machine, and how a recipe runs something in this tree.
FOUND_LUAS = $(shell for LUA in $(LUAS); do \
  (. tools/env.sh; lua_package && lua_program) >/dev/null && echo $$LUA; done)
IN_TREE = . tools/env.sh; use_this_tree;
RUN_SPECS = $(IN_TREE) tools/no-secrets $(RUN) "$$(lua_program)" tools/busted.lua $(SPEC)

export LUA BUILD CC LUA_INCDIR

all: $(MODULE) ## build build/$(LUA)/emr.so; LUA=5.1, 5.2, 5.3 or luajit choose another Lua

$(MODULE): $(OBJECTS) $(MORE_OBJECTS)
	$(CC) $(LIBFLAG) $(LDFLAGS) -o $@ $^ $(LIBS)
	@$(PKG_CONFIG) --atleast-version=7.87 libcurl || \
	  echo "note: libcurl older than 7.87: a timeout does not end a name lookup that hangs"

$(BUILD)/%.o: src/%.c Makefile | packages
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(BUILD)/*.d)

packages:
	@tools/install-packages --check build

demo: ## install what is missing, build, and wait for a session cluster of an emulated cloud
	@tools/install-packages build demo
	@$(MAKE) --no-print-directory all
	@tools/demo

demo-nginx: ## the same with the gateway of examples/nginx: refused, let through, served while the API is down
	@tools/install-packages build demo
	@$(MAKE) --no-print-directory module-for-nginx
	@tools/demo-nginx

# nginx has LuaJIT, whatever LUA is.
module-for-nginx:
	@LUA=luajit LUA_INCDIR= tools/install-packages build
	@$(MAKE) --no-print-directory LUA=luajit LUA_INCDIR= BUILD=build/luajit all

emulator: ## the emulated cloud to try scripts against, until Ctrl-C
	@tools/install-packages build demo
	@$(MAKE) --no-print-directory all
	@$(IN_TREE) exec spec/emulator/run foreground build/emulator

test: ## install what is missing, build, and run the specs (SPEC=spec/sign_spec.lua: only that one)
	@tools/install-packages build demo test
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory module-for-nginx
	@$(RUN_SPECS)

# The specs inside nginx do not depend on LUA: one round is enough.
test-all: ## the specs under every Lua that is on this machine
	@failed=; for lua in $(FOUND_LUAS); do \
	  echo "== Lua $$lua"; $(MAKE) --no-print-directory LUA=$$lua test || failed="$$failed $$lua"; \
	  export EMR_SKIP_NGINX=1; done; \
	echo "tested: $(FOUND_LUAS); not on this machine: $(or $(filter-out $(FOUND_LUAS),$(LUAS)),none)"; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

reference: ## REFERENCE.md and lua/emr/types/operations.lua, from the annotations and the catalogue
	@$(IN_TREE) "$$(lua_program)" tools/reference.lua

fault-table: test ## the specs, then the table of the fault catalogue in the README from what they recorded
	@$(IN_TREE) "$$(lua_program)" tools/fault-table.lua $(BUILD)/rows

lint: ## luacheck, cppcheck, clang-tidy, and gcc and clang with -Werror for every Lua on this machine
	@tools/install-packages build lint
	luacheck --quiet .
	cppcheck --quiet --std=c99 --enable=warning,performance,portability --inline-suppr \
	  --suppress=missingIncludeSystem --error-exitcode=1 src tools spec/bench
	@# file by file: over several, clang-tidy 14 takes a va_list that was begun for one that was not
	@for file in src/*.c tools/*.c spec/bench/*.c; do \
	  clang-tidy --quiet $$file -- $(ALL_CFLAGS) -DWITH_LUA 2>/dev/null || exit 1; done
	@for lua in $(FOUND_LUAS); do for cc in gcc clang; do \
	  $(MAKE) -s --no-print-directory LUA=$$lua CC=$$cc CFLAGS=-Werror BUILD=build/lint/$$cc-$$lua all || exit 1; \
	done; done
	@for cc in gcc clang; do \
	  $(MAKE) -s --no-print-directory CC=$$cc CFLAGS=-Werror BENCH_BUILD=build/lint/$$cc-bench bench-programs || exit 1; \
	done

musl: ## builds against musl, the C library of Alpine, and looks whether all that it needs is there
	@tools/install-packages build musl
	@tools/check-musl

SANITIZE = -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
asan: BUILD := build/asan-$(LUA)
asan: ## the specs with clang's sanitizers for addresses, leaks and undefined behaviour
	@tools/install-packages build demo test asan
	@$(MAKE) --no-print-directory BUILD=$(BUILD) CC=clang CFLAGS='$(SANITIZE)' LDFLAGS='$(SANITIZE)' \
	  all $(BUILD)/lua
	@export LUA_BIN=$(BUILD)/lua EMR_SKIP_NGINX=1; $(RUN_SPECS)

# An interpreter of our own: the sanitizers have to be in the program that loads the module.
$(BUILD)/lua: tools/lua.c Makefile
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Wl,-E -o $@ $< $(shell \
	  LUA=$(LUA); . tools/env.sh; $(PKG_CONFIG) --libs "$$(lua_package)")

# libFuzzer's own main drives spec/fuzz/main.c, with src/ linked in.
FUZZ_FLAGS = -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
  -fno-sanitize-recover=undefined
fuzz: SECONDS = 60
fuzz: export SEED = 0
fuzz: ## libFuzzer with the sanitizers; SECONDS=60 for each target, TARGET=decode: only that one, SEED=1: less by chance (spec/fuzz)
	@LUA=5.4 LUA_INCDIR= tools/install-packages build demo test fuzz
	@$(MAKE) --no-print-directory LUA=5.4 LUA_INCDIR= BUILD=build/fuzz CC=clang CFLAGS='$(FUZZ_FLAGS)' build/fuzz/fuzz
	@LUA=5.4; $(IN_TREE) spec/fuzz/run $(SECONDS) $(TARGET)

build/fuzz/fuzz: $(OBJECTS) spec/fuzz/main.c
	$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -Wl,-E -o $@ $^ $(LIBS) $(shell \
	  LUA=$(LUA); . tools/env.sh; $(PKG_CONFIG) --libs "$$(lua_package)")

soak: SECONDS = 1800
soak: CALLS = 1000000
soak: ## mixed calls, good and bad, until SECONDS=1800 or CALLS=1000000: memory and descriptors stay flat
	@tools/install-packages build demo test
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory module-for-nginx
	@$(IN_TREE) "$$(lua_program)" spec/soak/run.lua $(SECONDS) $(CALLS)

# spec/coverage/hook.c counts the lines of lua/ in whatever loads the module, gcov those of src/: atomically, since
# specs have threads.
COVERAGE = build/coverage
coverage: ## which lines of src/ and lua/ the specs run, nginx and child processes included
	@tools/install-packages build demo test coverage
	@rm -rf $(COVERAGE)
	@for lua in 5.4 luajit; do $(MAKE) -s --no-print-directory LUA=$$lua LUA_INCDIR= BUILD=$(COVERAGE)/$$lua CC=gcc \
	  CFLAGS='--coverage -fprofile-update=atomic -O0 -DCOVERAGE_DIR="\"$(CURDIR)/$(COVERAGE)\""' CPPFLAGS=-Dluaopen_emr=open_emr LDFLAGS=--coverage \
	  MORE_OBJECTS=$(COVERAGE)/$$lua/hook.o all || exit 1; done
	@LUA=5.4; BUILD=$(COVERAGE)/5.4; export EMR_NGINX_BUILD=$(COVERAGE)/luajit; $(RUN_SPECS)
	@gcovr --root . --filter src/ --exclude-unreachable-branches $(COVERAGE) --fail-under-line 95
	@lua5.4 spec/coverage/report.lua $(COVERAGE)

$(COVERAGE)/%/hook.o: spec/coverage/hook.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fno-profile-arcs -fno-test-coverage -c -o $@ $<

# Two builds: busted runs with the plain one; the hosts that it starts, and the module in them, are the other.
# Nobody else's code is instrumented: tools/tsan.supp names the libraries.
TSAN = -g -O1 -fsanitize=thread
tsan: SPEC = spec/threads_spec.lua
tsan: ## two Lua states on two threads, and 1 000 fresh ones, with clang's sanitizer for data races
	@tools/install-packages build demo test tsan
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory BUILD=build/tsan-$(LUA) CC=clang CFLAGS='$(TSAN)' LDFLAGS='$(TSAN)' all
	@export HOST_BUILD=build/tsan-$(LUA) HOST_CC='clang $(TSAN)' EMR_THREAD_CALLS=1000 \
	  TSAN_OPTIONS="suppressions=$$PWD/tools/tsan.supp"; $(RUN_SPECS)

valgrind: RUN = valgrind -q --keep-debuginfo=yes --error-exitcode=99 --leak-check=full \
  --show-leak-kinds=definite --errors-for-leak-kinds=definite
valgrind: ## the specs under valgrind (slow)
	@tools/install-packages build demo test valgrind
	@$(MAKE) --no-print-directory all
	@export EMR_SKIP_NGINX=1; $(RUN_SPECS)

# Lua 5.4 and LuaJIT, whatever LUA says. The C programs show what the libraries cost without a module.
bench: ## CPU, latency, memory and instructions a call, beside C and what one would write by hand
bench-nginx: ## event loops: what nginx's other requests feel, many calls, 1 000 waits
bench-growth: ## against calls in flight and the size of replies
bench-check: ## instructions a call must not rise more than 5 % over what is recorded
bench-record: ## writes what bench-check compares with
bench-readme: ## what the first three have printed last goes into README.md
bench bench-nginx bench-growth bench-check bench-record bench-readme:
	@LUA=5.4 LUA_INCDIR= tools/install-packages build demo test bench
	@LUA=luajit LUA_INCDIR= tools/install-packages demo
	@$(MAKE) --no-print-directory LUA=5.4 LUA_INCDIR= BUILD=build/5.4 all bench-programs
	@$(MAKE) --no-print-directory module-for-nginx
	@ulimit -n $$(ulimit -Hn); LUA=5.4; $(IN_TREE) BENCH_LUA=$$(lua_program) && export BENCH_LUA && \
	  $$BENCH_LUA spec/bench/run.lua $@

BENCH_BUILD = build/bench
bench-programs: $(addprefix $(BENCH_BUILD)/,floor decode spawn)
$(BENCH_BUILD)/decode: CPPFLAGS += -DWITH_LUA
$(BENCH_BUILD)/decode: BENCH_LIBS = $(shell LUA=$(LUA); . tools/env.sh; $(PKG_CONFIG) --libs "$$(lua_package)")
$(BENCH_BUILD)/floor $(BENCH_BUILD)/decode: spec/bench/client.c
$(BENCH_BUILD)/spawn: spec/bench/spawn.c
$(BENCH_BUILD)/%: Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) $(LIBS) $(BENCH_LIBS)

install: all ## into DESTDIR, LIBDIR and LUADIR (PREFIX=/usr/local)
	$(INSTALL) -D -m 755 $(MODULE) $(DESTDIR)$(LIBDIR)/emr.so
	for file in $(LUA_FILES); do \
	  $(INSTALL) -D -m 644 lua/$$file $(DESTDIR)$(LUADIR)/$$file || exit 1; done

uninstall: ## what install put there
	rm -f $(DESTDIR)$(LIBDIR)/emr.so
	rm -rf $(DESTDIR)$(LUADIR)/emr

clean: ## remove build/, and what luarocks make leaves
	rm -rf build emr.so src/*.o

help: ## this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

.PHONY: all packages reference demo demo-nginx module-for-nginx emulator test test-all fault-table lint musl asan tsan fuzz valgrind \
  bench bench-nginx bench-growth bench-check bench-record bench-readme bench-programs install uninstall clean help
