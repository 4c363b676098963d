/*
** From the reply of the service to a table, or to an error.
*/
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core.h"
#include "json.h"
#include "system.h"

#define HINT_MAX 86400.0  /* seconds; a longer wish is not believed */
#define CODE_MAX 100
#define DETAIL_MAX 16384
#define ID_MAX 128
#define TEXT_MAX 300  /* of the service's own words */

/* What the body of an error says. Strings are anchored on the Lua stack. */
typedef struct Said {
  emr_Str code, message, request_id;
  int detail;  /* stack index of AccessDeniedDetail, or 0 */
} Said;


emr_Str emr_requestid (const emr_Buffer *head) {
  emr_Str id;
  return emr_head_find(head, "x-acs-request-id", 0, &id) ? id : EMR_STR("");
}


static int begins (emr_Str s, const char *prefix) {
  size_t n = strlen(prefix);
  return s.n >= n && memcmp(s.s, prefix, n) == 0;
}


static const char *nameof (const emr_Reply *r) {
  return r->name != NULL ? r->name : "the request";
}


/* {==================================================================
** How long the service asks to wait
** =================================================================== */

/* Decimal digits and nothing else, or -1. */
static double decimal (emr_Str s) {
  double v = 0;
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (s.s[i] < '0' || s.s[i] > '9')
      return -1;
    v = v * 10 + (s.s[i] - '0');
  }
  return s.n > 0 && s.n < 16 ? v : -1;
}


static double believable (double seconds) {
  return seconds >= 0.001 && seconds <= HINT_MAX ? seconds : 0;
}


/* Milliseconds, unlike the standard header. */
static double vendorhint (const emr_Buffer *head) {
  emr_Str v;
  if (!emr_head_find(head, "x-acs-retry-after", 0, &v))
    return 0;
  return believable(decimal(v) / 1000);
}


/* "Limit:1,Remain:0,TimeLeft:2000,Reset:1234"; TimeLeft in milliseconds. */
static double ratelimit (const emr_Buffer *head, const char *name) {
  static const char key[] = "TimeLeft:";
  emr_Str v;
  size_t i;
  if (!emr_head_find(head, name, 0, &v))
    return 0;
  for (i = 0; i + sizeof(key) - 1 < v.n; i++)
    if (memcmp(v.s + i, key, sizeof(key) - 1) == 0 && (i == 0 || v.s[i - 1] == ',')) {
      const char *start = v.s + i + sizeof(key) - 1;
      const char *comma = (const char *)memchr(start, ',', (size_t)(v.s + v.n - start));
      size_t n = (size_t)((comma != NULL ? comma : v.s + v.n) - start);
      return believable(decimal(emr_str(start, n)) / 1000);
    }
  return 0;
}


/* Seconds or a date (RFC 9110, section 10.2.3). The date is counted from the
** server's own clock, where it tells it. */
static double standardhint (const emr_Buffer *head) {
  emr_Str v, date;
  double then, now = -1;
  if (!emr_head_find(head, "retry-after", 0, &v))
    return 0;
  if (decimal(v) >= 0)
    return believable(decimal(v));
  then = emr_http_date(v);
  if (emr_head_find(head, "date", 0, &date))
    now = emr_http_date(date);
  return then < 0 ? 0 : believable(then - (now >= 0 ? now : emr_wallclock()));
}


static double retryafter (const emr_Buffer *head, int throttled) {
  double hint = vendorhint(head);
  if (hint == 0 && throttled) {
    double a = ratelimit(head, "x-ratelimit-user-api");
    double b = ratelimit(head, "x-ratelimit-user");
    hint = a > b ? a : b;
  }
  return hint > 0 ? hint : standardhint(head);
}

/* }================================================================== */


/* {==================================================================
** What an error body says
** =================================================================== */

