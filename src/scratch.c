/*
** Memory of ours that Lua owns, so that no error can leak it.
*/
#include <string.h>

#include "core.h"

#define BUFFER "emr.buffer"
#define HTTP "emr.http"


emr_Buffer *emr_newbuffer (lua_State *L) {
  emr_Buffer *b = (emr_Buffer *)lua_newuserdata(L, sizeof(*b));
  memset(b, 0, sizeof(*b));
  emr_setmetatable(L, BUFFER);
  return b;
}


emr_Buffer *emr_kept_buffer (lua_State *L, const emr_Core *core) {
  emr_Buffer *b;
  lua_rawgeti(L, LUA_REGISTRYINDEX, core->buffer);
  b = (emr_Buffer *)lua_touserdata(L, -1);
  if (b->n > 0) {  /* in use, or left by an error */
    lua_pop(L, 1);
    b = emr_newbuffer(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, core->buffer);
  }
  return b;
}


emr_Http *emr_newhttp (lua_State *L) {
  emr_Http *h = (emr_Http *)lua_newuserdata(L, sizeof(*h));
  memset(h, 0, sizeof(*h));
  emr_setmetatable(L, HTTP);
  return h;
}


static int l_freebuffer (lua_State *L) {
  emr_buffer_free((emr_Buffer *)luaL_checkudata(L, 1, BUFFER));
  return 0;
}


static int l_freehttp (lua_State *L) {
  emr_http_free((emr_Http *)luaL_checkudata(L, 1, HTTP));
  return 0;
}


static void newclass (lua_State *L, const char *name, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}


void emr_scratch_open (lua_State *L, emr_Core *core) {
  newclass(L, BUFFER, l_freebuffer);
  newclass(L, HTTP, l_freehttp);
  (void)emr_newbuffer(L);
  core->buffer = luaL_ref(L, LUA_REGISTRYINDEX);
}
