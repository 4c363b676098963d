/*
** The libcurl handle of one transfer: what is set once, what is set for each
** request, and what libcurl calls back while it runs.
*/
#include "easy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "system.h"

#define IDLE_MAX 15L  /* seconds; the service closes idle connections at 25 */
#define AGE_MAX 600L  /* seconds; then the certificate is looked at again */
#define CA_CACHE 3600L  /* seconds until a CA file is read anew */
#define CA_DOUBTED 1L  /* the same, when certificates were refused by it */
#define HEAD_MAX 65536
#define LINE_MAX_ 16384
#define LINES_MAX 256
#define SECURITY_LEVEL 2  /* OpenSSL's; below it RSA keys of 1024 bits will do */

#define set(option, value) \
  (curl_easy_setopt(t->easy, option, value) == CURLE_OK)


/* {==================================================================
** Callbacks. They run inside libcurl: no Lua, and no way out but the result.
** =================================================================== */

static size_t stop (emr_Transfer *t, const char *kind, const char *code) {
  t->stopped.kind = kind;
  t->stopped.code = code;
  return 0;
}


static size_t onbody (char *p, size_t size, size_t n, void *ud) {
  emr_Transfer *t = (emr_Transfer *)ud;
  (void)size;  /* always 1 */
  if (n > t->max_body - t->body.n)
    return stop(t, "protocol", "too_large");
  emr_buffer_add(&t->body, p, n);
  return t->body.failed ? stop(t, "memory", NULL) : n;
}


/* Whether the next line is the first one after a status line. */
static int isfirst (const emr_Transfer *t) {
  return t->inhead && t->head.n == 0;
}


/* libcurl 7.83 to 8.0 takes a first line that begins with a blank for the rest of
** the last header of an earlier reply on the handle, and writes to the memory that
** this one had (curl's pull request 11103). What it shows to this callback is what
** it works on next: the line is made one that onheader refuses. */
static int ondebug (CURL *easy, curl_infotype type, char *p, size_t n, void *ud) {
  (void)easy;
  if (type == CURLINFO_HEADER_IN && n > 0 && isfirst((const emr_Transfer *)ud) &&
      (p[0] == ' ' || p[0] == '\t'))
    p[0] = ':';
  return 0;
}


static int isdigit_ (char c) {
  return c >= '0' && c <= '9';
}


/* RFC 9112, section 4. libcurl takes anything that begins with HTTP/, in any letter
** case, and makes a status 200 of what it cannot read. */
static int isstatusline (const char *p, size_t n) {
  return n > 12 && memcmp(p, "HTTP/1.", 7) == 0 && isdigit_(p[7]) && p[8] == ' ' &&
         isdigit_(p[9]) && isdigit_(p[10]) && isdigit_(p[11]) && !isdigit_(p[12]);
}


/* Has libcurl call ondebug, or no longer. */
static void watchline (emr_Transfer *t, long on) {
  if (t->lingers)
    (void)set(CURLOPT_VERBOSE, on);
}


/* Keeps the head of the last reply: an interim one (100, 103) is forgotten
** when the next status line comes. Trailers are counted, not kept. */
static size_t onheader (char *p, size_t size, size_t n, void *ud) {
  emr_Transfer *t = (emr_Transfer *)ud;
  int first = isfirst(t);
  (void)size;
  if (++t->nlines > LINES_MAX || n > LINE_MAX_ || n > HEAD_MAX - t->head.n)
    return stop(t, "protocol", "too_large");
  if (first)
    watchline(t, 0);
  if (!t->inhead && n >= 5 && strncasecmp(p, "HTTP/", 5) == 0) {
    if (!isstatusline(p, n))
      return stop(t, "protocol", "http");
    t->inhead = 1;
    t->head.n = 0;
    watchline(t, 1);
  }
  else if (first && (p[0] == ' ' || p[0] == '\t' || p[0] == ':'))
    return stop(t, "protocol", "http");
  else if (p[0] == '\r' || p[0] == '\n') {
    t->inhead = 0;
    if (!emr_head_isplain(&t->head))
      return stop(t, "protocol", "encoding");
  }
  else if (t->inhead) {
    emr_head_add(&t->head, p, n);
    if (t->head.failed)
      return stop(t, "memory", NULL);
  }
  return n;
}


