/*
** Transfers: the bindings around the engine. A blocking call is a transfer that
** is stepped to its end, so that there is one way a request goes.
*/
#include <math.h>
#include <string.h>

#include "core.h"

#define TRANSFER "emr.Transfer"
#define STEP_MAX 604800.0  /* seconds */

typedef struct Info {
  long status;
  int verified, reused;
  emr_Times times;
  char date[32], request_id[128];  /* or empty */
} Info;

/* The table that the userdata carries is the descriptor, which keeps `op` alive;
** once there are results, the response, or {message, err}. */
typedef struct Transfer {
  emr_Transfer *t;  /* NULL: not begun, or given back */
  const emr_Operation *op;  /* NULL: a ready-made request, or has its results */
  char name[64];  /* its name, for when it has */
  int nresults;  /* 0: none yet */
  Info info;
} Transfer;


/* {==================================================================
** Userdata
** =================================================================== */

static Transfer *newtransfer (lua_State *L) {
  Transfer *h = (Transfer *)lua_newuserdata(L, sizeof(*h));
  memset(h, 0, sizeof(*h));
  strcpy(h->name, "fetch");
  emr_setmetatable(L, TRANSFER);  /* from here on __gc cleans up */
  return h;
}


/* The userdata of the last blocking call, when it is free, and then knows of no
** reply. It is not while a finalizer makes a call inside another, or after an
** error. */
static Transfer *idletransfer (lua_State *L, emr_Core *core) {
  Transfer *h;
  lua_rawgeti(L, LUA_REGISTRYINDEX, core->idle);
  h = (Transfer *)lua_touserdata(L, -1);
  if (h->t != NULL) {
    lua_pop(L, 1);
    h = newtransfer(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, core->idle);
  }
  memset(&h->info, 0, sizeof(h->info));
  return h;
}


static void release (Transfer *h) {
  emr_Transfer *t = h->t;
  h->t = NULL;
  if (t != NULL)
    emr_engine_release(t);
}


static const char *nameof (const Transfer *h) {
  return h->op != NULL ? h->op->name.s : h->name;
}

/* }================================================================== */


/* {==================================================================
** Beginning
** =================================================================== */

/* Returns 0 when memory or descriptors run out. */
static int begin (emr_Core *core, Transfer *h, const emr_Plan *plan, int awaited) {
  emr_Engine *e = emr_core_engine(core);
  emr_Signer *signer = emr_core_signer(core);
  if (e == NULL || signer == NULL || (h->t = emr_engine_acquire(e)) == NULL)
    return 0;
  h->t->awaited = awaited;
  h->op = plan->operation;
  if (emr_plan_fill(plan, &h->t->http, signer))
    emr_engine_start(h->t, &plan->options.limits);
  else
    emr_engine_fail(h->t, "memory", NULL, "out of memory");
  return 1;
}


static int outofmemory (lua_State *L, const emr_Plan *plan) {
  return emr_failf(L, "memory", NULL, "%s: out of memory or file descriptors",
                   plan->operation != NULL ? plan->operation->name.s : "fetch");
}

/* }================================================================== */


/* {==================================================================
** Ending
** =================================================================== */

/* libcurl quotes a proxy URL that it cannot read, with the password in it. */
static int istellable (const emr_Transfer *t) {
  return t->detail[0] != '\0' && strstr(t->detail, "Unsupported proxy") == NULL &&
         strcmp(t->reason.kind, "memory") != 0;
}


static int pushfailure (lua_State *L, const Transfer *h) {
  const emr_Transfer *t = h->t;
  emr_Failure f;
  memset(&f, 0, sizeof(f));
  if (istellable(t))
    lua_pushfstring(L, "%s: %s: %s", nameof(h), emr_words(&t->reason), t->detail);
  else
    lua_pushfstring(L, "%s: %s", nameof(h), emr_words(&t->reason));
  f.kind = t->reason.kind;
  f.code = t->reason.code;
  f.message = emr_tostr(L, -1);
  f.status = t->status;
  f.request_id = emr_requestid(&t->head);
  f.final = t->status == 407 && f.code != NULL && strcmp(f.code, "proxy") == 0;
  f.http = &t->http;
  return emr_fail(L, &f);
}


