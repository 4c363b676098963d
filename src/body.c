/*
** Request bodies: Lua values to JSON by their declared types, so that an empty
** table becomes [] or {} as the schema says.
*/
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core.h"
#include "json.h"

#define DEPTH_MAX 32
#define EXACT_MAX 9007199254740992.0  /* 2^53 */
#define PLACE_MAX 256  /* bytes that a message says of it */

/* Where in the request the encoder is; for messages. */
typedef struct Place {
  const struct Place *up;
  const char *name;
  int index;  /* of an array's element, or 0 */
  int depth;
} Place;

typedef struct Encoder {
  lua_State *L;
  emr_Buffer *b;
} Encoder;


/* {==================================================================
** Messages
** =================================================================== */

static void pushpath (lua_State *L, const Place *p) {
  if (p->up == NULL) {
    lua_pushstring(L, p->name);
    return;
  }
  pushpath(L, p->up);
  if (p->index > 0)
    lua_pushfstring(L, "[%d]", p->index);
  else
    lua_pushfstring(L, ".%s", p->name);
  lua_concat(L, 2);
}


/* Names come from the caller: they may be long, and no text. */
static void pushplace (lua_State *L, const Place *p) {
  pushpath(L, p);
  emr_pushclean(L, emr_tostr(L, -1), PLACE_MAX, NULL);
  lua_remove(L, -2);
}


static void mustbe (Encoder *e, const Place *p, const char *what) {
  pushplace(e->L, p);
  luaL_error(e->L, "%s must be %s", lua_tostring(e->L, -1), what);
}


static Place inside (const Place *up, const char *name, int index) {
  Place p;
  p.up = up;
  p.name = name;
  p.index = index;
  p.depth = up->depth + 1;
  return p;
}

/* }================================================================== */


static void encode (Encoder *e, const char *type, const Place *p);
static void encodefields (Encoder *e, int fields, const Place *p);


/* {==================================================================
** Scalars. The value is on top of the stack, and stays.
** =================================================================== */

/* snprintf writes the locale's decimal point. */
static void adddouble (emr_Buffer *b, double v) {
  char text[32], *c;
  snprintf(text, sizeof(text), "%.17g", v);
  for (c = text; *c != '\0'; c++)
    if (strchr("0123456789+-e", *c) == NULL)
      *c = '.';
  emr_buffer_text(b, text);
}


static void addinteger (emr_Buffer *b, double v) {
  char text[32];
  snprintf(text, sizeof(text), "%.0f", v);
  emr_buffer_text(b, text);
}


static void encodeinteger (Encoder *e, const char *type, const Place *p) {
  const char *expected = emr_checkinteger(e->L, type);
  if (expected != NULL)
    mustbe(e, p, expected);
  addinteger(e->b, lua_tonumber(e->L, -1) + 0.0);  /* no "-0" */
}


static void encodenumber (Encoder *e, const Place *p) {
  double v = lua_tonumber(e->L, -1);
  if (lua_type(e->L, -1) != LUA_TNUMBER || !isfinite(v))
    mustbe(e, p, "a finite number");
  if (floor(v) == v && fabs(v) <= EXACT_MAX)
    addinteger(e->b, v);
  else
    adddouble(e->b, v);
}


static void encodestring (Encoder *e, const Place *p) {
  if (lua_type(e->L, -1) != LUA_TSTRING)
    mustbe(e, p, "a string");
  emr_json_quote(e->b, emr_tostr(e->L, -1));
}


static void encodeboolean (Encoder *e, const Place *p) {
  if (lua_type(e->L, -1) != LUA_TBOOLEAN)
    mustbe(e, p, "a boolean");
  emr_buffer_text(e->b, lua_toboolean(e->L, -1) ? "true" : "false");
}

/* }================================================================== */


/* {==================================================================
** Tables
** =================================================================== */

static void checktable (Encoder *e, const Place *p, const char *what) {
  if (lua_type(e->L, -1) != LUA_TTABLE)
    mustbe(e, p, what);
  if (p->depth > DEPTH_MAX)
    mustbe(e, p, "nested less deeply");
  luaL_checkstack(e->L, 8, NULL);
}


/* The element type is "object" when its fields stand at `fields`. */
static void encodearray (Encoder *e, const char *element, int fields, const Place *p) {
  lua_State *L = e->L;
  int i, n, entries = 0;
  checktable(e, p, "an array");
  n = (int)emr_rawlen(L, -1);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    entries++;
    lua_pop(L, 1);
  }
  if (entries != n)
    mustbe(e, p, "an array: a table with the keys 1 to n");
  emr_buffer_char(e->b, '[');
  for (i = 1; i <= n; i++) {
    Place q = inside(p, NULL, i);
    if (i > 1)
      emr_buffer_char(e->b, ',');
    lua_rawgeti(L, -1, i);
    if (fields != 0)
      encodefields(e, fields, &q);
    else
      encode(e, element, &q);
    lua_pop(L, 1);
  }
  emr_buffer_char(e->b, ']');
}


/* An object of any members, all of type `type`. */
static void encodemap (Encoder *e, const char *type, const Place *p) {
  lua_State *L = e->L;
  int first = 1;
  checktable(e, p, "a table");
  emr_buffer_char(e->b, '{');
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    Place q;
    if (lua_type(L, -2) != LUA_TSTRING)
      mustbe(e, p, "a table with strings as keys");
    q = inside(p, lua_tostring(L, -2), 0);
    if (!first)
      emr_buffer_char(e->b, ',');
    first = 0;
    emr_json_quote(e->b, emr_tostr(L, -2));
    emr_buffer_char(e->b, ':');
    encode(e, type, &q);
    lua_pop(L, 1);
  }
  emr_buffer_char(e->b, '}');
}


