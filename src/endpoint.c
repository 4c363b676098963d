#include "endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define LABEL_MAX 63


static int isdigit_ (char c) {
  return c >= '0' && c <= '9';
}


static int isnamechar (char c) {
  return isdigit_(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         c == '-' || c == '_';
}


static int haschar (emr_Str s, char c) {
  return s.n > 0 && memchr(s.s, c, s.n) != NULL;
}


static int startswith (emr_Str s, const char *prefix) {
  size_t n = strlen(prefix);
  return s.n >= n && strncasecmp(s.s, prefix, n) == 0;
}


static emr_Str after (emr_Str s, size_t n) {
  return emr_str(s.s + n, s.n - n);
}


static size_t countuntil (emr_Str s, const char *stops) {
  const char *p;
  size_t n = s.n;
  for (p = stops; *p != '\0'; p++) {
    const char *found = n > 0 ? (const char *)memchr(s.s, *p, n) : NULL;
    if (found != NULL)
      n = (size_t)(found - s.s);
  }
  return n;
}


static const char *readscheme (emr_Str *text, int *tls) {
  *tls = 1;
  if (startswith(*text, "https://"))
    *text = after(*text, 8);
  else if (startswith(*text, "http://")) {
    *tls = 0;
    *text = after(*text, 7);
  }
  else {
    size_t n = countuntil(*text, ":/");
    if (text->n - n >= 3 && memcmp(text->s + n, "://", 3) == 0)
      return "the scheme must be https or http";
  }
  return NULL;
}


static const char *readport (emr_Str text, int *port) {
  size_t i;
  *port = 0;
  if (text.n == 0 || text.n > 5 || text.s[0] == '0')
    return "the port must be a number from 1 to 65535";
  for (i = 0; i < text.n; i++) {
    if (!isdigit_(text.s[i]))
      return "the port must be a number from 1 to 65535";
    *port = *port * 10 + (text.s[i] - '0');
  }
  return *port > 65535 ? "the port must be a number from 1 to 65535" : NULL;
}


static const char *checklabels (emr_Str host) {
  size_t i, label = 0;
  for (i = 0; i < host.n; i++) {
    if (host.s[i] == '.') {
      if (label == 0)
        return "the host name has an empty label";
      label = 0;
    }
    else if (!isnamechar(host.s[i]))
      return "the host name may hold only letters, digits, '-', '_' and '.'";
    else if (++label > LABEL_MAX)
      return "a label of the host name is longer than 63 characters";
  }
  return label == 0 ? "the host name has an empty label" : NULL;
}


/* libcurl takes "127.1" or "0x7f.1" for addresses and rewrites them, so that
** the host it sends would not be the one that was signed. */
static int looksnumeric (emr_Str host) {
  size_t i, last = 0;
  for (i = 0; i < host.n; i++)
    if (host.s[i] == '.')
      last = i + 1;
  if (startswith(after(host, last), "0x"))
    return 1;
  for (i = last; i < host.n; i++)
    if (!isdigit_(host.s[i]))
      return 0;
  return 1;
}


static const char *readname (emr_Str host, emr_Endpoint *e) {
  size_t i;
  const char *wrong;
  if (host.n > 1 && host.s[host.n - 1] == '.')
    host.n--;
  if (host.n == 0)
    return "the host is missing";
  if (host.n > EMR_HOST_MAX)
    return "the host name is longer than 253 characters";
  if ((wrong = checklabels(host)) != NULL)
    return wrong;
  for (i = 0; i < host.n; i++)
    e->authority[i] = (host.s[i] >= 'A' && host.s[i] <= 'Z')
                          ? (char)(host.s[i] - 'A' + 'a') : host.s[i];
  e->authority[host.n] = '\0';
  e->loopback = strcmp(e->authority, "localhost") == 0;
  if (looksnumeric(host)) {
    struct in_addr a;
    if (inet_pton(AF_INET, e->authority, &a) != 1)
      return "an IPv4 address must have four decimal parts";
    e->loopback = (ntohl(a.s_addr) >> 24) == 127;
  }
  return NULL;
}


static const char *readipv6 (emr_Str host, emr_Endpoint *e) {
  char text[INET6_ADDRSTRLEN];
  struct in6_addr a;
  if (host.n >= sizeof(text))
    return "the IPv6 address is not valid";
  memcpy(text, host.s, host.n);
  text[host.n] = '\0';
  if (inet_pton(AF_INET6, text, &a) != 1 ||
      inet_ntop(AF_INET6, &a, text, sizeof(text)) == NULL)
    return "the IPv6 address is not valid";
  e->loopback = IN6_IS_ADDR_LOOPBACK(&a) != 0;
  snprintf(e->authority, sizeof(e->authority), "[%s]", text);
  return NULL;
}


/* `text` is the colon and at most five digits. */
static void addport (emr_Endpoint *e, emr_Str text) {
  size_t used = strlen(e->authority);
  memcpy(e->authority + used, text.s, text.n);
  e->authority[used + text.n] = '\0';
}


static const char *readauthority (emr_Str text, emr_Endpoint *e) {
  emr_Str host;
  const char *wrong;
  int port = 0;
  size_t n;
  if (haschar(text, '@'))
    return "user and password do not belong here";
  if (text.n > 0 && text.s[0] == '[') {
    n = countuntil(text, "]");
    if (n == text.n)
      return "the IPv6 address is not valid";
    host = emr_str(text.s + 1, n - 1);
    n++;
    wrong = readipv6(host, e);
  }
  else {
    n = countuntil(text, ":");
    wrong = readname(emr_str(text.s, n), e);
  }
  if (wrong != NULL || n == text.n)
    return wrong;
  if (text.s[n] != ':')
    return "only a port may follow the IPv6 address";
  if ((wrong = readport(after(text, n + 1), &port)) != NULL)
    return wrong;
  if (port != (e->tls ? 443 : 80))
    addport(e, after(text, n));
  return NULL;
}


const char *emr_endpoint_split (emr_Str text, emr_Endpoint *e, emr_Str *rest) {
  size_t n;
  const char *wrong = readscheme(&text, &e->tls);
  if (wrong != NULL)
    return wrong;
  n = countuntil(text, "/?#");
  *rest = after(text, n);
  return readauthority(emr_str(text.s, n), e);
}


const char *emr_endpoint_parse (emr_Str text, emr_Endpoint *e) {
  emr_Str rest;
  const char *wrong = emr_endpoint_split(text, e, &rest);
  if (wrong == NULL && rest.n > 0 && !(rest.n == 1 && rest.s[0] == '/'))
    return "no path, query or fragment may follow the host";
  return wrong;
}
