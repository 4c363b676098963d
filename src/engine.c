#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "libraries.h"
#include "poller.h"
#include "system.h"

#define READY_MAX 32
#define POOL_MAX 256  /* idle handles kept */
#define KEPT_MIN 8  /* connections kept though fewer calls are in flight */
#define NAP 0.25  /* seconds after which a wait looks for an interrupt */
#define BUDGET 0.001  /* seconds of work in a step that does not wait */
#define OVERDUE 0.02  /* seconds over its limit after which we end a transfer */
#define KEEP_BODY 65536  /* capacity that a pooled reply keeps */

typedef struct List {
  emr_Transfer *first, *last;
} List;

struct emr_Engine {
  CURLM *multi;
  CURLSH *share;  /* TLS sessions; connections and names belong to `multi` */
  emr_Poller *poller;
  emr_Signer *signer;  /* not owned */
  int refs;
  pid_t pid;
  int abandoned;
  double due;  /* when libcurl wants to be called; < 0: not at all */
  double fence;  /* no transfer is overdue before this; < 0: none runs */
  int ended;  /* a transfer has ended since the last step */
  int starved;  /* libcurl had too little memory for a step */
  int turns;  /* libcurl has to be called when it turns to another address */
  int hasturned;  /* a transfer has */
  int doubtsca;  /* a handshake has failed, and none was completed since */
  List running, finished;
  emr_Transfer *pool;
  int npool;
  int inflight;
  long maxconnects;
  emr_Sockets sockets;
};


/* An empty queue is the usual case, and clearing it costs its whole ring. */
static void clearerrors (void) {
  if (ERR_peek_error() != 0)
    ERR_clear_error();
}


/* {==================================================================
** Lists
** =================================================================== */

static void append (List *l, emr_Transfer *t) {
  t->prev = l->last;
  t->next = NULL;
  if (l->last != NULL)
    l->last->next = t;
  else
    l->first = t;
  l->last = t;
}


static void unlink_ (List *l, emr_Transfer *t) {
  if (t->prev != NULL)
    t->prev->next = t->next;
  else
    l->first = t->next;
  if (t->next != NULL)
    t->next->prev = t->prev;
  else
    l->last = t->prev;
  t->prev = t->next = NULL;
}

/* }================================================================== */


/* {==================================================================
** Sockets and the timer, as libcurl asks for them
** =================================================================== */

/* NULL for the handle with which libcurl closes connections. */
static emr_Transfer *transferof (CURL *easy) {
  char *t = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
  return (emr_Transfer *)(void *)t;
}


static void noteturn (emr_Engine *e, emr_Transfer *t) {
  if (t != NULL)
    e->hasturned = t->hasturned = 1;
}


static int onsocket (CURL *easy, curl_socket_t fd, int what, void *ud, void *p) {
  emr_Engine *e = (emr_Engine *)ud;
  int before, events = 0;
  (void)p;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
    events |= EMR_READABLE;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
    events |= EMR_WRITABLE;
  /* A socket that cannot be watched ends by its timeout. To say so to libcurl
  ** would end every transfer. */
  before = emr_sockets_watch(&e->sockets, fd, events);
  if (what == CURL_POLL_REMOVE && before == EMR_WRITABLE && e->turns)
    noteturn(e, transferof(easy));
  return 0;
}


static int ontimer (CURLM *multi, long ms, void *ud) {
  (void)multi;
  ((emr_Engine *)ud)->due = ms < 0 ? -1 : emr_monotonic() + (double)ms / 1000;
  return 0;
}

/* }================================================================== */


/* {==================================================================
** Life of an engine
** =================================================================== */

static void freetransfer (emr_Transfer *t) {
  emr_easy_close(t);
  emr_http_free(&t->http);
  emr_buffer_free(&t->head);
  emr_buffer_free(&t->body);
  free(t);
}


static void destroy (emr_Engine *e) {
  while (e->pool != NULL) {
    emr_Transfer *t = e->pool;
    e->pool = t->next;
    freetransfer(t);
  }
  if (e->multi != NULL)
    curl_multi_cleanup(e->multi);
  if (e->share != NULL)
    curl_share_cleanup(e->share);
  emr_poller_free(e->poller);
  emr_sockets_free(&e->sockets);
  free(e);
  clearerrors();
}


/* Leaves NULL when memory fails, as which it may be given to libcurl. */
static void openmulti (emr_Engine *e) {
  CURLM *m = curl_multi_init();
  int ok = m != NULL &&
    curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, onsocket) == CURLM_OK &&
    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, e) == CURLM_OK &&
    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, ontimer) == CURLM_OK &&
    curl_multi_setopt(m, CURLMOPT_TIMERDATA, e) == CURLM_OK &&
    curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK;
  if (!ok) {
    curl_multi_cleanup(m);
    m = NULL;
  }
  e->multi = m;
  e->maxconnects = 0;
  e->starved = 0;
}


