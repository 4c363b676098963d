/*
** Operation descriptors: checked once for each Lua state, then read from C.
*/
#include <string.h>

#include "core.h"

/* Keys of the table that anchors what a compiled operation points to. */
#define BODY_FIELDS "body"


/* {==================================================================
** Reading a descriptor. Index 1 is the descriptor's, 2 the operation's, 3 the
** table of anchors.
** =================================================================== */

#define DESCRIPTOR 1
#define ANCHORS 3


/* Reads the string on top, keeps it alive, and pops it. */
static emr_Str anchor (lua_State *L) {
  emr_Str s = emr_tostr(L, -1);
  lua_rawseti(L, ANCHORS, (int)emr_rawlen(L, ANCHORS) + 1);
  return s;
}


static emr_Str readtext (lua_State *L, const char *name, const char *what) {
  lua_getfield(L, -1, name);
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "operation.%s must be a string", what);
  if (emr_hascontrol(emr_tostr(L, -1)))
    luaL_error(L, "operation.%s holds a control byte", what);
  return anchor(L);
}


/* Reads the names in braces of the path. */
static void readparams (lua_State *L, emr_Operation *op) {
  const char *p = op->path.s, *end = p + op->path.n;
  while ((p = (const char *)memchr(p, '{', (size_t)(end - p))) != NULL) {
    const char *close = (const char *)memchr(p, '}', (size_t)(end - p));
    if (close == NULL || op->nparams == EMR_PARAMS_MAX)
      luaL_error(L, "operation.path: a brace without its other, or too many parameters");
    lua_pushlstring(L, p + 1, (size_t)(close - p - 1));
    op->params[op->nparams++] = anchor(L);
    p = close + 1;
  }
}


/* Reads the list of fields named `name`, if there is one. Returns whether. */
static int readfields (lua_State *L, const char *name, emr_Field *fields, size_t *n) {
  int i, count;
  *n = 0;
  lua_getfield(L, DESCRIPTOR, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return 0;
  }
  if (lua_type(L, -1) != LUA_TTABLE)
    luaL_error(L, "operation.%s must be a list of fields", name);
  count = (int)emr_rawlen(L, -1);
  if (count > EMR_FIELDS_MAX)
    luaL_error(L, "operation.%s has more than %d fields", name, EMR_FIELDS_MAX);
  for (i = 1; i <= count; i++) {
    emr_Field *f = &fields[(*n)++];
    lua_rawgeti(L, -1, i);
    if (lua_type(L, -1) != LUA_TTABLE)
      luaL_error(L, "operation.%s must be a list of fields", name);
    f->name = readtext(L, "name", name);
    f->type = readtext(L, "type", name).s;
    lua_getfield(L, -1, "required");
    f->required = lua_toboolean(L, -1);
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  return 1;
}


static void readframe (lua_State *L, emr_Operation *op) {
  lua_getfield(L, DESCRIPTOR, "frame");
  if (lua_type(L, -1) == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING ||
          op->nframe == EMR_FRAME_MAX)
        luaL_error(L, "operation.frame must map a few names to types");
      op->frame[op->nframe].type = anchor(L);
      lua_pushvalue(L, -1);
      op->frame[op->nframe].name = anchor(L);
      op->nframe++;
    }
  }
  lua_pop(L, 1);
}


/* Marks the path parameters that a reply repeats. */
static void readechoes (lua_State *L, emr_Operation *op) {
  size_t i, n = 0;
  lua_getfield(L, DESCRIPTOR, "echo");
  if (lua_type(L, -1) == LUA_TTABLE)
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
      for (i = 0; i < op->nparams; i++)
        if (lua_type(L, -1) == LUA_TSTRING && strcmp(op->params[i].s, lua_tostring(L, -1)) == 0)
          break;
      if (i == op->nparams || n++ == EMR_ECHOES_MAX)
        luaL_error(L, "operation.echo must list a few parameters of the path");
      op->isechoed[i] = 1;
    }
  lua_pop(L, 1);
}


static void readhosts (lua_State *L, emr_Operation *op) {
  lua_getfield(L, DESCRIPTOR, "hosts");
  if (lua_type(L, -1) != LUA_TTABLE)
    luaL_error(L, "operation.hosts must be a table");
  op->host = readtext(L, "public", "hosts.public");
  lua_getfield(L, -1, "vpc");
  op->vpc_host = lua_type(L, -1) == LUA_TSTRING ? anchor(L) : (lua_pop(L, 1), EMR_STR(""));
  lua_pop(L, 1);
}


/* Only a read, or what carries a token against doing it twice. */
static int isrepeatable (lua_State *L) {
  int r;
  lua_getfield(L, DESCRIPTOR, "retry");
  r = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "safe") == 0;
  lua_pop(L, 1);
  return r;
}


static int hasregion (const emr_Operation *op) {
  size_t i;
  for (i = 0; i < op->nquery; i++)
    if (strcmp(op->query[i].name.s, "regionId") == 0)
      return 1;
  return strstr(op->host.s, "{region}") != NULL;
}


/* Runs with the descriptor as argument 1; returns the compiled operation. */
static int l_compile (lua_State *L) {
  emr_Operation *op = (emr_Operation *)lua_newuserdata(L, sizeof(*op));
  memset(op, 0, sizeof(*op));
  lua_newtable(L);
  lua_pushvalue(L, -1);
  emr_settable(L, 2);
  lua_pushvalue(L, DESCRIPTOR);
  op->name = readtext(L, "name", "name");
  op->version = readtext(L, "version", "version");
  op->product = readtext(L, "product", "product");
  op->method = readtext(L, "method", "method");
  op->path = readtext(L, "path", "path");
  lua_pop(L, 1);
  readparams(L, op);
  readhosts(L, op);
  readfields(L, "query", op->query, &op->nquery);
  op->hasbody = readfields(L, "body", op->body, &op->nbody);
  lua_getfield(L, DESCRIPTOR, "body");
  lua_setfield(L, ANCHORS, BODY_FIELDS);
  readframe(L, op);
  readechoes(L, op);
  op->regional = hasregion(op);
  op->repeatable = isrepeatable(L);
  lua_settop(L, 2);
  return 1;
}

/* }================================================================== */


const emr_Operation *emr_checkoperation (lua_State *L, emr_Core *core, int arg) {
  if (lua_type(L, arg) != LUA_TTABLE)
    luaL_error(L, "operation must be a descriptor such as emr.operations.GetSessionCluster, "
                  "got a %s", luaL_typename(L, arg));
  lua_rawgeti(L, LUA_REGISTRYINDEX, core->operations);
  lua_pushvalue(L, arg);
  lua_rawget(L, -2);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushcfunction(L, l_compile);
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    lua_pushvalue(L, arg);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
  return (const emr_Operation *)lua_touserdata(L, -1);
}


void emr_pushbodyfields (lua_State *L, int operation) {
  emr_gettable(L, operation);
  lua_getfield(L, -1, BODY_FIELDS);
  lua_remove(L, -2);
}
