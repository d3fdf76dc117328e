/* Lines of JSON, one map response each, applied one after the other; every snapshot is compared with the one
 * before, written and read back. A line "+FIRST STEP COUNT" stands for one in which so many peers come, "-FIRST STEP COUNT" for one in
 * which they go. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/netmap/netmap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MANY = 300, PEER_TEXT = 160, LINE = 64 };

/* The line that such a one stands for; the caller's, NULL where there is none. */
static char *crowd(const char *line, size_t len)
{
	char copy[LINE];
	unsigned first, step, n;
	snprintf(copy, sizeof(copy), "%.*s", len < LINE ? (int)len : LINE - 1, line);
	if ((copy[0] != '+' && copy[0] != '-') || sscanf(copy + 1, "%6u %4u %3u", &first, &step, &n) != 3 ||
		n > MANY)
		return NULL;
	bool come = copy[0] == '+';
	char *text = malloc((size_t)(n + 1) * PEER_TEXT);
	int at = text ? sprintf(text, come ? "{\"PeersChanged\":[" : "{\"PeersRemoved\":[") : 0;
	for (unsigned i = 0; text && i < n; i++) {
		unsigned id = first + i * step;
		if (come)
			at += sprintf(text + at,
				"%s{\"ID\":%u,\"Name\":\"n%u.\",\"Key\":\"nodekey:%064x\",\"Addresses\":["
				"\"100.%u.%u.%u/32\"]}",
				i ? "," : "", id, id, id + 1, 64 + (id >> 16 & 31), id >> 8 & 255, id & 255);
		else
			at += sprintf(text + at, "%s%u", i ? "," : "", id);
	}
	if (text)
		(void)sprintf(text + at, "]}");
	return text;
}

static struct netmap *apply(const struct netmap *old, const char *json, size_t len)
{
	struct arena a = { .cap = 4 << 20 };
	struct ctl_map_response m;
	struct errbuf eb;
	struct netmap *next = NULL;
	if (ctl_map_response_read(&a, json, len, &m, &eb) == 0)
		next = netmap_apply(old, &m, 1000, &eb);
	arena_free(&a);
	return next;
}

/* Of those who have one key the last is not a double, and no other is anything else. */
static void check_keys(const struct netmap *m)
{
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct ctl_node *n = &m->peers[i]->node;
		bool again = false;
		for (size_t k = i + 1; k < m->n_peers && !key_is_zero(n->key.b); k++)
			again = again || key_equal(n->key.b, m->peers[k]->node.key.b);
		if (netmap_peer_is_double(m, n->id) != again)
			abort();
	}
}

static const struct netmap_peer *last_told(const struct netmap *m, const struct addr *ip)
{
	for (size_t i = m->n_peers; i > 0; i--) {
		const struct netmap_peer *p = m->peers[i - 1];
		if (ctl_node_has(p->told ? &p->told->node : &p->node, ip))
			return p;
	}
	return NULL;
}

/* Of those who are told to have one address the last has it and no other. */
static void check_addresses(const struct netmap *m)
{
	size_t shorn = 0;
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct netmap_peer *p = m->peers[i];
		const struct ctl_node *told = p->told ? &p->told->node : &p->node;
		size_t has = 0;
		for (size_t k = 0; k < told->addresses.n; k++) {
			const struct addr *ip = &told->addresses.v[k].ip;
			bool is = last_told(m, ip) == p;
			if (ctl_node_has(&p->node, ip) != is || (is && netmap_peer_by_address(m, ip) != p))
				abort();
			has += is;
		}
		if (p->node.addresses.n != has || (p->told != NULL) != (has < told->addresses.n))
			abort();
		if (p->told && (shorn == m->n_shorn || m->shorn[shorn++] != told->id))
			abort();
	}
	if (shorn != m->n_shorn)
		abort();
	for (size_t k = 0; m->self && k < m->self->node.addresses.n; k++)
		if (netmap_peer_by_address(m, &m->self->node.addresses.v[k].ip))
			abort(); /* ours is nobody else's */
}

static void check(const struct netmap *a, const struct netmap *b)
{
	struct netmap_diff d;
	struct buf text = { 0 };
	for (size_t i = 1; i < b->n_peers; i++) {
		if (b->peers[i - 1]->node.id >= b->peers[i]->node.id)
			abort();
	}
	check_keys(b);
	check_addresses(b);
	if (netmap_compare(a, b, &d))
		netmap_diff_fini(&d);
	else if (!trouble_happened())
		abort();
	bool written = netmap_write(b, &text);
	if (!written && !trouble_happened())
		abort();
	struct netmap *again = written ? apply(NULL, (const char *)buf_data(&text), text.len) : NULL;
	if (again && netmap_compare(b, again, &d)) {
		if ((d.n_added || d.n_removed) && !trouble_happened())
			abort();
		netmap_diff_fini(&d);
	} else if (again && !trouble_happened()) {
		abort();
	}
	netmap_put(again);
	buf_free(&text);
}

static void apply_target(const uint8_t *data, size_t len)
{
	struct netmap *m = NULL;
	const char *at = (const char *)data, *end = at + len;
	trouble_begin();
	for (int steps = 0; at < end && steps < 8; steps++) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((nl ? nl : end) - at);
		char *many = crowd(at, n);
		struct netmap *next = apply(m, many ? many : at, many ? strlen(many) : n);
		free(many);
		if (next) {
			check(m, next);
			netmap_put(m);
			m = next;
		}
		at += n + 1;
	}
	netmap_put(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(apply_target, data, len);
}
