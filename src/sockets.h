/*
** The sockets that libcurl has open for us, kept connections too: which of them
** the poller watches, and what a forked child has to close without libcurl.
*/
#ifndef EMR_SOCKETS_H
#define EMR_SOCKETS_H

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/types.h>

#include "poller.h"

#pragma GCC visibility push(hidden)

#define EMR_SOCKETS_PORTS 65536  /* memory that is touched only where a port is used */

/* Both ends of a connection. Many may have one local port, to different places. */
typedef struct emr_Ends {
  int localport, port;  /* 0: not known */
  char ip[INET6_ADDRSTRLEN];  /* of the peer, as is its port */
} emr_Ends;

typedef struct emr_Socket {
  int isopen;
  ino_t id;  /* what the descriptor stood for */
  emr_Ends ends;  /* asked for when it is to serve again */
  int iskept;  /* it served again: a connection, whose end libcurl will tell */
  int watched;  /* the events that the poller looks for */
  int isresting;  /* though nobody wants them now */
} emr_Socket;

typedef struct emr_Sockets {
  emr_Poller *poller;  /* not owned */
  emr_Socket *list;  /* by descriptor */
  size_t n;
  int starved;  /* memory failed for the last one that was wanted */
  int byport[EMR_SOCKETS_PORTS];  /* a guess: the descriptor of a local port */
} emr_Sockets;

/* Callbacks for CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION;
** their data is an emr_Sockets. */
curl_socket_t emr_sockets_open (void *ud, curlsocktype purpose, struct curl_sockaddr *a);
int emr_sockets_close (void *ud, curl_socket_t fd);

/* Has the poller look for `events` on any socket of libcurl's; 0: for none. Returns
** what it looked for before. */
int emr_sockets_watch (emr_Sockets *s, curl_socket_t fd, int events);

/* Whether nobody wants to know that the socket is ready. It is watched no more
** then. */
int emr_sockets_isunwanted (emr_Sockets *s, curl_socket_t fd);

/* Whether bytes wait to be read on the socket with these ends. (libcurl tells a
** callback the ends of a connection, not its descriptor.) */
int emr_sockets_isreadable (emr_Sockets *s, const char *ip, int port, int localport);

/* Makes a kept connection look ended, so that libcurl closes it instead of using
** it again. */
void emr_sockets_retire (curl_socket_t fd);

/* For a forked child: the poller, which is its parent's too, is let be. */
void emr_sockets_closeall (emr_Sockets *s);
void emr_sockets_free (emr_Sockets *s);

#pragma GCC visibility pop

#endif
