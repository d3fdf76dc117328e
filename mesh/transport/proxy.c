#include "mesh/transport/proxy.h"
#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The value is not told: it may have a password. */
static void proxy_fault(struct proxies *all, struct proxy *p, const char *why)
{
	p->host[0] = '\0';
	key_wipe(p->auth, sizeof(p->auth));
	snprintf(all->fault, sizeof(all->fault),
		"%s is not used: %s; it has to be http://HOST:PORT or "
		"http://USER:PASSWORD@HOST:PORT, with %%40 for an @ in the password and so on",
		p->variable, why);
}

/* "user:password", percent-encoded. */
static bool set_auth(struct proxy *p, const char *text, size_t len)
{
	char plain[PROXY_USER_MAX];
	bool ok = http_unescape(text, len, plain, sizeof(plain) - 1);
	if (ok && !strchr(plain, ':'))
		strcat(plain, ":");
	if (ok)
		base64_encode((const uint8_t *)plain, strlen(plain), p->auth);
	key_wipe(plain, sizeof(plain));
	return ok;
}

static void set_proxy(struct proxies *all, struct proxy *p, const char *variable, const char *value)
{
	char text[300];
	struct url url;
	p->variable = variable;
	if (!value || !*value)
		return;
	const char *scheme_end = strstr(value, "://"), *at = scheme_end ? scheme_end + 3 : value;
	if (scheme_end && strncasecmp(value, "http://", 7) != 0) {
		proxy_fault(all, p, "only proxies that speak HTTP without TLS are known here");
		return;
	}
	size_t len = strcspn(at, "/?#");
	const char *user_end = memrchr(at, '@', len);
	if (user_end && !set_auth(p, at, (size_t)(user_end - at))) {
		proxy_fault(all, p, "its user and password are too long, or badly encoded");
		return;
	}
	const char *host = user_end ? user_end + 1 : at;
	int n = snprintf(text, sizeof(text), "http://%.*s", (int)(len - (size_t)(host - at)), host);
	if (n >= (int)sizeof(text) || !url_parse(text, &url)) {
		proxy_fault(all, p, "it names no host");
		return;
	}
	memcpy(p->host, url.host, sizeof(p->host));
	p->port = url.port;
}

struct proxies *proxies_new(const char *https_proxy, const char *http_proxy, const char *no_proxy)
{
	struct proxies *all = calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	key_lock(all, sizeof(*all));
	set_proxy(all, &all->plain, "HTTP_PROXY", http_proxy);
	set_proxy(all, &all->secure, "HTTPS_PROXY", https_proxy);
	all->none = no_proxy ? strdup(no_proxy) : NULL;
	if (no_proxy && !all->none) {
		proxies_free(all);
		return NULL;
	}
	return all;
}

static const char *either(const char *upper, const char *lower)
{
	const char *value = getenv(upper);
	return value && *value ? value : getenv(lower);
}

struct proxies *proxies_of_environment(void)
{
	return proxies_new(either("HTTPS_PROXY", "https_proxy"), either("HTTP_PROXY", "http_proxy"),
		either("NO_PROXY", "no_proxy"));
}

struct proxies *proxies_found(const char *what)
{
	char text[PROXIES_TEXT];
	struct proxies *p = proxies_of_environment();
	if (p && p->fault[0])
		log_warn("%s", p->fault);
	if (*proxies_text(p, text))
		log_info("%s are reached by %s", what, text);
	return p;
}

void proxies_free(struct proxies *p)
{
	if (!p)
		return;
	free(p->none);
	key_wipe(p, sizeof(*p));
	free(p);
}

const char *proxy_text(const struct proxy *p, char buf[static PROXY_TEXT])
{
	bool v6 = strchr(p->host, ':');
	snprintf(buf, PROXY_TEXT, "%s%s%s:%u", v6 ? "[" : "", p->host, v6 ? "]" : "", p->port);
	return buf;
}

const char *proxies_text(const struct proxies *p, char buf[static PROXIES_TEXT])
{
	const struct proxy *both[] = { p ? &p->secure : NULL, p ? &p->plain : NULL };
	char one[PROXY_TEXT];
	size_t n = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(both); i++)
		if (both[i] && both[i]->host[0])
			n += (size_t)snprintf(buf + n, PROXIES_TEXT - n, "%s%s=%s", n ? ", " : "",
				both[i]->variable, proxy_text(both[i], one));
	return buf;
}

/* --- who is reached directly --- */

/* entry: lower case or not, without port. A name stands for itself and all below it, ".name" and "*.name" for those
 * below it. */
static bool name_matches(const char *entry, const char *host)
{
	bool below = entry[0] == '.' || (entry[0] == '*' && entry[1] == '.');
	const char *name = !below ? entry : entry[0] == '*' ? entry + 2 : entry + 1;
	size_t n = strlen(name), h = strlen(host);
	if (!n || h < n || strcasecmp(host + h - n, name) != 0)
		return false;
	return h == n ? !below : host[h - n - 1] == '.';
}

/* Cuts ":port" off; false: it is of another port. */
static bool port_matches(char *entry, uint16_t port)
{
	char *close = strrchr(entry, ']'), *colon = strrchr(entry, ':');
	uint64_t wanted;
	struct addr six;
	if (!colon || (close && colon < close) || (!close && addr_parse(entry, &six)))
		return true;
	*colon = '\0';
	return text_u64(colon + 1, 0, 65535, &wanted) && wanted == port;
}

static bool entry_matches(char *entry, const char *host, uint16_t port)
{
	struct addr ip, one;
	struct prefix net;
	bool literal = addr_parse(host, &ip);
	if (strcmp(entry, "*") == 0)
		return true;
	if (strchr(entry, '/'))
		return literal && prefix_parse(entry, &net) && prefix_contains(&net, &ip);
	if (!port_matches(entry, port))
		return false;
	size_t n = strlen(entry);
	bool brackets = n > 1 && entry[0] == '[' && entry[n - 1] == ']';
	if (brackets)
		entry[n - 1] = '\0';
	if (addr_parse(entry + brackets, &one))
		return literal && addr_equal(&one, &ip);
	return !literal && name_matches(entry, host);
}

bool proxy_is_skipped(const char *no_proxy, const char *host, uint16_t port)
{
	for (const char *at = no_proxy ? no_proxy : ""; *at;) {
		char entry[264];
		size_t n = strcspn(at, ",");
		const char *from = at + strspn(at, " \t");
		size_t len = from < at + n ? (size_t)(at + n - from) : 0;
		while (len && (from[len - 1] == ' ' || from[len - 1] == '\t'))
			len--;
		if (len && len < sizeof(entry)) {
			memcpy(entry, from, len);
			entry[len] = '\0';
			if (entry_matches(entry, host, port))
				return true;
		}
		at += n + (at[n] == ',');
	}
	return false;
}

const struct proxy *proxies_for(const struct proxies *p, bool secure, const char *host, uint16_t port)
{
	struct addr ip;
	const struct proxy *by = !p ? NULL : secure ? &p->secure : &p->plain;
	if (!by || !by->host[0] || strcasecmp(host, "localhost") == 0 ||
		(addr_parse(host, &ip) && addr_is_loopback(&ip)) || proxy_is_skipped(p->none, host, port))
		return NULL;
	return by;
}
