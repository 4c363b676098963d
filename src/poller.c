#include "poller.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__) && !defined(EMR_NO_EPOLL)

#include <string.h>
#include <sys/epoll.h>

#define READY_MAX 64

struct emr_Poller {
  int fd;
};


emr_Poller *emr_poller_new (void) {
  emr_Poller *p = (emr_Poller *)malloc(sizeof(*p));
  if (p == NULL)
    return NULL;
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  if (p->fd < 0) {
    free(p);
    return NULL;
  }
  return p;
}


void emr_poller_free (emr_Poller *p) {
  if (p == NULL)
    return;
  close(p->fd);
  free(p);
}


int emr_poller_fd (const emr_Poller *p) {
  return p->fd;
}


int emr_poller_set (emr_Poller *p, int fd, int events) {
  struct epoll_event ev;
  memset(&ev, 0, sizeof(ev));
  ev.data.fd = fd;
  ev.events = ((events & EMR_READABLE) ? (uint32_t)EPOLLIN : 0) |
              ((events & EMR_WRITABLE) ? (uint32_t)EPOLLOUT : 0);
  if (events == 0) {
    /* a socket that was closed first has left the set by itself */
    epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, &ev);
    return 1;
  }
  return epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &ev) == 0 ||
         (errno == ENOENT && epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &ev) == 0);
}


int emr_poller_wait (emr_Poller *p, emr_Ready *ready, int max, int ms) {
  struct epoll_event ev[READY_MAX];
  int i, n = epoll_wait(p->fd, ev, max < READY_MAX ? max : READY_MAX, ms);
  for (i = 0; i < n; i++) {
    ready[i].fd = ev[i].data.fd;
    ready[i].events = ((ev[i].events & EPOLLIN) ? EMR_READABLE : 0) |
                      ((ev[i].events & EPOLLOUT) ? EMR_WRITABLE : 0) |
                      ((ev[i].events & (EPOLLERR | EPOLLHUP)) ? EMR_BROKEN : 0);
  }
  return n < 0 ? 0 : n;
}

#else

#include <poll.h>

struct emr_Poller {
  struct pollfd *set;
  size_t n, cap;
  size_t next;  /* where the next scan begins, so that none starves */
};


emr_Poller *emr_poller_new (void) {
  return (emr_Poller *)calloc(1, sizeof(emr_Poller));
}


void emr_poller_free (emr_Poller *p) {
  if (p == NULL)
    return;
  free(p->set);
  free(p);
}


int emr_poller_fd (const emr_Poller *p) {
  (void)p;
  return -1;
}


static int addsocket (emr_Poller *p, int fd) {
  if (p->n == p->cap) {
    size_t cap = p->cap ? p->cap * 2 : 16;
    struct pollfd *set = (struct pollfd *)realloc(p->set, cap * sizeof(*set));
    if (set == NULL)
      return 0;
    p->set = set;
    p->cap = cap;
  }
  p->set[p->n].fd = fd;
  p->set[p->n].revents = 0;
  p->n++;
  return 1;
}


int emr_poller_set (emr_Poller *p, int fd, int events) {
  size_t i = 0;
  while (i < p->n && p->set[i].fd != fd)
    i++;
  if (events == 0) {
    if (i < p->n)
      p->set[i] = p->set[--p->n];
    return 1;
  }
  if (i == p->n && !addsocket(p, fd))
    return 0;
  p->set[i].events = (short)(((events & EMR_READABLE) ? POLLIN : 0) |
                             ((events & EMR_WRITABLE) ? POLLOUT : 0));
  return 1;
}


int emr_poller_wait (emr_Poller *p, emr_Ready *ready, int max, int ms) {
  size_t i;
  int n = 0;
  if (poll(p->set, (nfds_t)p->n, ms) <= 0)
    return 0;
  for (i = 0; i < p->n && n < max; i++) {
    const struct pollfd *s = &p->set[(p->next + i) % p->n];
    if (s->revents == 0)
      continue;
    ready[n].fd = s->fd;
    ready[n].events = ((s->revents & POLLIN) ? EMR_READABLE : 0) |
                      ((s->revents & POLLOUT) ? EMR_WRITABLE : 0) |
                      ((s->revents & ~(POLLIN | POLLOUT)) ? EMR_BROKEN : 0);
    n++;
  }
  p->next += i;
  return n;
}

#endif
