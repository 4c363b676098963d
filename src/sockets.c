#include "sockets.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>


static int identify (curl_socket_t fd, ino_t *id) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
    return 0;
  *id = st.st_ino;
  return 1;
}


/* libcurl closes a socket that never got connected without telling us, and the
** number may stand for somebody else's by now. */
static int isours (const emr_Sockets *s, size_t fd) {
  ino_t id;
  return s->list[fd].isopen && identify((curl_socket_t)fd, &id) && id == s->list[fd].id;
}


static int note (emr_Sockets *s, curl_socket_t fd) {
  if ((size_t)fd >= s->n) {
    size_t n = (size_t)fd + 64;
    emr_Socket *list = (emr_Socket *)realloc(s->list, n * sizeof(*list));
    if (list == NULL)
      return 0;
    memset(list + s->n, 0, (n - s->n) * sizeof(*list));
    s->list = list;
    s->n = n;
  }
  memset(&s->list[fd], 0, sizeof(*s->list));
  s->list[fd].isopen = identify(fd, &s->list[fd].id);
  return s->list[fd].isopen;
}


curl_socket_t emr_sockets_open (void *ud, curlsocktype purpose, struct curl_sockaddr *a) {
  emr_Sockets *s = (emr_Sockets *)ud;
  int type = a->socktype;
  curl_socket_t fd;
  (void)purpose;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC;
#endif
  fd = socket(a->family, type, a->protocol);
  s->starved = fd >= 0 && !note(s, fd);
  if (s->starved) {
    close(fd);
    fd = CURL_SOCKET_BAD;
  }
  return fd;
}


/* What a forked child has open, too, stays in the poller until it is told. */
int emr_sockets_close (void *ud, curl_socket_t fd) {
  emr_Sockets *s = (emr_Sockets *)ud;
  if ((size_t)fd < s->n) {
    if (s->list[fd].watched != 0)
      emr_poller_set(s->poller, fd, 0);
    memset(&s->list[fd], 0, sizeof(*s->list));
  }
  return close(fd);
}


/* A socket that is wanted no more stays in the poller until it is closed, or ready
** once more: a kept connection will be wanted again, and of one that libcurl has
** closed without telling, the number may stand for somebody else's by now. */
int emr_sockets_watch (emr_Sockets *s, curl_socket_t fd, int events) {
  emr_Socket *e = (size_t)fd < s->n && s->list[fd].isopen ? &s->list[fd] : NULL;
  int before = e != NULL ? e->watched : 0;
  if (e != NULL) {
    e->isresting = events == 0;
    if (e->isresting || (e->iskept && events == before))
      return before;
    e->watched = events;
  }
  emr_poller_set(s->poller, fd, events);
  return before;
}


int emr_sockets_isunwanted (emr_Sockets *s, curl_socket_t fd) {
  emr_Socket *e = (size_t)fd < s->n ? &s->list[fd] : NULL;
  if (e == NULL || !e->isresting)
    return 0;
  e->isresting = e->watched = 0;
  emr_poller_set(s->poller, fd, 0);
  return 1;
}


/* Writes the address to `ip`, which has the room; returns the port. */
static int addressof (const struct sockaddr_storage *a, char *ip) {
  const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a;
  if (a->ss_family == AF_INET6)
    return inet_ntop(AF_INET6, &v6->sin6_addr, ip, INET6_ADDRSTRLEN) != NULL
               ? ntohs(v6->sin6_port) : 0;
  if (a->ss_family == AF_INET)
    return inet_ntop(AF_INET, &v4->sin_addr, ip, INET6_ADDRSTRLEN) != NULL
               ? ntohs(v4->sin_port) : 0;
  return 0;
}


static void readends (curl_socket_t fd, emr_Ends *e) {
  struct sockaddr_storage a;
  socklen_t n = sizeof(a);
  if (getsockname(fd, (struct sockaddr *)&a, &n) == 0)
    e->localport = addressof(&a, e->ip);
  n = sizeof(a);
  if (getpeername(fd, (struct sockaddr *)&a, &n) == 0)
    e->port = addressof(&a, e->ip);
}


static int isreadable (curl_socket_t fd) {
  struct pollfd p;
  p.fd = fd;
  p.events = POLLIN;
  return poll(&p, 1, 0) != 0;
}


/* One that was reset while it was idle has no peer any more. */
static int hasends (const emr_Socket *e, const char *ip, int port, int localport) {
  return e->ends.localport == localport &&
         (e->ends.port == 0 || (e->ends.port == port && strcmp(e->ends.ip, ip) == 0));
}


/* Looks through all; s->n: there is none. */
static size_t find (emr_Sockets *s, const char *ip, int port, int localport) {
  size_t fd;
  for (fd = 0; fd < s->n; fd++) {
    emr_Socket *e = &s->list[fd];
    if (e->isopen && e->ends.port == 0)  /* while it connects it has no peer yet */
      readends((curl_socket_t)fd, &e->ends);
    if (hasends(e, ip, port, localport) && isours(s, fd)) {
      e->iskept = 1;
      s->byport[localport] = (int)fd;
      break;
    }
  }
  return fd;
}


int emr_sockets_isreadable (emr_Sockets *s, const char *ip, int port, int localport) {
  size_t fd = (size_t)s->byport[localport];
  if (fd >= s->n || !s->list[fd].iskept || !hasends(&s->list[fd], ip, port, localport))
    fd = find(s, ip, port, localport);
  return fd < s->n && isreadable((curl_socket_t)fd);
}


/* Only the reading side: TLS may still write its good-bye. */
void emr_sockets_retire (curl_socket_t fd) {
  if (fd != CURL_SOCKET_BAD)
    shutdown(fd, SHUT_RD);
}


void emr_sockets_closeall (emr_Sockets *s) {
  size_t fd;
  for (fd = 0; fd < s->n; fd++)
    if (isours(s, fd))
      close((int)fd);
}


void emr_sockets_free (emr_Sockets *s) {
  free(s->list);
  s->list = NULL;
  s->n = 0;
}