static int openshare (emr_Engine *e) {
  e->share = curl_share_init();
  return e->share != NULL &&
    curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
}


emr_Engine *emr_engine_new (emr_Signer *signer) {
  emr_Engine *e;
  emr_libraries_start();
  e = (emr_Engine *)calloc(1, sizeof(*e));
  if (e == NULL)
    return NULL;
  e->refs = 1;
  e->pid = getpid();
  e->due = e->fence = -1;
  e->turns = curl_version_info(CURLVERSION_NOW)->version_num < 0x080400;
  e->signer = signer;
  e->poller = e->sockets.poller = emr_poller_new();
  openmulti(e);
  if (e->poller == NULL || e->multi == NULL || !openshare(e)) {
    destroy(e);
    return NULL;
  }
  return e;
}


static void abandon (emr_Engine *e) {
  emr_Transfer *t;
  e->abandoned = 1;
  emr_sockets_closeall(&e->sockets);
  for (t = e->running.first; t != NULL; t = t->next)
    t->phase = EMR_CANCELLED;
  emr_poller_free(e->poller);
  e->poller = NULL;
}


int emr_engine_isours (emr_Engine *e) {
  if (!e->abandoned && getpid() != e->pid)
    abandon(e);
  return !e->abandoned;
}


/* An abandoned engine stays in memory: all of it belongs to libcurl. */
static void unref (emr_Engine *e) {
  if (--e->refs == 0 && emr_engine_isours(e))
    destroy(e);
}


void emr_engine_close (emr_Engine *e) {
  e->signer = NULL;
  unref(e);
}


int emr_engine_inflight (const emr_Engine *e) {
  return e->inflight;
}


int emr_engine_fd (const emr_Engine *e) {
  return emr_poller_fd(e->poller);
}


static double least (double a, double b) {
  return a < b ? a : b;
}


/* Seconds until there is something to do without a socket; < 0: nothing. */
static double untiltimer (const emr_Engine *e) {
  double fence = e->inflight > 0 ? e->fence : -1;
  double next = e->due < 0 ? fence : fence < 0 ? e->due : least(e->due, fence);
  double left = next - emr_monotonic();
  if (next < 0)
    return -1;
  return left > 0 ? left : 0;
}


double emr_engine_timeout (const emr_Engine *e) {
  return e->ended ? 0 : untiltimer(e);
}

/* }================================================================== */


/* {==================================================================
** Life of a transfer
** =================================================================== */

static void finish (emr_Transfer *t) {
  emr_Engine *e = t->engine;
  unlink_(&e->running, t);
  t->phase = EMR_ENDED;
  e->inflight--;
  if (t->awaited)
    return;
  append(&e->finished, t);
  t->queued = 1;
  e->ended = 1;
}


static void fail (emr_Transfer *t, const char *kind, const char *code,
                  const char *detail) {
  t->reason.kind = kind;
  t->reason.code = code;
  strncpy(t->detail, detail, sizeof(t->detail) - 1);
  finish(t);
}


static void clearreply (emr_Transfer *t) {
  emr_buffer_wipe(&t->head, KEEP_BODY);
  emr_buffer_wipe(&t->body, KEEP_BODY);
  memset(&t->reason, 0, sizeof(t->reason));
  memset(&t->stopped, 0, sizeof(t->stopped));
  memset(&t->times, 0, sizeof(t->times));
  t->detail[0] = '\0';
  t->status = 0;
  t->nlines = 0;
  t->sends = t->died = t->unsent = t->asked = t->reused = t->hasturned = 0;
}


emr_Transfer *emr_engine_acquire (emr_Engine *e) {
  emr_Transfer *t = e->pool;
  if (t != NULL) {
    e->pool = t->next;
    e->npool--;
    t->next = NULL;
  }
  else {
    t = (emr_Transfer *)calloc(1, sizeof(*t));
    if (t == NULL)
      return NULL;
    t->engine = e;
    if (!emr_easy_open(t, e->share, &e->sockets)) {
      freetransfer(t);
      return NULL;
    }
  }
  t->phase = EMR_NEW;
  t->signer = e->signer;
  t->repeated = t->awaited = 0;
  e->refs++;
  return t;
}


