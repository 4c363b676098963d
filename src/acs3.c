#include "acs3.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define SHA256_BYTES 32
#define KEEP 16384  /* scratch capacity kept from one request to the next */

struct emr_Signer {
  EVP_MD *md;
  EVP_MD_CTX *digest;
  EVP_MAC_CTX *mac;
  emr_Buffer key;  /* the secret whose schedule `mac` holds */
  int keyed;
  emr_Buffer picked;  /* emr_Pair[]: the headers that are signed, in order */
  emr_Buffer names;  /* theirs, in lower case */
  emr_Buffer text;  /* canonical request, then the string to sign */
};


static const char lowerhex[] = "0123456789abcdef";
static const char upperhex[] = "0123456789ABCDEF";

/* The digest of no bytes at all, which is what most requests have for a body. */
static const emr_Str nothing = {
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", EMR_HEX_SHA256
};


/* {==================================================================
** Percent-encoding
** =================================================================== */

static int isunreserved (unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         c == '-' || c == '_' || c == '.' || c == '~';
}


void emr_acs3_escape (emr_Buffer *b, emr_Str text) {
  size_t i;
  char *p = emr_buffer_reserve(b, text.n * 3);
  if (p == NULL)
    return;
  for (i = 0; i < text.n; i++) {
    unsigned char c = (unsigned char)text.s[i];
    if (isunreserved(c))
      *p++ = (char)c;
    else {
      *p++ = '%';
      *p++ = upperhex[c >> 4];
      *p++ = upperhex[c & 15];
    }
  }
  b->n = (size_t)(p - b->p);
}


static int comparebytes (emr_Str a, emr_Str b) {
  int d = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
  return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}


static int byname (const void *a, const void *b) {
  return comparebytes(((const emr_Pair *)a)->name, ((const emr_Pair *)b)->name);
}


void emr_acs3_query (emr_Buffer *b, emr_Pair *pairs, size_t n) {
  size_t i;
  if (n > 1)
    qsort(pairs, n, sizeof(*pairs), byname);
  for (i = 0; i < n; i++) {
    if (i > 0)
      emr_buffer_char(b, '&');
    emr_acs3_escape(b, pairs[i].name);
    emr_buffer_char(b, '=');
    emr_acs3_escape(b, pairs[i].value);
  }
}

/* }================================================================== */


/* {==================================================================
** Digests
** =================================================================== */

static void tohex (const unsigned char *bytes, char hex[EMR_HEX_SHA256]) {
  int i;
  for (i = 0; i < SHA256_BYTES; i++) {
    hex[2 * i] = lowerhex[bytes[i] >> 4];
    hex[2 * i + 1] = lowerhex[bytes[i] & 15];
  }
}


int emr_acs3_sha256 (emr_Signer *s, emr_Str data, char hex[EMR_HEX_SHA256]) {
  unsigned char out[SHA256_BYTES];
  int ok;
  if (data.n == 0) {
    memcpy(hex, nothing.s, nothing.n);
    return 1;
  }
  ok = EVP_DigestInit_ex2(s->digest, s->md, NULL) &&
       EVP_DigestUpdate(s->digest, data.s, data.n) &&
       EVP_DigestFinal_ex(s->digest, out, NULL);
  if (ok)
    tohex(out, hex);
  else
    ERR_clear_error();
  return ok;
}


static int samekey (const emr_Signer *s, emr_Str secret) {
  return s->keyed && s->key.n == secret.n &&
         (secret.n == 0 || CRYPTO_memcmp(s->key.p, secret.s, secret.n) == 0);
}


/* Readies the MAC. The expensive part, hashing the key into its two pads, is
** done only when the key is not the last one. */
static int usekey (emr_Signer *s, emr_Str secret) {
  OSSL_PARAM params[2];
  char sha256[] = "SHA256";
  if (samekey(s, secret))
    return EVP_MAC_init(s->mac, NULL, 0, NULL);
  s->keyed = 0;
  emr_buffer_wipe(&s->key, KEEP);
  emr_buffer_str(&s->key, secret);
  if (s->key.failed)
    return 0;
  params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0);
  params[1] = OSSL_PARAM_construct_end();
  /* from the buffer, which is never NULL: a NULL key would mean "no key" */
  s->keyed = EVP_MAC_init(s->mac, (const unsigned char *)s->key.p, s->key.n,
                          params);
  return s->keyed;
}


