#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__linux__)
#include <openssl/crypto.h>
#define explicit_bzero OPENSSL_cleanse
#endif

#define SMALLEST 256


void emr_buffer_free (emr_Buffer *b) {
  if (b->p != NULL) {
    explicit_bzero(b->p, b->n);
    free(b->p);
  }
  memset(b, 0, sizeof(*b));
}


/* Not realloc: it would leave a copy behind that nobody overwrites. */
static int grow (emr_Buffer *b, size_t extra) {
  size_t cap = b->cap ? b->cap : SMALLEST;
  char *p;
  if (extra > SIZE_MAX / 4 - b->n)
    return 0;
  while (cap - b->n < extra)
    cap *= 2;
  p = (char *)malloc(cap);
  if (p == NULL)
    return 0;
  if (b->p != NULL) {
    memcpy(p, b->p, b->n);
    explicit_bzero(b->p, b->n);
    free(b->p);
  }
  b->p = p;
  b->cap = cap;
  return 1;
}


char *emr_buffer_grow (emr_Buffer *b, size_t extra) {
  if (!b->failed && grow(b, extra))
    return b->p + b->n;
  b->failed = 1;
  return NULL;
}


void emr_buffer_text (emr_Buffer *b, const char *text) {
  emr_buffer_add(b, text, strlen(text));
}


void emr_buffer_wipe (emr_Buffer *b, size_t keep) {
  if (b->cap > keep) {
    emr_buffer_free(b);
    return;
  }
  if (b->n > 0)
    explicit_bzero(b->p, b->n);
  b->n = 0;
  b->failed = 0;
}
