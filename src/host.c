/*
** The bindings to the operating system: clock, random numbers, files, programs.
*/
#define _GNU_SOURCE  /* posix_spawn_file_actions_addclosefrom_np */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core.h"
#include "system.h"

#define FILE_MAX 1048576
#define CHUNK 4096
#define ARGS_MAX 256
#define NAP_MS 50
#define TOOLONG "it took too long"

#if !defined(__GLIBC__)
extern char **environ;
#endif


/* {==================================================================
** Clock and random numbers
** =================================================================== */

/* Seconds on a clock that nobody sets. */
static int l_now (lua_State *L) {
  lua_pushnumber(L, emr_monotonic());
  return 1;
}


/* A number from 0 to 1, 1 excluded, from the system's random source. */
static int l_random (lua_State *L) {
  uint64_t bits;
  if (!emr_random(&bits, sizeof(bits)))
    return luaL_error(L, "emr.random: the system has no random bytes to give");
  lua_pushnumber(L, (lua_Number)(bits >> 11) / 9007199254740992.0);  /* 2^53 */
  return 1;
}

/* }================================================================== */


/* {==================================================================
** Files
** =================================================================== */

static int unreadable (lua_State *L, const char *path, const char *why) {
  return emr_failf(L, "credentials", "unreadable", "cannot read %.200s: %s", path, why);
}


/* Reads to the end. Returns NULL, or what is wrong. */
static const char *readall (int fd, emr_Buffer *b, size_t max) {
  for (;;) {
    ssize_t n;
    char *p = emr_buffer_reserve(b, CHUNK);
    if (p == NULL)
      return "out of memory";
    n = read(fd, p, CHUNK);
    if (n == 0)
      return NULL;
    if (n > 0)
      b->n += (size_t)n;
    else if (errno != EINTR)
      return strerror(errno);
    if (b->n > max)
      return "the file is too large";
  }
}


/* Arguments: path [, max bytes]. Returns the text and the permission bits.
** Only of a regular file: a pipe or a device could block. */
static int l_read_file (lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_Number max = luaL_optnumber(L, 2, FILE_MAX);
  struct stat st;
  const char *wrong;
  emr_Buffer *b;
  int fd;
  luaL_argcheck(L, max >= 0 && max <= 1073741824.0, 2, "max must be from 0 to 2^30");
  if (strlen(path) != emr_tostr(L, 1).n)
    return luaL_argerror(L, 1, "path holds a NUL byte");
  b = emr_newbuffer(L);
  fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return unreadable(L, path, strerror(errno));
  if (fstat(fd, &st) != 0)
    wrong = strerror(errno);
  else if (!S_ISREG(st.st_mode))
    wrong = "not a regular file";
  else
    wrong = readall(fd, b, (size_t)max);
  close(fd);
  if (wrong != NULL)
    return unreadable(L, path, wrong);
  lua_pushlstring(L, b->p, b->n);
  lua_pushinteger(L, (lua_Integer)(st.st_mode & 07777));
  emr_buffer_free(b);
  return 2;
}

/* }================================================================== */


/* {==================================================================
** Programs
** =================================================================== */

typedef struct Child {
  pid_t pid;
  int fd[2];  /* our ends of its stdout and stderr; -1: closed */
  emr_Buffer *out[2];
  double deadline;
  size_t max;
} Child;


static void closefd (int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}


/* The words of the command at index 1, as execvp wants them. */
static void readargv (lua_State *L, char *argv[ARGS_MAX + 1]) {
  int i, n;
  luaL_checktype(L, 1, LUA_TTABLE);
  n = (int)emr_rawlen(L, 1);
  if (n == 0 || n > ARGS_MAX)
    luaL_error(L, "argv must hold 1 to %d strings", ARGS_MAX);
  luaL_checkstack(L, n + 8, NULL);
  for (i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i + 1);
    if (lua_type(L, -1) != LUA_TSTRING || strlen(lua_tostring(L, -1)) != emr_tostr(L, -1).n)
      luaL_error(L, "argv[%d] must be a string without NUL bytes", i + 1);
    argv[i] = (char *)lua_tostring(L, -1);
  }
  argv[n] = NULL;
}


static lua_Number readlimit (lua_State *L, const char *name, lua_Number none,
                             lua_Number min, lua_Number max) {
  lua_Number v = none;
  if (lua_type(L, 2) == LUA_TTABLE) {
    if (emr_field(L, 2, name) != LUA_TNIL) {
      v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
      if (!(v >= min && v <= max))
        luaL_error(L, "options.%s must be a number from %f to %f", name, min, max);
    }
    lua_pop(L, 1);
  }
  return v;
}


static int isrunoption (const void *ud, const char *name, size_t n) {
  (void)ud;
  return (n == 7 && memcmp(name, "timeout", n) == 0) ||
         (n == 10 && memcmp(name, "max_output", n) == 0);
}


#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
#define HAS_CLOSEFROM 1
#endif
#endif

/* libcurl has sockets of its own that exec would not close. */
static void closeothers (posix_spawn_file_actions_t *files) {
#if defined(HAS_CLOSEFROM)
  posix_spawn_file_actions_addclosefrom_np(files, 3);
#else  /* musl */
  DIR *open = opendir("/proc/self/fd");
  const struct dirent *entry;
  while (open != NULL && (entry = readdir(open)) != NULL) {
    int fd = atoi(entry->d_name);
    if (fd > 2 && fd != dirfd(open))
      posix_spawn_file_actions_addclose(files, fd);
  }
  if (open != NULL)
    closedir(open);
#endif
}