int emr_easy_renew (emr_Transfer *t) {
  return !t->http.issigned ||
         (t->signer != NULL && emr_http_renew(&t->http, t->signer));
}


#if LIBCURL_VERSION_NUM >= 0x075000

/* Before each sending. libcurl by itself sends a request again when a kept
** connection turns out dead; the service would take the second for a replay,
** so it is signed anew, and sent once more only on a new connection. A kept
** connection on which bytes wait is not used: nobody asked for them, and they
** would be taken for the reply. */
static int onsend (void *ud, char *ip, char *localip, int port, int localport) {
  emr_Transfer *t = (emr_Transfer *)ud;
  long connects = 0;
  (void)localip;
  curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
  if (t->sends == 0 && connects == 0 &&
      emr_sockets_isreadable(t->sockets, ip, port, localport)) {
    t->died = t->unsent = 1;
    return CURL_PREREQFUNC_ABORT;
  }
  if (t->sends++ == 0)
    return CURL_PREREQFUNC_OK;
  t->died = 1;
  if (connects == 0 || t->repeated || !t->http.repeatable || !emr_easy_renew(t))
    return CURL_PREREQFUNC_ABORT;
  t->repeated = 1;
  return CURL_PREREQFUNC_OK;
}

#endif

static int oncertificate (SSL *ssl, void *ud) {
  (void)ssl;
  ((emr_Transfer *)ud)->asked = 1;
  return 1;
}


/* For each new connection. Renegotiation is off, so that the callback comes
** while the transfer that makes the connection lives, and never later. */
static CURLcode ontls (CURL *easy, void *context, void *ud) {
  SSL_CTX *ctx = (SSL_CTX *)context;
  (void)easy;
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
  if (SSL_CTX_get_security_level(ctx) < SECURITY_LEVEL)
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
  SSL_CTX_set_keylog_callback(ctx, NULL);  /* libcurl obeys SSLKEYLOGFILE */
  SSL_CTX_set_cert_cb(ctx, oncertificate, ud);
  return CURLE_OK;
}

/* }================================================================== */


/* {==================================================================
** Set once
** =================================================================== */

/* How long libcurl may use a CA file that it has parsed. */
static int doubtca (emr_Transfer *t, int doubted) {
#if LIBCURL_VERSION_NUM >= 0x075700
  t->doubtsca = doubted;
  return set(CURLOPT_CA_CACHE_TIMEOUT, doubted ? CA_DOUBTED : CA_CACHE);
#else
  (void)t; (void)doubted;
  return 1;  /* it is read anew for each connection */
#endif
}