static int hmac (emr_Signer *s, emr_Str secret, emr_Str text,
                 char hex[EMR_HEX_SHA256]) {
  unsigned char out[SHA256_BYTES];
  size_t n;
  int ok = usekey(s, secret) &&
           EVP_MAC_update(s->mac, (const unsigned char *)text.s, text.n) &&
           EVP_MAC_final(s->mac, out, &n, sizeof(out));
  if (ok)
    tohex(out, hex);
  else
    ERR_clear_error();
  return ok;
}

/* }================================================================== */


/* {==================================================================
** The canonical request
** =================================================================== */

static char lower (char c) {
  return (c >= 'A' && c <= 'Z') ? (char)(c - 'A' + 'a') : c;
}


static int isname (emr_Str name, const char *word) {
  size_t n = strlen(word);
  return name.n == n && strncasecmp(name.s, word, n) == 0;
}


static int issigned (emr_Str name) {
  return (name.n >= 6 && strncasecmp(name.s, "x-acs-", 6) == 0) ||
         isname(name, "host") || isname(name, "content-type");
}


static int isblank_ (char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}


static emr_Str trim (emr_Str s) {
  while (s.n > 0 && isblank_(s.s[0])) {
    s.s++;
    s.n--;
  }
  while (s.n > 0 && isblank_(s.s[s.n - 1]))
    s.n--;
  return s;
}


/* By name; headers of one name by value, which is the order in which the
** vendor's signers join them. */
static int headerorder (const void *pa, const void *pb) {
  const emr_Pair *a = (const emr_Pair *)pa, *b = (const emr_Pair *)pb;
  int d = comparebytes(a->name, b->name);
  return d != 0 ? d : comparebytes(a->value, b->value);
}


/* Appends to what has the room. */
static emr_Str addlower (emr_Buffer *b, emr_Str text) {
  char *p = b->p + b->n;
  size_t i;
  for (i = 0; i < text.n; i++)
    p[i] = lower(text.s[i]);
  b->n += text.n;
  return emr_str(p, text.n);
}


/* Room for all headers, so that nothing moves while they are picked. */
static int reserve (emr_Signer *s, const emr_Signable *r) {
  size_t i, n = 1;
  for (i = 0; i < r->nheaders; i++)
    n += r->headers[i].name.n;
  emr_buffer_wipe(&s->picked, KEEP);
  emr_buffer_wipe(&s->names, KEEP);
  return emr_buffer_reserve(&s->names, n) != NULL &&
         emr_buffer_reserve(&s->picked, (r->nheaders + 1) * sizeof(emr_Pair)) != NULL;
}


/* Leaves the headers to sign in s->picked, sorted. Returns how many. */
static size_t pickheaders (emr_Signer *s, const emr_Signable *r) {
  size_t i, n = 0;
  int sorted = 1;
  emr_Pair *h;
  if (!reserve(s, r))
    return 0;
  h = (emr_Pair *)(void *)s->picked.p;
  for (i = 0; i < r->nheaders; i++) {
    if (!issigned(r->headers[i].name))
      continue;
    h[n].name = addlower(&s->names, r->headers[i].name);
    h[n].value = trim(r->headers[i].value);
    sorted = sorted && (n == 0 || headerorder(&h[n - 1], &h[n]) <= 0);
    n++;
  }
  s->picked.n = n * sizeof(*h);
  if (!sorted)
    qsort(h, n, sizeof(*h), headerorder);
  return n;
}


static int repeats (const emr_Pair *h, size_t i) {
  return i > 0 && comparebytes(h[i - 1].name, h[i].name) == 0;
}


static void addheaders (emr_Buffer *b, const emr_Pair *h, size_t n) {
  size_t i;
  for (i = 0; i < n; i++) {
    if (repeats(h, i))
      emr_buffer_char(b, ',');
    else {
      if (i > 0)
        emr_buffer_char(b, '\n');
      emr_buffer_str(b, h[i].name);
      emr_buffer_char(b, ':');
    }
    emr_buffer_str(b, h[i].value);
  }
  if (n > 0)
    emr_buffer_char(b, '\n');
}


