#define _GNU_SOURCE  /* memmem */

#include "http.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "system.h"

#define KEEP 16384  /* capacity that a pooled request keeps */
#define NONCE_BYTES 16
#define DATE_SIZE sizeof("2025-12-22T08:00:00Z")


/* {==================================================================
** The request
** =================================================================== */

void emr_http_clear (emr_Http *h) {
  emr_buffer_wipe(&h->text, KEEP);
  emr_buffer_wipe(&h->body, KEEP);
  emr_buffer_wipe(&h->secret, KEEP);
  memset(&h->method, 0, offsetof(emr_Http, lines) - offsetof(emr_Http, method));
}


void emr_http_free (emr_Http *h) {
  emr_buffer_free(&h->text);
  emr_buffer_free(&h->body);
  emr_buffer_free(&h->secret);
}


int emr_http_ok (const emr_Http *h) {
  return !h->text.failed && !h->body.failed && !h->secret.failed;
}


emr_Span emr_http_text (emr_Http *h, emr_Str s) {
  emr_Span span;
  span.at = h->text.n;
  span.n = s.n;
  emr_buffer_str(&h->text, s);
  emr_buffer_char(&h->text, '\0');
  return span;
}


int emr_http_header (emr_Http *h, emr_Str name, emr_Str value) {
  emr_Line *line = &h->lines[h->nlines];
  if (h->nlines == EMR_HEADERS_MAX)
    return 0;
  line->name.at = h->text.n;
  line->name.n = name.n;
  emr_buffer_str(&h->text, name);
  emr_buffer_add(&h->text, ": ", 2);
  line->value = emr_http_text(h, value);
  h->nlines++;
  return 1;
}


int emr_http_anyheader (emr_Http *h, emr_Str name, emr_Str value) {
  size_t i, at = h->text.n;
  if (!emr_http_header(h, name, value))
    return 0;
  for (i = at; i < at + name.n && !h->text.failed; i++)
    if (h->text.p[i] >= 'A' && h->text.p[i] <= 'Z')
      h->text.p[i] = (char)(h->text.p[i] - 'A' + 'a');
  return 1;
}


static emr_Span addquoted (emr_Http *h, emr_Str s) {
  emr_Span span;
  span.at = h->text.n;
  span.n = s.n + 2;
  emr_buffer_char(&h->text, '"');
  emr_buffer_str(&h->text, s);
  emr_buffer_char(&h->text, '"');
  return span;
}


void emr_http_echo (emr_Http *h, emr_Str name, emr_Str value) {
  emr_Line *echo = &h->echoes[h->nechoes++];
  echo->name = addquoted(h, name);
  echo->value = addquoted(h, value);
}


/* A look at the text will do. Inside a string every quote has a backslash before
** it, so that what is found is a member. A text that JSON may write in two ways
** costs a request more, no wrong reply. */
static int contradicts (emr_Str body, emr_Str name, emr_Str value) {
  static const char gap[] = {':', ' ', '\t', '\r', '\n'};
  const char *p = body.s, *end = body.s + body.n;
  int named = 0;
  while ((p = (const char *)memmem(p, (size_t)(end - p), name.s, name.n)) != NULL) {
    p += name.n;
    while (p < end && memchr(gap, *p, sizeof(gap)) != NULL)
      p++;
    if ((size_t)(end - p) >= value.n && memcmp(p, value.s, value.n) == 0)
      return 0;
    named = named || (p < end && *p == '"');
  }
  return named;
}


int emr_http_isastray (const emr_Http *h, emr_Str body) {
  size_t i;
  for (i = 0; i < h->nechoes && body.n > 0; i++)
    if (contradicts(body, emr_http_str(h, h->echoes[i].name),
                    emr_http_str(h, h->echoes[i].value)))
      return 1;
  return 0;
}


static int placeholder (emr_Http *h, emr_Str name, size_t n, emr_Span *where) {
  static const char blank[2 * NONCE_BYTES] = {0};
  if (!emr_http_header(h, name, emr_str(blank, n)))
    return 0;
  *where = h->lines[h->nlines - 1].value;
  return 1;
}


int emr_http_dateheader (emr_Http *h) {
  return placeholder(h, EMR_STR("x-acs-date"), DATE_SIZE - 1, &h->date);
}


int emr_http_nonceheader (emr_Http *h) {
  return placeholder(h, EMR_STR("x-acs-signature-nonce"), 2 * NONCE_BYTES, &h->nonce);
}


