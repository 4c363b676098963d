/*
** What the same work costs in C, with the same libraries and without a module:
**
**     client floor|sign|decode|hash CALLS [IN_FLIGHT]
**
** floor: one request, signed once, is sent again and again; replies are counted.
** sign: each is signed, and the reply kept. decode: lua-cjson reads the reply
** too (built with -DWITH_LUA). hash: no network, one-shot hashing of the strings
** that a signature is made of.
**
** BENCH_URL, BENCH_CA and BENCH_PATH say where to. The last line printed is the
** measurement: seconds, and KiB of memory at the most.
*/
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#if defined(WITH_LUA)
#include <lauxlib.h>
#include <lualib.h>
#endif

#define KEY_ID "bench-id"
#define KEY "bench-secret-of-30-characters!"
#define QUERY "regionId=cn-hangzhou"
#define SIGNED "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WARM 64
#define EVENTS 64
#define BODY_MAX (1 << 20)

enum { DATE, NONCE, AUTHORIZATION, ACTION, HASH, VERSION, ACCEPT, AGENT, NLINES };

typedef struct Call {
  CURL *easy;
  struct curl_slist list[NLINES];
  char date[64], nonce[96], authorization[512];
  char *body;
  size_t n;
  double began;
} Call;

static struct {
  const char *path, *host;
  int signs, decodes, inflight;
  EVP_MD *md;
  EVP_MD_CTX *digest;
  EVP_MAC_CTX *mac;
  CURLM *multi;
  int epoll;
  double due;  /* < 0: no timer */
  double *took;  /* seconds of each call */
  int started, ended, calls;
#if defined(WITH_LUA)
  lua_State *L;
#endif
} self;


static void check (int ok, const char *what) {
  if (!ok) {
    fprintf(stderr, "client: %s failed\n", what);
    exit(1);
  }
}


static double now (clockid_t which) {
  struct timespec t;
  clock_gettime(which, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}


/* {==================================================================
** Signing: digest and MAC fetched once, the key schedule kept
** =================================================================== */

static void tohex (const unsigned char *bytes, size_t n, char *out) {
  static const char digits[] = "0123456789abcdef";
  size_t i;
  for (i = 0; i < n; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = '\0';
}


static void startsigner (void) {
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  char name[] = "SHA256";
  OSSL_PARAM params[2];
  params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
  params[1] = OSSL_PARAM_construct_end();
  self.md = EVP_MD_fetch(NULL, "SHA256", NULL);
  self.digest = EVP_MD_CTX_new();
  self.mac = EVP_MAC_CTX_new(mac);
  check(EVP_MAC_init(self.mac, (const unsigned char *)KEY, sizeof(KEY) - 1, params),
        "the MAC");
}


static int canonical (const Call *c, char *out, size_t size) {
  return snprintf(out, size,
      "GET\n%s\n" QUERY "\nhost:%s\nx-acs-action:GetSessionCluster\n"
      "x-acs-content-sha256:" EMPTY "\n%s\n%s\nx-acs-version:2023-08-08\n\n" SIGNED "\n" EMPTY,
      self.path, self.host, c->date, c->nonce);
}


/* The header lines serve as canonical ones, once there is no blank. */
static void stamp (Call *c) {
  time_t t = time(NULL);
  struct tm tm;
  unsigned char bytes[16];
  check(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes), "getrandom");
  strftime(c->date, sizeof(c->date), "x-acs-date:%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
  strcpy(c->nonce, "x-acs-signature-nonce:");
  tohex(bytes, sizeof(bytes), c->nonce + strlen(c->nonce));
}


static void sign (Call *c) {
  char text[1024], hex[65];
  unsigned char out[32];
  size_t n;
  stamp(c);
  n = (size_t)canonical(c, text, sizeof(text));
  EVP_DigestInit_ex2(self.digest, self.md, NULL);
  EVP_DigestUpdate(self.digest, text, n);
  EVP_DigestFinal_ex(self.digest, out, NULL);
  tohex(out, 32, hex);
  n = (size_t)snprintf(text, sizeof(text), "ACS3-HMAC-SHA256\n%s", hex);
  EVP_MAC_init(self.mac, NULL, 0, NULL);
  EVP_MAC_update(self.mac, (const unsigned char *)text, n);
  check(EVP_MAC_final(self.mac, out, &n, sizeof(out)), "HMAC");
  tohex(out, 32, hex);
  snprintf(c->authorization, sizeof(c->authorization),
           "authorization: ACS3-HMAC-SHA256 Credential=" KEY_ID ",SignedHeaders=" SIGNED
           ",Signature=%s", hex);
}


/* One-shot functions over what `sign` hashes: nothing, the canonical request
** and the string to sign. */
static void hash (const Call *c) {
  char text[1024], sts[128], hex[65];
  unsigned char out[32];
  unsigned int m;
  size_t n = (size_t)canonical(c, text, sizeof(text)), k;
  SHA256((const unsigned char *)text, n, out);
  tohex(out, 32, hex);
  k = (size_t)snprintf(sts, sizeof(sts), "ACS3-HMAC-SHA256\n%s", hex);
  for (self.ended = 0; self.ended < self.calls; self.ended++) {
    SHA256((const unsigned char *)"", 0, out);
    SHA256((const unsigned char *)text, n, out);
    HMAC(EVP_sha256(), KEY, sizeof(KEY) - 1, (const unsigned char *)sts, k, out, &m);
  }
}

/* }================================================================== */


/* {==================================================================
** One call
** =================================================================== */

static size_t count (char *p, size_t size, size_t n, void *ud) {
  (void)p;
  (void)size;
  ((Call *)ud)->n += n;
  return n;
}


static size_t keep (char *p, size_t size, size_t n, void *ud) {
  Call *c = (Call *)ud;
  (void)size;
  if (n > BODY_MAX - c->n)
    return 0;
  memcpy(c->body + c->n, p, n);
  c->n += n;
  return n;
}


static void opencall (Call *c, const char *url) {
  static const char *const fixed[] = {
    "x-acs-action: GetSessionCluster", ("x-acs-content-sha256: " EMPTY),
    "x-acs-version: 2023-08-08", "accept: application/json", "user-agent: emr/0.1.0"
  };
  int i;
  c->list[DATE].data = c->date;
  c->list[NONCE].data = c->nonce;
  c->list[AUTHORIZATION].data = c->authorization;
  for (i = ACTION; i < NLINES; i++)
    c->list[i].data = (char *)fixed[i - ACTION];
  for (i = 0; i + 1 < NLINES; i++)
    c->list[i].next = &c->list[i + 1];
  if (self.signs)
    c->body = (char *)malloc(BODY_MAX);
  check(!self.signs || c->body != NULL, "memory for the reply");
  c->easy = curl_easy_init();
  curl_easy_setopt(c->easy, CURLOPT_URL, url);
  curl_easy_setopt(c->easy, CURLOPT_CAINFO, getenv("BENCH_CA"));
  curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->list);
  curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, self.signs ? keep : count);
  curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
  curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
  curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, 60000L);
  sign(c);
}


