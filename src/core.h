/*
** What the binding keeps for one Lua state, and the functions that its files
** share. Every function of the module carries the core as its upvalue 1.
*/
#ifndef EMR_CORE_H
#define EMR_CORE_H

#include "compat.h"
#include "endpoint.h"
#include "engine.h"

#pragma GCC visibility push(hidden)

typedef struct emr_Core {
  lua_State *main;  /* NULL where 5.1 was loaded inside a coroutine */
  emr_Signer *signer;
  emr_Engine *engine;
  int inside_nginx;
  int opened, closed;
  /* registry references */
  int newdecoder;  /* lua-cjson's `new` */
  int decode;  /* and `decode` of a strict instance of our own */
  int operations;  /* weak: descriptor -> compiled operation */
  int transfers;  /* weak: emr_Transfer (light userdata) -> its userdata */
  int buffer;  /* see emr_kept_buffer */
  int idle;  /* a transfer userdata for the next blocking call */
  int get;  /* the descriptor of GetSessionCluster, once it was used */
} emr_Core;

/* Pushes the core of this Lua state; there is one, however often we load. */
emr_Core *emr_core_push (lua_State *L);

/* The core of the running function. Raises when its Lua state is closing. */
emr_Core *emr_core (lua_State *L);

/* Both return NULL when memory or descriptors run out. The engine is a new
** one after a fork. */
emr_Engine *emr_core_engine (emr_Core *core);
emr_Signer *emr_core_signer (emr_Core *core);

/* Whether the host is nginx and `blocking` was not asked for; then pushes the
** failure for `what`. */
int emr_core_mustnotblock (lua_State *L, const emr_Core *core, int blocking,
                           const char *what);

/* Whether Ctrl-C under the stock interpreter waits to be served: its signal
** handler sets a debug hook on the main thread. */
typedef struct emr_Watch {
  lua_State *L;
  lua_Hook before;
} emr_Watch;

emr_Watch emr_watch (lua_State *L, const emr_Core *core);
int emr_isinterrupted (void *ud);


/* failure.c: the one place in C that builds an error. */

#define EMR_MESSAGE_MAX 512  /* bytes */

typedef struct emr_Failure {
  const char *kind, *code;  /* `code` may be NULL */
  emr_Str message;  /* made one line of at most 512 bytes */
  long status;  /* 0: none */
  emr_Str request_id;  /* n == 0: none */
  double retry_after;  /* seconds; 0: none */
  int final;  /* not retryable, though its kind is */
  int detail;  /* stack index of access_denied_detail, or 0 */
  const emr_Http *http;  /* whose secrets the texts must not hold, or NULL */
} emr_Failure;

/* Pushes nil, message, err; returns 3. */
int emr_fail (lua_State *L, const emr_Failure *f);

/* The same with a formatted message and nothing else. */
int emr_failf (lua_State *L, const char *kind, const char *code,
               const char *format, ...);

void emr_failure_open (lua_State *L);

/* Pushes `text` without control bytes, bytes that are not UTF-8, and the
** secrets of `http`, cut to `max` bytes. */
void emr_pushclean (lua_State *L, emr_Str text, size_t max, const emr_Http *http);


/* decode.c: JSON to Lua. */

/* Pushes the value and returns NULL, or returns what is wrong and where. Raises
** when memory fails. */
const char *emr_decode (lua_State *L, emr_Core *core, emr_Str text, size_t *at);
void emr_decode_open (lua_State *L, emr_Core *core);


/* operation.c: descriptors. */

#define EMR_PARAMS_MAX 8
#define EMR_FIELDS_MAX 64
#define EMR_FRAME_MAX 8

typedef struct emr_Field {
  emr_Str name;
  const char *type;
  int required;
} emr_Field;

/* A descriptor that was checked once. Its strings belong to Lua, and live as
** long as the userdata that this is. */
typedef struct emr_Operation {
  emr_Str name, version, product, method, path, host, vpc_host;
  emr_Str params[EMR_PARAMS_MAX];
  size_t nparams;
  int isechoed[EMR_PARAMS_MAX];  /* a reply repeats it */
  emr_Field query[EMR_FIELDS_MAX];
  size_t nquery;
  emr_Field body[EMR_FIELDS_MAX];
  size_t nbody;
  struct { emr_Str name; emr_Str type; } frame[EMR_FRAME_MAX];
  size_t nframe;
  int hasbody;
  int regional;  /* needs a region: in its host or as a query field */
  int repeatable;  /* a repeat does no harm */
} emr_Operation;

/* The operation of the descriptor at `arg`, compiled on first sight; pushes
** the userdata. Raises when the descriptor is not one. */
const emr_Operation *emr_checkoperation (lua_State *L, emr_Core *core, int arg);

/* Pushes the list of fields of the body, as the descriptor has it. */
void emr_pushbodyfields (lua_State *L, int operation);


/* options.c: the options of a call. */

typedef struct emr_Options {
  emr_Str region, endpoint, network;
  emr_Str access_key_id, access_key_secret, security_token;
  emr_Str user_agent;
  emr_Limits limits;
  double max_response_bytes, clock_offset;
  int allow_http, blocking;
  int headers;  /* stack index of the table, or 0 */
} emr_Options;