static void hex (const unsigned char *bytes, size_t n, char *out) {
  static const char digits[] = "0123456789abcdef";
  size_t i;
  for (i = 0; i < n; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
}


static char *digits (char *p, int n, int v, char after) {
  int i;
  for (i = n - 1; i >= 0; i--) {
    p[i] = (char)('0' + v % 10);
    v /= 10;
  }
  p[n] = after;
  return p + n + 1;
}


/* Not strftime, which looks at the locale. */
static int writedate (emr_Http *h) {
  char *p = h->text.p + h->date.at;
  struct tm tm;
  time_t t = (time_t)(emr_wallclock() + h->clock_offset);
  if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
    return 0;
  p = digits(p, 4, tm.tm_year + 1900, '-');
  p = digits(p, 2, tm.tm_mon + 1, '-');
  p = digits(p, 2, tm.tm_mday, 'T');
  p = digits(p, 2, tm.tm_hour, ':');
  p = digits(p, 2, tm.tm_min, ':');
  digits(p, 2, tm.tm_sec, 'Z');
  return 1;
}


static int writenonce (emr_Http *h) {
  unsigned char bytes[NONCE_BYTES];
  if (!emr_random(bytes, sizeof(bytes)))
    return 0;
  hex(bytes, sizeof(bytes), h->text.p + h->nonce.at);
  return 1;
}


static int computesignature (emr_Http *h, emr_Signer *s, emr_Signature *out) {
  emr_Pair pairs[EMR_HEADERS_MAX];
  emr_Signable r;
  char hash[EMR_HEX_SHA256];
  size_t i;
  for (i = 0; i < h->nlines; i++) {
    pairs[i].name = emr_http_str(h, h->lines[i].name);
    pairs[i].value = emr_http_str(h, h->lines[i].value);
    if (pairs[i].name.n == 20 && memcmp(pairs[i].name.s, "x-acs-content-sha256", 20) == 0)
      memcpy(hash, pairs[i].value.s, sizeof(hash));
  }
  r.method = emr_http_str(h, h->method);
  r.path = emr_http_str(h, h->path);
  r.query = emr_http_str(h, h->query);
  r.headers = pairs;
  r.nheaders = h->nlines;
  r.payload_hash = emr_str(hash, sizeof(hash));
  return emr_acs3_sign(s, &r, emr_str(h->secret.p, h->secret.n), out);
}


int emr_http_renew (emr_Http *h, emr_Signer *s) {
  emr_Signature sig;
  int ok = writedate(h) && writenonce(h) && computesignature(h, s, &sig);
  if (ok)
    memcpy(h->text.p + h->signature.at, sig.hex, sizeof(sig.hex));
  emr_acs3_wipe(s);
  return ok;
}


static void addauthorization (emr_Http *h, emr_Str id, const emr_Signature *sig) {
  emr_Buffer *b = &h->text;
  emr_Line *line = &h->lines[h->nlines++];
  static const emr_Str name = {"authorization", sizeof("authorization") - 1};
  line->name.at = b->n;
  line->name.n = name.n;
  emr_buffer_str(b, name);
  emr_buffer_add(b, ": ", 2);
  line->value.at = b->n;
  emr_buffer_text(b, EMR_ACS3_ALGORITHM " Credential=");
  emr_buffer_str(b, id);
  emr_buffer_text(b, ",SignedHeaders=");
  emr_buffer_str(b, sig->signed_headers);
  emr_buffer_text(b, ",Signature=");
  h->signature = emr_http_text(h, emr_str(sig->hex, sizeof(sig->hex)));
  line->value.n = b->n - 1 - line->value.at;
}


int emr_http_sign (emr_Http *h, emr_Signer *s, emr_Str access_key_id) {
  emr_Signature sig;
  int ok = emr_http_ok(h) && h->nlines < EMR_HEADERS_MAX &&
           writedate(h) && writenonce(h) && computesignature(h, s, &sig);
  if (ok) {
    addauthorization(h, access_key_id, &sig);
    h->issigned = 1;
  }
  emr_acs3_wipe(s);
  return ok && emr_http_ok(h);
}

/* }================================================================== */


/* {==================================================================
** The head of a reply
** =================================================================== */

static int isblank_ (char c) {
  return c == ' ' || c == '\t';
}


void emr_head_add (emr_Buffer *head, const char *line, size_t n) {
  if (n > 0 && isblank_(line[0]))
    while (head->n > 0 && (head->p[head->n - 1] == '\n' || head->p[head->n - 1] == '\r'))
      head->n--;
  emr_buffer_add(head, line, n);
}


/* The next line from `*at` on, without its end. */
static int nextline (const emr_Buffer *head, size_t *at, emr_Str *line) {
  const char *start, *end;
  if (*at >= head->n)
    return 0;
  start = head->p + *at;
  end = (const char *)memchr(start, '\n', head->n - *at);
  line->s = start;
  line->n = end != NULL ? (size_t)(end - start) : head->n - *at;
  *at += line->n + (end != NULL);
  if (line->n > 0 && line->s[line->n - 1] == '\r')
    line->n--;
  return 1;
}


static emr_Str trim (emr_Str s) {
  while (s.n > 0 && isblank_(s.s[0])) {
    s.s++;
    s.n--;
  }
  while (s.n > 0 && isblank_(s.s[s.n - 1]))
    s.n--;
  return s;
}


static int splitline (emr_Str line, emr_Str *name, emr_Str *value) {
  const char *colon = line.n > 0 ? (const char *)memchr(line.s, ':', line.n) : NULL;
  if (colon == NULL || isblank_(line.s[0]))
    return 0;
  *name = trim(emr_str(line.s, (size_t)(colon - line.s)));
  *value = trim(emr_str(colon + 1, (size_t)(line.s + line.n - colon - 1)));
  return name->n > 0;
}


int emr_head_find (const emr_Buffer *head, const char *wanted, int nth,
                   emr_Str *value) {
  size_t at = 0, n = strlen(wanted);
  emr_Str line, name;
  while (nextline(head, &at, &line))
    if (line.n > n && (line.s[0] | 0x20) == wanted[0] &&
        splitline(line, &name, value) && name.n == n &&
        strncasecmp(name.s, wanted, n) == 0 && nth-- == 0)
      return 1;
  return 0;
}


/* Whether a list (RFC 9110, section 5.6.1: elements may be empty) names no
** encoding. */
static int isidentity (emr_Str list) {
  const char *p = list.s, *end = list.s + list.n;
  while (p < end) {
    const char *comma = (const char *)memchr(p, ',', (size_t)(end - p));
    emr_Str name = trim(emr_str(p, (size_t)((comma != NULL ? comma : end) - p)));
    if (name.n != 0 && !(name.n == 8 && strncasecmp(name.s, "identity", 8) == 0))
      return 0;
    p = comma != NULL ? comma + 1 : end;
  }
  return 1;
}


int emr_head_isplain (const emr_Buffer *head) {
  emr_Str list;
  int i = 0;
  while (emr_head_find(head, "content-encoding", i, &list)) {
    if (!isidentity(list))
      return 0;
    i++;
  }
  return 1;
}


void emr_head_each (const emr_Buffer *head, emr_EachHeader each, void *ud) {
  size_t at = 0;
  emr_Str line, name, value;
  while (nextline(head, &at, &line)) {
    if (splitline(line, &name, &value))
      each(ud, name, value);
  }
}

/* }================================================================== */


/* {==================================================================
** Dates
** =================================================================== */

/* Days since 1970 of a date in the Gregorian calendar; March is month 0 of
** the computational year, so that a leap day comes last. */
static long days (int y, int m, int d) {
  long era, yoe, doy;
  y -= m <= 2;
  era = y / 400;
  yoe = y - era * 400;
  doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}


static long daysin (int y, int m) {
  return days(y + m / 12, m % 12 + 1, 1) - days(y, m, 1);
}


static int number (const char *s, int n) {
  int i, v = 0;
  for (i = 0; i < n; i++) {
    if (s[i] < '0' || s[i] > '9')
      return -1;
    v = v * 10 + (s[i] - '0');
  }
  return v;
}


/* Which of `names`, of three letters each, stands at `s`, from 1; or 0. */
static int name (const char *s, const char *names) {
  int i;
  for (i = 0; names[3 * i] != '\0'; i++)
    if (memcmp(names + 3 * i, s, 3) == 0)
      return i + 1;
  return 0;
}


/* "Sun, 06 Nov 1994 08:49:37 GMT", the one form that RFC 9110 lets servers
** send (section 5.6.7). Not curl_getdate: it guesses. */
double emr_http_date (emr_Str t) {
  int d, m, y, hh, mm, ss;
  if (t.n != 29 || memcmp(t.s + 3, ", ", 2) != 0 || memcmp(t.s + 25, " GMT", 4) != 0 ||
      t.s[7] != ' ' || t.s[11] != ' ' || t.s[16] != ' ' || t.s[19] != ':' || t.s[22] != ':')
    return -1;
  d = number(t.s + 5, 2);
  m = name(t.s + 8, "JanFebMarAprMayJunJulAugSepOctNovDec");
  y = number(t.s + 12, 4);
  hh = number(t.s + 17, 2);
  mm = number(t.s + 20, 2);
  ss = number(t.s + 23, 2);
  if (name(t.s, "MonTueWedThuFriSatSun") == 0 || m == 0 || y < 1970 ||
      d < 1 || d > daysin(y, m) || hh < 0 || hh > 23 || mm < 0 || mm > 59 ||
      ss < 0 || ss > 60)
    return -1;
  return (double)days(y, m, d) * 86400.0 + hh * 3600.0 + mm * 60.0 + ss;
}

/* }================================================================== */