static void begin (Call *c) {
  c->began = now(CLOCK_MONOTONIC);
  c->n = 0;
  if (self.signs)
    sign(c);
}


static void decode (const Call *c) {
#if defined(WITH_LUA)
  lua_State *L = self.L;
  lua_pushvalue(L, -1);
  lua_pushlstring(L, c->body, c->n);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "sessionCluster");
  lua_getfield(L, -1, "state");
  check(strcmp(lua_tostring(L, -1), "Running") == 0, "the reply");
  lua_pop(L, 3);
#else
  (void)c;
#endif
}


static void end (Call *c, CURLcode rc) {
  long status = 0;
  check(rc == CURLE_OK, curl_easy_strerror(rc));
  curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
  check(status == 200 && c->n > 0, "the call");
  if (self.decodes)
    decode(c);
  self.took[self.ended++] = now(CLOCK_MONOTONIC) - c->began;
}

/* }================================================================== */


/* {==================================================================
** Many in flight
** =================================================================== */

static int onsocket (CURL *easy, curl_socket_t fd, int what, void *ud, void *known) {
  struct epoll_event ev;
  (void)easy;
  (void)ud;
  memset(&ev, 0, sizeof(ev));
  ev.data.fd = fd;
  ev.events = (what & CURL_POLL_IN ? (unsigned)EPOLLIN : 0) |
              (what & CURL_POLL_OUT ? (unsigned)EPOLLOUT : 0);
  epoll_ctl(self.epoll, what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL :
            known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
  curl_multi_assign(self.multi, fd, &self);
  return 0;
}


static int ontimer (CURLM *multi, long ms, void *ud) {
  (void)multi;
  (void)ud;
  self.due = ms < 0 ? -1 : now(CLOCK_MONOTONIC) + (double)ms / 1000;
  return 0;
}


static void startmulti (void) {
  self.multi = curl_multi_init();
  self.epoll = epoll_create1(0);
  self.due = -1;
  curl_multi_setopt(self.multi, CURLMOPT_SOCKETFUNCTION, onsocket);
  curl_multi_setopt(self.multi, CURLMOPT_TIMERFUNCTION, ontimer);
  curl_multi_setopt(self.multi, CURLMOPT_MAXCONNECTS, (long)self.inflight);
}


static void launch (Call *c) {
  self.started++;
  begin(c);
  curl_multi_add_handle(self.multi, c->easy);
}


static void collect (void) {
  CURLMsg *m;
  int left;
  while ((m = curl_multi_info_read(self.multi, &left)) != NULL) {
    CURL *easy = m->easy_handle;
    CURLcode rc = m->data.result;
    Call *c = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
    curl_multi_remove_handle(self.multi, easy);
    end(c, rc);
    if (self.started < self.calls)
      launch(c);
  }
}


static void turn (void) {
  struct epoll_event ev[EVENTS];
  double left = self.due < 0 ? 1 : self.due - now(CLOCK_MONOTONIC);
  int i, running, n;
  n = epoll_wait(self.epoll, ev, EVENTS, left <= 0 ? 0 : (int)(left * 1000) + 1);
  for (i = 0; i < n; i++)
    curl_multi_socket_action(self.multi, ev[i].data.fd,
        (ev[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
        (ev[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
        (ev[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0), &running);
  if (self.due >= 0 && now(CLOCK_MONOTONIC) >= self.due) {
    self.due = -1;
    curl_multi_socket_action(self.multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  collect();
}

/* }================================================================== */


static void run (Call *calls, int n) {
  int i;
  self.calls = n;
  self.started = self.ended = 0;
  if (self.multi == NULL) {
    while (self.ended < n) {
      begin(calls);
      end(calls, curl_easy_perform(calls->easy));
    }
    return;
  }
  for (i = 0; i < self.inflight && i < n; i++)
    launch(&calls[i]);
  while (self.ended < n)
    turn();
}


static int ascending (const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}


static void report (int n, double cpu, double wall) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  qsort(self.took, (size_t)n, sizeof(double), ascending);
  printf("calls=%d cpu=%.9f wall=%.9f p50=%.9f p99=%.9f memory=%ld\n", n, cpu, wall,
         self.took[n / 2], self.took[n * 99 / 100], r.ru_maxrss);
}


static void startlua (void) {
#if defined(WITH_LUA)
  self.L = luaL_newstate();
  luaL_openlibs(self.L);
  check(luaL_dostring(self.L, "return require 'cjson'.decode") == 0, "lua-cjson");
#else
  check(0, "decode (it is the other program)");
#endif
}


static void finish (Call *calls) {
  int i;
  for (i = 0; i < self.inflight; i++) {
    curl_easy_cleanup(calls[i].easy);
    free(calls[i].body);
  }
  free(calls);
  free(self.took);
  if (self.multi != NULL)
    curl_multi_cleanup(self.multi);
  curl_global_cleanup();
#if defined(WITH_LUA)
  if (self.L != NULL)
    lua_close(self.L);
#endif
}


/* 0 for what is no number from 1 on. */
static int tonumber (const char *text) {
  long n = strtol(text, NULL, 10);
  return n > 0 && n < INT_MAX ? (int)n : 0;
}


int main (int argc, char **argv) {
  const char *mode = argc > 2 ? argv[1] : "";
  const char *base = getenv("BENCH_URL");
  int i, n = argc > 2 ? tonumber(argv[2]) : 0;
  char url[1024];
  double cpu, wall;
  Call *calls;
  self.inflight = argc > 3 ? tonumber(argv[3]) : 1;
  self.path = getenv("BENCH_PATH");
  check(n > 0 && self.inflight > 0 && base != NULL && self.path != NULL, "reading arguments");
  self.host = strstr(base, "//") + 2;
  snprintf(url, sizeof(url), "%s%s?" QUERY, base, self.path);
  self.decodes = strcmp(mode, "decode") == 0;
  self.signs = self.decodes || strcmp(mode, "sign") == 0;
  startsigner();
  if (self.decodes)
    startlua();
  self.took = (double *)calloc((size_t)(n > WARM ? n : WARM) + (size_t)self.inflight, sizeof(double));
  calls = (Call *)calloc((size_t)self.inflight, sizeof(Call));
  check(self.took != NULL && calls != NULL, "memory");
  for (i = 0; i < self.inflight; i++)
    opencall(&calls[i], url);
  if (self.inflight > 1)
    startmulti();
  if (strcmp(mode, "hash") != 0 && n > 1)
    run(calls, self.inflight > WARM ? self.inflight : WARM);
  cpu = now(CLOCK_PROCESS_CPUTIME_ID);
  wall = now(CLOCK_MONOTONIC);
  self.calls = n;
  if (strcmp(mode, "hash") == 0)
    hash(calls);
  else
    run(calls, n);
  report(n, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, now(CLOCK_MONOTONIC) - wall);
  finish(calls);
  return 0;
}
