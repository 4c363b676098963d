/*
** libFuzzer around a target that is a Lua function of the input, spec/fuzz/targets/NAME.lua: it
** raises when what src/ or lua/ makes of the input is wrong. libFuzzer sees which branches of src/
** an input reaches, and, through a counter for each line, which lines of lua/.
*/
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

#define COUNTERS 16384

/* Those of this section count beside libFuzzer's own. */
__attribute__((section("__libfuzzer_extra_counters")))
static uint8_t counters[COUNTERS];

static lua_State *L;
static int target;  /* registry reference */

int luaopen_emr (lua_State *state);
int LLVMFuzzerInitialize (int *argc, char ***argv);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);


/* Where the lines of a file of lua/ count; 0: it is another file. */
static uint32_t placeof (const char *source) {
  uint32_t h = 2166136261u;
  if (strstr(source, "/lua/emr/") == NULL)
    return 0;
  for (; *source != '\0'; source++)
    h = (h ^ (uint8_t)*source) * 16777619u;
  return h | 1;
}


/* A line was reached. Lines that follow each other are mostly of one file. */
static void count (lua_State *state, lua_Debug *at) {
  static const char *last;
  static uint32_t place;
  lua_getinfo(state, "S", at);
  if (at->source != last) {
    last = at->source;
    place = placeof(last);
  }
  if (place != 0)
    counters[(place + (uint32_t)at->currentline) % COUNTERS]++;
}


static int traceback (lua_State *state) {
  luaL_traceback(state, state, lua_tostring(state, 1), 1);
  return 1;
}


/* Calls the function on top with `n` arguments; what it raises is a find. */
static void call (int n, int results) {
  int at = lua_gettop(L) - n;
  lua_pushcfunction(L, traceback);
  lua_insert(L, at);
  if (lua_pcall(L, n, results, at) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  lua_remove(L, at);
}


int LLVMFuzzerInitialize (int *argc, char ***argv) {
  (void)argc; (void)argv;
  L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "emr", luaopen_emr, 0);
  lua_getglobal(L, "require");
  lua_pushfstring(L, "spec.fuzz.targets.%s", getenv("TARGET"));
  call(1, 1);
  target = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_settop(L, 0);
  lua_sethook(L, count, LUA_MASKLINE, 0);
  return 0;
}


int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, target);
  lua_pushlstring(L, (const char *)data, size);
  call(1, 0);
  return 0;
}