static void addnames (emr_Buffer *b, const emr_Pair *h, size_t n) {
  size_t i;
  for (i = 0; i < n; i++) {
    if (repeats(h, i))
      continue;
    if (i > 0)
      emr_buffer_char(b, ';');
    emr_buffer_str(b, h[i].name);
  }
}


/* The vendor's signers take the path as sent, but for these three, which
** other encoders write differently. */
static void addpath (emr_Buffer *b, emr_Str path) {
  size_t i, done = 0;
  if (path.n == 0)
    emr_buffer_char(b, '/');
  for (i = 0; i < path.n; i++) {
    char c = path.s[i];
    emr_Str other = c == '+' ? EMR_STR("%20") : c == '*' ? EMR_STR("%2A") : EMR_STR("");
    size_t n = 1;
    if (c == '%' && path.n - i >= 3 && memcmp(path.s + i, "%7E", 3) == 0) {
      other = EMR_STR("~");
      n = 3;
    }
    if (other.n == 0)
      continue;
    emr_buffer_add(b, path.s + done, i - done);
    emr_buffer_str(b, other);
    done = i + n;
    i = done - 1;
  }
  emr_buffer_add(b, path.s + done, path.n - done);
}

/* }================================================================== */


int emr_acs3_sign (emr_Signer *s, const emr_Signable *r, emr_Str secret,
                   emr_Signature *out) {
  emr_Buffer *b = &s->text;
  size_t names, nnames, end, n = pickheaders(s, r);
  const emr_Pair *h = (const emr_Pair *)(const void *)s->picked.p;
  char hash[EMR_HEX_SHA256];
  emr_buffer_wipe(b, KEEP);
  emr_buffer_str(b, r->method);
  emr_buffer_char(b, '\n');
  addpath(b, r->path);
  emr_buffer_char(b, '\n');
  emr_buffer_str(b, r->query);
  emr_buffer_char(b, '\n');
  addheaders(b, h, n);
  emr_buffer_char(b, '\n');
  names = b->n;
  addnames(b, h, n);
  nnames = b->n - names;
  emr_buffer_char(b, '\n');
  emr_buffer_str(b, r->payload_hash);
  end = b->n;
  if (b->failed || s->picked.failed || s->names.failed ||
      !emr_acs3_sha256(s, emr_str(b->p, end), hash))
    return 0;
  emr_buffer_text(b, EMR_ACS3_ALGORITHM "\n");
  emr_buffer_add(b, hash, sizeof(hash));
  if (b->failed)
    return 0;
  out->canonical_request = emr_str(b->p, end);
  out->string_to_sign = emr_str(b->p + end, b->n - end);
  out->signed_headers = emr_str(b->p + names, nnames);
  return hmac(s, secret, out->string_to_sign, out->hex);
}


void emr_acs3_wipe (emr_Signer *s) {
  emr_buffer_wipe(&s->picked, KEEP);
  emr_buffer_wipe(&s->text, KEEP);
}


void emr_acs3_free (emr_Signer *s) {
  if (s == NULL)
    return;
  EVP_MAC_CTX_free(s->mac);  /* overwrites its key */
  EVP_MD_CTX_free(s->digest);
  EVP_MD_free(s->md);
  emr_buffer_free(&s->key);
  emr_buffer_free(&s->picked);
  emr_buffer_free(&s->names);
  emr_buffer_free(&s->text);
  free(s);
}


emr_Signer *emr_acs3_new (void) {
  emr_Signer *s = (emr_Signer *)calloc(1, sizeof(*s));
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  if (s != NULL && mac != NULL) {
    s->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->digest = EVP_MD_CTX_new();
    s->mac = EVP_MAC_CTX_new(mac);  /* keeps its own reference to `mac` */
  }
  EVP_MAC_free(mac);
  if (s == NULL || s->md == NULL || s->digest == NULL || s->mac == NULL) {
    emr_acs3_free(s);
    ERR_clear_error();
    return NULL;
  }
  return s;
}
