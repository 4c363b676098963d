/*
** A growing run of bytes that may hold secrets: memory it gives back is
** overwritten first. An allocation that fails is remembered in `failed`, so
** that a caller adds many pieces and asks once.
*/
#ifndef EMR_BUFFER_H
#define EMR_BUFFER_H

#include <stddef.h>
#include <string.h>

#pragma GCC visibility push(hidden)

typedef struct emr_Str {
  const char *s;
  size_t n;
} emr_Str;

typedef struct emr_Pair {
  emr_Str name, value;
} emr_Pair;

typedef struct emr_Buffer {
  char *p;
  size_t n, cap;
  int failed;
} emr_Buffer;

/* A string constant as emr_Str. */
#define EMR_STR(literal) emr_str("" literal, sizeof(literal) - 1)

static inline emr_Str emr_str (const char *s, size_t n) {
  emr_Str r;
  r.s = s;
  r.n = n;
  return r;
}

/* The rest of emr_buffer_reserve: where there is no room. */
char *emr_buffer_grow (emr_Buffer *b, size_t extra);

/* Makes room for `extra` more bytes and returns where they go, or NULL. */
static inline char *emr_buffer_reserve (emr_Buffer *b, size_t extra) {
  if (b->p != NULL && b->cap - b->n >= extra && !b->failed)
    return b->p + b->n;
  return emr_buffer_grow(b, extra);
}

static inline void emr_buffer_add (emr_Buffer *b, const char *s, size_t n) {
  char *p = emr_buffer_reserve(b, n);
  if (p != NULL && n > 0) {
    memcpy(p, s, n);
    b->n += n;
  }
}

static inline void emr_buffer_str (emr_Buffer *b, emr_Str s) {
  emr_buffer_add(b, s.s, s.n);
}

static inline void emr_buffer_char (emr_Buffer *b, char c) {
  emr_buffer_add(b, &c, 1);
}

void emr_buffer_text (emr_Buffer *b, const char *text);

/* Empties and overwrites; keeps at most `keep` bytes of capacity. */
void emr_buffer_wipe (emr_Buffer *b, size_t keep);

void emr_buffer_free (emr_Buffer *b);

#pragma GCC visibility pop

#endif
