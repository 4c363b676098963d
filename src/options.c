/*
** The options of a native call, and the checks that several files share.
** A caller's mistake raises and names the option; values are never shown.
*/
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "core.h"

#define TEXT_MAX 1024
#define TOKEN_MAX 16384
#define AGENT_MAX 256
#define REGION_MAX 64
#define SECONDS_MIN 0.001
#define SECONDS_MAX 3600
#define BYTES_MAX 1073741824.0  /* 2^30 */
#define TEN_YEARS 315576000.0  /* seconds */

typedef enum Kind {
  WORD,  /* printable ASCII, no blanks */
  TEXT,  /* no control bytes */
  PATH,  /* as TEXT, for a C string of emr_Limits */
  SECONDS, INTEGER, FLAG, TABLE
} Kind;

typedef struct Rule {
  const char *name;
  Kind kind;
  size_t offset;
  double min, max;  /* of a number; `max` of a string in bytes */
} Rule;

#define at(member) offsetof(emr_Options, member)

static const Rule rules[] = {
  {"region", WORD, at(region), 0, REGION_MAX},
  {"endpoint", TEXT, at(endpoint), 0, TEXT_MAX},
  {"network", WORD, at(network), 0, TEXT_MAX},
  {"access_key_id", WORD, at(access_key_id), 0, TEXT_MAX},
  {"access_key_secret", WORD, at(access_key_secret), 0, TEXT_MAX},
  {"security_token", WORD, at(security_token), 0, TOKEN_MAX},
  {"connect_timeout", SECONDS, at(limits.connect_timeout), SECONDS_MIN, SECONDS_MAX},
  {"timeout", SECONDS, at(limits.timeout), SECONDS_MIN, SECONDS_MAX},
  {"ca_file", PATH, at(limits.ca_file), 0, TEXT_MAX * 4},
  {"ca_path", PATH, at(limits.ca_path), 0, TEXT_MAX * 4},
  {"client_cert", PATH, at(limits.client_cert), 0, TEXT_MAX * 4},
  {"client_key", PATH, at(limits.client_key), 0, TEXT_MAX * 4},
  {"proxy", PATH, at(limits.proxy), 0, TEXT_MAX},
  {"no_proxy", PATH, at(limits.no_proxy), 0, TEXT_MAX * 4},
  {"user_agent", TEXT, at(user_agent), 0, AGENT_MAX},
  {"headers", TABLE, at(headers), 0, 0},
  {"max_response_bytes", INTEGER, at(max_response_bytes), 1, BYTES_MAX},
  {"clock_offset", SECONDS, at(clock_offset), -TEN_YEARS, TEN_YEARS},
  {"allow_http", FLAG, at(allow_http), 0, 0},
  {"blocking", FLAG, at(blocking), 0, 0},
};

#define NRULES (sizeof(rules) / sizeof(rules[0]))


/* {==================================================================
** Shared checks
** =================================================================== */

emr_Str emr_tostr (lua_State *L, int i) {
  emr_Str s;
  s.s = lua_tolstring(L, i, &s.n);
  return s;
}


int emr_hascontrol (emr_Str s) {
  size_t i;
  for (i = 0; i < s.n; i++)
    if ((unsigned char)s.s[i] < 0x20 || s.s[i] == 0x7F)
      return 1;
  return 0;
}


const char *emr_checkinteger (lua_State *L, const char *type) {
  int is32 = strcmp(type, "int32") == 0;
  double v = lua_tonumber(L, -1);
  double max = is32 ? 2147483647.0 : 9007199254740992.0;  /* 2^31 - 1, 2^53 */
  double min = is32 ? -2147483648.0 : -max;
  if (lua_type(L, -1) == LUA_TNUMBER && floor(v) == v && v >= min && v <= max)
    return NULL;
  return is32 ? "an integer of 32 bits" : "an integer up to 2^53";
}


int emr_isname (emr_Str s, const char *name) {
  return s.n == strlen(name) && strncasecmp(s.s, name, s.n) == 0;
}


static int isword (emr_Str s) {
  size_t i;
  for (i = 0; i < s.n; i++)
    if (s.s[i] <= 0x20 || s.s[i] >= 0x7F)
      return 0;
  return 1;
}


/* It becomes a part of a host name. */
void emr_checkregion (lua_State *L, emr_Str s, const char *what) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    char c = s.s[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i > 0)))
      break;
  }
  if (s.n == 0 || s.n > REGION_MAX || i < s.n || s.s[s.n - 1] == '-')
    luaL_error(L, "%s must be a region such as cn-hangzhou: 1 to 64 of the characters "
                  "a-z, 0-9 and '-'", what);
}


int emr_field (lua_State *L, int t, const char *name) {
  lua_getfield(L, t, name);
  return lua_type(L, -1);
}


void emr_checknames (lua_State *L, int t, const char *what, emr_IsKnown isknown,
                     const void *ud) {
  lua_pushnil(L);
  while (lua_next(L, t) != 0) {
    emr_Str name;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "%s: names must be strings, got a %s", what, luaL_typename(L, -2));
    name = emr_tostr(L, -2);
    if (!isknown(ud, name.s, name.n)) {
      emr_pushclean(L, name, 64, NULL);
      luaL_error(L, "%s: unknown name '%s'", what, lua_tostring(L, -1));
    }
    lua_pop(L, 1);
  }
}

/* }================================================================== */


/* {==================================================================
** One option
** =================================================================== */

static int wrongtype (lua_State *L, const Rule *r, const char *expected) {
  return luaL_error(L, "options.%s must be %s, got a %s", r->name, expected,
                    luaL_typename(L, -1));
}


