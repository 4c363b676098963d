#include "json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXACT_DIGITS 15  /* a double holds every integer of so many digits */

typedef struct Scan {
  const char *p, *end, *start;
  emr_Json *j;
  emr_Buffer *out;  /* or NULL */
  const char *copied;  /* up to where `out` has the text */
  emr_Buffer *way;  /* or NULL */
  int told;  /* how many of the open objects and arrays the way has gone into */
  int depth;  /* how many are open */
  struct {
    const char *name;
    size_t n;
  } place[EMR_JSON_DEPTH + 1];  /* where in each of them, by depth, as in emr_Step */
} Scan;


/* {==================================================================
** UTF-8
** =================================================================== */

static int iscontinuation (char c) {
  return ((unsigned char)c & 0xC0) == 0x80;
}


/* Shortest forms only, no surrogates, up to U+10FFFF (RFC 3629). */
size_t emr_utf8_length (const char *s, size_t n) {
  unsigned char c = (unsigned char)s[0], d;
  if (c < 0x80)
    return 1;
  if (c < 0xC2 || c > 0xF4 || n < 2 || !iscontinuation(s[1]))
    return 0;
  if (c < 0xE0)
    return 2;
  d = (unsigned char)s[1];
  if (n < 3 || !iscontinuation(s[2]))
    return 0;
  if (c < 0xF0)
    return ((c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F)) ? 0 : 3;
  if (n < 4 || !iscontinuation(s[3]))
    return 0;
  return ((c == 0xF0 && d < 0x90) || (c == 0xF4 && d > 0x8F)) ? 0 : 4;
}

/* }================================================================== */


/* {==================================================================
** The grammar: each function reads one thing, and returns 0 when it is wrong
** =================================================================== */

static int wrong (Scan *s, const char *what) {
  s->j->wrong = what;
  s->j->at = (size_t)(s->p - s->start) + 1;
  return 0;
}


static void step (Scan *s, emr_Move move, int depth) {
  emr_Step step;
  step.move = move;
  step.name = s->place[depth].name;
  step.n = s->place[depth].n;
  emr_buffer_add(s->way, (const char *)&step, sizeof(step));
}


/* Tells of the value that begins here, and how to come into what holds it, unless
** the way is there already. */
static void tell (Scan *s) {
  if (s->way == NULL || s->depth == 0)
    return;
  for (; s->told < s->depth - 1; s->told++)
    step(s, EMR_JSON_INTO, s->told + 1);
  step(s, EMR_JSON_AT, s->depth);
}


/* The next character that is no blank, which is not taken; -1 at the end. */
static inline int next (Scan *s) {
  static const char isblank_[256] = {[' '] = 1, ['\n'] = 1, ['\r'] = 1, ['\t'] = 1};
  const char *p = s->p;
  while (p < s->end && isblank_[(unsigned char)*p])
    p++;
  s->p = p;
  return p < s->end ? (unsigned char)*p : -1;
}


/* Where the run of characters that stand for themselves in a string ends. Eight
** at a time: the lowest bit that is set in `special` belongs to the first of them
** that does not (a borrow can only spoil those above it). */
static const char *skipplain (const char *p, const char *end) {
  const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (; end - p >= 8; p += 8) {
    uint64_t w, quote, slash, special;
    memcpy(&w, p, 8);
    quote = w ^ (ones * '"');
    slash = w ^ (ones * '\\');
    special = ((quote - ones) | (slash - ones) | (w - ones * 0x20) | w) & high;
    if (special != 0)
      return p + __builtin_ctzll(special) / 8;
  }
#endif
  while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
         *p != '\\')
    p++;
  return p;
}


static int isdigit_ (char c) {
  return c >= '0' && c <= '9';
}


