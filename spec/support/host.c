/*
** A host that opens and closes Lua states: `host THREADS N SECONDS SCRIPT` runs the script in N fresh
** states, one after the other, on each of so many threads at once, lives on for so long, and says whether
** libcurl is still mapped.
*/
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>


#define THREADS_MAX 16

static int count;
static const char *script;


static int run (void) {
  lua_State *L = luaL_newstate();
  int failed;
  luaL_openlibs(L);
  failed = luaL_loadfile(L, script) || lua_pcall(L, 0, 0, 0);
  if (failed)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed;
}


/* Returns NULL, or something else when the script failed. */
static void *runall (void *ud) {
  int i, failed = 0;
  for (i = 0; i < count && !failed; i++)
    failed = run();
  return failed ? ud : NULL;
}


static int onthreads (int n) {
  pthread_t threads[THREADS_MAX];
  int i, failed = 0;
  for (i = 0; i < n; i++)
    if (pthread_create(&threads[i], NULL, runall, &count) != 0)
      abort();
  for (i = 0; i < n; i++) {
    void *result;
    pthread_join(threads[i], &result);
    failed = failed || result != NULL;
  }
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
  struct timespec rest;
  int threads = argc == 5 ? atoi(argv[1]) : 0;
  if (threads < 1 || threads > THREADS_MAX)
    return 2;
  count = atoi(argv[2]);
  script = argv[4];
  if (threads > 1 ? onthreads(threads) : runall(&count) != NULL)
    return 1;
  rest.tv_sec = 0;
  rest.tv_nsec = (long)(atof(argv[3]) * 1e9);
  nanosleep(&rest, NULL);
  puts(ismapped("libcurl") ? "libcurl is mapped" : "libcurl is not mapped");
  return 0;
}
