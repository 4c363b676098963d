/*
** What the binding keeps for one Lua state.
*/
#include "core.h"

#include <string.h>

#define CORE "emr.core"


emr_Core *emr_core (lua_State *L) {
  emr_Core *core = (emr_Core *)lua_touserdata(L, lua_upvalueindex(1));
  if (core->closed)
    luaL_error(L, "emr: this Lua state is closing");
  return core;
}


emr_Signer *emr_core_signer (emr_Core *core) {
  if (core->signer == NULL)
    core->signer = emr_acs3_new();
  return core->signer;
}


emr_Engine *emr_core_engine (emr_Core *core) {
  if (core->engine != NULL && !emr_engine_isours(core->engine)) {
    emr_engine_close(core->engine);
    core->engine = NULL;
  }
  if (core->engine == NULL && emr_core_signer(core) != NULL)
    core->engine = emr_engine_new(core->signer);
  return core->engine;
}


int emr_core_mustnotblock (lua_State *L, const emr_Core *core, int blocking,
                           const char *what) {
  if (!core->inside_nginx || blocking)
    return 0;
  emr_failf(L, "unsupported", "blocking",
            "%s: inside nginx this would hold up the whole worker; call it through "
            "emr.client, or set options.blocking = true", what);
  return 1;
}


emr_Watch emr_watch (lua_State *L, const emr_Core *core) {
  emr_Watch w;
  w.L = core->main != NULL ? core->main : L;
  w.before = lua_gethook(w.L);
  return w;
}


/* The shape of the hook that lua.c and luajit.c set on SIGINT. In a coroutine
** it may be there before the call begins: it acts in the main thread only. */
static int isstophook (lua_State *L) {
  int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT;
  return (lua_gethookmask(L) & mask) == mask && lua_gethookcount(L) == 1;
}


int emr_isinterrupted (void *ud) {
  const emr_Watch *w = (const emr_Watch *)ud;
  lua_Hook now = lua_gethook(w->L);
  return now != NULL && (now != w->before || isstophook(w->L));
}


static int l_gc (lua_State *L) {
  emr_Core *core = (emr_Core *)luaL_checkudata(L, 1, CORE);
  core->closed = 1;
  if (core->engine != NULL)
    emr_engine_close(core->engine);
  core->engine = NULL;
  emr_acs3_free(core->signer);
  core->signer = NULL;
  return 0;
}


static int ref (lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}


/* ngx_lua puts its table there; a script's own global of that name is none. */
static int insidenginx (lua_State *L) {
  int found;
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "ngx");
  found = lua_type(L, -1) == LUA_TTABLE;
  if (found) {
    lua_getfield(L, -1, "config");
    found = lua_type(L, -1) == LUA_TTABLE;
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return found;
}


emr_Core *emr_core_push (lua_State *L) {
  static const char key = 'k';
  emr_Core *core;
  emr_rawgetp(L, LUA_REGISTRYINDEX, &key);
  core = (emr_Core *)lua_touserdata(L, -1);
  if (core != NULL)
    return core;
  lua_pop(L, 1);
  core = (emr_Core *)lua_newuserdata(L, sizeof(*core));
  memset(core, 0, sizeof(*core));
  luaL_newmetatable(L, CORE);
  lua_pushcfunction(L, l_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  emr_setmetatable(L, CORE);
  core->main = emr_mainthread(L);
  core->inside_nginx = insidenginx(L);
  core->operations = ref(L, "k");
  core->transfers = ref(L, "v");
  lua_pushboolean(L, 0);
  core->get = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, -1);
  emr_rawsetp(L, LUA_REGISTRYINDEX, &key);
  return core;
}
