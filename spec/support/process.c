/*
** What a spec needs of the operating system and Lua does not give: fork, signals, timers. Preloaded
** into a child, it also bends time (process.advance) and names (getaddrinfo, see `names`).
*/
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lua.h>
#include <lauxlib.h>

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000  /* the C library sets it whenever it restores a signal */
#endif

static volatile double ahead;  /* seconds */
static volatile sig_atomic_t counted;


/* {==================================================================
** In place of the C library's own, when preloaded
** =================================================================== */

int clock_gettime (clockid_t id, struct timespec *now) {
  static int (*real) (clockid_t, struct timespec *);
  int r;
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
  r = real(id, now);
  now->tv_sec += (time_t)ahead;
  return r;
}


typedef int (*Lookup) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Names that end in .test. A hanging one takes so many seconds, then fails. */
static const struct { const char *name; double hangs; int error; const char *first, *second; } names[] = {
  {"none.test", 0, EAI_NONAME, NULL, NULL},
  {"broken.test", 0, EAI_AGAIN, NULL, NULL},
  {"hangs.test", 0.4, EAI_AGAIN, NULL, NULL},
  {"hangs-long.test", 20, EAI_AGAIN, NULL, NULL},
  {"two.test", 0, 0, "127.0.0.2", "127.0.0.1"},
};


int getaddrinfo (const char *node, const char *service, const struct addrinfo *hints,
                 struct addrinfo **result) {
  Lookup real;
  size_t i;
  int e;
  *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  for (i = 0; node != NULL && i < sizeof(names) / sizeof(names[0]); i++)
    if (strcmp(node, names[i].name) == 0) {
      usleep((useconds_t)(names[i].hangs * 1e6));
      if (names[i].error != 0)
        return names[i].error;
      e = real(names[i].first, service, hints, result);
      return e != 0 ? e : real(names[i].second, service, hints, &(*result)->ai_next);
    }
  return real(node, service, hints, result);
}


static int l_advance (lua_State *L) {
  ahead += luaL_checknumber(L, 1);
  return 0;
}

/* }================================================================== */


/* {==================================================================
** Processes and signals
** =================================================================== */

static int l_fork (lua_State *L) {
  fflush(NULL);
  lua_pushinteger(L, fork());
  return 1;
}


/* From here on the process has no more rights than anybody. */
static int l_renounce (lua_State *L) {
  lua_pushboolean(L, getuid() != 0 || seteuid(65534) == 0);
  return 1;
}


static int l_getpid (lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}


/* Returns the exit status of a child, 128 + n for signal n. */
static int l_wait (lua_State *L) {
  int status = 0;
  while (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
    if (errno != EINTR)
      return luaL_error(L, "no such child");
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 1;
}


static void count (int n) {
  (void)n;
  counted++;
}


/* From SIGALRM come two others, so that one timer makes three kinds. */
static void storm (int n) {
  count(n);
  raise(SIGCHLD);
  raise(SIGWINCH);
}


/* Every `seconds` a SIGALRM, a SIGCHLD and a SIGWINCH. The handlers interrupt
** system calls; SIGALRM's disposition is all that a library could disturb. */
static int l_storm (lua_State *L) {
  static const int signals[] = {SIGALRM, SIGCHLD, SIGWINCH};
  double seconds = luaL_checknumber(L, 1);
  struct itimerval timer;
  struct sigaction action;
  size_t i;
  memset(&action, 0, sizeof(action));
  for (i = 0; i < 3; i++) {
    action.sa_handler = i == 0 ? storm : count;
    sigaction(signals[i], &action, NULL);
  }
  timer.it_interval.tv_sec = 0;
  timer.it_interval.tv_usec = (suseconds_t)(seconds * 1e6);
  timer.it_value = timer.it_interval;
  setitimer(ITIMER_REAL, &timer, NULL);
  return 0;
}


static int l_counted (lua_State *L) {
  lua_pushinteger(L, counted);
  return 1;
}


static int l_raise (lua_State *L) {
  raise((int)luaL_checkinteger(L, 1));
  return 0;
}


/* Sets a signal, by number, back to its default. */
static int l_default (lua_State *L) {
  signal((int)luaL_checkinteger(L, 1), SIG_DFL);
  return 0;
}


/* One line that is equal when no signal's disposition, and no blocked signal, differs. */
static int l_signals (lua_State *L) {
  luaL_Buffer b;
  struct sigaction action;
  sigset_t blocked;
  int n;
  luaL_buffinit(L, &b);
  sigprocmask(SIG_BLOCK, NULL, &blocked);
  for (n = 1; n < 32; n++) {
    char text[64];
    sigaction(n, NULL, &action);
    snprintf(text, sizeof(text), "%d:%p/%d/%d ", n, *(void **)&action.sa_handler,
             action.sa_flags & ~SA_RESTORER, sigismember(&blocked, n));
    luaL_addstring(&b, text);
  }
  luaL_pushresult(&b);
  return 1;
}

/* }================================================================== */


static void add (lua_State *L, const char *name, lua_CFunction f) {
  lua_pushcfunction(L, f);
  lua_setfield(L, -2, name);
}


int luaopen_process (lua_State *L);

int luaopen_process (lua_State *L) {
  lua_newtable(L);
  add(L, "advance", l_advance);
  add(L, "fork", l_fork);
  add(L, "renounce", l_renounce);
  add(L, "getpid", l_getpid);
  add(L, "wait", l_wait);
  add(L, "storm", l_storm);
  add(L, "counted", l_counted);
  add(L, "raise", l_raise);
  add(L, "default", l_default);
  add(L, "signals", l_signals);
  return 1;
}
