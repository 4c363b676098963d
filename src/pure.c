/*
** The bindings that do no I/O: sign, prepare, parse, decode.
*/
#include <string.h>

#include "core.h"

#define KEEP 16384  /* bytes of a buffer that are kept for the next signature */
#define PAIRS_MAX 4096
#define PAIRS_FEW 32


/* {==================================================================
** sign
** =================================================================== */

/* A field of the table at `t` that must be a string; stays on the stack. */
static emr_Str textfield (lua_State *L, int t, const char *table, const char *name,
                          const char *none) {
  int type = emr_field(L, t, name);
  if (type == LUA_TNIL && none != NULL)
    return emr_str(none, strlen(none));
  if (type != LUA_TSTRING)
    luaL_error(L, "%s.%s must be a string, got a %s", table, name, luaL_typename(L, -1));
  return emr_tostr(L, -1);
}


/* Reads a map of strings into `few`, or where they are more into a userdata, which
** stays on the stack, as do the strings. Returns the pairs. */
static emr_Pair *readmap (lua_State *L, int t, const char *name, emr_Pair *few, size_t *n) {
  emr_Buffer *b = NULL;
  int map;
  *n = 0;
  if (emr_field(L, t, name) == LUA_TNIL)
    return NULL;
  if (lua_type(L, -1) != LUA_TTABLE)
    luaL_error(L, "http_request.%s must be a table, got a %s", name, luaL_typename(L, -1));
  map = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, map) != 0) {
    emr_Pair p;
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "http_request.%s must map strings to strings", name);
    if (++*n > PAIRS_MAX)
      luaL_error(L, "http_request.%s has more than %d entries", name, PAIRS_MAX);
    p.name = emr_tostr(L, -2);
    p.value = emr_tostr(L, -1);
    if (*n <= PAIRS_FEW)
      few[*n - 1] = p;
    else {
      if (b == NULL) {
        b = emr_newbuffer(L);
        lua_insert(L, -3);
        emr_buffer_add(b, (const char *)few, PAIRS_FEW * sizeof(p));
      }
      emr_buffer_add(b, (const char *)&p, sizeof(p));
    }
    lua_pop(L, 1);
  }
  if (b == NULL)
    return few;
  if (b->failed)
    luaL_error(L, "not enough memory");
  return (emr_Pair *)(void *)b->p;
}


static void setstr (lua_State *L, const char *name, emr_Str s) {
  lua_pushlstring(L, s.s, s.n);
  lua_setfield(L, -2, name);
}


/* Pushes the result. The parts are copied out of the signer first: a finalizer
** that Lua runs in here may sign too. */
static void pushsignature (lua_State *L, emr_Buffer *copy, emr_Str id, emr_Signature *s) {
  size_t ncr = s->canonical_request.n, nsts = s->string_to_sign.n;
  size_t nsh = s->signed_headers.n;
  const char *p = copy->p;
  emr_Str hex = emr_str(s->hex, sizeof(s->hex));
  lua_createtable(L, 0, 5);
  setstr(L, "canonical_request", emr_str(p, ncr));
  setstr(L, "string_to_sign", emr_str(p + ncr, nsts));
  setstr(L, "signed_headers", emr_str(p + ncr + nsts, nsh));
  setstr(L, "signature", hex);
  copy->n = ncr + nsts + nsh;
  emr_buffer_text(copy, EMR_ACS3_ALGORITHM " Credential=");
  emr_buffer_str(copy, id);
  emr_buffer_text(copy, ",SignedHeaders=");
  emr_buffer_add(copy, copy->p + ncr + nsts, nsh);
  emr_buffer_text(copy, ",Signature=");
  emr_buffer_str(copy, hex);
  if (copy->failed)
    luaL_error(L, "not enough memory");
  p = copy->p + ncr + nsts + nsh;
  setstr(L, "authorization", emr_str(p, copy->n - (size_t)(p - copy->p)));
}


/* Runs the signer, and moves what it made into `copy`. No Lua in between. */
static int sign (emr_Signer *signer, emr_Signable r, emr_Str body, emr_Str secret,
                 emr_Buffer *copy, emr_Signature *s) {
  char hash[EMR_HEX_SHA256];
  int ok = 1;
  if (r.payload_hash.s == NULL) {
    ok = emr_acs3_sha256(signer, body, hash);
    r.payload_hash = emr_str(hash, sizeof(hash));
  }
  ok = ok && emr_acs3_sign(signer, &r, secret, s);
  if (ok) {
    copy->n = 0;  /* the query, which is no longer needed */
    emr_buffer_reserve(copy, 2 * s->signed_headers.n + s->canonical_request.n + 2048);
    emr_buffer_str(copy, s->canonical_request);
    emr_buffer_str(copy, s->string_to_sign);
    emr_buffer_str(copy, s->signed_headers);
  }
  emr_acs3_wipe(signer);
  return ok && !copy->failed;
}


