/*
** A host whose memory runs out: `starved lua|malloc COUNT SCRIPT`. It counts the allocations of one good
** run of the script, from there to the end of the Lua state, and then runs it once for each of
** COUNT of them, spread evenly (0: for each), and again: in one run only that allocation is refused, in
** the other all from then on. The script says by `arm()` where counting begins. Each run is a child of its
** own, so that one that crashes is a line of the report, with the library in which it was. `lua` refuses in the allocator of the Lua state, `malloc` in the C library's.
**
** In "malloc", the places that matter most come on top: each allocation of our own library, of libcurl
** and of lua-cjson.
**
** The script returns "good", or the kind and code of an error and its message. Its global `again`, if it
** came to that, must then make the same Lua state complete a good call, with memory to be had.
**
** lua-cjson ends the process when malloc fails in it (strbuf.c, die), and loses its buffer when Lua's
** allocator fails under it. Both are told by the place of the call, and counted as its own.
*/
#define _GNU_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

#define LIMIT 20  /* seconds after which a run is taken to hang */

#define BLOCKS_MAX 262144
#define ALLOCATIONS_MAX 65536
#define FREED (-1)  /* owner of a block that was */
#define POISON 0xDD
#define LIBRARIES 4
#define OTHERS 3
#define FRAMES 64

/* Whose blocks are counted apart, and where they are mapped. */
static struct { const char *name; uintptr_t from, to; } libraries[OTHERS] = {
  {"cjson", 0, 0}, {"libcrypto", 0, 0}, {"libssl", 0, 0},
};

/* What a run leaves for its parent. */
typedef struct Report {
  long allocations;
  char places[256];  /* the libraries in which a refusal was */
  char outcome[512];
} Report;

typedef struct Block Block;

static int starve_malloc;  /* or Lua's allocator */
static int armed;
static long allocations, first;  /* first == 0: none is refused */
static int onlyfirst;
static Report *report;  /* shared with the child */
static struct Block { void *p; int owner; } blocks[BLOCKS_MAX];
static char chosen[ALLOCATIONS_MAX];  /* allocations that are tried in any case */
static long live[LIBRARIES];  /* blocks that were allocated and not freed */


/* {==================================================================
** Allocators
** =================================================================== */

static const char *nameof (void *caller) {
  Dl_info info;
  const char *slash;
  if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
    return "?";
  slash = strrchr(info.dli_fname, '/');
  return slash != NULL ? slash + 1 : info.dli_fname;
}


static void notechosen (void *caller) {
  const char *name = nameof(caller);
  chosen[allocations] = strstr(name, "emr") != NULL || strstr(name, "libcurl") != NULL ||
                        strstr(name, "cjson") != NULL;
}


static void noteplace (const char *name) {
  size_t n = strlen(report->places);
  if (strstr(report->places, name) == NULL)
    snprintf(report->places + n, sizeof(report->places) - n, "%s%s", n > 0 ? "," : "", name);
}


static int isrefused (void *caller) {
  int refused;
  if (!armed)
    return 0;
  allocations++;
  if (first == 0 && starve_malloc && allocations < ALLOCATIONS_MAX)
    notechosen(caller);
  refused = first != 0 && (onlyfirst ? allocations == first : allocations >= first);
  if (refused)
    noteplace(nameof(caller));
  return refused;
}


static int placeof (void *caller) {
  uintptr_t p = (uintptr_t)caller;
  int i = 0;
  while (i < OTHERS && !(p >= libraries[i].from && p < libraries[i].to))
    i++;
  return i;
}


/* `next`: the C library's own function of that name. */
#define REAL(name) \
  static __typeof__(name) *next; \
  if (next == NULL) \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

#define CALLER __builtin_return_address(0)


/* The slot of a block, or the one in which it is to be. */
static Block *slot (const void *p) {
  size_t i = (size_t)((uintptr_t)p >> 4) * 2654435761u;
  while (blocks[i % BLOCKS_MAX].p != p && blocks[i % BLOCKS_MAX].p != NULL)
    i++;
  return &blocks[i % BLOCKS_MAX];
}


static void *note (void *p, void *caller) {
  if (p != NULL) {
    Block *b = slot(p);
    b->p = p;
    b->owner = placeof(caller);
    live[b->owner]++;
  }
  return p;
}


