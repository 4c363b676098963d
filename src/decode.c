/*
** JSON to Lua: json.c checks the grammar, lua-cjson builds the tables, and what is
** done here makes numbers and nulls the same on every Lua and lua-cjson.
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "json.h"

#define EXACT_MAX 9007199254740992.0  /* 2^53 */
#define KEEP 16384  /* capacity kept for the next text */


static const char toolarge[] = "a number too large for a double";


/* {==================================================================
** Numbers
** =================================================================== */

/* Pushes an integral value up to 2^53 as an integer, without a negative zero. */
static void pushintegral (lua_State *L, double v) {
#if EMR_HAS_INTEGERS
  lua_pushinteger(L, (lua_Integer)v);
#else
  lua_pushnumber(L, v == 0 ? 0 : v);
#endif
}


/* Whether the digits of an integer are more than 2^53. */
static int isbeyond (const char *digits, size_t n) {
  static const char max[] = "9007199254740992";
  if (n != sizeof(max) - 1)
    return n > sizeof(max) - 1;
  return memcmp(digits, max, n) > 0;
}


/* An integer of many digits, which came through lua-cjson as a string. */
static const char *pushlong (lua_State *L, const char *s) {
  const char *digits = s[0] == '-' ? s + 1 : s;
  double v = strtod(s, NULL);  /* digits only: no decimal point, no locale */
  if (isinf(v))
    return toolarge;
  if (isbeyond(digits, strlen(digits)))
    lua_pushnumber(L, v);
  else
    pushintegral(L, v);
  return NULL;
}


static const char *pushnumber (lua_State *L, double v) {
  if (isinf(v))
    return toolarge;
  if (fabs(v) <= EXACT_MAX && floor(v) == v)
    pushintegral(L, v);
  else
    lua_pushnumber(L, v);
  return NULL;
}


static int needschange (lua_State *L, int i) {
  double v;
  if (emr_isinteger(L, i))
    return 0;
  v = lua_tonumber(L, i);
  return isinf(v) || (EMR_HAS_INTEGERS ? floor(v) == v : v == 0);
}


/* }================================================================== */


/* Pushes the text for lua-cjson. */
static void pushtext (lua_State *L, emr_Str text, const emr_Json *j) {
  emr_Buffer *b;
  if (!j->longs) {
    lua_pushlstring(L, text.s, text.n);
    return;
  }
  b = emr_newbuffer(L);
  emr_json_mark(text, b);
  if (b->failed)
    luaL_error(L, "not enough memory");
  lua_pushlstring(L, b->p, b->n);
  emr_buffer_free(b);
  lua_remove(L, -2);
}


/* Sets an option of the lua-cjson instance on top, where it has it. */
static void setflag (lua_State *L, const char *name, int value) {
  lua_getfield(L, -1, name);
  if (lua_isfunction(L, -1)) {
    lua_pushboolean(L, value);
    lua_call(L, 1, 0);
  }
  else
    lua_pop(L, 1);
}


/* An instance of our own: what the host sets on its lua-cjson is not ours, and
** the other way round. */
static void renew (lua_State *L, emr_Core *core) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, core->newdecoder);
  lua_call(L, 0, 1);
  setflag(L, "decode_invalid_numbers", 0);
  setflag(L, "decode_array_with_array_mt", 0);
  lua_getfield(L, -1, "decode");
  lua_rawseti(L, LUA_REGISTRYINDEX, core->decode);
  lua_pop(L, 1);
}


/* Decodes the text at `i`, which is JSON. lua-cjson reads numbers by the decimal
** point that the locale had when an instance was made: where it fails, another
** instance is tried. Memory is the one thing that raises. */
static int build (lua_State *L, emr_Core *core, int i) {
  int tries, status = 0;
  for (tries = 0; tries < 2; tries++) {
    if (tries > 0)
      renew(L, core);
    lua_rawgeti(L, LUA_REGISTRYINDEX, core->decode);
    lua_pushvalue(L, i);
    status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_ERRMEM)
      lua_error(L);
    if (status == 0)
      break;
    lua_pop(L, 1);
  }
  return status == 0;
}


/* {==================================================================
** Numbers and nulls, where the check of the grammar met them
** =================================================================== */

