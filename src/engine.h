/*
** Many HTTP transfers at once: a libcurl multi handle driven by
** curl_multi_socket_action over a poller of our own. Knows no Lua.
**
** One engine per Lua state and process. It is counted: its owner holds it, and
** each transfer that was acquired and not yet released.
*/
#ifndef EMR_ENGINE_H
#define EMR_ENGINE_H

#include "easy.h"

#pragma GCC visibility push(hidden)

typedef struct emr_Engine emr_Engine;

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

/* Cancels when it runs. The transfer's memory goes back to the engine, which was
** asked before whether it is ours. */
void emr_engine_cancel (emr_Transfer *t);
void emr_engine_release (emr_Transfer *t);

/* Moves what is ready. With a transfer, returns when it has ended, else when
** any has; or when `seconds` have passed, with 0 after about 1 ms of work; or
** when `interrupted` says so. */
typedef int (*emr_Interrupted) (void *ud);
void emr_engine_step (emr_Engine *e, double seconds, const emr_Transfer *t,
                      emr_Interrupted stop, void *ud);

/* One that has ended and was not handed out yet, or NULL, as in a forked child. */
emr_Transfer *emr_engine_finished (emr_Engine *e);
void emr_engine_handedout (emr_Transfer *t);

int emr_engine_inflight (const emr_Engine *e);
int emr_engine_fd (const emr_Engine *e);  /* -1 where the platform has none */
double emr_engine_timeout (const emr_Engine *e);  /* seconds; < 0: none */

#pragma GCC visibility pop

#endif