static int setnewer (emr_Transfer *t) {
  int ok = 1;
#if LIBCURL_VERSION_NUM >= 0x075000
  ok = ok && set(CURLOPT_PREREQFUNCTION, onsend) && set(CURLOPT_PREREQDATA, t) &&
       set(CURLOPT_MAXLIFETIME_CONN, AGE_MAX);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  /* do not wait for a resolver thread that hangs */
  ok = ok && set(CURLOPT_QUICK_EXIT, 1L) && doubtca(t, 0);
#endif
#if LIBCURL_VERSION_NUM >= 0x075500
  ok = ok && set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  ok = ok && set(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  return ok;
}


/* Redirects, cookies, netrc, compression, HTTP/0.9 and authentication are off
** by libcurl's own defaults, and stay so. */
static int setconstants (emr_Transfer *t, emr_Sockets *sockets) {
  return
    set(CURLOPT_PRIVATE, t) &&
    (t->url = curl_url()) != NULL && set(CURLOPT_CURLU, t->url) &&
    set(CURLOPT_ERRORBUFFER, t->detail) &&
    set(CURLOPT_WRITEFUNCTION, onbody) && set(CURLOPT_WRITEDATA, t) &&
    set(CURLOPT_HEADERFUNCTION, onheader) && set(CURLOPT_HEADERDATA, t) &&
    set(CURLOPT_DEBUGFUNCTION, ondebug) && set(CURLOPT_DEBUGDATA, t) &&
    set(CURLOPT_OPENSOCKETFUNCTION, emr_sockets_open) &&
    set(CURLOPT_OPENSOCKETDATA, sockets) &&
    set(CURLOPT_CLOSESOCKETFUNCTION, emr_sockets_close) &&
    set(CURLOPT_CLOSESOCKETDATA, sockets) &&
    set(CURLOPT_NOSIGNAL, 1L) &&
    set(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
    set(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
    set(CURLOPT_MAXAGE_CONN, IDLE_MAX) &&
    set(CURLOPT_PROXY, "") && set(CURLOPT_NOPROXY, "");
}


/* libcurl may be built with another TLS library than ours. */
static int setontls (emr_Transfer *t) {
  const char *tls = curl_version_info(CURLVERSION_NOW)->ssl_version;
  return tls == NULL || strncmp(tls, "OpenSSL/3", 9) != 0 ||
         (set(CURLOPT_SSL_CTX_FUNCTION, ontls) && set(CURLOPT_SSL_CTX_DATA, t));
}


/* A proxy URL may hold a password. */
static void freestring (char *s) {
  if (s != NULL)
    OPENSSL_cleanse(s, strlen(s));
  free(s);
}


int emr_easy_open (emr_Transfer *t, CURLSH *share, emr_Sockets *sockets) {
  const curl_version_info_data *libcurl = curl_version_info(CURLVERSION_NOW);
  t->sockets = sockets;
  t->easy = curl_easy_init();
  t->lingers = libcurl->version_num >= 0x075300 && libcurl->version_num < 0x080100;
  /* libcurl keeps a parsed CA file only where no CA directory is set */
  t->defaultca = libcurl->cainfo;
  return t->easy != NULL && setconstants(t, sockets) && setnewer(t) &&
         setontls(t) && set(CURLOPT_SHARE, share) &&
         (t->defaultca == NULL || set(CURLOPT_CAPATH, NULL));
}


void emr_easy_close (emr_Transfer *t) {
  int i;
  if (t->easy != NULL)
    curl_easy_cleanup(t->easy);
  t->easy = NULL;
  curl_url_cleanup(t->url);
  t->url = NULL;
  for (i = 0; i < EMR_EASY_STRINGS; i++) {
    freestring(t->applied[i]);
    t->applied[i] = NULL;
  }
}

/* }================================================================== */


/* {==================================================================
** Set for each request
** =================================================================== */

static long milliseconds (double seconds) {
  double ms = seconds * 1000;
  return ms < 1 ? 1 : (long)(ms + 0.5);
}


static int issame (const char *a, const char *b) {
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}


/* Sets a string option when it is not what the handle has. `none` is what
** stands for an absent value. */
static int setstring (emr_Transfer *t, int slot, CURLoption option,
                      const char *value, const char *none) {
  char *copy = NULL;
  if (issame(t->applied[slot], value))
    return 1;
  if (value != NULL) {
    size_t n = strlen(value) + 1;
    if ((copy = (char *)malloc(n)) == NULL)
      return 0;
    memcpy(copy, value, n);
  }
  freestring(t->applied[slot]);
  t->applied[slot] = copy;
  return set(option, value != NULL ? value : none);
}


static int setlimits (emr_Transfer *t, const emr_Limits *l) {
  int onlypath = l->ca_file == NULL && l->ca_path != NULL;
  t->max_body = l->max_response_bytes;
  t->usesproxy = l->proxy != NULL;
  return
    setstring(t, 0, CURLOPT_CAINFO, onlypath ? "" : l->ca_file, t->defaultca) &&
    setstring(t, 1, CURLOPT_CAPATH, l->ca_path, NULL) &&
    setstring(t, 2, CURLOPT_SSLCERT, l->client_cert, NULL) &&
    setstring(t, 3, CURLOPT_SSLKEY, l->client_key, NULL) &&
    setstring(t, 4, CURLOPT_PROXY, l->proxy, "") &&
    setstring(t, 5, CURLOPT_NOPROXY, l->no_proxy, "") &&
    (!onlypath || set(CURLOPT_CAINFO, NULL)) &&
    set(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)l->max_response_bytes) &&
    set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(l->connect_timeout)) &&
    set(CURLOPT_TIMEOUT_MS, milliseconds(l->timeout));
}


/* The header list points into the request's text: libcurl reads it when it
** sends, so that a renewed signature needs no new list. */
static struct curl_slist *headerlist (emr_Transfer *t) {
  emr_Http *h = &t->http;
  size_t i, n = 0;
  int typed = 0;
  for (i = 1; i < h->nlines; i++) {  /* libcurl makes line 0, host */
    t->list[n++].data = h->text.p + h->lines[i].name.at;
    if (h->lines[i].name.n == 12 &&
        strncasecmp(h->text.p + h->lines[i].name.at, "content-type", 12) == 0)
      typed = 1;
  }
  if (h->hasbody) {
    static char noexpect[] = "Expect:", notype[] = "Content-Type:";
    t->list[n++].data = noexpect;  /* without a value: not to be sent */
    if (!typed)
      t->list[n++].data = notype;
  }
  for (i = 0; i < n; i++)
    t->list[i].next = i + 1 < n ? &t->list[i + 1] : NULL;
  return n > 0 ? t->list : NULL;
}


static int setmethod (emr_Transfer *t) {
  emr_Http *h = &t->http;
  const char *method = h->text.p + h->method.at;
  int isget = strcmp(method, "GET") == 0;
  if (!set(CURLOPT_HTTPGET, 1L) || !set(CURLOPT_CUSTOMREQUEST, isget ? NULL : method))
    return 0;
  if (strcmp(method, "HEAD") == 0)
    return set(CURLOPT_NOBODY, 1L);
  return !h->hasbody ||
         (set(CURLOPT_POST, 1L) &&
          set(CURLOPT_POSTFIELDS, h->body.p != NULL ? h->body.p : "") &&
          set(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)h->body.n));
}