/* Replaces the value on top, when it wants replacing, with another, which it
** pushes; the key is below it. Returns 0 when the value may stay. */
static int replacement (lua_State *L, const char **wrong) {
  size_t n;
  const char *s;
  switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
      if (!needschange(L, -1))
        return 0;
      *wrong = pushnumber(L, lua_tonumber(L, -1));
      return *wrong == NULL;
    case LUA_TSTRING:
      s = lua_tolstring(L, -1, &n);
      if (n == 0 || s[0] != EMR_JSON_MARK)
        return 0;
      *wrong = pushlong(L, s + 1);
      return *wrong == NULL;
    case LUA_TLIGHTUSERDATA:
      if (lua_type(L, -2) == LUA_TNUMBER)  /* in an array it stays */
        return 0;
      lua_pushnil(L);
      return 1;
    default:
      return 0;
  }
}


/* Pushes the key of a step; lua-cjson knows what escapes in a name mean. */
static void pushkey (lua_State *L, emr_Core *core, const emr_Step *p) {
  if (p->name == NULL)
    lua_pushinteger(L, (lua_Integer)p->n);
  else if (memchr(p->name, '\\', p->n) == NULL)
    lua_pushlstring(L, p->name + 1, p->n - 2);
  else {
    lua_pushlstring(L, p->name, p->n);
    if (!build(L, core, lua_gettop(L)))
      lua_pushnil(L);
    lua_remove(L, -2);
  }
}


/* Goes the way through the value on top. Of two members of one name the text has
** both, the value the last: so what is there need not be what the way tells. */
static const char *follow (lua_State *L, emr_Core *core, const emr_Step *p, size_t n) {
  const char *wrong = NULL;
  for (; n > 0 && wrong == NULL; n--, p++) {
    if (p->move == EMR_JSON_OUT) {
      lua_pop(L, 1);
      continue;
    }
    luaL_checkstack(L, 8, "nested too deeply");
    if (lua_type(L, -1) != LUA_TTABLE) {
      if (p->move == EMR_JSON_INTO)
        lua_pushnil(L);
      continue;
    }
    pushkey(L, core, p);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);  /* table key value */
    if (p->move == EMR_JSON_INTO) {
      lua_remove(L, -2);
      continue;
    }
    if (replacement(L, &wrong)) {
      lua_remove(L, -2);
      lua_rawset(L, -3);
    }
    else
      lua_pop(L, 2);
  }
  return wrong;
}


/* A value that is all there is. */
static const char *replaceall (lua_State *L) {
  const char *wrong = NULL;
  lua_pushinteger(L, 1);  /* as if in an array */
  lua_insert(L, -2);
  if (replacement(L, &wrong))
    lua_remove(L, -2);
  lua_remove(L, -2);
  return wrong;
}

/* }================================================================== */


const char *emr_decode (lua_State *L, emr_Core *core, emr_Str text, size_t *at) {
  emr_Json j;
  const char *wrong;
  emr_Buffer *way;
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  way = emr_kept_buffer(L, core);
  emr_json_check(text, &j, way);
  *at = j.at;
  wrong = j.wrong;
  if (way->failed) {
    emr_buffer_wipe(way, 0);
    luaL_error(L, "not enough memory");
  }
  if (wrong == NULL) {
    pushtext(L, text, &j);
    if (!build(L, core, top + 2))
      wrong = "lua-cjson cannot read it";
    else if (lua_type(L, -1) != LUA_TTABLE)
      wrong = replaceall(L);
    else
      wrong = follow(L, core, (const emr_Step *)(void *)way->p, way->n / sizeof(emr_Step));
  }
  emr_buffer_wipe(way, KEEP);
  if (wrong == NULL)
    lua_replace(L, top + 1);
  lua_settop(L, wrong == NULL ? top + 1 : top);
  return wrong;
}


void emr_decode_open (lua_State *L, emr_Core *core) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  if (lua_pcall(L, 1, 1, 0) != 0) {
    const char *why = lua_tostring(L, -1);
    int n = why != NULL ? (int)strcspn(why, "\r\n") : 0;
    lua_pushlstring(L, why != NULL ? why : "", (size_t)n);
    luaL_error(L, "emr needs lua-cjson: install the package lua-cjson for " EMR_LUA
                  " (Debian, Ubuntu: apt-get install lua-cjson; others: luarocks install "
                  "lua-cjson); %s", lua_tostring(L, -1));
  }
  lua_getfield(L, -1, "new");
  core->newdecoder = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pop(L, 1);
  lua_pushboolean(L, 0);
  core->decode = luaL_ref(L, LUA_REGISTRYINDEX);
  renew(L, core);
}