static void readstring (lua_State *L, const Rule *r, emr_Options *o) {
  emr_Str s;
  char *slot = (char *)o + r->offset;
  if (lua_type(L, -1) != LUA_TSTRING)
    wrongtype(L, r, "a string");
  s = emr_tostr(L, -1);
  if (s.n == 0)
    luaL_error(L, "options.%s is empty", r->name);
  if (s.n > (size_t)r->max)
    luaL_error(L, "options.%s is longer than %d bytes", r->name, (int)r->max);
  if (r->kind == WORD && !isword(s))
    luaL_error(L, "options.%s holds a blank, a control byte or a byte beyond ASCII", r->name);
  if (r->kind != WORD && emr_hascontrol(s))
    luaL_error(L, "options.%s holds a control byte", r->name);
  if (r->kind == PATH)
    *(const char **)(void *)slot = s.s;
  else
    *(emr_Str *)(void *)slot = s;
}


static void readnumber (lua_State *L, const Rule *r, emr_Options *o) {
  double v;
  if (lua_type(L, -1) != LUA_TNUMBER)
    wrongtype(L, r, "a number");
  v = lua_tonumber(L, -1);
  if (!(v >= r->min && v <= r->max) ||  /* also when it is not a number */
      (r->kind == INTEGER && v != (double)(long)v))
    luaL_error(L, "options.%s must be %s from %f to %f", r->name,
               r->kind == INTEGER ? "an integer" : "a number of seconds",
               (lua_Number)r->min, (lua_Number)r->max);
  *(double *)(void *)((char *)o + r->offset) = v;
}


/* Reads the value on top. Strings stay there, as their anchor. */
static void readoption (lua_State *L, const Rule *r, emr_Options *o) {
  int *slot = (int *)(void *)((char *)o + r->offset);
  switch (r->kind) {
    case WORD: case TEXT: case PATH:
      readstring(L, r, o);
      break;
    case SECONDS: case INTEGER:
      readnumber(L, r, o);
      break;
    case FLAG:
      if (lua_type(L, -1) != LUA_TBOOLEAN)
        wrongtype(L, r, "a boolean");
      *slot = lua_toboolean(L, -1);
      break;
    case TABLE:
      if (lua_type(L, -1) != LUA_TTABLE)
        wrongtype(L, r, "a table");
      *slot = lua_gettop(L);
      break;
  }
}

/* }================================================================== */


static const Rule *ruleof (const char *name, size_t n) {
  size_t i;
  for (i = 0; i < NRULES; i++)
    if (rules[i].name[0] == name[0] && strcmp(rules[i].name, name) == 0 &&
        strlen(name) == n)  /* it might hold a NUL */
      return &rules[i];
  return NULL;
}


static int isoption (const void *ud, const char *name, size_t n) {
  (void)ud;
  return ruleof(name, n) != NULL;
}


/* A table that is as it stands: only what is there is looked at. Each value stays
** on the stack, below the key that goes on. */
static void readplain (lua_State *L, int arg, emr_Options *o) {
  lua_pushnil(L);
  while (lua_next(L, arg) != 0) {
    size_t n;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &n) : NULL;
    const Rule *r = name != NULL ? ruleof(name, n) : NULL;
    if (r == NULL) {  /* the check of all names says what is wrong */
      lua_pop(L, 2);
      emr_checknames(L, arg, "options", isoption, NULL);
      return;
    }
    readoption(L, r, o);
    if (r->kind == TABLE)
      o->headers--;  /* where it will be */
    lua_insert(L, -2);
  }
}


/* One that may have more than it shows. */
static void readlayered (lua_State *L, int arg, emr_Options *o) {
  size_t i;
  emr_checknames(L, arg, "options", isoption, NULL);
  for (i = 0; i < NRULES; i++) {
    if (emr_field(L, arg, rules[i].name) == LUA_TNIL)
      lua_pop(L, 1);
    else
      readoption(L, &rules[i], o);
  }
}


static void checkpair (lua_State *L, const emr_Options *o) {
  if (o->access_key_id.n == 0 && (o->access_key_secret.n > 0 || o->security_token.n > 0))
    luaL_error(L, "options.access_key_id is missing");
  if (o->access_key_id.n > 0 && o->access_key_secret.n == 0)
    luaL_error(L, "options.access_key_secret is missing");
}


static void checkvalues (lua_State *L, const emr_Options *o) {
  if (o->region.n > 0)
    emr_checkregion(L, o->region, "options.region");
  if (o->network.n > 0 && strcmp(o->network.s, "public") != 0 &&
      strcmp(o->network.s, "vpc") != 0)
    luaL_error(L, "options.network must be \"public\" or \"vpc\"");
  if (o->limits.client_key != NULL && o->limits.client_cert == NULL)
    luaL_error(L, "options.client_cert is missing (options.client_key is given)");
  checkpair(L, o);
}


void emr_checkoptions (lua_State *L, int arg, emr_Options *o) {
  memset(o, 0, sizeof(*o));
  o->limits.connect_timeout = 5;
  o->limits.timeout = 10;
  o->max_response_bytes = 1048576;
  if (!lua_isnoneornil(L, arg)) {
    if (lua_type(L, arg) != LUA_TTABLE)
      luaL_error(L, "options must be a table, got a %s", luaL_typename(L, arg));
    luaL_checkstack(L, NRULES + 8, NULL);
    if (lua_getmetatable(L, arg)) {
      lua_pop(L, 1);
      readlayered(L, arg, o);
    }
    else
      readplain(L, arg, o);
    checkvalues(L, o);
  }
  o->limits.max_response_bytes = (size_t)o->max_response_bytes;
}
