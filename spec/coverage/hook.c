/*
** Linked into the module by `make coverage`: every Lua state that loads it counts the lines of lua/
** that run, wherever it is (a spec, a child process, a worker of nginx), and writes them down when the
** process ends, as gcov does for src/.
*/
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lua.h>
#include <lauxlib.h>

#undef luaopen_emr  /* src/ has it under another name */

#define FILES 64
#define LINES 1024

static struct File {
  char name[64];  /* from lua/ on */
  char ran[LINES];
} files[FILES];

int open_emr (lua_State *L);
__attribute__((visibility("default"))) int luaopen_emr (lua_State *L);


/* The file of a chunk; NULL: it is none of lua/. */
static struct File *fileof (const char *source) {
  const char *name = strstr(source, "/lua/emr/");
  int i;
  if (name == NULL)
    return NULL;
  for (i = 0; i < FILES - 1 && files[i].name[0] != '\0'; i++)
    if (strcmp(files[i].name, name + 1) == 0)
      break;
  snprintf(files[i].name, sizeof(files[i].name), "%s", name + 1);
  return &files[i];
}


static void online (lua_State *L, lua_Debug *at) {
  struct File *file;
  lua_getinfo(L, "S", at);
  file = fileof(at->source);
  if (file != NULL && at->currentline > 0 && at->currentline < LINES)
    file->ran[at->currentline] = 1;
}


/* A line for each line that ran. */
__attribute__((destructor)) static void writedown (void) {
  char path[512];
  FILE *out;
  int i, line;
  snprintf(path, sizeof(path), COVERAGE_DIR "/%d.lines", (int)getpid());
  out = fopen(path, "a");
  if (out == NULL)
    return;
  for (i = 0; i < FILES; i++)
    for (line = 1; line < LINES; line++)
      if (files[i].ran[line])
        fprintf(out, "%s:%d\n", files[i].name, line);
  fclose(out);
}


/* Coroutines take the hook over from the thread that makes them; compiled code has none. */
int luaopen_emr (lua_State *L) {
  luaL_loadstring(L, "if jit then jit.off() end");
  lua_call(L, 0, 0);
  lua_sethook(L, online, LUA_MASKLINE, 0);
#if defined(LUA_RIDX_MAINTHREAD)
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_sethook(lua_tothread(L, -1), online, LUA_MASKLINE, 0);
  lua_pop(L, 1);
#endif
  return open_emr(L);
}
