/*
** Reads what a call is given: the request, where it goes, and as whom. A
** caller's mistake raises here, before anything is allocated or sent.
*/
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core.h"

#define ID_MAX 1024
#define QUERY_MAX 8192
#define URL_MAX_ 65536
#define KEY_MAX 1024
#define TOKEN_MAX 16384


/* {==================================================================
** Fields of the request
** =================================================================== */

static int isfield (const void *ud, const char *name, size_t n) {
  const emr_Operation *op = (const emr_Operation *)ud;
  size_t i;
  for (i = 0; i < op->nparams; i++)
    if (op->params[i].n == n && memcmp(op->params[i].s, name, n) == 0)
      return 1;
  for (i = 0; i < op->nquery; i++)
    if (op->query[i].name.n == n && memcmp(op->query[i].name.s, name, n) == 0)
      return 1;
  for (i = 0; i < op->nbody; i++)
    if (op->body[i].name.n == n && memcmp(op->body[i].name.s, name, n) == 0)
      return 1;
  return 0;
}


static int notgiven (lua_State *L, const char *name) {
  return luaL_error(L, "request.%s is missing", name);
}


static int isempty (lua_State *L, const char *name) {
  return luaL_error(L, "request.%s is empty", name);
}


/* The value on top as text for path or query. It stays as its anchor. */
static emr_Str checktext (lua_State *L, const char *name, size_t max) {
  emr_Str s;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "request.%s must be a string, got a %s", name, luaL_typename(L, -1));
  s = emr_tostr(L, -1);
  if (s.n > max)
    luaL_error(L, "request.%s is longer than %d bytes", name, (int)max);
  if (emr_hascontrol(s))
    luaL_error(L, "request.%s holds a control byte", name);
  return s;
}


/* An empty id would reach another route, and so would "." and "..", which
** percent-encoding leaves as they are. */
static emr_Str readparam (lua_State *L, int request, const char *name) {
  emr_Str s;
  if (emr_field(L, request, name) == LUA_TNIL)
    notgiven(L, name);
  s = checktext(L, name, ID_MAX);
  if (s.n == 0)
    isempty(L, name);
  if (strcmp(s.s, ".") == 0 || strcmp(s.s, "..") == 0)
    luaL_error(L, "request.%s must not be '.' or '..'", name);
  return s;
}


static emr_Str readinteger (lua_State *L, const emr_Field *f) {
  char text[32];
  const char *expected = emr_checkinteger(L, f->type);
  if (expected != NULL)
    luaL_error(L, "request.%s must be %s", f->name.s, expected);
  snprintf(text, sizeof(text), "%.0f", lua_tonumber(L, -1) + 0.0);  /* no "-0" */
  lua_pop(L, 1);
  lua_pushstring(L, text);
  return emr_tostr(L, -1);
}


static emr_Str readflag (lua_State *L, const char *name) {
  if (lua_type(L, -1) != LUA_TBOOLEAN)
    luaL_error(L, "request.%s must be a boolean, got a %s", name, luaL_typename(L, -1));
  return lua_toboolean(L, -1) ? EMR_STR("true") : EMR_STR("false");
}


static emr_Str readqueryvalue (lua_State *L, const emr_Field *f) {
  if (strncmp(f->type, "int", 3) == 0)
    return readinteger(L, f);
  if (strcmp(f->type, "boolean") == 0)
    return readflag(L, f->name.s);
  return checktext(L, f->name.s, QUERY_MAX);
}


/* Looks at the value on top. */
static void checkgiven (lua_State *L, const emr_Field *f) {
  if (lua_isnil(L, -1))
    notgiven(L, f->name.s);
  if (lua_type(L, -1) == LUA_TSTRING && emr_tostr(L, -1).n == 0)
    isempty(L, f->name.s);
}


/* Leaves the fields that are given in the plan, and the region, which is
** always sent where the operation knows it. */
static void readquery (lua_State *L, int request, emr_Plan *plan, emr_Str *region) {
  const emr_Operation *op = plan->operation;
  size_t i;
  for (i = 0; i < op->nquery; i++) {
    const emr_Field *f = &op->query[i];
    int isregion = strcmp(f->name.s, "regionId") == 0;
    emr_Pair *pair = &plan->query[plan->nquery];
    int type = emr_field(L, request, f->name.s);
    pair->name = f->name;
    if (f->required)
      checkgiven(L, f);
    if (type != LUA_TNIL) {
      pair->value = readqueryvalue(L, f);
      if (isregion) {
        emr_checkregion(L, pair->value, "request.regionId");
        if (region->n == 0)
          *region = pair->value;
      }
    }
    else if (isregion)
      pair->value = *region;
    else
      continue;
    plan->nquery++;
  }
}


