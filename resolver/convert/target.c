#include "resolver/convert/target.h"

#include "mesh/base/addr.h"
#include "mesh/base/dns_secure.h"
#include "resolver/block.h"
#include "resolver/block_list.h"
#include "resolver/local_zone.h"
#include "resolver/present.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { RDATA_MAX = 4096, PAIRS_MAX = 65536, ITEMS_MAX = 65536, GROUPS_MAX = 256, DNS_PORT = 53 };

struct seen_key {
	uint64_t a, b;
};

void target_init(struct target *t)
{
	*t = (struct target) { .stale_s = -1 };
	table_init(&t->seen, sizeof(struct seen_key), 0);
}

void target_fini(struct target *t)
{
	table_fini(&t->seen);
	buf_free(&t->said);
	arena_free(&t->arena);
}

void target_say(struct target *t, const char *what, const char *fmt, ...)
{
	char why[512], clean[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	snprintf(clean, sizeof(clean), "%s", what);
	for (char *c = clean; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
	t->n_said++;
	if (!(t->line ? buf_printf(&t->said, "%s:%u: %s: %s\n", t->file, t->line, clean, why)
		      : buf_printf(&t->said, "%s: %s: %s\n", t->file, clean, why)))
		t->short_of_memory = true;
}

void target_include(struct target *t, const struct target_include *i)
{
	if (t->include)
		t->include(t->include_arg, t, i);
	else
		target_say(t, i->what,
			i->only ? "give the files of that folder to convert as well: %.200s"
				: "give that file to convert as well: %.200s",
			i->path);
}

const char *target_text(struct target *t, const char *s, size_t len)
{
	char *copy = arena_alloc(&t->arena, len + 1);
	if (!copy) {
		t->short_of_memory = true;
		return "";
	}
	memcpy(copy, s, len);
	copy[len] = 0;
	return copy;
}

/* Room for one more of an array in the arena, which doubles. */
static void *more(struct target *t, void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	size_t bigger = *cap ? *cap * 2 : 8;
	void *new = arena_array(&t->arena, bigger, size);
	if (!new) {
		t->short_of_memory = true;
		return NULL;
	}
	if (n)
		memcpy(new, v, n * size);
	*cap = bigger;
	return new;
}

static void items_append(struct target *t, struct target_items *to, const char *s)
{
	if (to->n >= ITEMS_MAX) {
		target_say(t, s, "more than %d of its kind", ITEMS_MAX);
		return;
	}
	const char **v = more(t, to->v, to->n, &to->cap, sizeof(*v));
	if (!v)
		return;
	to->v = v;
	to->v[to->n++] = target_text(t, s, strlen(s));
}

static struct seen_key key_of(const void *in, const char *s)
{
	size_t len = strlen(s);
	return (struct seen_key) { hash_bytes(s, len, (uintptr_t)in, 1),
		hash_bytes(s, len, 2, (uintptr_t)in) };
}

/* The place of a text among those of `in`, from 1; 0: it is not there. */
static size_t place_of(const struct target *t, const void *in, const char *s)
{
	struct seen_key key = key_of(in, s);
	return (size_t)(uintptr_t)table_get(&t->seen, &key);
}

static void place_set(struct target *t, const void *in, const char *s, size_t place)
{
	struct seen_key key = key_of(in, s);
	if (!table_put(&t->seen, &key, (void *)(uintptr_t)place))
		t->short_of_memory = true;
}

void target_add(struct target *t, struct target_items *to, const char *s)
{
	if (place_of(t, to, s))
		return;
	place_set(t, to, s, to->n + 1);
	items_append(t, to, s);
}

static struct target_pair *pair_of(struct target *t, struct target_pairs *in, const char *name)
{
	size_t at = place_of(t, in, name);
	if (at)
		return &in->v[at - 1];
	struct target_pair *v = in->n < PAIRS_MAX ? more(t, in->v, in->n, &in->cap, sizeof(*v)) : NULL;
	if (!v) {
		target_say(t, name, "there are too many already");
		return NULL;
	}
	in->v = v;
	place_set(t, in, name, in->n + 1);
	in->v[in->n] = (struct target_pair) { .name = target_text(t, name, strlen(name)) };
	return &in->v[in->n++];
}

static bool name_read(struct target *t, const char *what, const char *text, struct dns_name *out)
{
	if (!*text || !dns_text_is_ascii(text) || !dns_name_parse(text, out)) {
		target_say(t, what, "\"%.100s\" is not a domain name", text);
		return false;
	}
	dns_name_fold(out);
	return true;
}

bool target_domain(struct target *t, const char *what, const char *text, char out[static DNS_NAME_TEXT])
{
	struct dns_name name;
	if (!name_read(t, what, text, &name))
		return false;
	if (!dns_name_is_domain(&name)) {
		target_say(t, what,
			"\"%.100s\" is not a domain name: no client asks for one with a blank or # in it",
			text);
		return false;
	}
	dns_name_format(&name, out);
	return true;
}

void target_listen(struct target *t, const char *ip, unsigned port)
{
	struct endpoint at = { .port = (uint16_t)port };
	char text[ENDPOINT_TEXT];
	if (!addr_parse(ip, &at.ip))
		target_say(t, "listen", "\"%.100s\" is not an address", ip);
	else if (t->listen.n >= 8)
		target_say(t, "listen", "%s: at most 8 addresses are listened on", ip);
	else
		target_add(t, &t->listen, port ? endpoint_format(&at, text) : addr_format(&at.ip, text));
}

/* "192.0.2.1", with "#port" or "@port" as others write it, or ours. */
static bool server_make(const char *text, char out[static TARGET_WORD_MAX])
{
	struct endpoint at;
	size_t ip_len = strcspn(text, "#@");
	char ip[ENDPOINT_TEXT];
	unsigned port = DNS_PORT;
	struct dns_secure secure;
	if (strncmp(text, "tls://", 6) == 0 || strncmp(text, "https://", 8) == 0)
		return dns_secure_parse(text, &secure, &at) && !addr_is_unspecified(&at.ip) &&
		       snprintf(out, TARGET_WORD_MAX, "%s", text) < TARGET_WORD_MAX;
	if (ip_len >= sizeof(ip))
		return false;
	memcpy(ip, text, ip_len);
	ip[ip_len] = 0;
	if (text[ip_len] && (sscanf(text + ip_len + 1, "%u", &port) != 1 || !port || port > UINT16_MAX))
		return false;
	if (!addr_parse(ip, &at.ip) || addr_is_unspecified(&at.ip))
		return false;
	at = (struct endpoint) { .ip = at.ip, .port = (uint16_t)port };
	endpoint_format(&at, out);
	return true;
}

/* A network stands for its reverse zones: the same may not be there by name, nor in another network. */
static bool route_is_new(struct target *t, const char *suffix, const struct prefix *net)
{
	char zone[DNS_NAME_TEXT];
	unsigned n = net ? dns_reverse_zones(net) : 1;
	bool fits = true;
	if (place_of(t, &t->routes, suffix))
		return true;
	for (unsigned round = 0; fits && round < 2; round++)
		for (unsigned i = 0; fits && i < n; i++) {
			struct dns_name wire;
			if (net)
				dns_reverse_zone(net, i, &wire);
			const char *name = net ? dns_name_format(&wire, zone) : suffix;
			if (round)
				place_set(t, &t->routes.n, name, 1);
			else
				fits = !place_of(t, &t->routes.n, name);
		}
	if (!fits)
		target_say(t, suffix, "another route is for the same names");
	return fits;
}

void target_upstream(struct target *t, const char *suffix, const char *server)
{
	char name[DNS_NAME_TEXT] = "", at[TARGET_WORD_MAX];
	struct target_items *to = &t->upstreams;
	struct prefix net;
	bool network = *suffix && prefix_parse(suffix, &net);
	if (*suffix && strcmp(suffix, ".") != 0) {
		if (!network && !target_domain(t, suffix, suffix, name))
			return;
		if (!route_is_new(t, network ? suffix : name, network ? &net : NULL))
			return;
		struct target_pair *p = pair_of(t, &t->routes, network ? suffix : name);
		if (!p)
			return;
		to = &p->items;
	}
	if (!*server)
		return; /* a route to nobody */
	if (!server_make(server, at))
		target_say(t, server, "not the address of a server");
	else if (to->n >= RESOLVER_UPSTREAMS_MAX)
		target_say(t, server, "at most %d servers are asked for one suffix", RESOLVER_UPSTREAMS_MAX);
	else
		target_add(t, to, at);
}

bool target_has_route(const struct target *t, const char *suffix)
{
	return place_of(t, &t->routes, suffix);
}

void target_zone(struct target *t, const char *suffix, const char *word)
{
	char name[DNS_NAME_TEXT];
	enum resolver_word w;
	if (!target_domain(t, suffix, suffix, name))
		return;
	if (strcmp(word, "static") != 0 && !resolver_word_parse(word, &w)) {
		target_say(t, suffix, "no word of local-zones is \"%.50s\"", word);
		return;
	}
	struct target_pair *p = pair_of(t, &t->zones, name);
	if (p && p->word && strcmp(p->word, word) != 0)
		target_say(t, suffix, "it was \"%s\" before: the last word counts", p->word);
	if (p)
		p->word = target_text(t, word, strlen(word));
}

void target_authority(struct target *t, const char *suffix)
{
	char name[DNS_NAME_TEXT];
	if (target_domain(t, suffix, suffix, name))
		target_add(t, &t->authority, name);
}

bool target_quote(struct buf *b, const char *s)
{
	bool ok = buf_append(b, "\"", 1);
	for (; ok && *s; s++)
		ok = (*s != '"' && *s != '\\') || buf_append(b, "\\", 1) ? buf_append(b, s, 1) : false;
	return ok && buf_append(b, "\"", 1);
}

bool target_is_plain(struct target *t, const char *what, const char *s)
{
	const char *c = s;
	while ((unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f)
		c++;
	if (*s && !*c)
		return true;
	target_say(t, what, *s ? "it has characters that cannot be written here" : "there is no value");
	return false;
}

static bool record_is_right(const char *type, const char *value, struct errbuf *eb)
{
	uint8_t rdata[RDATA_MAX];
	struct addr ip;
	uint16_t number;
	size_t len;
	if (type)
		return !present_rdata_parse(type, value, rdata, sizeof(rdata), &len, &number, eb);
	if (addr_parse(value, &ip))
		return true;
	err_say(eb, ERR_MALFORMED, "\"%.100s\" is not an address", value);
	return false;
}

/* An alias has no other record, of whatever type: the first that is said counts. */
static bool owner_is_free(struct target *t, const char *owner, bool alias)
{
	const void *aliases = &t->records.n, *others = &t->records.cap;
	return !place_of(t, aliases, owner) && !(alias && place_of(t, others, owner));
}

static bool owner_take(struct target *t, const char *owner, const char *type, const char *value)
{
	char reverse[DNS_NAME_TEXT] = "";
	bool alias = type && strcasecmp(type, "CNAME") == 0;
	struct dns_name wire;
	struct addr ip;
	if (!type && addr_parse(value, &ip)) {
		dns_name_reverse(&ip, &wire);
		dns_name_format(&wire, reverse);
	}
	if (!owner_is_free(t, owner, alias) || (*reverse && !owner_is_free(t, reverse, false))) {
		target_say(t, owner, "an alias (CNAME) can have no other record of its name");
		return false;
	}
	place_set(t, alias ? (const void *)&t->records.n : &t->records.cap, owner, 1);
	if (*reverse)
		place_set(t, &t->records.cap, reverse, 1);
	return true;
}

/* A whole item of YAML; NULL: memory is short. */
static const char *item_end(struct target *t, struct buf *b, bool ok)
{
	ok = ok && buf_printf(b, " }") && buf_cstr(b);
	t->short_of_memory = t->short_of_memory || !ok;
	return ok ? buf_cstr(b) : NULL;
}

void target_record(struct target *t, const char *name, const char *type, const char *value)
{
	char owner[DNS_NAME_TEXT];
	struct dns_name wire;
	struct errbuf eb = { 0 };
	struct buf b = { 0 };
	if (!name_read(t, name, name, &wire))
		return;
	dns_name_format(&wire, owner);
	if (!target_is_plain(t, name, value))
		return;
	if (!record_is_right(type, value, &eb)) {
		target_say(t, name, "%s", eb.text);
		return;
	}
	bool ok = buf_printf(&b, "{ name: ") && target_quote(&b, owner) &&
		  (!type || buf_printf(&b, ", type: %s", type)) && buf_printf(&b, ", value: ") &&
		  target_quote(&b, value);
	const char *item = item_end(t, &b, ok);
	if (item && (place_of(t, &t->records, item) || owner_take(t, owner, type, value)))
		target_add(t, &t->records, item);
	buf_free(&b);
}

void target_allow(struct target *t, const char *network)
{
	struct prefix p;
	if (!prefix_parse(network, &p))
		target_say(t, network, "not a network");
	else if (t->allow.n < 1024)
		target_add(t, &t->allow, network);
}

void target_except(struct target *t, const char *name)
{
	char text[DNS_NAME_TEXT];
	if (target_domain(t, name, name, text))
		target_add(t, &t->except, text);
}

void target_insecure(struct target *t, const char *name)
{
	char text[DNS_NAME_TEXT];
	if (target_domain(t, name, name, text) && t->insecure.n < 1024)
		target_add(t, &t->insecure, text);
}

void target_names_from(struct target *t, const char *kind, const char *path, const char *domain)
{
	struct buf b = { 0 };
	char name[DNS_NAME_TEXT];
	if (!target_is_plain(t, kind, path) || t->names_from.n >= 64 ||
		(domain && !target_domain(t, domain, domain, name)))
		return;
	bool ok = buf_printf(&b, "{ %s: ", kind) && target_quote(&b, path) &&
		  (!domain || (buf_printf(&b, ", domain: ") && target_quote(&b, name)));
	const char *item = item_end(t, &b, ok);
	if (item)
		target_add(t, &t->names_from, item);
	buf_free(&b);
}

struct target_list *target_list_add(struct target *t, const char *name)
{
	if (!t->lists && !(t->lists = arena_array(&t->arena, BLOCK_LISTS_MAX, sizeof(*t->lists)))) {
		t->short_of_memory = true;
		return NULL;
	}
	if (t->n_lists == BLOCK_LISTS_MAX) {
		target_say(t, name, "at most %d lists are possible", BLOCK_LISTS_MAX);
		return NULL;
	}
	struct target_list *l = &t->lists[t->n_lists++];
	*l = (struct target_list) { .name = target_text(t, name, strlen(name)) };
	return l;
}

struct target_group *target_group_add(struct target *t, const char *name)
{
	if (!t->groups && !(t->groups = arena_array(&t->arena, GROUPS_MAX, sizeof(*t->groups)))) {
		t->short_of_memory = true;
		return NULL;
	}
	if (t->n_groups == GROUPS_MAX) {
		target_say(t, name, "at most %d groups are possible", GROUPS_MAX);
		return NULL;
	}
	struct target_group *g = &t->groups[t->n_groups++];
	*g = (struct target_group) { .name = target_text(t, name, strlen(name)) };
	return g;
}