/* Arguments: {method, path, query, headers, body, hashed_payload} and
** {access_key_id, access_key_secret}. Signs exactly what it is given. */
static int l_sign (lua_State *L) {
  emr_Core *core = emr_core(L);
  emr_Signer *signer = emr_core_signer(core);
  emr_Signable r;
  emr_Signature s;
  emr_Str body, id, secret;
  emr_Pair *query, somequery[PAIRS_FEW], someheaders[PAIRS_FEW];
  emr_Buffer *b;
  size_t nquery;
  lua_settop(L, 2);
  if (lua_type(L, 1) != LUA_TTABLE)
    luaL_error(L, "http_request must be a table, got a %s", luaL_typename(L, 1));
  if (lua_type(L, 2) != LUA_TTABLE)
    luaL_error(L, "credentials must be a table, got a %s", luaL_typename(L, 2));
  luaL_checkstack(L, 20, NULL);
  r.method = textfield(L, 1, "http_request", "method", "");
  r.path = textfield(L, 1, "http_request", "path", "");
  body = textfield(L, 1, "http_request", "body", "");
  r.payload_hash = emr_str(NULL, 0);
  if (emr_field(L, 1, "hashed_payload") != LUA_TNIL)
    r.payload_hash = textfield(L, 1, "http_request", "hashed_payload", NULL);
  id = textfield(L, 2, "credentials", "access_key_id", NULL);
  secret = textfield(L, 2, "credentials", "access_key_secret", NULL);
  r.headers = readmap(L, 1, "headers", someheaders, &r.nheaders);
  query = readmap(L, 1, "query", somequery, &nquery);
  b = emr_kept_buffer(L, core);
  emr_acs3_query(b, query, nquery);
  r.query = emr_str(b->p != NULL ? b->p : "", b->n);
  if (signer == NULL || !sign(signer, r, body, secret, b, &s)) {
    emr_buffer_wipe(b, 0);
    return emr_failf(L, "memory", NULL, "emr.sign: out of memory");
  }
  pushsignature(L, b, id, &s);
  emr_buffer_wipe(b, KEEP);
  return 1;
}

/* }================================================================== */


/* {==================================================================
** prepare, parse, decode
** =================================================================== */

/* Arguments: operation, request [, options]. */
static int l_prepare (lua_State *L) {
  emr_Core *core = emr_core(L);
  emr_Plan plan;
  emr_Http *h;
  emr_Signer *signer;
  int failed = emr_plan_operation(L, core, 1, &plan);
  if (failed)
    return failed;
  h = emr_newhttp(L);
  signer = emr_core_signer(core);
  if (signer == NULL || !emr_plan_fill(&plan, h, signer))
    return emr_failf(L, "memory", NULL, "%s: out of memory", plan.operation->name.s);
  emr_pushhttp(L, h);
  emr_http_clear(h);
  return 1;
}


/* Puts the map at the top of the stack into the form of a head. */
static void readhead (lua_State *L, emr_Buffer *head) {
  lua_pushnil(L);
  while (lua_next(L, -3) != 0) {  /* map buffer key value */
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "reply.headers must map strings to strings");
    emr_buffer_str(head, emr_tostr(L, -2));
    emr_buffer_char(head, ':');
    emr_buffer_str(head, emr_tostr(L, -1));
    emr_buffer_char(head, '\n');
    lua_pop(L, 1);
  }
  if (head->failed)
    luaL_error(L, "not enough memory");
}


static long readstatus (lua_State *L, int reply) {
  emr_field(L, reply, "status");
  if (emr_checkinteger(L, "int32") != NULL)
    luaL_error(L, "reply.status must be an integer, got a %s", luaL_typename(L, -1));
  return (long)lua_tonumber(L, -1);
}


/* Arguments: operation, {status, headers, body}. */
static int l_parse (lua_State *L) {
  emr_Core *core = emr_core(L);
  const emr_Operation *op;
  emr_Buffer *head;
  emr_Reply r;
  lua_settop(L, 2);
  op = emr_checkoperation(L, core, 1);
  if (lua_type(L, 2) != LUA_TTABLE)
    luaL_error(L, "reply must be a table, got a %s", luaL_typename(L, 2));
  r.name = op->name.s;
  r.http = NULL;
  r.status = readstatus(L, 2);
  r.body = textfield(L, 2, "reply", "body", "");
  if (emr_field(L, 2, "headers") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
  }
  if (lua_type(L, -1) != LUA_TTABLE)
    luaL_error(L, "reply.headers must be a table, got a %s", luaL_typename(L, -1));
  head = emr_newbuffer(L);
  readhead(L, head);
  r.head = head;
  return emr_pushresponse(L, core, op, &r);
}


/* Argument: text. */
static int l_decode (lua_State *L) {
  emr_Core *core = emr_core(L);
  size_t at;
  emr_Str text;
  const char *wrong;
  luaL_checktype(L, 1, LUA_TSTRING);
  text = emr_tostr(L, 1);
  wrong = emr_decode(L, core, text, &at);
  if (wrong != NULL)
    return emr_failf(L, "protocol", "json", "not valid JSON: %s at byte %lu", wrong,
                     (unsigned long)at);
  return 1;
}

/* }================================================================== */


const luaL_Reg emr_pure_functions[] = {
  {"sign", l_sign},
  {"prepare", l_prepare},
  {"parse", l_parse},
  {"decode", l_decode},
  {NULL, NULL}
};
