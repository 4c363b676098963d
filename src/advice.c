/*
** What to do about an error, for a reader who has only the message. All of it
** is data here; only what Lua itself finds out (where keys were looked for, in
** which phase of nginx) is told there.
*/
#include <limits.h>
#include <math.h>
#include <string.h>

#include "core.h"
#include "system.h"


/* {==================================================================
** Below the API: what happened
** =================================================================== */

typedef struct Words {
  const char *kind, *code;
  const char *text;
} Words;

#define OTHER_SERVER "(does options.endpoint lead to the API, or does a proxy answer?)"

/* libcurl's own words may follow; they name the host, the port or the file. */
static const Words words[] = {
  {"network", "resolve", "the host name cannot be resolved; check region and endpoint"},
  {"network", "connect", "cannot connect; check options.endpoint and network, and firewalls on "
                         "the way"},
  {"network", "reset", "the connection broke before the reply was there"},
  {"network", "truncated", "the reply ended too early"},
  {"network", "proxy", "the proxy did not do its part; check options.proxy"},
  {"timeout", "connect", "no connection within the time that options.connect_timeout and "
                         "timeout leave"},
  {"timeout", "attempt", "no complete reply within options.timeout"},
  {"tls", "verify", "the server's certificate cannot be trusted; for a CA of your own set "
                    "options.ca_file"},
  {"tls", "handshake", "the TLS handshake failed; is options.endpoint a server that speaks TLS "
                       "1.2 or newer?"},
  {"tls", "ca", "the CA file cannot be used; set options.ca_file to a PEM file that the user of "
                "this process may read, or install the system's (package ca-certificates)"},
  {"tls", "client_cert", "the server wants a client certificate, or this one cannot be used; "
                         "options.client_cert and client_key set it"},
  {"protocol", "http", "what came is not a proper HTTP reply; check options.endpoint"},
  {"protocol", "too_large", "the reply is larger than allowed (options.max_response_bytes; "
                            "64 KiB or 256 lines of headers)"},
  {"protocol", "encoding", "the reply is compressed, which was not asked for"},
  {"protocol", "redirect", "the service answered with a redirect, which is never followed; check "
                           "options.endpoint"},
  {"protocol", "empty", "the reply is empty"},
  {"protocol", "json", "the reply is not valid JSON " OTHER_SERVER},
  {"protocol", "shape", "the reply is not what the API answers " OTHER_SERVER},
  {"memory", NULL, "out of memory"},
};


static int same (const char *a, const char *b) {
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}


const char *emr_words (const emr_Reason *r) {
  size_t i;
  for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
    if (same(words[i].kind, r->kind) && same(words[i].code, r->code))
      return words[i].text;
  return "the transfer failed";
}

/* }================================================================== */


/* {==================================================================
** Errors of the service
** =================================================================== */

#define ALL_OF_ONE "set access_key_id, access_key_secret and security_token of one temporary key"
#define POLICY "a RAM policy of this user or role must allow {action}"
#define OTHER_API "is options.endpoint one of {product}? the request went to {host}"

/* {clock} is what the reply's date says of our own, {path} and {region} what was
** asked for. The first row that fits counts. */
static const emr_Advice advices[] = {
  {"SignatureDoesNotMatch", 0, 1,
   "the service computed another signature: access_key_secret is not that of access_key_id, or "
   "a proxy changes the request"},
  {"IncompleteSignature", 0, 1,
   "the service could not read the signature; does a proxy change the headers?"},
  {"InvalidTimeStamp", 0, 0, "{clock}"},
  {"IllegalTimestamp", 0, 0, "{clock}"},
  {"InvalidAccessKeyId.Inactive", 0, 0,
   "enable the key in the RAM console, or set access_key_id and access_key_secret to another"},
  {"InvalidAccessKeyId", 0, 0, "check access_key_id, and that its key was not deleted"},
  {"InvalidSecurityToken.Expired", 0, 0,
   "get new temporary credentials; the providers of emr.credentials renew theirs"},
  {"InvalidSecurityToken", 0, 0, ALL_OF_ONE},
  {"MissingSecurityToken", 0, 0, ALL_OF_ONE},
  {"Forbidden.RiskControl", 0, 0, "ask the vendor's support, with the request id"},
  {"Forbidden", 0, 0, POLICY},
  {"NoPermission", 0, 0, POLICY},
  {"UnsupportedHTTPMethod", 0, 0, OTHER_API},
  {"InvalidApi", 0, 0, OTHER_API},
  {"InvalidProduct", 0, 0, OTHER_API},
  {"InvalidProtocol", 0, 0, "use https in options.endpoint"},
  {"MissingParameter.regionId", 0, 0, "set options.region or request.regionId"},
  {"Throttling", 0, 0, "call less often, or through emr.client, which waits and repeats"},
  {"", 404, 0, "asked for {path} in {region}: check the ids, and that they are in that region"},
  {NULL, 0, 0,
   "a workspace that is missing, in another region or not visible to this key may be answered "
   "so; asked for {path} in {region}"},
};