/* A process group of its own, so that what it starts is killed with it; no
** signal of the host blocked or ignored. Returns 0 or an errno. */
static int spawn (Child *c, char *argv[], int out, int err) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  sigset_t all, none;
  int e;
  sigfillset(&all);
  sigemptyset(&none);
  if ((e = posix_spawn_file_actions_init(&files)) != 0)
    return e;
  if ((e = posix_spawnattr_init(&attr)) == 0) {
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err, 2);
    closeothers(&files);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                    POSIX_SPAWN_SETSIGDEF);
    e = posix_spawnp(&c->pid, argv[0], &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
  }
  posix_spawn_file_actions_destroy(&files);
  return e;
}


static int openpipe (int fd[2]) {
  if (pipe(fd) != 0)
    return errno;
  fcntl(fd[0], F_SETFD, FD_CLOEXEC);
  fcntl(fd[1], F_SETFD, FD_CLOEXEC);
  fcntl(fd[0], F_SETFL, O_NONBLOCK);
  return 0;
}


static int startchild (Child *c, char *argv[]) {
  int out[2] = {-1, -1}, err[2] = {-1, -1};
  int e = openpipe(out);
  if (e == 0)
    e = openpipe(err);
  if (e == 0)
    e = spawn(c, argv, out[1], err[1]);
  closefd(&out[1]);
  closefd(&err[1]);
  c->fd[0] = out[0];
  c->fd[1] = err[0];
  if (e != 0) {
    closefd(&c->fd[0]);
    closefd(&c->fd[1]);
  }
  return e;
}


/* Takes what one of its pipes has. Returns 0 when there is too much. */
static int take (Child *c, int i) {
  char *p = emr_buffer_reserve(c->out[i], CHUNK);
  ssize_t n = p != NULL ? read(c->fd[i], p, CHUNK) : 0;
  if (n > 0)
    c->out[i]->n += (size_t)n;
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    closefd(&c->fd[i]);
  return c->out[i]->n <= c->max && !c->out[i]->failed;
}


/* Reads until both pipes are closed. Returns NULL, or why it stopped. */
static const char *readchild (Child *c, emr_Watch *watch) {
  while (c->fd[0] >= 0 || c->fd[1] >= 0) {
    struct pollfd p[2];
    int i;
    for (i = 0; i < 2; i++) {
      p[i].fd = c->fd[i];  /* poll skips a negative one */
      p[i].events = POLLIN;
      p[i].revents = 0;
    }
    poll(p, 2, NAP_MS);
    for (i = 0; i < 2; i++)
      if (p[i].revents != 0 && !take(c, i))
        return "it printed too much";
    if (emr_isinterrupted(watch))
      return "interrupted";
    if (emr_monotonic() > c->deadline)
      return TOOLONG;
  }
  return NULL;
}


/* Waits for its end. Returns NULL, or why it stopped waiting. */
static const char *waitchild (Child *c, int *status) {
  for (;;) {
    int raw;
    pid_t r = waitpid(c->pid, &raw, WNOHANG);
    if (r == c->pid) {
      *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
      return NULL;
    }
    if (r < 0 && errno != EINTR)
      return "the host takes the ends of its children for itself";
    if (emr_monotonic() > c->deadline)
      return TOOLONG;
    poll(NULL, 0, 1);
  }
}


/* Ends it, and what it has started. */
static void killchild (const Child *c) {
  kill(-c->pid, SIGKILL);
  while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
    continue;
}


/* Arguments: argv [, {timeout, max_output}]. Returns the exit status (128 + n
** for signal n), stdout and stderr. */
static int l_run (lua_State *L) {
  emr_Core *core = emr_core(L);
  char *argv[ARGS_MAX + 1];
  emr_Watch watch = emr_watch(L, core);
  const char *wrong;
  Child c;
  int e, status = 0;
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    emr_checknames(L, 2, "options", isrunoption, NULL);
  }
  c.deadline = readlimit(L, "timeout", 60, 0.001, 3600);
  c.max = (size_t)readlimit(L, "max_output", 65536, 0, 1073741824.0);
  readargv(L, argv);
  if (emr_core_mustnotblock(L, core, 0, "emr.run"))
    return 3;
  c.out[0] = emr_newbuffer(L);
  c.out[1] = emr_newbuffer(L);
  c.deadline += emr_monotonic();
  if ((e = startchild(&c, argv)) != 0)
    return emr_failf(L, "credentials", "unavailable", "cannot run %.100s: %s", argv[0],
                     strerror(e));
  wrong = readchild(&c, &watch);
  closefd(&c.fd[0]);
  closefd(&c.fd[1]);
  if (wrong == NULL)
    wrong = waitchild(&c, &status);
  if (wrong != NULL) {
    killchild(&c);
    return emr_failf(L, "credentials", "unavailable", "%.100s was stopped: %s", argv[0], wrong);
  }
  lua_pushinteger(L, status);
  lua_pushlstring(L, c.out[0]->p != NULL ? c.out[0]->p : "", c.out[0]->n);
  lua_pushlstring(L, c.out[1]->p != NULL ? c.out[1]->p : "", c.out[1]->n);
  emr_buffer_free(c.out[0]);
  emr_buffer_free(c.out[1]);
  return 3;
}

/* }================================================================== */


const luaL_Reg emr_host_functions[] = {
  {"now", l_now},
  {"random", l_random},
  {"read_file", l_read_file},
  {"run", l_run},
  {NULL, NULL}
};
