/*
** What Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT call differently, under names of our
** own. No other file asks for the version of Lua.
*/
#ifndef EMR_COMPAT_H
#define EMR_COMPAT_H

#include <lua.h>
#include <lauxlib.h>

/* The name of the Lua this was built for, as its own _VERSION has it. */
#define EMR_LUA LUA_VERSION

#if defined(__clang_analyzer__)
/* What the manual says and the header does not. */
LUALIB_API int luaL_error (lua_State *L, const char *fmt, ...) __attribute__((noreturn));
#endif

#if LUA_VERSION_NUM == 501

#define emr_rawlen lua_objlen

static inline void emr_rawgetp (lua_State *L, int t, const void *p) {
  lua_pushlightuserdata(L, (void *)p);
  lua_rawget(L, t);
}

/* `t` must not be relative to the top. */
static inline void emr_rawsetp (lua_State *L, int t, const void *p) {
  lua_pushlightuserdata(L, (void *)p);
  lua_insert(L, -2);
  lua_rawset(L, t);
}

static inline void emr_setmetatable (lua_State *L, const char *name) {
  luaL_getmetatable(L, name);
  lua_setmetatable(L, -2);
}

/* Each function gets a copy of the one value on top, which is popped. */
static inline void emr_setfuncs (lua_State *L, const luaL_Reg *l) {
  for (; l->name != NULL; l++) {
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, l->func, 1);
    lua_setfield(L, -3, l->name);
  }
  lua_pop(L, 1);
}

/* The table that a userdata carries; replaced by the one on top. */
#define emr_gettable(L, i) lua_getfenv(L, i)
#define emr_settable(L, i) ((void)lua_setfenv(L, i))

#else

#define emr_rawlen lua_rawlen
#define emr_rawgetp(L, t, p) ((void)lua_rawgetp(L, t, p))
#define emr_rawsetp lua_rawsetp
#define emr_setmetatable luaL_setmetatable
#define emr_setfuncs(L, l) luaL_setfuncs(L, l, 1)
#define emr_gettable(L, i) ((void)lua_getuservalue(L, i))
#define emr_settable(L, i) ((void)lua_setuservalue(L, i))

#endif

/* NULL where nobody can tell: 5.1 only knows whether it is this one. */
static inline lua_State *emr_mainthread (lua_State *L) {
#if LUA_VERSION_NUM == 501
  lua_State *main = lua_pushthread(L) ? L : NULL;
#else
  lua_State *main;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  main = lua_tothread(L, -1);
#endif
  lua_pop(L, 1);
  return main;
}


#if LUA_VERSION_NUM >= 503

#define EMR_HAS_INTEGERS 1
#define emr_isinteger lua_isinteger

#else

#define EMR_HAS_INTEGERS 0
#define emr_isinteger(L, i) ((void)(i), 0)

#endif

#endif