static void checkrequired (lua_State *L, int request, const emr_Operation *op) {
  size_t i;
  for (i = 0; i < op->nbody; i++)
    if (op->body[i].required) {
      emr_field(L, request, op->body[i].name.s);
      checkgiven(L, &op->body[i]);
      lua_pop(L, 1);
    }
}


static void readbody (lua_State *L, int operation, int request, emr_Plan *plan) {
  if (!plan->operation->hasbody)
    return;
  checkrequired(L, request, plan->operation);
  emr_pushbodyfields(L, operation);
  emr_pushbody(L, lua_gettop(L), request, "request");
  plan->body = emr_tostr(L, -1);
  plan->hasbody = 1;
}

/* }================================================================== */


/* {==================================================================
** Headers
** =================================================================== */

static int istoken (emr_Str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    char c = s.s[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
          (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL)))
      return 0;
  }
  return s.n > 0;
}


static int isin (emr_Str name, const char *const *list) {
  for (; *list != NULL; list++)
    if (emr_isname(name, *list))
      return 1;
  return 0;
}


/* What libcurl writes, or what would change how the message is framed. */
static const char *const framing[] = {
  "content-length", "transfer-encoding", "connection", "keep-alive", "te",
  "trailer", "upgrade", "expect", "accept-encoding", "proxy-authorization",
  "proxy-connection", NULL
};

/* What emr_plan_fill writes. */
static const char *const ours[] = {
  "host", "authorization", "accept", "user-agent", "content-type",
  "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
  "x-acs-content-sha256", "x-acs-security-token", NULL
};


static void checkheader (lua_State *L, const char *what, const emr_Plan *plan, emr_Pair h) {
  size_t i;
  if (isin(h.name, framing) || (plan->operation != NULL && isin(h.name, ours)))
    luaL_error(L, "%s.%s is set by emr itself", what, h.name.s);
  if (h.value.n == 0)
    luaL_error(L, "%s.%s is empty", what, h.name.s);
  if (h.value.n > TOKEN_MAX)
    luaL_error(L, "%s.%s is longer than %d bytes", what, h.name.s, TOKEN_MAX);
  if (emr_hascontrol(h.value))
    luaL_error(L, "%s.%s holds a control byte", what, h.name.s);
  for (i = 0; i < plan->nheaders; i++)
    if (emr_isname(h.name, plan->headers[i].name.s))
      luaL_error(L, "%s.%s is given twice, in different letter case", what, h.name.s);
}


/* Reads the table at `t`. Its strings are anchored by it, unless it changes
** them while it is read, so each value is kept on the stack. */
static void readheaders (lua_State *L, int t, const char *what, emr_Plan *plan) {
  luaL_checkstack(L, 2 * EMR_HEADERS_MAX + 8, NULL);
  lua_pushnil(L);
  while (lua_next(L, t) != 0) {
    emr_Pair h;
    if (lua_type(L, -2) != LUA_TSTRING || !istoken(emr_tostr(L, -2)) ||
        emr_tostr(L, -2).n > 256)
      luaL_error(L, "%s: a name is not a header name", what);
    h.name = emr_tostr(L, -2);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "%s.%s must be a string, got a %s", what, h.name.s, luaL_typename(L, -1));
    h.value = emr_tostr(L, -1);
    checkheader(L, what, plan, h);
    if (plan->nheaders == EMR_HEADERS_MAX - 16)
      luaL_error(L, "%s has more than %d entries", what, EMR_HEADERS_MAX - 16);
    plan->headers[plan->nheaders++] = h;
    lua_pushvalue(L, -2);  /* name value name: the two stay, the next key goes on */
  }
}

/* }================================================================== */


/* {==================================================================
** Where to, and as whom
** =================================================================== */

static void checkscheme (lua_State *L, const emr_Plan *plan, const char *what) {
  if (!plan->endpoint.tls && !plan->endpoint.loopback && !plan->options.allow_http)
    luaL_error(L, "%s: plain http is taken for loopback addresses only; use https, or set "
                  "options.allow_http = true", what);
}


