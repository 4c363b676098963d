/*
** What became of a transfer: libcurl's result in our own words.
*/
#include "easy.h"

#include <string.h>

typedef struct Row {
  CURLcode rc;
  emr_Reason reason;
} Row;

/* Results that mean one thing only. */
static const Row rows[] = {
  {CURLE_UNSUPPORTED_PROTOCOL, {"protocol", "http"}},
  {CURLE_URL_MALFORMAT, {"memory", NULL}},  /* it was read before: it cannot be copied */
  {CURLE_WEIRD_SERVER_REPLY, {"protocol", "http"}},
  {CURLE_COULDNT_RESOLVE_PROXY, {"network", "proxy"}},
  {CURLE_PROXY, {"network", "proxy"}},
  {CURLE_COULDNT_RESOLVE_HOST, {"network", "resolve"}},
  {CURLE_PARTIAL_FILE, {"network", "truncated"}},
  {CURLE_GOT_NOTHING, {"network", "reset"}},
  {CURLE_SEND_ERROR, {"network", "reset"}},
  {CURLE_ABORTED_BY_CALLBACK, {"network", "reset"}},
  {CURLE_FILESIZE_EXCEEDED, {"protocol", "too_large"}},
  {CURLE_PEER_FAILED_VERIFICATION, {"tls", "verify"}},
  {CURLE_SSL_ISSUER_ERROR, {"tls", "verify"}},
  {CURLE_SSL_CACERT_BADFILE, {"tls", "ca"}},
  {CURLE_SSL_CERTPROBLEM, {"tls", "client_cert"}},
  {CURLE_SSL_CIPHER, {"tls", "handshake"}},
};


static emr_Reason reason (const char *kind, const char *code) {
  emr_Reason r;
  r.kind = kind;
  r.code = code;
  return r;
}


static int says (const emr_Transfer *t, const char *words) {
  return strstr(t->detail, words) != NULL;
}


/* libcurl has one result for a handshake that was cut and one that was
** refused; its text tells them apart. */
static emr_Reason handshake (const emr_Transfer *t) {
  if (says(t, "SSL_ERROR_SYSCALL") || says(t, "reset by peer") ||
      says(t, "unexpected eof") || says(t, "SSL_ERROR_ZERO_RETURN"))
    return reason("network", "reset");
  if (says(t, "certificate verify failed"))
    return reason("tls", "verify");
  return reason("tls", "handshake");
}


static emr_Reason received (const emr_Transfer *t) {
  long connectcode = 0;
  curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &connectcode);
  if (t->usesproxy && connectcode != 0 && connectcode / 100 != 2)
    return reason("network", "proxy");
  if (says(t, " alert "))
    return reason("tls", "handshake");
  if (t->usesproxy && connectcode == 0 && t->sends == 0)
    return reason("network", "proxy");
  /* over TLS a cut connection looks like this in the middle of a body too */
  if (t->head.n > 0 && !t->inhead && says(t, "unexpected eof"))
    return reason("network", "truncated");
  return reason("network", "reset");
}


static emr_Reason timedout (const emr_Transfer *t) {
  long connectcode = 0;
  curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &connectcode);
  if (t->sends > 0)
    return reason("timeout", "attempt");
  if (t->usesproxy && connectcode == 0)
    return reason("network", "proxy");
  return reason("timeout", "connect");
}


/* A head line longer than libcurl takes comes as this result, too. */
static emr_Reason outofmemory (const emr_Transfer *t) {
  int isinhead = t->sends > 0 && t->detail[0] == '\0' && t->body.n == 0 && (t->inhead || t->head.n == 0);
  return isinhead ? reason("protocol", "too_large") : reason("memory", NULL);
}


/* Whether a new connection broke, before any reply, after the server had asked
** for a client certificate: it got none, or does not like it. What libcurl
** reports depends on how far it had come with sending. */
static int wantedcertificate (const emr_Transfer *t, CURLcode rc) {
  int isbroken = rc == CURLE_SEND_ERROR || rc == CURLE_RECV_ERROR ||
                 rc == CURLE_GOT_NOTHING || rc == CURLE_SSL_CONNECT_ERROR;
  return t->asked && isbroken && t->nlines == 0;
}