/* Whether the block is ours. It is not given back to the C library: used afterwards
** it is poison, and who frees it twice is known. */
static int retire (void *p, void *caller) {
  Block *b = slot(p);
  if (p == NULL || b->p != p)
    return 0;  /* aligned, or older than we */
  if (b->owner == FREED) {
    snprintf(report->outcome, sizeof(report->outcome), "crashed in %s: freed twice", nameof(caller));
    _exit(0);
  }
  live[b->owner]--;
  b->owner = FREED;
  memset(p, POISON, malloc_usable_size(p));
  return 1;
}


void *malloc (size_t n) {
  REAL(malloc);
  return starve_malloc && isrefused(CALLER) ? NULL : note(next(n), CALLER);
}


void *calloc (size_t n, size_t size) {
  REAL(calloc);
  return starve_malloc && isrefused(CALLER) ? NULL : note(next(n, size), CALLER);
}


/* A block that shrinks is never refused: Lua counts on that. */
void *realloc (void *old, size_t n) {
  size_t before = old == NULL ? 0 : malloc_usable_size(old);
  void *p;
  REAL(malloc);
  if (starve_malloc && n > before && isrefused(CALLER))
    return NULL;
  p = note(next(n), CALLER);
  if (old != NULL && p != NULL)
    memcpy(p, old, n < before ? n : before);
  retire(old, CALLER);
  return p;
}


void free (void *p) {
  REAL(free);
  if (!retire(p, CALLER))
    next(p);
}


/* In front of the allocator that the Lua state has. */
typedef struct Allocator {
  lua_Alloc f;
  void *ud;
} Allocator;


static void *alloc (void *ud, void *p, size_t osize, size_t nsize) {
  const Allocator *a = (const Allocator *)ud;
  int grows = nsize > 0 && (p == NULL || nsize > osize);
  if (grows && !starve_malloc && isrefused((void *)(uintptr_t)&lua_newstate))
    return NULL;
  return a->f(a->ud, p, osize, nsize);
}

/* }================================================================== */


/* {==================================================================
** One run
** =================================================================== */

static int descriptors (void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  while (readdir(dir) != NULL)
    n++;
  closedir(dir);
  return n;
}


static void say (const char *what, const char *detail) {
  snprintf(report->outcome, sizeof(report->outcome), "%s %s", what, detail);
}


static const char *text (lua_State *L, int i) {
  return lua_type(L, i) == LUA_TSTRING ? lua_tostring(L, i) : "-";
}


static void runscript (lua_State *L) {
  int status = lua_pcall(L, 0, 3, 0);
  armed = 0;
  if (status == LUA_ERRMEM || (status != 0 && strstr(text(L, -1), "not enough memory")))
    say("raised", "");
  else if (status != 0)
    say("raised:", text(L, -1));
  else
    snprintf(report->outcome, sizeof(report->outcome), "%s/%s %s",
             text(L, -3), text(L, -2), text(L, -1));
  lua_settop(L, 0);
}


/* With memory to be had, the state must work. */
static void again (lua_State *L) {
  lua_getglobal(L, "again");
  if (!lua_isfunction(L, -1))
    return;
  if (lua_pcall(L, 0, 0, 0) != 0)
    say("broken", text(L, -1));
}


/* Notes where a library is, and that it stays there. */
static int find (struct dl_phdr_info *info, size_t size, void *ud) {
  int i, k;
  (void)size;
  (void)ud;
  for (k = 0; k < OTHERS; k++)
    if (strstr(info->dlpi_name, libraries[k].name) != NULL) {
      dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
      for (i = 0; i < info->dlpi_phnum; i++)
        if ((info->dlpi_phdr[i].p_flags & PF_X) != 0) {
          libraries[k].from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
          libraries[k].to = libraries[k].from + info->dlpi_phdr[i].p_memsz;
        }
    }
  return 0;
}


/* For the script: from here on allocations count. */
static int l_arm (lua_State *L) {
  (void)L;
  allocations = 0;
  armed = 1;
  return 0;
}


static void run (const char *script) {
  Allocator a;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadfile(L, script) != 0) {
    say("bad", text(L, -1));
    return;
  }
  a.f = lua_getallocf(L, &a.ud);
  lua_setallocf(L, alloc, &a);
  lua_register(L, "arm", l_arm);
  runscript(L);
  again(L);
  dl_iterate_phdr(find, NULL);
  armed = 1;
  lua_close(L);
  armed = 0;
  report->allocations = allocations;
}


