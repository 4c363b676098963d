/*
** A host that opens and closes Lua states: `host N SECONDS SCRIPT [ARG]...` runs the script in N fresh
** states, one after the other, lives on for so long, and says whether libcurl is still mapped.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>


static int run (const char *script, char **args) {
  lua_State *L = luaL_newstate();
  int i, failed;
  luaL_openlibs(L);
  failed = luaL_loadfile(L, script);
  for (i = 0; !failed && args[i] != NULL; i++)
    lua_pushstring(L, args[i]);
  failed = failed || lua_pcall(L, i, 0, 0);
  if (failed)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed;
}


static int ismapped (const char *name) {
  char line[4096];
  int found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && !found && fgets(line, sizeof(line), maps) != NULL)
    found = strstr(line, name) != NULL;
  if (maps != NULL)
    fclose(maps);
  return found;
}


int main (int argc, char **argv) {
  int i, n = argc > 3 ? atoi(argv[1]) : 0;
  struct timespec rest;
  for (i = 0; i < n; i++)
    if (run(argv[3], argv + 4))
      return 1;
  rest.tv_sec = 0;
  rest.tv_nsec = argc > 3 ? (long)(atof(argv[2]) * 1e9) : 0;
  nanosleep(&rest, NULL);
  puts(ismapped("libcurl") ? "libcurl is mapped" : "libcurl is not mapped");
  return 0;
}
