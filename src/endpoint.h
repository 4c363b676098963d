/*
** Where a request goes: "host", "host:port" or a URL, checked so that what is
** signed as `host` is what libcurl sends. Knows neither Lua nor curl.
*/
#ifndef EMR_ENDPOINT_H
#define EMR_ENDPOINT_H

#include "buffer.h"

#pragma GCC visibility push(hidden)

#define EMR_HOST_MAX 253

typedef struct emr_Endpoint {
  int tls;  /* https */
  int loopback;  /* localhost, 127.0.0.0/8 or ::1 */
  char authority[EMR_HOST_MAX + 16];  /* lower case, default port left out */
} emr_Endpoint;

/* Reads scheme and authority; `rest` is what follows them (path, query).
** Without a scheme it is https. A trailing dot of the host is dropped.
** Returns NULL, or what is wrong with the text. */
const char *emr_endpoint_split (emr_Str text, emr_Endpoint *e, emr_Str *rest);

/* The same, where nothing but one "/" may follow. */
const char *emr_endpoint_parse (emr_Str text, emr_Endpoint *e);

#pragma GCC visibility pop

#endif