/* Pushes what the transfer has come to; returns how many values. */
static int pushresult (lua_State *L, emr_Core *core, const Transfer *h) {
  emr_Reply r;
  if (h->t == NULL || h->t->phase == EMR_CANCELLED)
    return emr_failf(L, "cancelled", NULL, "%s: cancelled", nameof(h));
  if (h->t->reason.kind != NULL)
    return pushfailure(L, h);
  r.name = nameof(h);
  r.status = h->t->status;
  r.head = &h->t->head;
  r.body = emr_str(h->t->body.p, h->t->body.n);
  r.http = &h->t->http;
  if (h->op != NULL)
    return emr_pushresponse(L, core, h->op, &r);
  emr_pushreply(L, &r);
  return 1;
}


/* Copies the value of a header; one that is longer than `size` is left out. */
static void keepheader (const emr_Buffer *head, const char *name, char *p, size_t size) {
  emr_Str value;
  if (!emr_head_find(head, name, 0, &value) || value.n >= size)
    return;
  memcpy(p, value.s, value.n);
  p[value.n] = '\0';
}


static void readinfo (Transfer *h) {
  const emr_Transfer *t = h->t;
  if (t == NULL || t->phase != EMR_ENDED)
    return;
  h->info.status = t->status;
  h->info.verified = t->http.tls && t->head.n > 0;  /* nothing comes unverified */
  h->info.reused = t->reused;
  h->info.times = t->times;
  keepheader(&t->head, "date", h->info.date, sizeof(h->info.date));
  keepheader(&t->head, "x-acs-request-id", h->info.request_id, sizeof(h->info.request_id));
}


static void setseconds (lua_State *L, const char *name, double v) {
  lua_pushnumber(L, v);
  lua_setfield(L, -2, name);
}


static int pushinfo (lua_State *L, const Info *i) {
  double date = emr_http_date(emr_str(i->date, strlen(i->date)));
  lua_createtable(L, 0, 10);
  if (i->status != 0) {
    lua_pushinteger(L, (lua_Integer)i->status);
    lua_setfield(L, -2, "status");
  }
  if (i->request_id[0] != '\0') {
    emr_pushclean(L, emr_str(i->request_id, strlen(i->request_id)), 128, NULL);
    lua_setfield(L, -2, "request_id");
  }
  if (date >= 0)
    setseconds(L, "server_time", date);
  lua_pushboolean(L, i->verified);
  lua_setfield(L, -2, "verified");
  lua_pushboolean(L, i->reused);
  lua_setfield(L, -2, "reused");
  setseconds(L, "lookup", i->times.lookup);
  setseconds(L, "connect", i->times.connect);
  setseconds(L, "tls", i->times.tls);
  setseconds(L, "first_byte", i->times.first_byte);
  setseconds(L, "total", i->times.total);
  return 1;
}

/* }================================================================== */


/* {==================================================================
** Blocking calls
** =================================================================== */

/* Steps until the transfer has ended, which its time limit makes sure of. */
static void await (lua_State *L, emr_Core *core, emr_Transfer *t) {
  emr_Watch watch = emr_watch(L, core);
  while (t->phase == EMR_RUNNING && !emr_isinterrupted(&watch))
    emr_engine_step(t->engine, STEP_MAX, t, emr_isinterrupted, &watch);
  if (t->phase == EMR_RUNNING)
    emr_engine_cancel(t);
}


static int runtoend (lua_State *L, emr_Core *core, const emr_Plan *plan) {
  Transfer *h = idletransfer(L, core);
  int n;
  if (!begin(core, h, plan, 1))
    return outofmemory(L, plan);
  if (h->t->phase == EMR_RUNNING)
    await(L, core, h->t);
  readinfo(h);
  n = pushresult(L, core, h);
  release(h);
  return n;
}


/* Arguments: operation, request [, options]. */
static int call (lua_State *L) {
  emr_Core *core = emr_core(L);
  emr_Plan plan;
  int failed = emr_plan_operation(L, core, 1, &plan);
  if (failed)
    return failed;
  if (emr_core_mustnotblock(L, core, plan.options.blocking, plan.operation->name.s))
    return 3;
  return runtoend(L, core, &plan);
}


static int l_call (lua_State *L) {
  return call(L);
}


