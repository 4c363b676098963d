/*
** Many HTTP transfers at once: a libcurl multi handle driven by
** curl_multi_socket_action over a poller of our own. Knows no Lua.
**
** One engine per Lua state and process. It is counted: its owner holds it, and
** each transfer that was acquired and not yet released.
*/
#ifndef EMR_ENGINE_H
#define EMR_ENGINE_H

#include <curl/curl.h>

#include "http.h"

#pragma GCC visibility push(hidden)

typedef struct emr_Engine emr_Engine;

/* What a transfer is bound by. Strings may be NULL, and are copied. */
typedef struct emr_Limits {
  double connect_timeout, timeout;  /* seconds */
  size_t max_response_bytes;
  const char *ca_file, *ca_path, *client_cert, *client_key;
  const char *proxy, *no_proxy;
} emr_Limits;

#define EMR_EASY_STRINGS 6  /* the strings of emr_Limits */

/* The two words of an error. `kind` NULL: no error. */
typedef struct emr_Reason {
  const char *kind, *code;
} emr_Reason;

typedef struct emr_Times {
  double lookup, connect, tls, first_byte, total;
} emr_Times;

typedef enum emr_Phase {
  EMR_NEW, EMR_RUNNING, EMR_ENDED, EMR_CANCELLED
} emr_Phase;

typedef struct emr_Transfer {
  emr_Engine *engine;
  struct emr_Transfer *prev, *next;  /* in one of the engine's lists */
  emr_Phase phase;
  int queued;  /* ended, and not handed out by emr_engine_finished */
  int awaited;  /* somebody waits for just this one: never queued */

  emr_Http http;
  struct curl_slist list[EMR_HEADERS_MAX + 2];

  emr_Reason reason;  /* why it failed below HTTP */
  char detail[CURL_ERROR_SIZE];  /* libcurl's words for it */
  long status;
  emr_Buffer head, body;
  int reused;  /* answered on a kept connection */
  emr_Times times;

  /* private to engine.c, easy.c and outcome.c */
  CURL *easy;
  double began, deadline;
  size_t max_body, nlines;
  emr_Reason stopped;  /* why a callback of ours ended it */
  int sends, repeated, died;
  int spoiled;  /* `easy` is in a state nobody knows: not for the pool */
  int usesproxy;
  int inhead;  /* between a status line and the blank line after it */
  char *applied[EMR_EASY_STRINGS];  /* the string options that `easy` has */
} emr_Transfer;

/* NULL: out of memory or descriptors. The signer renews signatures and must
** outlive the engine's steps. */
emr_Engine *emr_engine_new (emr_Signer *signer);

/* The owner lets go. What is in flight goes on until it is released. */
void emr_engine_close (emr_Engine *e);

/* Whether this process made the engine. In a forked child it is abandoned: its
** raw descriptors are closed, its transfers cancelled, and libcurl is not
** called, since it would talk on the parent's connections. */
int emr_engine_isours (emr_Engine *e);

/* A transfer to fill (`http`) and start; NULL: out of memory. */
emr_Transfer *emr_engine_acquire (emr_Engine *e);

/* Begins; never fails, a failure is the transfer's result. */
void emr_engine_start (emr_Transfer *t, const emr_Limits *limits);

/* Ends a transfer that cannot even begin. */
void emr_engine_fail (emr_Transfer *t, const char *kind, const char *code,
                      const char *detail);

/* Cancels when it runs. The transfer's memory goes back to the engine. */
void emr_engine_cancel (emr_Transfer *t);
void emr_engine_release (emr_Transfer *t);

/* Ends the attempt and sends it once more on a new connection, newly signed,
** within the time that is left. Returns 0 when that was done before. */
int emr_engine_repeat (emr_Transfer *t);

/* Moves what is ready. With a transfer, returns when it has ended, else when
** any has; or when `seconds` have passed, with 0 after about 1 ms of work; or
** when `interrupted` says so. */
typedef int (*emr_Interrupted) (void *ud);
void emr_engine_step (emr_Engine *e, double seconds, const emr_Transfer *t,
                      emr_Interrupted stop, void *ud);

/* One that has ended and was not handed out yet, or NULL. */
emr_Transfer *emr_engine_finished (emr_Engine *e);
void emr_engine_handedout (emr_Transfer *t);

int emr_engine_inflight (const emr_Engine *e);
int emr_engine_fd (const emr_Engine *e);  /* -1 where the platform has none */
double emr_engine_timeout (const emr_Engine *e);  /* seconds; < 0: none */

/* easy.c: the libcurl handle of a transfer. They return 0 when memory fails. */
int emr_easy_open (emr_Transfer *t, CURLSH *share);
int emr_easy_apply (emr_Transfer *t, const emr_Limits *limits);
void emr_easy_close (emr_Transfer *t);
void emr_easy_repeat (emr_Transfer *t);

/* The engine's book of sockets, called from easy.c. */
curl_socket_t emr_engine_opensocket (void *ud, curlsocktype purpose,
                                     struct curl_sockaddr *a);
int emr_engine_closesocket (void *ud, curl_socket_t fd);
emr_Signer *emr_engine_signer (const emr_Engine *e);

/* outcome.c: fills reason, status and times from what libcurl says. */
void emr_outcome_read (emr_Transfer *t, CURLcode rc);

#pragma GCC visibility pop

#endif
