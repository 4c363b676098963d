/*
** Waits for many sockets: epoll on Linux, poll(2) elsewhere.
*/
#ifndef EMR_POLLER_H
#define EMR_POLLER_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

#define EMR_READABLE 1
#define EMR_WRITABLE 2
#define EMR_BROKEN 4

typedef struct emr_Poller emr_Poller;

typedef struct emr_Ready {
  int fd;
  int events;  /* EMR_READABLE | EMR_WRITABLE | EMR_BROKEN */
} emr_Ready;

emr_Poller *emr_poller_new (void);
void emr_poller_free (emr_Poller *p);

/* The descriptor that is readable when any socket is ready, or -1 where the
** platform has none. */
int emr_poller_fd (const emr_Poller *p);

/* Watches `fd` for `events`; 0 forgets it. Returns 0 when memory fails. */
int emr_poller_set (emr_Poller *p, int fd, int events);

/* Waits at most `ms`; returns how many entries of `ready` it filled. A signal
** ends the wait early with 0. */
int emr_poller_wait (emr_Poller *p, emr_Ready *ready, int max, int ms);

#pragma GCC visibility pop

#endif