/* The first of t[a], t[b], t[c] that is text or a number; t is on top. The
** value stays on the stack, below t. */
static emr_Str member (lua_State *L, const char *a, const char *b, const char *c) {
  const char *names[3];
  int i;
  names[0] = a;
  names[1] = b;
  names[2] = c;
  for (i = 0; i < 3 && names[i] != NULL; i++) {
    int type = emr_field(L, -1, names[i]);
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
      emr_Str s = emr_tostr(L, -1);
      if (s.n > 0) {
        lua_insert(L, -2);
        return s;
      }
    }
    lua_pop(L, 1);
  }
  return EMR_STR("");
}


/* Copies the table on top, strings cleaned, other values left out. */
static void pushdetail (lua_State *L, const emr_Http *http) {
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, -3) != 0) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
      emr_pushclean(L, emr_tostr(L, -1), DETAIL_MAX, http);
      lua_pushvalue(L, -3);
      lua_insert(L, -2);
      lua_rawset(L, -5);
    }
    lua_pop(L, 1);
  }
}


/* Reads the table on top, and replaces it by what must stay alive. */
static void readmembers (lua_State *L, const emr_Http *http, Said *said) {
  said->code = member(L, "Code", "code", NULL);
  said->message = member(L, "Message", "message", NULL);
  said->request_id = member(L, "RequestId", "requestId", "requestid");
  if (emr_field(L, -1, "AccessDeniedDetail") != LUA_TTABLE) {
    lua_pop(L, 1);
    emr_field(L, -1, "accessDeniedDetail");
  }
  if (lua_type(L, -1) == LUA_TTABLE) {
    pushdetail(L, http);
    said->detail = lua_gettop(L);
  }
}


static const char *find (const char *p, const char *end, const char *word) {
  size_t n = strlen(word);
  for (; p + n <= end; p++)
    if (memcmp(p, word, n) == 0)
      return p;
  return NULL;
}


/* The text between <name> and </name>, as it stands. */
static emr_Str element (emr_Str xml, const char *name) {
  char open[32], close[32];
  const char *from, *to, *end = xml.s + xml.n;
  snprintf(open, sizeof(open), "<%s>", name);
  snprintf(close, sizeof(close), "</%s>", name);
  from = find(xml.s, end, open);
  if (from == NULL)
    return EMR_STR("");
  from += strlen(open);
  to = find(from, end, close);
  return to != NULL ? emr_str(from, (size_t)(to - from)) : EMR_STR("");
}


static void readbody (lua_State *L, emr_Core *core, const emr_Reply *r, Said *said) {
  size_t at, i = 0;
  memset(said, 0, sizeof(*said));
  said->code = said->message = said->request_id = EMR_STR("");
  while (i < r->body.n && strchr(" \t\r\n", r->body.s[i]) != NULL && r->body.s[i] != '\0')
    i++;
  if (i == r->body.n)
    return;
  if (r->body.s[i] == '{') {
    if (emr_decode(L, core, r->body, &at) == NULL)
      readmembers(L, r->http, said);
  }
  else if (find(r->body.s, r->body.s + r->body.n, "<Error>") != NULL) {
    said->code = element(r->body, "Code");
    said->message = element(r->body, "Message");
    said->request_id = element(r->body, "RequestId");
  }
}

/* }================================================================== */


/* {==================================================================
** Errors
** =================================================================== */

/* Pushes " (HTTP 404, request 7A...)". */
static void pushwhere (lua_State *L, const emr_Reply *r, emr_Str id) {
  if (id.n > 0) {
    emr_pushclean(L, id, ID_MAX, r->http);
    lua_pushfstring(L, " (HTTP %d, request %s)", (int)r->status, lua_tostring(L, -1));
    lua_remove(L, -2);
  }
  else
    lua_pushfstring(L, " (HTTP %d)", (int)r->status);
}


/* `detail` may be NULL. */
static int failreply (lua_State *L, const emr_Reply *r, const char *code, const char *detail) {
  emr_Failure f;
  emr_Reason reason;
  emr_Str id = emr_requestid(r->head);
  memset(&f, 0, sizeof(f));
  reason.kind = f.kind = "protocol";
  reason.code = f.code = code;
  lua_pushfstring(L, "%s: %s%s%s", nameof(r), emr_words(&reason), detail != NULL ? ": " : "",
                  detail != NULL ? detail : "");
  pushwhere(L, r, id);
  lua_concat(L, 2);
  f.message = emr_tostr(L, -1);
  f.status = r->status;
  f.request_id = id;
  f.http = r->http;
  return emr_fail(L, &f);
}


