/*
** Errors: nil, message, err. Nothing else in C builds them.
*/
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core.h"
#include "json.h"

#define ERROR "emr.Error"
#define SECRET_MIN 6  /* shorter ones would mask ordinary words */


/* {==================================================================
** Text that people may see
** =================================================================== */

static int isprintable (const char *s, size_t n) {
  unsigned char c = (unsigned char)s[0];
  if (n == 1)
    return c >= 0x20 && c != 0x7F;
  /* C1 controls and the two separators that count as line ends */
  return !(n == 2 && c == 0xC2 && (unsigned char)s[1] < 0xA0) &&
         !(n == 3 && (memcmp(s, "\xE2\x80\xA8", 3) == 0 || memcmp(s, "\xE2\x80\xA9", 3) == 0));
}


/* Length of the secret that stands at `s`, or 0. */
static size_t issecret (emr_Str s, emr_Str secret) {
  return secret.n >= SECRET_MIN && s.n >= secret.n &&
         memcmp(s.s, secret.s, secret.n) == 0 ? secret.n : 0;
}


static size_t secretat (emr_Str s, const emr_Http *h) {
  size_t i, n;
  if (h == NULL || !emr_http_ok(h))  /* what could not be built was not sent */
    return 0;
  if ((n = issecret(s, emr_str(h->secret.p, h->secret.n))) > 0)
    return n;
  if ((n = issecret(s, emr_http_str(h, h->signature))) > 0)
    return n;
  for (i = 0; i < h->nlines; i++) {
    emr_Str name = emr_http_str(h, h->lines[i].name);
    if ((name.n == 20 && memcmp(name.s, "x-acs-security-token", 20) == 0) ||
        (name.n == 13 && memcmp(name.s, "authorization", 13) == 0))
      if ((n = issecret(s, emr_http_str(h, h->lines[i].value))) > 0)
        return n;
  }
  return 0;
}


void emr_pushclean (lua_State *L, emr_Str text, size_t max, const emr_Http *http) {
  luaL_Buffer out;
  size_t used = 0, i = 0;
  luaL_buffinit(L, &out);
  while (i < text.n) {
    emr_Str rest = emr_str(text.s + i, text.n - i);
    size_t n = secretat(rest, http), width = 3;
    const char *p = "***";
    if (n == 0) {
      n = emr_utf8_length(rest.s, rest.n);
      p = rest.s;
      width = n;
      if (n == 0 || !isprintable(rest.s, n)) {
        p = n == 0 ? "?" : " ";
        n += n == 0;
        width = 1;
      }
    }
    if (used + width > max)
      break;
    luaL_addlstring(&out, p, width);
    used += width;
    i += n;
  }
  luaL_pushresult(&out);
}

/* }================================================================== */


/* {==================================================================
** The error table
** =================================================================== */

static int isone (const char *word, const char *const *list) {
  if (word == NULL)
    return 0;
  for (; *list != NULL; list++)
    if (strcmp(word, *list) == 0)
      return 1;
  return 0;
}


static int begins (const char *s, const char *prefix) {
  return s != NULL && strncmp(s, prefix, strlen(prefix)) == 0;
}


static int isretryablestatus (long status) {
  return status == 408 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}


/* Whether the same call may work a little later. */
static int isretryable (const emr_Failure *f) {
  static const char *const always[] = {"network", "throttled", NULL};
  if (f->final)
    return 0;
  if (isone(f->kind, always))
    return 1;
  if (strcmp(f->kind, "timeout") == 0)
    return f->code != NULL && strcmp(f->code, "deadline") != 0;
  if (strcmp(f->kind, "protocol") == 0)
    return f->code != NULL && strcmp(f->code, "empty") == 0;
  if (strcmp(f->kind, "credentials") == 0)
    return f->code != NULL && strcmp(f->code, "unavailable") == 0;
  if (strcmp(f->kind, "service") == 0)
    return begins(f->code, "ServiceUnavailable") || begins(f->code, "InternalError") ||
           (f->code != NULL && strcmp(f->code, "SignatureNonceUsed") == 0) ||
           isretryablestatus(f->status);
  return 0;
}


/* Pushes the message too, below the table. */
static void pusherror (lua_State *L, const emr_Failure *f) {
  emr_pushclean(L, f->message, EMR_MESSAGE_MAX, f->http);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, f->kind);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, f->code);
  lua_setfield(L, -2, "code");
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "message");
  lua_pushboolean(L, isretryable(f));
  lua_setfield(L, -2, "retryable");
  if (f->status != 0) {
    lua_pushinteger(L, (lua_Integer)f->status);
    lua_setfield(L, -2, "status");
  }
  if (f->request_id.n > 0) {
    emr_pushclean(L, f->request_id, 128, f->http);
    lua_setfield(L, -2, "request_id");
  }
  if (f->retry_after > 0) {
    lua_pushnumber(L, f->retry_after);
    lua_setfield(L, -2, "retry_after");
  }
  if (f->detail != 0) {
    lua_pushvalue(L, f->detail);
    lua_setfield(L, -2, "access_denied_detail");
  }
  emr_setmetatable(L, ERROR);
}


int emr_fail (lua_State *L, const emr_Failure *f) {
  luaL_checkstack(L, 8, NULL);
  lua_pushnil(L);
  pusherror(L, f);
  return 3;
}


int emr_failf (lua_State *L, const char *kind, const char *code,
               const char *format, ...) {
  char text[EMR_MESSAGE_MAX];
  emr_Failure f;
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  memset(&f, 0, sizeof(f));
  f.kind = kind;
  f.code = code;
  f.message = emr_str(text, strlen(text));
  return emr_fail(L, &f);
}


static int l_tostring (lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushliteral(L, "message");
  lua_rawget(L, 1);
  return 1;
}


void emr_failure_open (lua_State *L) {
  luaL_newmetatable(L, ERROR);
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, ERROR);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

/* }================================================================== */