/* Arguments: request [, options]. */
static int l_get_session_cluster (lua_State *L) {
  emr_Core *core = emr_core(L);
  lua_settop(L, 2);
  lua_rawgeti(L, LUA_REGISTRYINDEX, core->get);
  if (lua_type(L, -1) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "emr.operations");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "GetSessionCluster");
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, core->get);
  }
  lua_insert(L, 1);
  return call(L);
}


/* Arguments: http_request [, options]. */
static int l_fetch (lua_State *L) {
  emr_Core *core = emr_core(L);
  emr_Plan plan;
  emr_plan_http(L, 1, &plan);
  if (emr_core_mustnotblock(L, core, plan.options.blocking, "fetch"))
    return 3;
  return runtoend(L, core, &plan);
}


/* What transfer:info() would say of the last blocking call. */
static int l_lastinfo (lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, emr_core(L)->idle);
  return pushinfo(L, &((const Transfer *)lua_touserdata(L, -1))->info);
}

/* }================================================================== */


/* {==================================================================
** Transfers in Lua's hands
** =================================================================== */

/* In a forked child, cancels it. */
static Transfer *checktransfer (lua_State *L) {
  Transfer *h = (Transfer *)luaL_checkudata(L, 1, TRANSFER);
  if (h->t != NULL)
    emr_engine_isours(h->t->engine);
  return h;
}


/* Keeps the values on top, one or nil, message, err, as the results of the
** transfer at `i`. */
static void keepresults (lua_State *L, int i, Transfer *h, int n) {
  if (n == 1)
    lua_pushvalue(L, -1);
  else {
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 2);
  }
  if (h->op != NULL)
    strncpy(h->name, h->op->name.s, sizeof(h->name) - 1);
  h->op = NULL;
  h->nresults = n;
  emr_settable(L, i);
}


/* Pushes the results that were kept; returns how many. */
static int keptresults (lua_State *L, int i, const Transfer *h) {
  if (h->nresults == 0)
    return 0;
  emr_gettable(L, i);
  if (h->nresults == 1)
    return 1;
  lua_pushnil(L);
  lua_rawgeti(L, -2, 1);
  lua_rawgeti(L, -3, 2);
  return 3;
}


/* Begins what the plan says; with `failed` values on top, which are then its
** results, the transfer has ended already. */
static int starttransfer (lua_State *L, emr_Core *core, const emr_Plan *plan, int failed) {
  Transfer *h = newtransfer(L);
  int i = lua_gettop(L) - failed;
  lua_insert(L, i);
  if (plan->operation != NULL) {
    lua_pushvalue(L, 1);
    emr_settable(L, i);
  }
  h->op = plan->operation;
  if (failed) {
    emr_Engine *e = emr_core_engine(core);
    keepresults(L, i, h, failed);
    if (e != NULL && (h->t = emr_engine_acquire(e)) != NULL)
      emr_engine_fail(h->t, "credentials", NULL, "");
  }
  else if (!begin(core, h, plan, 0))
    keepresults(L, i, h, outofmemory(L, plan));
  lua_settop(L, i);
  if (h->t != NULL) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, core->transfers);
    lua_pushvalue(L, i);
    emr_rawsetp(L, i + 1, h->t);
    lua_settop(L, i);
  }
  return 1;
}


static int l_start (lua_State *L) {
  emr_Core *core = emr_core(L);
  emr_Plan plan;
  int failed = 0;
  if (emr_ishttprequest(L, 1))
    emr_plan_http(L, 1, &plan);
  else
    failed = emr_plan_operation(L, core, 1, &plan);
  return starttransfer(L, core, &plan, failed);
}


static int l_result (lua_State *L) {
  emr_Core *core = emr_core(L);
  Transfer *h = checktransfer(L);
  int n;
  lua_settop(L, 1);
  n = keptresults(L, 1, h);
  if (n == 0) {
    if (h->t != NULL && h->t->phase == EMR_RUNNING)
      return 0;
    n = pushresult(L, core, h);
    keepresults(L, 1, h, n);
  }
  readinfo(h);
  release(h);
  return n;
}


static int l_info (lua_State *L) {
  Transfer *h = checktransfer(L);
  readinfo(h);
  return pushinfo(L, &h->info);
}


static int l_cancel (lua_State *L) {  /* also __gc and __close */
  release(checktransfer(L));
  return 0;
}


