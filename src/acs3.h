/*
** ACS3-HMAC-SHA256, the request signature of Alibaba Cloud, and the
** percent-encoding that belongs to it. Knows neither Lua nor curl.
**
** Source: https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
*/
#ifndef EMR_ACS3_H
#define EMR_ACS3_H

#include "buffer.h"

#pragma GCC visibility push(hidden)

#define EMR_ACS3_ALGORITHM "ACS3-HMAC-SHA256"
#define EMR_HEX_SHA256 64  /* characters of a digest in hex */

/* Digests, a key schedule and scratch memory. One per Lua state. */
typedef struct emr_Signer emr_Signer;

/* What is to be signed. */
typedef struct emr_Signable {
  emr_Str method;
  emr_Str path;  /* as sent; empty means "/" */
  emr_Str query;  /* canonical, see emr_acs3_query */
  const emr_Pair *headers;  /* any; those that count are picked */
  size_t nheaders;
  emr_Str payload_hash;  /* hex, as it stands in the canonical request */
} emr_Signable;

/* The result. The strings live in the signer until its next use. */
typedef struct emr_Signature {
  emr_Str canonical_request, string_to_sign, signed_headers;
  char hex[EMR_HEX_SHA256];  /* not terminated */
} emr_Signature;

/* NULL: out of memory, or OpenSSL lacks SHA-256 or HMAC. */
emr_Signer *emr_acs3_new (void);

/* Overwrites the key schedule and all scratch memory. Accepts NULL. */
void emr_acs3_free (emr_Signer *s);

/* Returns 0 when memory or OpenSSL fails. The key schedule stays in the
** signer for the next request with the same secret. */
int emr_acs3_sign (emr_Signer *s, const emr_Signable *r, emr_Str secret,
                   emr_Signature *out);

/* Overwrites what the last signature left in scratch memory. */
void emr_acs3_wipe (emr_Signer *s);

int emr_acs3_sha256 (emr_Signer *s, emr_Str data, char hex[EMR_HEX_SHA256]);

/* Appends `text` with every byte outside A-Z a-z 0-9 - _ . ~ as %XX. */
void emr_acs3_escape (emr_Buffer *b, emr_Str text);

/* Appends the canonical query of `pairs`, which it sorts by name. */
void emr_acs3_query (emr_Buffer *b, emr_Pair *pairs, size_t n);

#pragma GCC visibility pop

#endif