/* Whether the words quote what was signed, under whatever code. */
static int quotes (emr_Str message) {
  const char *end = message.s + message.n;
  return find(message.s, end, EMR_ACS3_ALGORITHM) != NULL ||
         find(message.s, end, "tring to sign") != NULL ||
         find(message.s, end, "tringToSign") != NULL;
}


/* Pushes what the service says in at most `max` bytes; nothing where the advice
** stands for it. */
static void pushwords (lua_State *L, const emr_Reply *r, const Said *said, size_t max) {
  emr_Str text = said->message;
  while (text.n > 0 && (text.s[text.n - 1] == '.' || text.s[text.n - 1] == ' '))
    text.n--;
  if (quotes(text))
    text = EMR_STR("the service quotes what was signed");
  else if (text.n == 0)
    text = EMR_STR("the service gave no message");
  emr_pushclean(L, text, max < TEXT_MAX ? max : TEXT_MAX, r->http);
}


/* Pushes what was asked, what the service says of it, what to do about it, and
** where to find it: four parts, of which the second gives way to the others. */
static void pushstory (lua_State *L, const emr_Operation *op, const emr_Reply *r,
                       const Said *said, const char *code, emr_Str id) {
  const emr_Advice *a = emr_advice(said->code, r->status);
  size_t taken;
  int i;
  lua_pushfstring(L, code != NULL ? "%s: %s: " : "%s: ", nameof(r), code);
  lua_pushstring(L, a != NULL && !a->replaces ? "; " : "");
  if (a != NULL) {
    emr_pushadvice(L, a, op, r);
    lua_concat(L, 2);
  }
  pushwhere(L, r, id);
  for (i = -3, taken = 0; i < 0; i++)
    taken += emr_tostr(L, i).n;
  if (a == NULL || !a->replaces) {
    pushwords(L, r, said, taken < EMR_MESSAGE_MAX ? EMR_MESSAGE_MAX - taken : 0);
    lua_insert(L, -3);
    lua_concat(L, 4);
  }
  else
    lua_concat(L, 3);
}


static int isthrottled (const emr_Reply *r, emr_Str code) {
  return begins(code, "Throttling") || r->status == 429 || vendorhint(r->head) > 0;
}


static int failservice (lua_State *L, const emr_Operation *op, const emr_Reply *r,
                        const Said *said) {
  emr_Failure f;
  int throttled = isthrottled(r, said->code);
  memset(&f, 0, sizeof(f));
  f.request_id = said->request_id.n > 0 ? said->request_id : emr_requestid(r->head);
  if (said->code.n > 0) {
    emr_pushclean(L, said->code, CODE_MAX, r->http);
    f.code = lua_tostring(L, -1);
  }
  pushstory(L, op, r, said, f.code, f.request_id);
  f.kind = throttled ? "throttled" : "service";
  f.message = emr_tostr(L, -1);
  f.status = r->status;
  f.retry_after = retryafter(r->head, throttled);
  f.detail = said->detail;
  f.http = r->http;
  return emr_fail(L, &f);
}

/* }================================================================== */


/* {==================================================================
** Good replies
** =================================================================== */

/* Whether the value on top, the member `name` of the body, is what JSON calls
** `type`. An empty table may be either: then the text tells. */
static int isshape (lua_State *L, const emr_Reply *r, emr_Str name, const char *type) {
  int key;
  if (lua_type(L, -1) != LUA_TTABLE)
    return strcmp(type, luaL_typename(L, -1)) == 0;
  lua_pushnil(L);
  if (lua_next(L, -2) == 0)
    return (emr_json_member(r->body, name) == '{') == (strcmp(type, "object") == 0);
  key = lua_type(L, -2);
  lua_pop(L, 2);
  return strcmp(type, key == LUA_TSTRING ? "object" : "array") == 0;
}