static emr_Reason classify (const emr_Transfer *t, CURLcode rc) {
  size_t i;
  if (says(t, "malloc failure"))  /* OpenSSL's words, with several results */
    return reason("memory", NULL);
  if (wantedcertificate(t, rc))
    return reason("tls", "client_cert");
  for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    if (rows[i].rc == rc)
      return rows[i].reason;
  if (says(t, "chunked-encod"))  /* comes with several results */
    return reason("protocol", "http");
  switch (rc) {
    case CURLE_COULDNT_CONNECT:
      if (t->sockets->starved)
        return reason("memory", NULL);
      return reason("network", t->usesproxy ? "proxy" : "connect");
    case CURLE_OPERATION_TIMEDOUT: return timedout(t);
    case CURLE_OUT_OF_MEMORY: return outofmemory(t);
    case CURLE_SSL_CONNECT_ERROR: return handshake(t);
    case CURLE_RECV_ERROR: return received(t);
    default: return reason("network", "reset");
  }
}


static double seconds (const emr_Transfer *t, CURLINFO what) {
  curl_off_t us = 0;
  curl_easy_getinfo(t->easy, what, &us);
  return (double)us / 1e6;
}


static void readtimes (emr_Transfer *t) {
  t->times.lookup = seconds(t, CURLINFO_NAMELOOKUP_TIME_T);
  t->times.connect = seconds(t, CURLINFO_CONNECT_TIME_T);
  t->times.tls = seconds(t, CURLINFO_APPCONNECT_TIME_T);
  t->times.first_byte = seconds(t, CURLINFO_STARTTRANSFER_TIME_T);
  t->times.total = seconds(t, CURLINFO_TOTAL_TIME_T);
}


/* A reply that was meant for another request came on a kept connection whose
** sides no longer agree. Whether a repeat may be is known before it is asked. */
static int isastray (const emr_Transfer *t) {
  return t->reused && t->http.repeatable && t->reason.kind == NULL &&
         emr_http_isastray(&t->http, emr_str(t->body.p, t->body.n));
}


static void retire (emr_Transfer *t) {
  curl_socket_t fd = CURL_SOCKET_BAD;
  curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd);
  emr_sockets_retire(fd);
  t->died = 1;
  t->reason = reason("network", "reset");
  strcpy(t->detail, "the reply was to another request");
}


void emr_outcome_read (emr_Transfer *t, CURLcode rc) {
  long connects = 0;
#if LIBCURL_VERSION_NUM < 0x075000  /* without onsend in easy.c nobody counts */
  curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &connects);
  t->sends = connects > 0;
#endif
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
  curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
  t->reused = connects == 0 && t->sends > 0;
  readtimes(t);
  if (t->reused && rc != CURLE_OK && rc != CURLE_OPERATION_TIMEDOUT && t->nlines == 0)
    t->died = 1;
  if (t->stopped.kind != NULL) {
    t->reason = t->stopped;
    t->detail[0] = '\0';  /* libcurl knows only that we refused its bytes */
  }
  else if (rc != CURLE_OK)
    t->reason = classify(t, rc);
  else if (t->inhead)  /* libcurl is content with a head that was cut short */
    t->reason = reason("network", "reset");
  else if (t->status < 200 || t->status > 599)
    t->reason = reason("protocol", "http");
  if (isastray(t))
    retire(t);
  if (t->reason.code != NULL && strcmp(t->reason.code, "proxy") == 0)
    curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &t->status);
  if (t->reason.kind != NULL && t->stopped.kind == NULL && t->detail[0] == '\0') {
    strncpy(t->detail, rc == CURLE_OK ? "" : curl_easy_strerror(rc), sizeof(t->detail) - 1);
    t->detail[sizeof(t->detail) - 1] = '\0';
  }
}