static void encodeany (Encoder *e, const Place *p) {
  switch (lua_type(e->L, -1)) {
    case LUA_TSTRING: encodestring(e, p); break;
    case LUA_TNUMBER: encodenumber(e, p); break;
    case LUA_TBOOLEAN: encodeboolean(e, p); break;
    case LUA_TTABLE:
      if (emr_rawlen(e->L, -1) > 0)
        encodearray(e, "any", 0, p);
      else
        encodemap(e, "any", p);
      break;
    default: mustbe(e, p, "a string, number, boolean or table");
  }
}


/* Whether the list of fields at `fields` names the key below the top. */
static int isfield (lua_State *L, int fields) {
  int i, found = 0, n = (int)emr_rawlen(L, fields);
  for (i = 1; i <= n && !found; i++) {
    lua_rawgeti(L, fields, i);
    lua_getfield(L, -1, "name");
    found = lua_rawequal(L, -1, -4);
    lua_pop(L, 2);
  }
  return found;
}


static void checkmembers (Encoder *e, int fields, const Place *p) {
  lua_State *L = e->L;
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (!isfield(L, fields)) {
      pushplace(L, p);
      if (lua_type(L, -3) == LUA_TSTRING)
        emr_pushclean(L, emr_tostr(L, -3), 64, NULL);
      else
        lua_pushstring(L, luaL_typename(L, -3));
      luaL_error(L, "%s: unknown name '%s'", lua_tostring(L, -2), lua_tostring(L, -1));
    }
    lua_pop(L, 1);
  }
}


static int startswith (const char *s, const char *prefix) {
  return strncmp(s, prefix, strlen(prefix)) == 0;
}


static int isnull (lua_State *L) {
  return lua_type(L, -1) == LUA_TLIGHTUSERDATA && lua_touserdata(L, -1) == NULL;
}


/* One declared field; its table and then its value are on top. */
static void encodefield (Encoder *e, const Place *p) {
  lua_State *L = e->L;
  const char *type;
  int nested, value = lua_gettop(L);
  lua_getfield(L, value - 1, "fields");
  nested = lua_type(L, -1) == LUA_TTABLE ? lua_gettop(L) : 0;
  lua_getfield(L, value - 1, "type");
  type = lua_tostring(L, -1);
  if (type == NULL)
    luaL_error(L, "operation.body: a field without a type");
  lua_pushvalue(L, value);
  if (nested != 0 && !isnull(L) && strcmp(type, "object") == 0)
    encodefields(e, nested, p);
  else if (nested != 0 && !isnull(L) && startswith(type, "array<"))
    encodearray(e, "object", nested, p);
  else
    encode(e, type, p);
  lua_settop(L, value);
}


/* The object on top, whose fields are declared at `fields`. */
static void encodefields (Encoder *e, int fields, const Place *p) {
  lua_State *L = e->L;
  int i, first = 1, object = lua_gettop(L), n = (int)emr_rawlen(L, fields);
  checktable(e, p, "a table");
  if (p->up != NULL)  /* the request's own names were checked before */
    checkmembers(e, fields, p);
  emr_buffer_char(e->b, '{');
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, fields, i);
    lua_getfield(L, -1, "name");
    lua_pushvalue(L, -1);
    lua_gettable(L, object);
    if (!lua_isnil(L, -1)) {
      Place q = inside(p, lua_tostring(L, -2), 0);
      if (!first)
        emr_buffer_char(e->b, ',');
      first = 0;
      emr_json_quote(e->b, emr_tostr(L, -2));
      emr_buffer_char(e->b, ':');
      lua_remove(L, -2);
      encodefield(e, &q);
    }
    lua_settop(L, object);
  }
  emr_buffer_char(e->b, '}');
}


/* The value on top, of a type without declared fields. */
static void encode (Encoder *e, const char *type, const Place *p) {
  char element[32];
  if (isnull(e->L))
    emr_buffer_text(e->b, "null");
  else if (strcmp(type, "string") == 0)
    encodestring(e, p);
  else if (strcmp(type, "boolean") == 0)
    encodeboolean(e, p);
  else if (startswith(type, "int"))
    encodeinteger(e, type, p);
  else if (strcmp(type, "double") == 0)
    encodenumber(e, p);
  else if (strcmp(type, "map<string,string>") == 0)
    encodemap(e, "string", p);
  else if (sscanf(type, "array<%30[^>]", element) == 1)
    encodearray(e, element, 0, p);
  else if (strcmp(type, "object") == 0)
    encodemap(e, "any", p);
  else
    encodeany(e, p);
}

/* }================================================================== */


void emr_pushbody (lua_State *L, int fields, int value, const char *what) {
  Encoder e;
  Place root;
  e.L = L;
  e.b = emr_newbuffer(L);
  root.up = NULL;
  root.name = what;
  root.index = root.depth = 0;
  lua_pushvalue(L, value);
  encodefields(&e, fields, &root);
  lua_pop(L, 1);
  if (e.b->failed)
    luaL_error(L, "not enough memory");
  lua_pushlstring(L, e.b->p, e.b->n);
  emr_buffer_free(e.b);
  lua_remove(L, -2);
}