static int l_tostring (lua_State *L) {
  const Transfer *h = checktransfer(L);
  const char *state = h->t == NULL ? "over" :
                      h->t->phase == EMR_RUNNING ? "running" : "ended";
  lua_pushfstring(L, "%s: %s (%s)", TRANSFER, nameof(h), state);
  return 1;
}

/* }================================================================== */


/* {==================================================================
** The engine
** =================================================================== */

static double checkseconds (lua_State *L, int arg) {
  double s = luaL_optnumber(L, arg, 0);
  luaL_argcheck(L, s >= 0 && s <= STEP_MAX, arg, "seconds must be a number from 0 to 604800");
  return s;
}


static int noengine (lua_State *L) {
  return emr_failf(L, "memory", NULL, "emr: out of memory or file descriptors");
}


/* Whether argument 2 is a table with blocking = true. */
static int mayblock (lua_State *L) {
  int r = 0;
  if (lua_type(L, 2) == LUA_TTABLE) {
    emr_field(L, 2, "blocking");
    r = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  return r;
}


/* Arguments: [seconds [, {blocking = true}]]. */
static int l_step (lua_State *L) {
  emr_Core *core = emr_core(L);
  double seconds = checkseconds(L, 1);
  emr_Engine *e;
  emr_Watch watch = emr_watch(L, core);
  if (seconds > 0 && emr_core_mustnotblock(L, core, mayblock(L), "emr.step"))
    return 3;
  if ((e = emr_core_engine(core)) == NULL)
    return noengine(L);
  emr_engine_step(e, seconds, NULL, emr_isinterrupted, &watch);
  if (L != watch.L && emr_isinterrupted(&watch))  /* the hook acts there only */
    return emr_failf(L, "cancelled", NULL, "emr.step: interrupted");
  lua_pushinteger(L, emr_engine_inflight(e));
  return 1;
}


static int l_finished (lua_State *L) {
  emr_Core *core = emr_core(L);
  emr_Transfer *t = NULL;
  if (core->engine != NULL)
    t = emr_engine_finished(core->engine);
  if (t == NULL) {
    lua_pushnil(L);
    return 1;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, core->transfers);
  emr_rawgetp(L, lua_gettop(L), t);
  return 1;
}


static int l_pollfd (lua_State *L) {
  emr_Engine *e = emr_core_engine(emr_core(L));
  if (e == NULL)
    return noengine(L);
  if (emr_engine_fd(e) < 0)
    return emr_failf(L, "unsupported", "platform",
                     "emr.pollfd: this system has no descriptor for many sockets; "
                     "call emr.step(0) now and then instead");
  lua_pushinteger(L, emr_engine_fd(e));
  return 1;
}


static int l_events (lua_State *L) {
  lua_pushliteral(L, "r");
  return 1;
}


static int l_timeout (lua_State *L) {
  emr_Core *core = emr_core(L);
  double s = core->engine != NULL && emr_engine_isours(core->engine)
                 ? emr_engine_timeout(core->engine) : -1;
  if (s < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, s);
  return 1;
}

/* }================================================================== */


const luaL_Reg emr_transfer_functions[] = {
  {"get_session_cluster", l_get_session_cluster},
  {"call", l_call},
  {"fetch", l_fetch},
  {"info", l_lastinfo},
  {"start", l_start},
  {"step", l_step},
  {"finished", l_finished},
  {"pollfd", l_pollfd},
  {"events", l_events},
  {"timeout", l_timeout},
  {NULL, NULL}
};


static const luaL_Reg methods[] = {
  {"result", l_result},
  {"info", l_info},
  {"cancel", l_cancel},
  {NULL, NULL}
};


static const luaL_Reg metamethods[] = {
  {"__gc", l_cancel},
  {"__close", l_cancel},
  {"__tostring", l_tostring},
  {NULL, NULL}
};


/* Called with the core on top, which the functions get as an upvalue. */
void emr_transfer_open (lua_State *L, emr_Core *core) {
  int top = lua_gettop(L);
  luaL_newmetatable(L, TRANSFER);
  lua_pushvalue(L, top);
  emr_setfuncs(L, metamethods);
  lua_newtable(L);
  lua_pushvalue(L, top);
  emr_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, TRANSFER);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
  (void)newtransfer(L);
  core->idle = luaL_ref(L, LUA_REGISTRYINDEX);
}
