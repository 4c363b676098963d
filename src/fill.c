/*
** From what was read to the bytes of an HTTP request. No Lua in the filling, so
** that nothing can raise while memory of ours is in use.
*/
#include <string.h>

#include "core.h"
#include "version.h"

#define USER_AGENT "emr/" EMR_VERSION


static void fillpath (const emr_Plan *plan, emr_Buffer *b) {
  const emr_Operation *op = plan->operation;
  const char *p = op->path.s, *brace;
  size_t i = 0;
  while ((brace = strchr(p, '{')) != NULL) {
    emr_buffer_add(b, p, (size_t)(brace - p));
    emr_acs3_escape(b, plan->params[i++]);
    p = strchr(brace, '}') + 1;
  }
  emr_buffer_text(b, p);
}


static void fillquery (const emr_Plan *plan, emr_Buffer *b) {
  emr_Pair pairs[EMR_FIELDS_MAX];
  memcpy(pairs, plan->query, plan->nquery * sizeof(*pairs));
  emr_acs3_query(b, pairs, plan->nquery);
}


static void fillurl (const emr_Plan *plan, emr_Http *h) {
  emr_Buffer *b = &h->text;
  h->url.at = b->n;
  emr_buffer_text(b, plan->endpoint.tls ? "https://" : "http://");
  emr_buffer_text(b, plan->endpoint.authority);
  h->path.at = b->n;
  if (plan->operation != NULL) {
    fillpath(plan, b);
    h->path.n = b->n - h->path.at;
    if (plan->nquery > 0)
      emr_buffer_char(b, '?');
    h->query.at = b->n;
    fillquery(plan, b);
    h->query.n = b->n - h->query.at;
  }
  else {
    if (plan->target.n == 0 || plan->target.s[0] != '/')
      emr_buffer_char(b, '/');
    emr_buffer_str(b, plan->target);
  }
  h->url.n = b->n - h->url.at;
  emr_buffer_char(b, '\0');
}


static int fillhash (const emr_Plan *plan, emr_Http *h, emr_Signer *signer) {
  char hash[EMR_HEX_SHA256];
  return emr_acs3_sha256(signer, plan->body, hash) &&
         emr_http_header(h, EMR_STR("x-acs-content-sha256"), emr_str(hash, sizeof(hash)));
}


static void filluseragent (const emr_Plan *plan, emr_Http *h) {
  char text[sizeof(USER_AGENT) + 1 + 256];
  size_t n = sizeof(USER_AGENT) - 1;
  memcpy(text, USER_AGENT, n);
  if (plan->options.user_agent.n > 0) {
    text[n++] = ' ';
    memcpy(text + n, plan->options.user_agent.s, plan->options.user_agent.n);
    n += plan->options.user_agent.n;
  }
  emr_http_header(h, EMR_STR("user-agent"), emr_str(text, n));
}


/* The signed ones in the order of the signature, so that it need not sort. */
static int filloperation (const emr_Plan *plan, emr_Http *h, emr_Signer *signer) {
  const emr_Operation *op = plan->operation;
  const emr_Options *o = &plan->options;
  size_t i;
  if (plan->hasbody)
    emr_http_header(h, EMR_STR("content-type"), EMR_STR("application/json; charset=utf-8"));
  emr_http_header(h, EMR_STR("x-acs-action"), op->name);
  if (!fillhash(plan, h, signer))
    return 0;
  emr_http_dateheader(h);
  if (o->security_token.n > 0)
    emr_http_header(h, EMR_STR("x-acs-security-token"), o->security_token);
  emr_http_nonceheader(h);
  emr_http_header(h, EMR_STR("x-acs-version"), op->version);
  emr_http_header(h, EMR_STR("accept"), EMR_STR("application/json"));
  filluseragent(plan, h);
  for (i = 0; i < plan->nheaders; i++)
    emr_http_anyheader(h, plan->headers[i].name, plan->headers[i].value);
  h->clock_offset = o->clock_offset;
  h->repeatable = op->repeatable;
  for (i = 0; i < op->nparams; i++)
    if (op->isechoed[i])
      emr_http_echo(h, op->params[i], plan->params[i]);
  emr_buffer_str(&h->secret, o->access_key_secret);
  return emr_http_sign(h, signer, o->access_key_id);
}


/* A signature that was made elsewhere can be used once. */
static void fillready (const emr_Plan *plan, emr_Http *h) {
  size_t i;
  h->repeatable = emr_isname(plan->method, "GET") || emr_isname(plan->method, "HEAD");
  for (i = 0; i < plan->nheaders; i++) {
    emr_http_anyheader(h, plan->headers[i].name, plan->headers[i].value);
    if (emr_isname(plan->headers[i].name, "authorization"))
      h->repeatable = 0;
  }
}


int emr_plan_fill (const emr_Plan *plan, emr_Http *h, emr_Signer *signer) {
  emr_http_clear(h);
  h->tls = plan->endpoint.tls;
  h->method = emr_http_text(h, plan->operation != NULL ? plan->operation->method : plan->method);
  fillurl(plan, h);
  h->hasbody = plan->hasbody;
  emr_buffer_str(&h->body, plan->body);
  emr_http_header(h, EMR_STR("host"),
                  emr_str(plan->endpoint.authority, strlen(plan->endpoint.authority)));
  if (plan->operation != NULL)
    return filloperation(plan, h, signer);
  fillready(plan, h);
  return emr_http_ok(h);
}



static void setstr (lua_State *L, const char *name, emr_Str s) {
  lua_pushlstring(L, s.s, s.n);
  lua_setfield(L, -2, name);
}


void emr_pushhttp (lua_State *L, const emr_Http *h) {
  size_t i;
  lua_createtable(L, 0, 4);
  setstr(L, "method", emr_http_str(h, h->method));
  setstr(L, "url", emr_http_str(h, h->url));
  if (h->hasbody)
    setstr(L, "body", emr_str(h->body.p, h->body.n));
  lua_createtable(L, 0, (int)h->nlines);
  for (i = 0; i < h->nlines; i++) {
    lua_pushlstring(L, h->text.p + h->lines[i].name.at, h->lines[i].name.n);
    lua_pushlstring(L, h->text.p + h->lines[i].value.at, h->lines[i].value.n);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, "headers");
}
