/*
** One HTTP request as it will be sent, and the head of a reply. Everything of
** a request stands in one run of text, addressed by offset; the parts that a
** new signature changes have a fixed length and are rewritten in place.
** Knows the signer, neither Lua nor curl.
*/
#ifndef EMR_HTTP_H
#define EMR_HTTP_H

#include "acs3.h"
#include "buffer.h"

#pragma GCC visibility push(hidden)

#define EMR_HEADERS_MAX 64
#define EMR_ECHOES_MAX 4

typedef struct emr_Span {
  size_t at, n;
} emr_Span;

typedef struct emr_Line {
  emr_Span name, value;  /* "name: value", terminated, starting at name.at */
} emr_Line;

typedef struct emr_Http {
  emr_Buffer text, body, secret;
  emr_Span method, url;
  emr_Span path, query;  /* inside `url` */
  int tls;
  int hasbody;
  int repeatable;  /* sending it twice does no harm */
  int issigned;
  double clock_offset;
  emr_Span date, nonce, signature;  /* rewritten by each signature */
  size_t nlines, nechoes;
  /* emr_http_clear leaves the arrays as they are; they come last.
  ** Line 0 is `host`, which libcurl makes from the URL */
  emr_Line lines[EMR_HEADERS_MAX];
  emr_Line echoes[EMR_ECHOES_MAX];
} emr_Http;

/* Forgets everything, overwriting it. */
void emr_http_clear (emr_Http *h);
void emr_http_free (emr_Http *h);

/* 1, or 0 when memory failed while it was built. */
int emr_http_ok (const emr_Http *h);

static inline emr_Str emr_http_str (const emr_Http *h, emr_Span s) {
  return emr_str(h->text.p + s.at, s.n);
}

/* Appends terminated text and returns where it stands. */
emr_Span emr_http_text (emr_Http *h, emr_Str s);

/* Adds a header. Its name has to be in lower case. Returns 0 when there are
** EMR_HEADERS_MAX already. */
int emr_http_header (emr_Http *h, emr_Str name, emr_Str value);

/* The same with a name in any letter case. */
int emr_http_anyheader (emr_Http *h, emr_Str name, emr_Str value);

/* Headers of fixed length whose values a signature writes. */
int emr_http_dateheader (emr_Http *h);
int emr_http_nonceheader (emr_Http *h);

/* A member that a reply to this request repeats where it has it. Both texts are
** kept as JSON writes them, in quotes. */
void emr_http_echo (emr_Http *h, emr_Str name, emr_Str value);

/* Whether the body is a reply to something else: it has one of those members,
** and always with another text. */
int emr_http_isastray (const emr_Http *h, emr_Str body);

/* Signs, and adds the header `authorization`; or signs anew, in place. They
** return 0 when memory, OpenSSL or the system's random source fails. */
int emr_http_sign (emr_Http *h, emr_Signer *s, emr_Str access_key_id);
int emr_http_renew (emr_Http *h, emr_Signer *s);

/* Finds a header in the raw head of a reply: the n-th of that name, from 0.
** The value comes without blanks at its ends. */
int emr_head_find (const emr_Buffer *head, const char *wanted, int nth,
                   emr_Str *value);

/* Whether the body is not compressed. */
int emr_head_isplain (const emr_Buffer *head);

/* Appends a line. One that begins with a blank goes on with the one before (RFC
** 9112, section 5.2). */
void emr_head_add (emr_Buffer *head, const char *line, size_t n);

/* Calls `each` for every header. */
typedef void (*emr_EachHeader) (void *ud, emr_Str name, emr_Str value);
void emr_head_each (const emr_Buffer *head, emr_EachHeader each, void *ud);

/* Seconds since 1970 of an HTTP date, or -1. */
double emr_http_date (emr_Str text);

#pragma GCC visibility pop

#endif
