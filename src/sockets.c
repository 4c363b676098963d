#include "sockets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


static int note (emr_Sockets *s, curl_socket_t fd) {
  if ((size_t)fd >= s->n) {
    size_t n = (size_t)fd + 64;
    unsigned char *isopen = (unsigned char *)realloc(s->isopen, n);
    if (isopen == NULL)
      return 0;
    memset(isopen + s->n, 0, n - s->n);
    s->isopen = isopen;
    s->n = n;
  }
  s->isopen[fd] = 1;
  return 1;
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
  if (fd >= 0 && !note(s, fd)) {
    close(fd);
    fd = CURL_SOCKET_BAD;
  }
  return fd;
}


int emr_sockets_close (void *ud, curl_socket_t fd) {
  emr_Sockets *s = (emr_Sockets *)ud;
  if ((size_t)fd < s->n)
    s->isopen[fd] = 0;
  return close(fd);
}


void emr_sockets_closeall (emr_Sockets *s) {
  size_t fd;
  for (fd = 0; fd < s->n; fd++)
    if (s->isopen[fd])
      emr_sockets_close(s, (curl_socket_t)fd);
}


void emr_sockets_free (emr_Sockets *s) {
  free(s->isopen);
  s->isopen = NULL;
  s->n = 0;
}
