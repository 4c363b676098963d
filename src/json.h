/*
** The grammar of JSON (RFC 8259), checked. lua-cjson builds the tables; it
** lets some things pass that are not JSON, which end here. No Lua.
*/
#ifndef EMR_JSON_H
#define EMR_JSON_H

#include "buffer.h"

#pragma GCC visibility push(hidden)

#define EMR_JSON_DEPTH 64

/* The first byte of what stands in for a long integer; it is in no UTF-8. */
#define EMR_JSON_MARK '\xFF'

typedef struct emr_Json {
  const char *wrong;  /* NULL: it is JSON */
  size_t at;  /* where it goes wrong, in bytes from 1 */
  int longs;  /* whether there are integers that a double may not hold */
} emr_Json;

/* The way through the value to its numbers, and to the members that are null: into
** an object or array, out of it again, or at a value in it. What is in none of them
** is not told. */
typedef enum emr_Move {
  EMR_JSON_INTO, EMR_JSON_OUT, EMR_JSON_AT
} emr_Move;

typedef struct emr_Step {
  emr_Move move;
  const char *name;  /* of a member, as in the text, from its quote on; NULL: none */
  size_t n;  /* the length of that; or which element it is, from 1 */
} emr_Step;

/* Appends the way, of emr_Step, to `way`. */
void emr_json_check (emr_Str text, emr_Json *j, emr_Buffer *way);

/* The first character of the value that the member `name` of the object `text`,
** which was checked, has: '{', '[', '"' ...; or 0. */
char emr_json_member (emr_Str text, emr_Str name);

/* Copies text that was checked, each integer of more than 15 digits replaced
** by a string: EMR_JSON_MARK and its digits. */
void emr_json_mark (emr_Str text, emr_Buffer *out);

/* Appends `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD. */
void emr_json_quote (emr_Buffer *b, emr_Str text);

/* How many bytes the UTF-8 sequence at `s` has; 0 when it is none. */
size_t emr_utf8_length (const char *s, size_t n);

#pragma GCC visibility pop

#endif