/* A connection for each call in flight may be kept, and no more. */
static void widen (emr_Engine *e) {
  if (e->inflight <= e->maxconnects)
    return;
  e->maxconnects = e->inflight > KEPT_MIN ? e->inflight : KEPT_MIN;
  curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, e->maxconnects);
}


/* libcurl before 8.4 leaves an address that does not answer without asking to be
** called for the next one (curl's commit 01d8473b25, "connect: expire the timeout
** when trying next"). A transfer that goes on after a pause is called at once. */
static void turnon (emr_Engine *e) {
  emr_Transfer *t;
  e->hasturned = 0;
  for (t = e->running.first; t != NULL; t = t->next) {
    if (t->hasturned) {
      t->hasturned = 0;
      curl_easy_pause(t->easy, CURLPAUSE_ALL);
      curl_easy_pause(t->easy, CURLPAUSE_CONT);
    }
  }
}


/* Lets libcurl act on a socket, or on its timer. */
static void act (emr_Engine *e, curl_socket_t fd, int mask) {
  int running;
  if (e->multi != NULL && curl_multi_socket_action(e->multi, fd, mask, &running) == CURLM_OUT_OF_MEMORY)
    e->starved = 1;
  if (e->hasturned)
    turnon(e);
}


/* Lets libcurl act on its timer, which rings once. What it wants next it says
** through ontimer, but for a time that is the one it said last. */
static void ring (emr_Engine *e) {
  long ms = -1;
  e->due = -1;
  act(e, CURL_SOCKET_TIMEOUT, 0);
  if (e->due < 0 && curl_multi_timeout(e->multi, &ms) == CURLM_OK)
    ontimer(e->multi, ms, e);
}


/* Gives the transfer to libcurl and lets it take the first step. */
static void launch (emr_Transfer *t) {
  emr_Engine *e = t->engine;
  if (curl_multi_add_handle(e->multi, t->easy) != CURLM_OK) {
    fail(t, "memory", NULL, "out of memory");
    return;
  }
  ring(e);
}


static void collect (emr_Engine *e);


static void begin (emr_Transfer *t) {
  clearreply(t);
  t->began = emr_monotonic();
  t->phase = EMR_RUNNING;
  append(&t->engine->running, t);
  t->engine->inflight++;
}


void emr_engine_fail (emr_Transfer *t, const char *kind, const char *code,
                      const char *detail) {
  begin(t);
  fail(t, kind, code, detail);
}


void emr_engine_start (emr_Transfer *t, const emr_Limits *limits) {
  emr_Engine *e = t->engine;
  begin(t);
  t->deadline = t->began + limits->timeout;
  if (e->fence < 0 || t->deadline + OVERDUE < e->fence)
    e->fence = t->deadline + OVERDUE;
  if (e->multi == NULL)
    openmulti(e);
  widen(e);
  if (!emr_easy_apply(t, limits, e->doubtsca)) {
    t->spoiled = 1;
    fail(t, "memory", NULL, "out of memory");
    return;
  }
  launch(t);
  collect(e);
  clearerrors();
}


void emr_engine_handedout (emr_Transfer *t) {
  if (t->queued) {
    unlink_(&t->engine->finished, t);
    t->queued = 0;
  }
}


emr_Transfer *emr_engine_finished (emr_Engine *e) {
  emr_Transfer *t = e->finished.first;
  if (t == NULL || !emr_engine_isours(e))
    return NULL;
  emr_engine_handedout(t);
  return t;
}


/* Sends once more on a new connection, newly signed, within the time that is
** left: what the first one answered, if anything, counts for nothing. Returns 0
** when that may not be. */
static int repeat (emr_Transfer *t) {
  double left = t->deadline - emr_monotonic();
  if (t->repeated || !(t->http.repeatable || t->unsent) || left < 0.001 ||
      !emr_easy_renew(t))
    return 0;
  t->repeated = 1;
  clearreply(t);
  emr_easy_repeat(t);
  launch(t);
  return 1;
}


/* A CA file may have been put right after a refusal, and what libcurl keeps of
** it is damaged when memory ran out while OpenSSL read it. */
static void judgeca (emr_Engine *e, const emr_Transfer *t) {
  const char *kind = t->reason.kind;
  if (kind != NULL && (strcmp(kind, "tls") == 0 || strcmp(kind, "memory") == 0))
    e->doubtsca = 1;
  else if (t->http.tls && t->sends > 0 && !t->reused)
    e->doubtsca = 0;
}


static void done (emr_Transfer *t, CURLcode rc) {
  emr_Engine *e = t->engine;
  emr_outcome_read(t, rc);
  judgeca(e, t);
  curl_multi_remove_handle(e->multi, t->easy);
  if (t->died && repeat(t))
    return;
  finish(t);
}


