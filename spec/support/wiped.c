/*
** What a closed Lua state leaves in memory: `wiped ELDEEN SCRIPT` runs the script in one state, closes it,
** and prints how often the needle, given backwards so that its own text is none, is in the writable memory
** of this process. Lua does not overwrite what it frees, so its allocator here does: what is then found was
** left by C code. With ELDEEN as `+...` it does not, to show that there is something to find.
*/
#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>


static void *wiping (void *ud, void *p, size_t osize, size_t nsize) {
  void *new = NULL;
  (void)ud;
  if (nsize > 0 && (new = malloc(nsize)) == NULL)
    return NULL;
  if (p != NULL) {
    if (new != NULL)
      memcpy(new, p, osize < nsize ? osize : nsize);
    explicit_bzero(p, osize);
    free(p);
  }
  return new;
}


/* LuaJIT's own would give its memory back to the system. */
static void *plain (void *ud, void *p, size_t osize, size_t nsize) {
  (void)ud;
  (void)osize;
  if (nsize > 0)
    return realloc(p, nsize);
  free(p);
  return NULL;
}


static int isneedle (const char *p, const char *backwards, size_t n) {
  size_t i = 0;
  while (i < n && p[i] == backwards[n - 1 - i])
    i++;
  return i == n;
}


static int countin (FILE *memory, unsigned long from, unsigned long to, const char *backwards) {
  size_t i, n = strlen(backwards), size = to - from;
  char *copy = (char *)malloc(size);
  int found = 0;
  if (copy == NULL || fseek(memory, (long)from, SEEK_SET) != 0)
    abort();
  size = fread(copy, 1, size, memory);
  for (i = 0; i + n <= size; i++)
    found += isneedle(copy + i, backwards, n);
  explicit_bzero(copy, size);
  free(copy);
  return found;
}


static int count (const char *backwards) {
  char line[4096], mode[5];
  unsigned long from, to;
  int found = 0;
  FILE *maps = fopen("/proc/self/maps", "r"), *memory = fopen("/proc/self/mem", "r");
  if (maps == NULL || memory == NULL)
    abort();
  setvbuf(memory, NULL, _IONBF, 0);
  while (fgets(line, sizeof(line), maps) != NULL)
    if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 && mode[0] == 'r' && mode[1] == 'w')
      found += countin(memory, from, to, backwards);
  fclose(maps);
  fclose(memory);
  return found;
}


int main (int argc, char **argv) {
  int keeps = argc == 3 && argv[1][0] == '+';
  lua_State *L = lua_newstate(keeps ? plain : wiping, NULL);
  if (argc != 3 || L == NULL)
    return 2;
  luaL_openlibs(L);
  if (luaL_loadfile(L, argv[2]) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return 1;
  }
  lua_close(L);
  printf("%d\n", count(argv[1] + keeps));
  return 0;
}
