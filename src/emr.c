/*
** The module: its state, and its table of functions.
*/
#include <string.h>

#include "core.h"
#include "version.h"

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

/* Loaded on first use: `emr.retry` is what `require "emr.retry"` gives. */
static const char *const modules[] = {
  "client", "retry", "waiter", "credentials", "await", "paginate", "operations", NULL
};


/* __index of the module: loads emr.NAME once for the names it knows. */
static int l_index (lua_State *L) {
  size_t n;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &n) : NULL;
  const char *const *m;
  for (m = modules; name != NULL && *m != NULL; m++)
    if (strlen(*m) == n && strcmp(*m, name) == 0) {
      lua_getglobal(L, "require");
      lua_pushfstring(L, "emr.%s", name);
      lua_call(L, 1, 1);
      lua_pushvalue(L, 2);
      lua_pushvalue(L, -2);
      lua_rawset(L, 1);
      return 1;
    }
  return 0;
}


static void addfunctions (lua_State *L, int core, const luaL_Reg *functions) {
  lua_pushvalue(L, core);
  emr_setfuncs(L, functions);
}


/* Leaves the core on top. What another load has opened is not opened again. */
static void open (lua_State *L) {
  emr_Core *core = emr_core_push(L);
  if (core->opened)
    return;
  emr_failure_open(L);
  emr_scratch_open(L, core);
  emr_decode_open(L, core);
  emr_transfer_open(L, core);
  core->opened = 1;
}


EXPORT int luaopen_emr (lua_State *L);

EXPORT int luaopen_emr (lua_State *L) {
  int core;
  open(L);
  core = lua_gettop(L);
  lua_newtable(L);
  addfunctions(L, core, emr_transfer_functions);
  addfunctions(L, core, emr_pure_functions);
  addfunctions(L, core, emr_host_functions);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  lua_pushliteral(L, "emr");
  lua_setfield(L, -2, "_NAME");
  lua_pushliteral(L, EMR_VERSION);
  lua_setfield(L, -2, "_VERSION");
  lua_newtable(L);
  lua_pushcfunction(L, l_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}
