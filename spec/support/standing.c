/*
** What a library must leave as it found it, as a spec can ask for it: locale, environment, OpenSSL's error queue,
** output, descriptors and memory. (Signals: process.c.)
*/
#define _GNU_SOURCE

#include <dirent.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lua.h>
#include <lauxlib.h>
#include <openssl/err.h>

extern char **environ;

static FILE *heard;  /* what comes out instead of going to the terminal */
static int out = -1, err = -1;  /* the terminal, or wherever they went */


/* {==================================================================
** State
** =================================================================== */

static void pushenvironment (lua_State *L) {
  luaL_Buffer b;
  char **p;
  luaL_buffinit(L, &b);
  for (p = environ; p != NULL && *p != NULL; p++) {
    luaL_addstring(&b, *p);
    luaL_addstring(&b, "\n");
  }
  luaL_pushresult(&b);
}


/* What must be equal before and after, each as text under its name. */
static int l_state (lua_State *L) {
  lua_newtable(L);
  lua_pushstring(L, setlocale(LC_ALL, NULL));
  lua_setfield(L, -2, "locale");
  pushenvironment(L);
  lua_setfield(L, -2, "environment");
  return 1;
}


/* Returns what is first in OpenSSL's queue of this thread, or "". */
static int l_error (lua_State *L) {
  char text[256] = "";
  unsigned long e = ERR_peek_error();
  if (e != 0)
    ERR_error_string_n(e, text, sizeof(text));
  lua_pushstring(L, text);
  return 1;
}


/* Empties that queue: a spec's own TLS library may have used it. */
static int l_clear (lua_State *L) {
  (void)L;
  ERR_clear_error();
  return 0;
}


/* Returns how many descriptors there are of each kind. */
static int l_descriptors (lua_State *L) {
  DIR *dir = opendir("/proc/self/fd");
  struct dirent *entry;
  int sockets = 0, pipes = 0, others = 0;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    struct stat st;
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(dir) || fstat(fd, &st) != 0)
      continue;
    *(S_ISSOCK(st.st_mode) ? &sockets : S_ISFIFO(st.st_mode) ? &pipes : &others) += 1;
  }
  if (dir != NULL)
    closedir(dir);
  lua_newtable(L);
  lua_pushinteger(L, sockets);
  lua_setfield(L, -2, "socket");
  lua_pushinteger(L, pipes);
  lua_setfield(L, -2, "fifo");
  lua_pushinteger(L, others);
  lua_setfield(L, -2, "other");
  return 1;
}


/* KiB that malloc has given out, as far as it tells. */
static int l_allocated (lua_State *L) {
  double n = 0;
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  struct mallinfo2 info = mallinfo2();
  n = (double)info.uordblks + (double)info.hblkhd;
#endif
  lua_pushnumber(L, n / 1024);
  return 1;
}

/* }================================================================== */


/* {==================================================================
** Output
** =================================================================== */

/* From here on what is written to stdout and stderr is kept for l_heard. */
static int l_listen (lua_State *L) {
  fflush(NULL);
  heard = tmpfile();
  if (heard == NULL)
    return luaL_error(L, "no temporary file");
  out = dup(1);
  err = dup(2);
  dup2(fileno(heard), 1);
  dup2(fileno(heard), 2);
  return 0;
}


/* Output goes its way again; returns the first of what was kept. */
static int l_heard (lua_State *L) {
  char text[1024];
  ssize_t n;
  fflush(NULL);
  dup2(out, 1);
  dup2(err, 2);
  close(out);
  close(err);
  n = pread(fileno(heard), text, sizeof(text), 0);
  fclose(heard);
  lua_pushlstring(L, text, n > 0 ? (size_t)n : 0);
  return 1;
}

/* }================================================================== */


static const luaL_Reg functions[] = {
  {"state", l_state},
  {"error", l_error},
  {"clear", l_clear},
  {"descriptors", l_descriptors},
  {"allocated", l_allocated},
  {"listen", l_listen},
  {"heard", l_heard},
  {NULL, NULL}
};


int luaopen_standing (lua_State *L) {
  const luaL_Reg *f;
  lua_newtable(L);
  for (f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
