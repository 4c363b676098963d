/* The smallest interpreter that runs a script with its arguments, for `make asan`. */
#include <stdio.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>


static int traceback (lua_State *L) {
  lua_getglobal(L, "debug");
  lua_getfield(L, -1, "traceback");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}


int main (int argc, char **argv) {
  int i, failed;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_createtable(L, argc, 0);
  for (i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - 1);  /* argv[1], the script, is arg[0] */
  }
  lua_setglobal(L, "arg");
  lua_pushcfunction(L, traceback);
  failed = luaL_loadfile(L, argv[1]) || lua_pcall(L, 0, 0, -2);
  if (failed)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed;
}