/* libcurl parses a URL for each transfer, and writes it anew, byte by byte; one
** that is parsed already it only copies. */
static int setplace (emr_Transfer *t, const char *url) {
  if (issame(t->applied[6], url))
    return 1;
  free(t->applied[6]);
  t->applied[6] = strdup(url);
  return curl_url_set(t->url, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK;
}


/* The target is given apart from the place, so that it goes out as it was signed.
** Not where a proxy may be asked for all of the URL (RFC 9112, section 3.2.2): libcurl
** knows for which hosts it is not. */
static int seturl (emr_Transfer *t) {
  char *url = t->http.text.p + t->http.url.at;
  char *target = t->http.text.p + t->http.path.at, first = *target;
  int ok;
  if (t->usesproxy && !t->http.tls)
    return setplace(t, url) && set(CURLOPT_REQUEST_TARGET, NULL);
  *target = '\0';
  ok = setplace(t, url);
  *target = first;
  return ok && set(CURLOPT_REQUEST_TARGET, target);
}


int emr_easy_apply (emr_Transfer *t, const emr_Limits *limits, int doubtsca) {
  emr_Http *h = &t->http;
  t->inhead = 0;
  return emr_http_ok(h) &&
         (t->doubtsca == doubtsca || doubtca(t, doubtsca)) &&
         setlimits(t, limits) &&
         setmethod(t) &&
         set(CURLOPT_FRESH_CONNECT, 0L) &&
         seturl(t) &&
         set(CURLOPT_HTTPHEADER, headerlist(t));
}


void emr_easy_repeat (emr_Transfer *t) {
  t->inhead = 0;
  (void)set(CURLOPT_FRESH_CONNECT, 1L);
  (void)set(CURLOPT_TIMEOUT_MS, milliseconds(t->deadline - emr_monotonic()));
}

/* }================================================================== */