/* When libcurl runs out of memory with its sockets, it does not say whose they
** were, and leaves tables behind by whose size, 0, it will divide. So all that is
** in flight ends, and the next begins with a libcurl that remembers nothing. */
static void endstarved (emr_Engine *e) {
  emr_Transfer *t;
  while ((t = e->running.first) != NULL) {
    t->repeated = 1;
    t->stopped.kind = "memory";
    done(t, CURLE_OUT_OF_MEMORY);
  }
  curl_multi_cleanup(e->multi);
  openmulti(e);
}


static void collect (emr_Engine *e) {
  CURLMsg *m;
  int left;
  while ((m = curl_multi_info_read(e->multi, &left)) != NULL) {
    if (m->msg == CURLMSG_DONE)
      done(transferof(m->easy_handle), m->data.result);
  }
  if (e->starved)
    endstarved(e);
}


void emr_engine_cancel (emr_Transfer *t) {
  emr_Engine *e = t->engine;
  if (t->phase == EMR_RUNNING) {
    unlink_(&e->running, t);
    e->inflight--;
    curl_multi_remove_handle(e->multi, t->easy);
    clearerrors();
  }
  emr_engine_handedout(t);
  t->phase = EMR_CANCELLED;
}


void emr_engine_release (emr_Transfer *t) {
  emr_Engine *e = t->engine;
  if (e->abandoned) {
    emr_http_free(&t->http);
    clearreply(t);
  }
  else {
    emr_engine_cancel(t);
    emr_http_clear(&t->http);
    clearreply(t);
    if (e->npool < POOL_MAX && !t->spoiled) {
      t->next = e->pool;
      e->pool = t;
      e->npool++;
    }
    else
      freetransfer(t);
  }
  unref(e);
}



/* }================================================================== */


/* {==================================================================
** Steps
** =================================================================== */

/* Milliseconds to wait, rounded up: waking too early would only spin. */
static int waitms (const emr_Engine *e, double left) {
  double s = least(left, NAP);
  double timer = untiltimer(e);
  if (timer >= 0)
    s = least(s, timer);
  return s <= 0 ? 0 : (int)(s * 1000) + 1;
}


static int curlmask (int events) {
  return ((events & EMR_READABLE) ? CURL_CSELECT_IN : 0) |
         ((events & EMR_WRITABLE) ? CURL_CSELECT_OUT : 0) |
         ((events & EMR_BROKEN) ? CURL_CSELECT_ERR : 0);
}


/* libcurl can lose a timer that comes due within the same millisecond as a
** socket. This is the fence behind it; it looks at the transfers only when the
** earliest limit has passed. */
static void endoverdue (emr_Engine *e, double now) {
  emr_Transfer *t = e->running.first, *next;
  if (e->fence < 0 || now < e->fence)
    return;
  e->fence = -1;
  for (; t != NULL; t = next) {
    next = t->next;
    if (now >= t->deadline + OVERDUE)
      done(t, CURLE_OPERATION_TIMEDOUT);
    else if (e->fence < 0 || t->deadline + OVERDUE < e->fence)
      e->fence = t->deadline + OVERDUE;
  }
}


/* One round: waits for sockets or the timer, and lets libcurl act. */
static void turn (emr_Engine *e, int ms, double stop) {
  emr_Ready ready[READY_MAX];
  int i, n = emr_poller_wait(e->poller, ready, READY_MAX, ms);
  for (i = 0; i < n; i++) {
    if (emr_sockets_isunwanted(&e->sockets, ready[i].fd))
      continue;
    act(e, ready[i].fd, curlmask(ready[i].events));
    if (emr_monotonic() > stop)
      break;
  }
  if (e->due >= 0 && emr_monotonic() >= e->due)
    ring(e);
  collect(e);
  endoverdue(e, emr_monotonic());
}


static int hasended (const emr_Engine *e, const emr_Transfer *t) {
  return t != NULL ? t->phase != EMR_RUNNING : e->ended;
}


void emr_engine_step (emr_Engine *e, double seconds, const emr_Transfer *t,
                      emr_Interrupted stop, void *ud) {
  double now = emr_monotonic(), end = now + seconds;
  int waits = seconds > 0;
  do {
    int ms = waits && !hasended(e, t) && !stop(ud) ? waitms(e, end - now) : 0;
    turn(e, ms, waits ? end : now + BUDGET);
    now = emr_monotonic();
  } while (!hasended(e, t) && now < end && !stop(ud));
  if (t == NULL)
    e->ended = 0;
  clearerrors();
}

/* }================================================================== */