/* Puts the region where the host of the descriptor has {region}. */
static void pushhost (lua_State *L, const emr_Plan *plan, emr_Str region) {
  const emr_Operation *op = plan->operation;
  int isvpc = plan->options.network.n > 0 && strcmp(plan->options.network.s, "vpc") == 0;
  emr_Str host = isvpc ? op->vpc_host : op->host;
  const char *brace;
  if (host.n == 0)
    luaL_error(L, "options.network: %s has no VPC endpoint", op->name.s);
  brace = strstr(host.s, "{region}");
  if (brace == NULL) {
    lua_pushlstring(L, host.s, host.n);
    return;
  }
  lua_pushlstring(L, host.s, (size_t)(brace - host.s));
  lua_pushlstring(L, region.s, region.n);
  lua_pushstring(L, brace + 8);
  lua_concat(L, 3);
}


static void readendpoint (lua_State *L, emr_Plan *plan, emr_Str region) {
  const char *wrong, *what = "options.endpoint";
  emr_Str text = plan->options.endpoint;
  if (plan->operation->regional && region.n == 0)
    luaL_error(L, "the region is missing: set options.region or request.regionId, "
                  "for example \"cn-hangzhou\"");
  if (text.n == 0) {
    pushhost(L, plan, region);
    text = emr_tostr(L, -1);
    what = "the endpoint of this region";
  }
  wrong = emr_endpoint_parse(text, &plan->endpoint);
  if (wrong != NULL)
    luaL_error(L, "%s: %s", what, wrong);
  checkscheme(L, plan, what);
}


static int ismalformed (emr_Str s, size_t max) {
  size_t i;
  for (i = 0; i < s.n; i++)
    if (s.s[i] <= 0x20 || s.s[i] >= 0x7F)
      return 1;
  return s.n > max;
}


/* A copy, which stays on the stack: the environment may change. */
static emr_Str fromenvironment (lua_State *L, const char *name) {
  const char *s = getenv(name);
  lua_pushstring(L, s != NULL ? s : "");
  return emr_tostr(L, -1);
}


#define ENV_ID "ALIBABA_CLOUD_ACCESS_KEY_ID"
#define ENV_SECRET "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
#define ENV_TOKEN "ALIBABA_CLOUD_SECURITY_TOKEN"


static int nocredentials (lua_State *L, const emr_Core *core, const emr_Plan *plan) {
  const char *hint = core->inside_nginx
      ? "; nginx hides environment variables that no `env` directive in nginx.conf names" : "";
  int hasid = plan->options.access_key_id.n > 0;
  if (hasid || plan->options.access_key_secret.n > 0)
    return emr_failf(L, "credentials", "incomplete",
                     "%s: %s is not set in the environment, though %s is%s",
                     plan->operation->name.s, hasid ? ENV_SECRET : ENV_ID,
                     hasid ? ENV_ID : ENV_SECRET, hint);
  return emr_failf(L, "credentials", "none",
                   "%s: no credentials: set options.access_key_id and access_key_secret, or "
                   ENV_ID " and " ENV_SECRET " in the environment%s",
                   plan->operation->name.s, hint);
}


/* Returns 0, or 3 with the failure pushed. */
static int readcredentials (lua_State *L, const emr_Core *core, emr_Plan *plan) {
  emr_Options *o = &plan->options;
  const char *bad = NULL;
  if (o->access_key_id.n > 0)
    return 0;
  o->access_key_id = fromenvironment(L, ENV_ID);
  o->access_key_secret = fromenvironment(L, ENV_SECRET);
  o->security_token = fromenvironment(L, ENV_TOKEN);
  if (o->access_key_id.n == 0 || o->access_key_secret.n == 0)
    return nocredentials(L, core, plan);
  if (ismalformed(o->access_key_id, KEY_MAX))
    bad = ENV_ID;
  else if (ismalformed(o->access_key_secret, KEY_MAX))
    bad = ENV_SECRET;
  else if (ismalformed(o->security_token, TOKEN_MAX))
    bad = ENV_TOKEN;
  if (bad == NULL)
    return 0;
  return emr_failf(L, "credentials", "malformed",
                   "%s: %s in the environment holds a blank, a control byte or a byte beyond "
                   "ASCII, or is too long", plan->operation->name.s, bad);
}

/* }================================================================== */


/* {==================================================================
** Reading the arguments
** =================================================================== */