static int begins (emr_Str s, const char *prefix) {
  size_t n = strlen(prefix);
  return s.n >= n && memcmp(s.s, prefix, n) == 0;
}


/* A row whose code is "" is for any code, one with NULL for none at all and a
** status that blames the request. */
static int isabout (const emr_Advice *a, emr_Str code, long status) {
  if (a->code == NULL)
    return code.n == 0 && status / 100 == 4 && status != 401 && status != 407 &&
           status != 408 && status != 429;
  return code.n > 0 && begins(code, a->code) && (a->status == 0 || a->status == status);
}


const emr_Advice *emr_advice (emr_Str code, long status) {
  size_t i;
  for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
    if (isabout(&advices[i], code, status))
      return &advices[i];
  return NULL;
}


/* Pushes how far the request's date was from the service's, if far enough to
** matter. */
static void pushclock (lua_State *L, const emr_Reply *r) {
  double given = r->http != NULL ? r->http->clock_offset : 0;
  emr_Str v;
  double then = emr_head_find(r->head, "date", 0, &v) ? emr_http_date(v) : -1;
  double skew = then >= 0 ? then - emr_wallclock() - given : 0;
  if (fabs(skew) <= 60 || fabs(skew) + fabs(given) >= INT_MAX)
    lua_pushliteral(L, "is this machine's clock right?");
  else
    lua_pushfstring(L, "the clock that dated the request is %d s %s the service's; set it, or "
                       "options.clock_offset = %d",
                    (int)fabs(skew), skew < 0 ? "ahead of" : "behind", (int)(given + skew));
}


/* The value of regionId in a query, or "". */
static emr_Str regionof (emr_Str query) {
  static const char name[] = "regionId=";
  const size_t n = sizeof(name) - 1;
  size_t i, end;
  for (i = 0; i + n <= query.n; i++)
    if (memcmp(query.s + i, name, n) == 0 && (i == 0 || query.s[i - 1] == '&')) {
      for (end = i + n; end < query.n && query.s[end] != '&'; )
        end++;
      return emr_str(query.s + i + n, end - i - n);
    }
  return EMR_STR("");
}


/* Replaces {name} in the text on top. */
static void replace (lua_State *L, const char *name, emr_Str value, size_t max, const char *none) {
  if (strstr(lua_tostring(L, -1), name) == NULL)
    return;
  if (value.n > 0)
    emr_pushclean(L, value, max, NULL);
  else
    lua_pushstring(L, none);
  luaL_gsub(L, lua_tostring(L, -2), name, lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
}


/* Where the request went; where only the reply is known, what its operation says. */
static void replaceplaces (lua_State *L, const emr_Operation *op, const emr_Http *h) {
  emr_Str none = EMR_STR("");
  replace(L, "{host}", h != NULL ? emr_http_str(h, h->lines[0].value) : none, 128, "another host");
  replace(L, "{region}", h != NULL ? regionof(emr_http_str(h, h->query)) : none, 64,
          "its region");
  replace(L, "{path}", h != NULL ? emr_http_str(h, h->path) : op->path, 160, "/");
}


void emr_pushadvice (lua_State *L, const emr_Advice *a, const emr_Operation *op,
                     const emr_Reply *r) {
  lua_pushstring(L, a->text);
  if (strcmp(a->text, "{clock}") == 0) {
    lua_pop(L, 1);
    pushclock(L, r);
    return;
  }
  lua_pushfstring(L, "%s:%s", op->product.s, op->name.s);
  lua_insert(L, -2);
  replace(L, "{action}", emr_tostr(L, -2), 128, "");
  lua_remove(L, -2);
  replace(L, "{product}", op->product, 64, "");
  replaceplaces(L, op, r->http);
}

/* }================================================================== */