/* Runs, and says in `lost` what is not given back. */
static int loses (const char *script, char *lost, size_t max) {
  long before[LIBRARIES];
  int i, fds = descriptors();
  size_t n = 0;
  memcpy(before, live, sizeof(live));
  allocations = 0;
  lost[0] = '\0';
  run(script);
  for (i = 0; i < LIBRARIES; i++)
    if (live[i] > before[i])
      n += (size_t)snprintf(lost + n, max - n, " %s: %ld blocks",
                            i < OTHERS ? libraries[i].name : "others", live[i] - before[i]);
  if (descriptors() > fds)
    n += (size_t)snprintf(lost + n, max - n, " %d descriptors", descriptors() - fds);
  return n > 0;
}


/* What a library allocates once for a failure is no leak: then the second run
** loses nothing. */
static void checkedrun (const char *script) {
  char lost[200];
  if (loses(script, lost, sizeof(lost)) && loses(script, lost, sizeof(lost)) &&
      loses(script, lost, sizeof(lost)))
    say("leaked", lost);
}

/* }================================================================== */


/* {==================================================================
** Crashes
** =================================================================== */

/* The library in which it was: that of the innermost frame which is neither the C
** library's nor ours, whose allocators stand between. */
static void oncrash (int sig) {
  void *frames[FRAMES];
  const char *name = "?";
  char words[128];
  int i, n;
  signal(sig, SIG_DFL);
  armed = 0;
  n = backtrace(frames, FRAMES);
  for (i = 0; i < n; i++) {
    name = nameof(frames[i]);
    if (strncmp(name, "libc.so", 7) != 0 && strncmp(name, "starved", 7) != 0)
      break;
  }
  snprintf(words, sizeof(words), "in %s: %s", name, strsignal(sig));
  say("crashed", words);
  raise(sig);
}


static void catchcrashes (void) {
  void *frame;
  backtrace(&frame, 1);  /* loads the library that unwinds */
  signal(SIGSEGV, oncrash);
  signal(SIGBUS, oncrash);
  signal(SIGFPE, oncrash);
  signal(SIGABRT, oncrash);
}

/* }================================================================== */


/* {==================================================================
** All runs
** =================================================================== */

static void tell (long n, const char *printed) {
  printf("%ld %s %s: %s%s%s\n", n, onlyfirst ? "once" : "on", report->places, report->outcome,
         printed[0] != '\0' ? " printed " : "", printed);
}


/* Forks a run that refuses allocation `n`, and prints what became of it. */
static void try (const char *script, long n, int once) {
  char printed[256] = "";
  int status, output[2];
  pid_t pid;
  memset(report, 0, sizeof(*report));
  fflush(stdout);
  if (pipe(output) != 0 || (pid = fork()) < 0)
    abort();
  onlyfirst = once;
  if (pid == 0) {
    dup2(output[1], 1);
    dup2(output[1], 2);
    close(output[0]);
    close(output[1]);
    first = n;
    alarm(LIMIT);
    checkedrun(script);
    _exit(0);
  }
  close(output[1]);
  if (read(output[0], printed, sizeof(printed) - 1) > 0)
    printed[strcspn(printed, "\n")] = '\0';
  close(output[0]);
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status) && strncmp(report->outcome, "crashed", 7) != 0)
    say("crashed", strsignal(WTERMSIG(status)));
  else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    say(strstr(report->places, "cjson") != NULL ? "cjson-died" : "exited", "");
  tell(n, printed);
}


int main (int argc, char **argv) {
  long n, count, last, step;
  if (argc != 4)
    return 2;
  starve_malloc = strcmp(argv[1], "malloc") == 0;
  count = atol(argv[2]);
  report = (Report *)mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  catchcrashes();
  for (n = 0; n < 3; n++) {  /* what libraries allocate once */
    allocations = 0;
    run(argv[3]);
  }
  if (strncmp(report->outcome, "good", 4) != 0) {
    tell(0, "");
    return 1;
  }
  last = report->allocations;
  allocations = 0;
  step = count > 0 && last > count ? last / count : 1;
  for (n = 1; n <= last; n++)
    if (n % step == 0 || (n < ALLOCATIONS_MAX && chosen[n])) {
      try(argv[3], n, 1);
      try(argv[3], n, 0);
    }
  printf("%ld allocations\n", last);
  return 0;
}