int emr_plan_operation (lua_State *L, emr_Core *core, int arg, emr_Plan *plan) {
  int request = arg + 1, options = arg + 2, operation;
  emr_Str region;
  memset(plan, 0, offsetof(emr_Plan, params));
  lua_settop(L, options);
  plan->operation = emr_checkoperation(L, core, arg);
  operation = lua_gettop(L);
  if (lua_type(L, request) != LUA_TTABLE)
    luaL_error(L, "request must be a table, got a %s", luaL_typename(L, request));
  emr_checkoptions(L, options, &plan->options);
  emr_checknames(L, request, "request", isfield, plan->operation);
  luaL_checkstack(L, EMR_PARAMS_MAX + EMR_FIELDS_MAX + 16, NULL);
  {
    size_t i;
    for (i = 0; i < plan->operation->nparams; i++)
      plan->params[i] = readparam(L, request, plan->operation->params[i].s);
  }
  region = plan->options.region;
  readquery(L, request, plan, &region);
  readendpoint(L, plan, region);
  readbody(L, operation, request, plan);
  if (plan->options.headers != 0)
    readheaders(L, plan->options.headers, "options.headers", plan);
  return readcredentials(L, core, plan);
}


int emr_ishttprequest (lua_State *L, int arg) {
  int r = 0;
  if (lua_type(L, arg) == LUA_TTABLE) {
    r = emr_field(L, arg, "url") != LUA_TNIL;
    lua_pop(L, 1);
  }
  return r;
}


static int ishttpfield (const void *ud, const char *name, size_t n) {
  static const char *const names[] = {"method", "url", "headers", "body", NULL};
  const char *const *p;
  (void)ud;
  for (p = names; *p != NULL; p++)
    if (strlen(*p) == n && memcmp(*p, name, n) == 0)
      return 1;
  return 0;
}


static void readurl (lua_State *L, int request, emr_Plan *plan) {
  emr_Str url;
  const char *wrong;
  size_t i;
  if (emr_field(L, request, "url") != LUA_TSTRING)
    luaL_error(L, "http_request.url must be a string, got a %s", luaL_typename(L, -1));
  url = emr_tostr(L, -1);
  if (strncasecmp(url.s, "https://", 8) != 0 && strncasecmp(url.s, "http://", 7) != 0)
    luaL_error(L, "http_request.url must begin with https:// or http://");
  if (url.n > URL_MAX_)
    luaL_error(L, "http_request.url is longer than %d bytes", URL_MAX_);
  wrong = emr_endpoint_split(url, &plan->endpoint, &plan->target);
  if (wrong != NULL)
    luaL_error(L, "http_request.url: %s", wrong);
  for (i = 0; i < plan->target.n; i++)
    if (plan->target.s[i] <= 0x20 || plan->target.s[i] >= 0x7F || plan->target.s[i] == '#')
      luaL_error(L, "http_request.url holds a blank, a control byte, a fragment or a byte "
                    "beyond ASCII after the host");
  checkscheme(L, plan, "http_request.url");
}


static void readmethod (lua_State *L, int request, emr_Plan *plan) {
  plan->method = EMR_STR("GET");
  if (emr_field(L, request, "method") == LUA_TNIL)
    return;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "http_request.method must be a string, got a %s", luaL_typename(L, -1));
  plan->method = emr_tostr(L, -1);
  if (!istoken(plan->method) || plan->method.n > 32)
    luaL_error(L, "http_request.method is not an HTTP method");
}


/* libcurl makes `host` from the URL; a different one would be ignored. */
static void takehost (lua_State *L, emr_Plan *plan) {
  size_t i;
  for (i = 0; i < plan->nheaders; i++) {
    emr_Pair *h = &plan->headers[i];
    if (!emr_isname(h->name, "host"))
      continue;
    if (!emr_isname(h->value, plan->endpoint.authority))
      luaL_error(L, "http_request.headers.host is not the host of http_request.url");
    *h = plan->headers[--plan->nheaders];
    return;
  }
}


void emr_plan_http (lua_State *L, int arg, emr_Plan *plan) {
  int request = arg, options = arg + 1;
  memset(plan, 0, offsetof(emr_Plan, params));
  lua_settop(L, options);
  if (lua_type(L, request) != LUA_TTABLE)
    luaL_error(L, "http_request must be a table, got a %s", luaL_typename(L, request));
  emr_checkoptions(L, options, &plan->options);
  emr_checknames(L, request, "http_request", ishttpfield, NULL);
  readurl(L, request, plan);
  readmethod(L, request, plan);
  if (emr_field(L, request, "body") != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "http_request.body must be a string, got a %s", luaL_typename(L, -1));
    plan->body = emr_tostr(L, -1);
    plan->hasbody = 1;
  }
  if (emr_field(L, request, "headers") != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TTABLE)
      luaL_error(L, "http_request.headers must be a table, got a %s", luaL_typename(L, -1));
    readheaders(L, lua_gettop(L), "http_request.headers", plan);
    takehost(L, plan);
  }
}

/* }================================================================== */