/* Reads the table at `arg` (or nothing); raises on what is wrong. The strings
** are anchored on the stack above. */
void emr_checkoptions (lua_State *L, int arg, emr_Options *o);

/* Raises unless `s` is a region that cannot change a host name. */
void emr_checkregion (lua_State *L, emr_Str s, const char *what);

/* Pushes the value of t[name]; honours an __index. Returns its type. */
int emr_field (lua_State *L, int t, const char *name);

/* Raises when the table at `t` has a key that `isknown` does not know. */
typedef int (*emr_IsKnown) (const void *ud, const char *name, size_t n);
void emr_checknames (lua_State *L, int t, const char *what, emr_IsKnown isknown,
                     const void *ud);

/* What is wrong with the value on top as an integer of `type` ("int32" or
** "int64"), or NULL. */
const char *emr_checkinteger (lua_State *L, const char *type);

int emr_hascontrol (emr_Str s);
int emr_isname (emr_Str s, const char *name);  /* in any letter case */
emr_Str emr_tostr (lua_State *L, int i);


/* body.c: Lua values to JSON by their declared types. */

/* Pushes the JSON text of the object made of the fields at `fields` (a list)
** that the table at `value` has. Raises and names the field. */
void emr_pushbody (lua_State *L, int fields, int value, const char *what);


/* request.c reads the arguments, which may raise and owns nothing; fill.c makes
** bytes of them, which cannot raise. Path and query are encoded once, and the
** same bytes are signed and sent. */

typedef struct emr_Plan {
  const emr_Operation *operation;  /* NULL: a ready-made HTTP request */
  emr_Options options;
  emr_Endpoint endpoint;
  emr_Str method, target;  /* of a ready-made one */
  emr_Str body;
  int hasbody;
  size_t nquery, nheaders;
  /* what is not set to zero comes last */
  emr_Str params[EMR_PARAMS_MAX];
  emr_Pair query[EMR_FIELDS_MAX];
  emr_Pair headers[EMR_HEADERS_MAX];  /* the caller's */
} emr_Plan;

/* Reads the arguments from `arg` on: operation, request, options, or
** http_request, options. Raises on a caller's mistake. Returns 0, or 3 when
** there are no credentials and the failure was pushed. */
int emr_plan_operation (lua_State *L, emr_Core *core, int arg, emr_Plan *plan);
void emr_plan_http (lua_State *L, int arg, emr_Plan *plan);

/* Whether the table at `arg` is a ready-made HTTP request. */
int emr_ishttprequest (lua_State *L, int arg);

/* Builds and signs. Returns 0 when memory, OpenSSL or the system fails. */
int emr_plan_fill (const emr_Plan *plan, emr_Http *h, emr_Signer *signer);

/* Pushes {method, url, headers, body}. */
void emr_pushhttp (lua_State *L, const emr_Http *h);


/* response.c: from a reply to Lua. */

typedef struct emr_Reply {
  const char *name;  /* of the operation, or NULL */
  long status;
  const emr_Buffer *head;
  emr_Str body;
  const emr_Http *http;  /* or NULL */
} emr_Reply;

/* Pushes the table, or nil, message, err; returns how many. */
int emr_pushresponse (lua_State *L, emr_Core *core, const emr_Operation *op,
                      const emr_Reply *reply);

/* Pushes {status, headers, body}. */
void emr_pushreply (lua_State *L, const emr_Reply *reply);

/* The request id of a reply's head; n == 0: none. */
emr_Str emr_requestid (const emr_Buffer *head);


/* advice.c: what to do about an error, as data. */

typedef struct emr_Advice {
  const char *code;  /* or how it begins */
  long status;  /* 0: any */
  int replaces;  /* the service's own words, which hold the string that was signed */
  const char *text;
} emr_Advice;

/* What happened below the API, in words. */
const char *emr_words (const emr_Reason *r);

/* For an error of the service; NULL: none. */
const emr_Advice *emr_advice (emr_Str code, long status);
void emr_pushadvice (lua_State *L, const emr_Advice *a, const emr_Operation *op,
                     const emr_Reply *reply);


/* scratch.c: memory that an error cannot leak. */

/* Pushes a userdata that frees the buffer or request when it is collected. */
emr_Buffer *emr_newbuffer (lua_State *L);
emr_Http *emr_newhttp (lua_State *L);
void emr_scratch_open (lua_State *L, emr_Core *core);

/* Pushes one that is there for whoever empties it again; a new one while a finalizer
** runs in the middle of that, and after an error. */
emr_Buffer *emr_kept_buffer (lua_State *L, const emr_Core *core);


/* pure.c: the bindings that do no I/O. */
extern const luaL_Reg emr_pure_functions[];

/* transfer.c: the bindings around the engine. */
extern const luaL_Reg emr_transfer_functions[];
void emr_transfer_open (lua_State *L, emr_Core *core);

/* host.c: clocks, files, processes. */
extern const luaL_Reg emr_host_functions[];

#pragma GCC visibility pop

#endif
