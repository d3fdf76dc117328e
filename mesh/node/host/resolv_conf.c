#include "mesh/node/host/resolv_conf.h"
#include <stdlib.h>
#include <string.h>

enum { DNS_PORT = 53, WORD = 256 };

struct word {
	const char *p;
	size_t len;
};

/* The next word of a line; len 0: there is none. A word that begins like a comment ends the line. */
static struct word word_next(const char **at, const char *end)
{
	const char *p = *at;
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	struct word w = { .p = p };
	if (p < end && (*p == '#' || *p == ';'))
		p = end;
	w.p = p;
	while (p < end && *p != ' ' && *p != '\t' && *p != '\r')
		p++;
	w.len = (size_t)(p - w.p);
	*at = p;
	return w;
}

static bool word_is(const struct word *w, const char *s)
{
	return w->len == strlen(s) && memcmp(w->p, s, w->len) == 0;
}

static bool word_has_only(const struct word *w, const char *also)
{
	for (size_t i = 0; i < w->len; i++) {
		char c = w->p[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alnum && (!c || !strchr(also, c)))
			return false;
	}
	return w->len > 0;
}

static void nameserver_add(struct resolv_conf *c, const struct word *w)
{
	char text[WORD];
	struct endpoint e;
	if (c->n_nameservers == RESOLV_SERVERS_MAX || w->len >= sizeof(text) || memchr(w->p, 0, w->len))
		return;
	memcpy(text, w->p, w->len);
	text[w->len] = 0;
	if (endpoint_parse_or(text, DNS_PORT, &e) && e.port == DNS_PORT)
		c->nameservers[c->n_nameservers++] = e;
}

static bool domain_equal(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char x = a[i], y = b[i];
		x = (char)(x >= 'A' && x <= 'Z' ? x + 32 : x);
		y = (char)(y >= 'A' && y <= 'Z' ? y + 32 : y);
		if (x != y)
			return false;
	}
	return a[len] == 0;
}

void resolv_conf_search_add(struct resolv_conf *c, const char *domain, size_t len)
{
	struct word w = { domain, len };
	while (w.len > 1 && w.p[w.len - 1] == '.')
		w.len--;
	if (c->n_search == RESOLV_SEARCH_MAX || w.len >= RESOLV_DOMAIN || !word_has_only(&w, "-_."))
		return;
	for (size_t i = 0; i < c->n_search; i++)
		if (strlen(c->search[i]) == w.len && domain_equal(c->search[i], w.p, w.len))
			return;
	memcpy(c->search[c->n_search], w.p, w.len);
	c->search[c->n_search++][w.len] = 0;
}

static void option_add(struct resolv_conf *c, const struct word *w)
{
	size_t have = strlen(c->options);
	if (!word_has_only(w, "-_:") || have + 1 + w->len >= RESOLV_OPTIONS)
		return;
	if (have)
		c->options[have++] = ' ';
	memcpy(c->options + have, w->p, w->len);
	c->options[have + w->len] = 0;
}

static void line_parse(struct resolv_conf *c, const char *p, const char *end)
{
	struct word key = word_next(&p, end), w = word_next(&p, end);
	bool search = word_is(&key, "search") || word_is(&key, "domain");
	if (search && w.len) {
		c->n_search = 0;
		memset(c->search, 0, sizeof(c->search));
	}
	for (; w.len; w = word_next(&p, end)) {
		if (search)
			resolv_conf_search_add(c, w.p, w.len);
		else if (word_is(&key, "options"))
			option_add(c, &w);
		else if (word_is(&key, "nameserver"))
			nameserver_add(c, &w);
		if (!search && !word_is(&key, "options"))
			return;
	}
}

void resolv_conf_parse(const char *text, size_t len, struct resolv_conf *out)
{
	memset(out, 0, sizeof(*out));
	const char *end = len ? text + len : NULL; /* an empty file may be no memory at all */
	for (const char *p = text; end && p < end;) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		line_parse(out, p, eol ? eol : end);
		p = eol ? eol + 1 : end;
	}
}

bool resolv_conf_is_stub(const struct resolv_conf *c)
{
	for (size_t i = 0; i < c->n_nameservers; i++) {
		const struct addr *ip = &c->nameservers[i].ip;
		if (!addr_is_v4(ip) || (addr_v4_get(ip) != 0x7f000035 && addr_v4_get(ip) != 0x7f000036))
			return false;
	}
	return c->n_nameservers > 0;
}

bool resolv_conf_write(const struct resolv_conf *c, struct buf *out)
{
	char ip[ENDPOINT_TEXT];
	bool ok = true;
	for (size_t i = 0; i < c->n_nameservers; i++)
		ok = buf_printf(out, "nameserver %s\n", endpoint_format_ip(&c->nameservers[i], ip)) && ok;
	for (size_t i = 0; i < c->n_search; i++)
		ok = buf_printf(out, "%s %s", i ? "" : "search", c->search[i]) && ok;
	ok = (!c->n_search || buf_append(out, "\n", 1)) && ok;
	return (!c->options[0] || buf_printf(out, "options %s\n", c->options)) && ok;
}

char *resolv_conf_ours(
	const struct resolv_conf *own, const struct addr *nameserver, const char *const *search, size_t n)
{
	struct resolv_conf c = { .nameservers = { { .ip = *nameserver, .port = DNS_PORT } },
		.n_nameservers = 1 };
	struct buf text = { 0 };
	for (size_t i = 0; i < n; i++)
		resolv_conf_search_add(&c, search[i], strlen(search[i]));
	for (size_t i = 0; i < own->n_search; i++)
		resolv_conf_search_add(&c, own->search[i], strlen(own->search[i]));
	memcpy(c.options, own->options, sizeof(c.options));
	bool ok =
		buf_append(&text, RESOLV_CONF_MARK, strlen(RESOLV_CONF_MARK)) && resolv_conf_write(&c, &text);
	const char *s = ok ? buf_cstr(&text) : NULL;
	char *copy = s ? strdup(s) : NULL;
	buf_free(&text);
	return copy;
}
