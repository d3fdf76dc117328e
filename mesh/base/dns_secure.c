#include "mesh/base/dns_secure.h"

#include "mesh/base/key.h"
#include <stdio.h>
#include <string.h>

static const char tls_scheme[] = "tls://", https_scheme[] = "https://", http_scheme[] = "http://",
		  pin_prefix[] = "sha256/",
		  template_end[] = "{?dns}"; /* RFC 8484 4.1: for GET, which is not used */

static const char *after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

/* A host name, in lower case and without a dot at its end; of dots and digits alone would be a mistyped address. */
static bool take_name(const char *p, size_t len, char out[static DNS_SECURE_NAME])
{
	bool letters = false;
	size_t label = 0;
	if (len && p[len - 1] == '.')
		len--;
	if (!len || len >= DNS_SECURE_NAME)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dot = p[i] == '.';
		if (!dot && !is_name_char(p[i]))
			return false;
		label = dot ? 0 : label + 1;
		if ((dot && (i + 1 == len || !i || p[i - 1] == '.')) || label > 63)
			return false;
		letters = letters || (!dot && (p[i] < '0' || p[i] > '9'));
		out[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] - 'A' + 'a') : p[i];
	}
	out[len] = 0;
	return letters;
}

static bool take_port(const char *p, size_t len, uint16_t *out)
{
	uint32_t n = 0;
	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(p[i] - '0');
	}
	*out = (uint16_t)n;
	return n && n <= UINT16_MAX;
}

/* An address, address:port, [address]:port, [address], name or name:port. */
static bool take_host(const char *p, size_t len, struct dns_secure *s, struct endpoint *at)
{
	char text[DNS_SECURE_NAME + ENDPOINT_TEXT];
	uint16_t port = s->by == DNS_SECURE_TLS ? DNS_TLS_PORT : DNS_HTTPS_PORT;
	if (!len || len >= sizeof(text) || memchr(p, 0, len))
		return false;
	bool bare = p[0] == '[' && p[len - 1] == ']';
	snprintf(text, sizeof(text), "%.*s", (int)(bare ? len - 2 : len), bare ? p + 1 : p);
	if (endpoint_parse_or(text, port, at))
		return at->port && !addr_is_unspecified(&at->ip);
	const char *colon = strchr(text, ':');
	size_t name_len = colon ? (size_t)(colon - text) : strlen(text);
	*at = (struct endpoint) { .port = port };
	if (colon && !take_port(colon + 1, strlen(colon + 1), &at->port))
		return false;
	return !bare && take_name(text, name_len, s->name);
}

static bool take_path(const char *p, struct dns_secure *s)
{
	size_t len = strlen(p), end = sizeof(template_end) - 1;
	if (len >= end && strcmp(p + len - end, template_end) == 0)
		len -= end;
	if (!len || len >= DNS_SECURE_PATH)
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] <= ' ' || p[i] > '~' || p[i] == '#')
			return false;
	memcpy(s->path, p, len);
	s->path[len] = 0;
	return true;
}

bool dns_secure_parse(const char *text, struct dns_secure *out, struct endpoint *at)
{
	const char *tls = after(text, tls_scheme), *https = after(text, https_scheme);
	struct dns_secure s = { .by = tls ? DNS_SECURE_TLS : DNS_SECURE_HTTPS };
	struct endpoint to;
	const char *rest = tls ? tls : https;
	if (!rest)
		return false;
	const char *mark = strchr(rest, tls ? '#' : '/');
	size_t len = mark ? (size_t)(mark - rest) : strlen(rest);
	if (!take_host(rest, len, &s, &to) || (https && (!mark || !take_path(mark, &s))))
		return false;
	/* beside an address alone is there room for a name */
	if (tls && mark && (s.name[0] || !take_name(mark + 1, strlen(mark + 1), s.name)))
		return false;
	*out = s;
	*at = to;
	return true;
}

char *dns_secure_format(const struct dns_secure *s, const struct endpoint *at, char *buf)
{
	uint16_t usual = s->by == DNS_SECURE_TLS ? DNS_TLS_PORT : DNS_HTTPS_PORT;
	char ip[ENDPOINT_TEXT], host[DNS_SECURE_NAME + ENDPOINT_TEXT], port[8] = "";
	bool by_address = s->by == DNS_SECURE_TLS ? !addr_is_unspecified(&at->ip) : !s->name[0];
	if (at->port != usual || s->by == DNS_SECURE_MESH)
		snprintf(port, sizeof(port), ":%u", at->port);
	addr_format(&at->ip, ip);
	bool brackets = by_address && !addr_is_v4(&at->ip);
	snprintf(host, sizeof(host), "%s%s%s%s", brackets ? "[" : "", by_address ? ip : s->name,
		brackets ? "]" : "", port);
	if (s->by == DNS_SECURE_TLS)
		snprintf(buf, DNS_SECURE_TEXT, "%s%s%s%s", tls_scheme, host,
			by_address && s->name[0] ? "#" : "", by_address ? s->name : "");
	else
		snprintf(buf, DNS_SECURE_TEXT, "%s%s%s",
			s->by == DNS_SECURE_MESH ? http_scheme : https_scheme, host, s->path);
	return buf;
}

bool dns_secure_pin_parse(const char *text, uint8_t out[static 32])
{
	uint8_t pin[33];
	const char *rest = after(text, pin_prefix);
	rest = rest ? rest : text;
	if (base64_decode(rest, strlen(rest), pin, sizeof(pin)) != 32)
		return false;
	memcpy(out, pin, 32);
	return true;
}

bool dns_secure_equal(const struct dns_secure *a, const struct dns_secure *b)
{
	if (!a || !b)
		return a == b;
	return a->by == b->by && strcmp(a->name, b->name) == 0 && strcmp(a->path, b->path) == 0 &&
	       a->n_pins == b->n_pins && memcmp(a->pins, b->pins, a->n_pins * sizeof(a->pins[0])) == 0;
}
