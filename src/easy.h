/*
** One transfer and its libcurl handle: what is set once and what for each
** request (easy.c), and what became of it (outcome.c). Knows no Lua.
*/
#ifndef EMR_EASY_H
#define EMR_EASY_H

#include <curl/curl.h>

#include "http.h"
#include "sockets.h"

#pragma GCC visibility push(hidden)

/* What a transfer is bound by. Strings may be NULL, and are copied. */
typedef struct emr_Limits {
  double connect_timeout, timeout;  /* seconds */
  size_t max_response_bytes;
  const char *ca_file, *ca_path, *client_cert, *client_key;
  const char *proxy, *no_proxy;
} emr_Limits;

#define EMR_EASY_STRINGS 7  /* those of emr_Limits, and where to */

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
  struct emr_Engine *engine;
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

  /* private to easy.c, outcome.c and engine.c */
  CURL *easy;
  CURLU *url;
  emr_Sockets *sockets;  /* the engine's */
  emr_Signer *signer;  /* renews the signature; NULL: nobody does */
  double began, deadline;
  size_t max_body, nlines;
  emr_Reason stopped;  /* why a callback of ours ended it */
  int sends, repeated;
  int died;  /* a kept connection did, before any reply to this request */
  int unsent;  /* and before anything was sent */
  int asked;  /* the server asked for a client certificate */
  int spoiled;  /* `easy` is in a state nobody knows: not for the pool */
  int usesproxy;
  int hasturned;  /* to another address: libcurl has to be called for that */
  int lingers;  /* its libcurl needs ondebug */
  int inhead;  /* between a status line and the blank line after it */
  int doubtsca;  /* what `easy` was told last */
  const char *defaultca;  /* libcurl's own CA file, or NULL */
  char *applied[EMR_EASY_STRINGS];  /* the string options that `easy` has */
} emr_Transfer;

/* They return 0 when memory fails. With `doubtsca`, a CA file that libcurl keeps
** parsed is read anew if that was more than a second ago. */
int emr_easy_open (emr_Transfer *t, CURLSH *share, emr_Sockets *sockets);
int emr_easy_apply (emr_Transfer *t, const emr_Limits *limits, int doubtsca);
void emr_easy_close (emr_Transfer *t);

/* Signs anew what was signed; for the next sending. */
int emr_easy_renew (emr_Transfer *t);

/* Readies the handle to send once more, on a new connection. */
void emr_easy_repeat (emr_Transfer *t);

/* Fills reason, status and times from what libcurl says. */
void emr_outcome_read (emr_Transfer *t, CURLcode rc);

#pragma GCC visibility pop

#endif