/* Looks at the table on top. Returns the member that is not as it must be, or
** NULL. An empty list may be left out. */
static const char *checkframe (lua_State *L, const emr_Operation *op, const emr_Reply *r) {
  size_t i;
  for (i = 0; i < op->nframe; i++) {
    const char *type = op->frame[i].type.s;
    int ok;
    lua_getfield(L, -1, op->frame[i].name.s);
    ok = isshape(L, r, op->frame[i].name, type) ||
         (lua_isnil(L, -1) && strcmp(type, "array") == 0);
    lua_pop(L, 1);
    if (!ok)
      return op->frame[i].name.s;
  }
  return NULL;
}


static int isobject (emr_Str json) {
  size_t i = 0;
  while (i < json.n && (json.s[i] == ' ' || json.s[i] == '\n' || json.s[i] == '\r' ||
                        json.s[i] == '\t'))
    i++;
  return i < json.n && json.s[i] == '{';
}


static int pushgood (lua_State *L, emr_Core *core, const emr_Operation *op,
                     const emr_Reply *r) {
  size_t at;
  const char *wrong, *missing;
  Said said;
  if (r->body.n == 0)
    return failreply(L, r, "empty", NULL);
  if ((wrong = emr_decode(L, core, r->body, &at)) != NULL) {
    lua_pushfstring(L, "%s at byte %d", wrong, (int)at);
    return failreply(L, r, "json", lua_tostring(L, -1));
  }
  if (!isobject(r->body))
    return failreply(L, r, "shape", "no JSON object");
  missing = checkframe(L, op, r);
  if (missing == NULL)
    return 1;
  memset(&said, 0, sizeof(said));
  lua_pushvalue(L, -1);
  readmembers(L, r->http, &said);
  if (said.code.n > 0)  /* an error that came with a good status */
    return failservice(L, op, r, &said);
  lua_pushfstring(L, "no proper '%s'", missing);
  return failreply(L, r, "shape", lua_tostring(L, -1));
}

/* }================================================================== */


int emr_pushresponse (lua_State *L, emr_Core *core, const emr_Operation *op,
                      const emr_Reply *r) {
  Said said;
  luaL_checkstack(L, 24, NULL);
  if (r->http == NULL && !emr_head_isplain(r->head))  /* else it was looked at when it came */
    return failreply(L, r, "encoding", NULL);
  if (r->status >= 200 && r->status <= 299)
    return pushgood(L, core, op, r);
  if (r->status >= 300 && r->status <= 399 && r->status != 304)
    return failreply(L, r, "redirect", NULL);
  if (r->status < 400 || r->status > 599)
    return failreply(L, r, "http", "the status makes no sense");
  readbody(L, core, r, &said);
  return failservice(L, op, r, &said);
}


/* {==================================================================
** Any reply, as it is
** =================================================================== */

/* Adds a header to the table on top; a repeated one is joined with ", ". */
static void addheader (void *ud, emr_Str name, emr_Str value) {
  lua_State *L = (lua_State *)ud;
  size_t i;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (i = 0; i < name.n; i++)
    luaL_addchar(&b, (name.s[i] >= 'A' && name.s[i] <= 'Z')
                         ? (char)(name.s[i] - 'A' + 'a') : name.s[i]);
  luaL_pushresult(&b);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushlstring(L, value.s, value.n);
  }
  else {
    lua_pushliteral(L, ", ");
    lua_pushlstring(L, value.s, value.n);
    lua_concat(L, 3);
  }
  lua_rawset(L, -3);
}


void emr_pushreply (lua_State *L, const emr_Reply *r) {
  luaL_checkstack(L, 12, NULL);
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, (lua_Integer)r->status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, r->body.s != NULL ? r->body.s : "", r->body.n);
  lua_setfield(L, -2, "body");
  lua_newtable(L);
  emr_head_each(r->head, addheader, L);
  lua_setfield(L, -2, "headers");
}

/* }================================================================== */