static int ishexdigit (char c) {
  return isdigit_(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}


static int hexvalue (const char *p) {
  int i, v = 0;
  for (i = 0; i < 4; i++) {
    char c = p[i];
    v = v * 16 + (isdigit_(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return v;
}


/* Four hex digits at `p`; -1 when they are not. */
static int unit (const Scan *s, const char *p) {
  int i;
  if (s->end - p < 4)
    return -1;
  for (i = 0; i < 4; i++)
    if (!ishexdigit(p[i]))
      return -1;
  return hexvalue(p);
}


static int readunicode (Scan *s) {
  int v = unit(s, s->p);
  if (v < 0)
    return wrong(s, "bad escape in a string");
  if (v >= 0xD800 && v <= 0xDBFF) {  /* needs its second half */
    int w = (s->end - s->p >= 10 && s->p[4] == '\\' && s->p[5] == 'u')
                ? unit(s, s->p + 6) : -1;
    if (w < 0xDC00 || w > 0xDFFF)
      return wrong(s, "half a surrogate pair");
    s->p += 6;
  }
  else if (v >= 0xDC00 && v <= 0xDFFF)
    return wrong(s, "half a surrogate pair");
  s->p += 4;
  return 1;
}


static int readescape (Scan *s) {
  char c;
  if (++s->p == s->end)
    return wrong(s, "string without end");
  c = *s->p;
  if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
    return wrong(s, "bad escape in a string");
  s->p++;
  return c == 'u' ? readunicode(s) : 1;
}


static int readstring (Scan *s) {
  s->p++;
  for (;;) {
    unsigned char c;
    s->p = skipplain(s->p, s->end);
    if (s->p == s->end)
      return wrong(s, "string without end");
    c = (unsigned char)*s->p;
    if (c == '"') {
      s->p++;
      return 1;
    }
    if (c == '\\') {
      if (!readescape(s))
        return 0;
    }
    else if (c < 0x20)
      return wrong(s, "control character in a string");
    else {
      size_t n = emr_utf8_length(s->p, (size_t)(s->end - s->p));
      if (n == 0)
        return wrong(s, "text that is not UTF-8");
      s->p += n;
    }
  }
}


static size_t readdigits (Scan *s) {
  const char *p = s->p;
  while (s->p < s->end && isdigit_(*s->p))
    s->p++;
  return (size_t)(s->p - p);
}


/* Puts a string in the place of the number from `p` to here. */
static void mark (Scan *s, const char *p) {
  s->j->longs = 1;
  if (s->out == NULL)
    return;
  emr_buffer_add(s->out, s->copied, (size_t)(p - s->copied));
  emr_buffer_char(s->out, '"');
  emr_buffer_char(s->out, EMR_JSON_MARK);
  emr_buffer_add(s->out, p, (size_t)(s->p - p));
  emr_buffer_char(s->out, '"');
  s->copied = s->p;
}


static int readnumber (Scan *s) {
  const char *start = s->p, *first;
  size_t n;
  int whole = 1;
  tell(s);
  if (*s->p == '-')
    s->p++;
  first = s->p;
  n = readdigits(s);
  if (n == 0 || (n > 1 && *first == '0'))
    return wrong(s, "bad number");
  if (s->p < s->end && *s->p == '.') {
    s->p++;
    whole = 0;
    if (readdigits(s) == 0)
      return wrong(s, "bad number");
  }
  if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
    s->p++;
    whole = 0;
    if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
      s->p++;
    if (readdigits(s) == 0)
      return wrong(s, "bad number");
  }
  if (whole && n > EXACT_DIGITS)
    mark(s, start);
  return 1;
}


static int readword (Scan *s, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
    return wrong(s, "unexpected character");
  s->p += n;
  return 1;
}


static int readvalue (Scan *s);


static int expected (Scan *s, const char *what) {
  return wrong(s, s->p == s->end ? "text ends too early" : what);
}


static int readmember (Scan *s) {
  const char *name;
  if (next(s) != '"')
    return expected(s, "name of a member expected");
  name = s->p;
  if (!readstring(s))
    return 0;
  s->place[s->depth].name = name;
  s->place[s->depth].n = (size_t)(s->p - name);
  if (next(s) != ':')
    return expected(s, "':' expected");
  s->p++;
  return readvalue(s);
}


static int readelement (Scan *s) {
  s->place[s->depth].n++;
  return readvalue(s);
}


/* An array or object, from its opening bracket on. */
static int readlist (Scan *s, int close, int (*readitem) (Scan *)) {
  int c;
  if (++s->depth > EMR_JSON_DEPTH)
    return wrong(s, "nested too deeply");
  s->place[s->depth].name = NULL;
  s->place[s->depth].n = 0;
  s->p++;
  if (next(s) != close) {
    for (;;) {
      if (!readitem(s))
        return 0;
      if ((c = next(s)) != ',')
        break;
      s->p++;
    }
    if (c != close)
      return expected(s, "',' expected");
  }
  s->p++;
  s->depth--;
  if (s->told > 0 && s->told == s->depth) {
    s->told--;
    step(s, EMR_JSON_OUT, s->depth);
  }
  return 1;
}


static int readvalue (Scan *s) {
  int c = next(s);
  switch (c) {
    case -1: return wrong(s, "text ends too early");
    case '"': return readstring(s);
    case '{': return readlist(s, '}', readmember);
    case '[': return readlist(s, ']', readelement);
    case 't': return readword(s, "true");
    case 'f': return readword(s, "false");
    case 'n':
      if (s->place[s->depth].name != NULL)
        tell(s);
      return readword(s, "null");
    default:
      if (c == '-' || isdigit_((char)c))
        return readnumber(s);
      return wrong(s, "unexpected character");
  }
}

/* }================================================================== */


static void begin (Scan *s, emr_Str text, emr_Json *j, emr_Buffer *out, emr_Buffer *way) {
  memset(j, 0, sizeof(*j));
  s->p = s->start = s->copied = text.s;
  s->end = text.s + text.n;
  s->j = j;
  s->out = out;
  s->way = way;
  s->told = s->depth = 0;
  s->place[0].name = NULL;
}


static int scan (Scan *s) {
  return readvalue(s) && (next(s) == -1 || wrong(s, "something follows the value"));
}


void emr_json_check (emr_Str text, emr_Json *j, emr_Buffer *way) {
  Scan s;
  begin(&s, text, j, NULL, way);
  scan(&s);
}


void emr_json_mark (emr_Str text, emr_Buffer *out) {
  Scan s;
  emr_Json j;
  begin(&s, text, &j, out, NULL);
  if (scan(&s))
    emr_buffer_add(out, s.copied, (size_t)(s.end - s.copied));
}


char emr_json_member (emr_Str text, emr_Str name) {
  Scan s;
  emr_Json j;
  char found = 0;
  begin(&s, text, &j, NULL, NULL);
  if (next(&s) != '{')
    return 0;
  do {
    const char *key;
    s.p++;
    if (next(&s) != '"')
      break;
    key = s.p + 1;
    readstring(&s);
    if ((size_t)(s.p - 1 - key) == name.n && memcmp(key, name.s, name.n) == 0)
      found = 1;
    (void)next(&s);
    s.p++;  /* the colon */
    if (found == 1)
      found = (char)next(&s);  /* the last of that name counts */
    readvalue(&s);
  } while (next(&s) == ',');
  return found;
}


void emr_json_quote (emr_Buffer *b, emr_Str text) {
  size_t i, n;
  emr_buffer_char(b, '"');
  for (i = 0; i < text.n; i += n) {
    unsigned char c = (unsigned char)text.s[i];
    n = emr_utf8_length(text.s + i, text.n - i);
    if (n == 0) {
      emr_buffer_text(b, "\xEF\xBF\xBD");
      n = 1;
    }
    else if (c == '"' || c == '\\') {
      emr_buffer_char(b, '\\');
      emr_buffer_char(b, (char)c);
    }
    else if (c < 0x20) {
      char escape[7];
      snprintf(escape, sizeof(escape), "\\u%04x", c);
      emr_buffer_add(b, escape, 6);
    }
    else
      emr_buffer_add(b, text.s + i, n);
  }
  emr_buffer_char(b, '"');
}
