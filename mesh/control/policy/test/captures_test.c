/* The official service's answers to 655 policies, as they were recorded: which files it takes, and for each
 * node of a small tailnet the packet filter, the visible peers and the routes that are told of them. They lie
 * beside the source tree; where they do not, this test is skipped. Filters are compared by what they admit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/control/policy/policy.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cases that are known to differ, each with why. One that does not differ any more fails the test. */
#define DOMAINS \
	"a domain that is not that tailnet's own is refused there; here users of any domain may be named"
#define CHECK "refused by name here: a login that is checked anew needs a server that asks"
#define ABSENT "refused by name here: not supported by this server"
static const struct {
	const char *id, *why;
} known[] = {
	{ "acl-k03",
		"two maps were recorded before the subnet was approved: the others of the case have it" },
	{ "ssh-b4", DOMAINS },
	{ "ssh-d1", DOMAINS },
	{ "ssh-e1", DOMAINS },
	{ "ssh-e2", DOMAINS },
	{ "ssh-a6", CHECK },
	{ "ssh-a8", CHECK },
	{ "ssh-checkperiod-null", CHECK },
	{ "ssh-e6", CHECK },
	{ "ssh-f2", CHECK },
	{ "ssh-malformed-checkperiod-too-short", CHECK },
	{ "ssh-multi-rule-check-then-accept", CHECK },
	{ "sshtest-action-check-treated-as-allowed", CHECK },
	{ "sshtest-checkperiod-no-effect", CHECK },
	{ "sshtest-malformed-dst-bare-ipv6",
		"there an IPv6 address names no node, its IPv4 twin does; here both do" },
	{ "nodeattrs-funnel-f1-tag", ABSENT },
	{ "nodeattrs-funnel-f2-user", ABSENT },
	{ "nodeattrs-ippool-g1-admin", ABSENT },
	{ "nodeattrs-ippool-g2-group", ABSENT },
	{ "nodeattrs-target-a10-autogroup-admin", ABSENT },
	{ "nodeattrs-target-a11-autogroup-owner", ABSENT },
};

static const char *const sets[] = { "acl", "routes", "issue_3212", "grant", "policytest", "sshtest", "ssh",
	"nodeattrs" };
enum { SETS = ARRAY_LEN(sets) };

/* What every node is told there, whatever the policy says. */
static const char *const base_caps[] = { "https://tailscale.com/cap/file-sharing",
	"https://tailscale.com/cap/is-admin", "https://tailscale.com/cap/is-owner",
	"https://tailscale.com/cap/ssh", "https://tailscale.com/cap/tailnet-lock", "probe-udp-lifetime",
	"ssh-behavior-v1", "ssh-env-vars", "store-appc-routes", "tailnet-display-name",
	"default-auto-update" };

struct counts {
	unsigned agree, reason, fail;
};
struct capture {
	const char *id;
	json_t *expect, *nodes;
	struct policy *p;
	struct fleet f;
	struct policy_cache *cache;
	bool own_logins;
	char why[2048];
};

/* --- canonical filters --- */

struct line {
	char *key;	  /* sources, protocols, ports */
	struct addr a, b; /* destinations */
};
struct lines {
	struct line *v;
	size_t n;
};

static void lines_add(struct lines *to, const char *key, const struct addr *a, const struct addr *b)
{
	to->v = realloc(to->v, (to->n + 1) * sizeof(*to->v));
	to->v[to->n++] = (struct line) { .key = strdup(key), .a = *a, .b = *b };
}

static int by_line(const void *x, const void *y)
{
	const struct line *a = x, *b = y;
	int c = strcmp(a->key, b->key);
	c = c ? c : memcmp(a->a.b, b->a.b, sizeof(a->a.b));
	return c ? c : memcmp(a->b.b, b->b.b, sizeof(a->b.b));
}

static int by_range(const void *x, const void *y)
{
	const struct ctl_ip_range *a = x, *b = y;
	return memcmp(a->first.b, b->first.b, sizeof(a->first.b));
}

static struct addr successor(struct addr a)
{
	for (size_t i = sizeof(a.b); i-- > 0 && !++a.b[i];)
		;
	return a;
}

/* b begins within what ends at end, or right behind it. */
static bool joins(const struct addr *end, const struct addr *b)
{
	struct addr next = successor(*end);
	return memcmp(b->b, next.b, sizeof(next.b)) <= 0 && addr_is_v4(end) == addr_is_v4(b);
}

static void print_sources(const struct ctl_rule *r, struct buf *out)
{
	struct ctl_ip_range *v = calloc(r->n_src + 1, sizeof(*v));
	char a[ADDR_TEXT], b[ADDR_TEXT];
	memcpy(v, r->src, r->n_src * sizeof(*v));
	qsort(v, r->n_src, sizeof(*v), by_range);
	for (size_t i = 0; i < r->n_src; i++) {
		struct addr end = v[i].last;
		if (v[i].any) {
			buf_printf(out, "* ");
			continue;
		}
		size_t first = i;
		while (i + 1 < r->n_src && joins(&end, &v[i + 1].first)) {
			i++;
			if (memcmp(v[i].last.b, end.b, sizeof(end.b)) > 0)
				end = v[i].last;
		}
		buf_printf(out, "%s-%s ", addr_format(&v[first].first, a), addr_format(&end, b));
	}
	free(v);
}

static struct addr last_of(const struct prefix *net)
{
	struct addr a = net->ip;
	for (unsigned i = net->bits + (addr_is_v4(&net->ip) ? 96U : 0U); i < 128; i++)
		a.b[i / 8] = (uint8_t)(a.b[i / 8] | 0x80U >> i % 8);
	return a;
}

static const char *canonical_caps(const char *text, struct buf *out)
{
	json_t *list = json_loads(text, 0, NULL);
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *dsts = json_object_get(json_array_get(list, i), "Dsts"),
		       *caps = json_object_get(json_array_get(list, i), "CapMap");
		char *d = json_dumps(caps, JSON_COMPACT | JSON_SORT_KEYS);
		for (size_t k = 0; k < json_array_size(dsts); k++) /* IPv4 first, on both sides */
			buf_printf(out, "%s ", json_string_value(json_array_get(dsts, k)));
		buf_printf(out, "%s", d);
		free(d);
	}
	json_decref(list);
	return buf_cstr(out);
}

static void add_rule(struct lines *to, const struct ctl_rule *r)
{
	struct buf src = { 0 }, key = { 0 };
	if (!r->n_src)
		return;
	print_sources(r, &src);
	for (size_t i = 0; i < r->n_protos; i++)
		buf_printf(&src, "p%u ", r->protos[i]);
	if (r->caps_json) {
		buf_printf(&src, "caps ");
		lines_add(to, canonical_caps(r->caps_json, &src), &addr_any6, &addr_any6);
	}
	for (size_t i = 0; i < r->n_dst; i++) {
		const struct ctl_ports *d = &r->dst[i];
		buf_printf(&key, "%s> %s:%u-%u", buf_cstr(&src), d->any_ip ? "*" : "", d->first, d->last);
		struct addr end = last_of(&d->net);
		lines_add(to, buf_cstr(&key), d->any_ip ? &addr_any6 : &d->net.ip,
			d->any_ip ? &addr_any6 : &end);
		buf_free(&key);
	}
	buf_free(&src);
}

static void print_lines(struct lines *l, struct buf *out)
{
	char a[ADDR_TEXT], b[ADDR_TEXT];
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_line);
	for (size_t i = 0; i < l->n; i++) {
		size_t first = i;
		struct addr end = l->v[i].b;
		while (i + 1 < l->n && !strcmp(l->v[i + 1].key, l->v[first].key) &&
			joins(&end, &l->v[i + 1].a)) {
			i++;
			if (memcmp(l->v[i].b.b, end.b, sizeof(end.b)) > 0)
				end = l->v[i].b;
		}
		buf_printf(out, "%s %s-%s\n", l->v[first].key, addr_format(&l->v[first].a, a),
			addr_format(&end, b));
	}
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].key);
	free(l->v);
	*l = (struct lines) { 0 };
}

/* Grants of capabilities are told to no node of ours, so that its reader leaves them out: read here. */
static void add_recorded_caps(struct lines *to, json_t *filter, struct arena *a)
{
	for (size_t i = 0; i < json_array_size(filter); i++) {
		json_t *rule = json_array_get(filter, i), *caps = json_object_get(rule, "CapGrant");
		json_t *copy = json_deep_copy(rule), *msg;
		if (caps) {
			json_object_del(copy, "CapGrant");
			json_object_set_new(copy, "DstPorts",
				json_loads("[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":1}}]", 0, NULL));
			msg = json_pack("{s:{s:[o]}}", "PacketFilters", "base", copy);
			char *text = json_dumps(msg, 0), *caps_text = json_dumps(caps, 0);
			struct ctl_map_response m = { 0 };
			assert_int_equal(ctl_map_response_read(a, text, strlen(text), &m, NULL), 0);
			struct ctl_rule r = m.n_filters && m.filters[0].n_rules ? m.filters[0].rules[0]
										: (struct ctl_rule) { 0 };
			r.n_dst = 0;
			r.caps_json = caps_text;
			add_rule(to, &r);
			free(text);
			free(caps_text);
			json_decref(msg);
		} else {
			json_decref(copy);
		}
	}
}

static void print_recorded(json_t *filter, struct buf *out)
{
	struct arena a = { 0 };
	struct lines l = { 0 };
	json_t *msg = json_pack("{s:{s:O}}", "PacketFilters", "base", filter);
	char *text = json_dumps(msg, 0);
	struct ctl_map_response m = { 0 };
	struct errbuf eb = { 0 };
	if (ctl_map_response_read(&a, text, strlen(text), &m, &eb) != 0)
		fail_msg("recorded filter: %s", eb.text);
	for (size_t i = 0; m.n_filters && i < m.filters[0].n_rules; i++)
		add_rule(&l, &m.filters[0].rules[i]);
	add_recorded_caps(&l, filter, &a);
	print_lines(&l, out);
	free(text);
	json_decref(msg);
	arena_free(&a);
}

static void print_ours(const struct capture *c, const struct member *m, struct buf *out)
{
	struct arena a = { 0 };
	struct lines l = { 0 };
	struct ctl_rule *rules;
	size_t n;
	assert_true(policy_filter(c->p, &c->f, c->cache, m, &a, &rules, &n));
	for (size_t i = 0; i < n; i++)
		add_rule(&l, &rules[i]);
	print_lines(&l, out);
	arena_free(&a);
}

/* --- the tailnet of a case --- */

static int64_t user_of(const struct fleet *f, json_t *topology, const char *name)
{
	json_t *users = json_object_get(topology, "users"), *u;
	size_t i;
	(void)f;
	json_array_foreach(
		users, i, u) if (name && !strcmp(json_string_value(json_object_get(u, "name")),
						 name)) return json_integer_value(json_object_get(u, "id"));
	return 0;
}

static bool has_text(const struct ctl_strings *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i], text))
			return true;
	return false;
}

static void copy_list(struct arena *a, json_t *list, struct ctl_strings *out)
{
	*out = (struct ctl_strings) { .v = arena_array(a, json_array_size(list) + 16, sizeof(*out->v)) };
	for (size_t i = 0; i < json_array_size(list); i++)
		out->v[out->n++] = json_string_value(json_array_get(list, i));
}

static void put_node(struct capture *c, json_t *topology, const char *name, json_t *node, int64_t id)
{
	struct arena a = { 0 };
	json_t *offers = json_object_get(node, "routable_ips");
	char hostinfo[512] = "";
	struct member d = { .id = id,
		.name = name,
		.hostname = name,
		.has_v4 = true,
		.has_v6 = true,
		.expiry_ms = FLEET_NO_TIME,
		.last_seen_ms = FLEET_NO_TIME };
	d.user = user_of(&c->f, topology, json_string_value(json_object_get(node, "user")));
	assert_true(addr_parse(json_string_value(json_object_get(node, "ipv4")), &d.v4));
	assert_true(addr_parse(json_string_value(json_object_get(node, "ipv6")), &d.v6));
	memset(d.key.b, (int)id, KEY_LEN);
	copy_list(&a, json_object_get(node, "tags"), &d.tags);
	copy_list(&a, json_object_get(node, "approved_routes"), &d.routes);
	if (json_array_size(offers)) {
		char *list = json_dumps(offers, 0);
		snprintf(hostinfo, sizeof(hostinfo), "{\"RoutableIPs\":%s}", list);
		free(list);
	}
	d.hostinfo_json = hostinfo;
	struct member *plain = member_copy(&d);
	for (size_t i = 0; i < json_array_size(offers); i++) {
		const char *route = json_string_value(json_array_get(offers, i));
		struct prefix p;
		if (prefix_parse(route, &p) && !has_text(&d.routes, route) &&
			policy_approves(c->p, &c->f, plain, &p))
			d.routes.v[d.routes.n++] = route;
	}
	member_put(plain);
	assert_true(fleet_put(&c->f, member_copy(&d)));
	arena_free(&a);
}

static void make_tailnet(struct capture *c, json_t *topology)
{
	const char *name;
	json_t *node, *users = json_object_get(topology, "users"), *u;
	int64_t id = 0;
	size_t i;
	fleet_init(&c->f, 1);
	c->nodes = json_object_get(topology, "nodes");
	json_array_foreach(users, i, u)
	{
		struct user put = { .id = json_integer_value(json_object_get(u, "id")) };
		snprintf(put.name, sizeof(put.name), "%s", json_string_value(json_object_get(u, "email")));
		fleet_user_put(&c->f, &put);
	}
	json_object_foreach(c->nodes, name, node) put_node(c, topology, name, node, ++id);
}

/* How many viewers were told that the route is behind this node. */
static unsigned times_told(const struct capture *c, const char *name, const char *route)
{
	const char *viewer;
	json_t *told;
	unsigned n = 0;
	json_object_foreach(c->expect, viewer, told)
	{
		json_t *routes = json_object_get(json_object_get(told, "peer_routes"), name);
		for (size_t i = 0; i < json_array_size(routes); i++)
			n += !strcmp(json_string_value(json_array_get(routes, i)), route);
	}
	return n;
}

/* Of several that carry a subnet one serves it. Which one is the recording's state, not the policy's: the one
 * that most viewers were told of, and the first where nobody was. */
static bool is_primary(const struct capture *c, const struct member *m, const char *route)
{
	unsigned own = times_told(c, m->name, route);
	struct prefix p;
	assert_true(prefix_parse(route, &p));
	for (size_t i = 0; i < c->f.n; i++) {
		const struct member *o = c->f.v[i];
		unsigned n = times_told(c, o->name, route);
		for (size_t k = 0; k < o->carries.n; k++)
			if (prefix_equal(&o->carries.v[k], &p) && (n > own || (n == own && o->id < m->id)))
				return false;
	}
	return true;
}

static void settle_routes(struct capture *c)
{
	for (size_t i = 0; i < c->f.n; i++) {
		struct member d = *c->f.v[i];
		struct prefix served[16];
		char route[PREFIX_TEXT];
		d.served = (struct ctl_prefixes) { .v = served };
		for (size_t k = 0; k < d.carries.n && d.served.n < ARRAY_LEN(served); k++)
			if (!d.carries.v[k].bits ||
				is_primary(c, c->f.v[i], prefix_format(&d.carries.v[k], route)))
				served[d.served.n++] = d.carries.v[k];
		assert_true(fleet_put(&c->f, member_copy(&d)));
	}
}

/* --- comparing --- */

static void differ(
	struct capture *c, const char *node, const char *what, const char *ours, const char *theirs)
{
	if (!*c->why)
		snprintf(c->why, sizeof(c->why), "%s: %s\n  ours:   %.800s\n  theirs: %.800s", node, what,
			ours, theirs);
}

static void compare_filter(struct capture *c, const struct member *m, json_t *told)
{
	struct buf ours = { 0 }, theirs = { 0 };
	json_t *filter = json_object_get(told, "filter"), *none = json_array();
	print_ours(c, m, &ours);
	print_recorded(filter ? filter : none, &theirs);
	if (strcmp(ours.len ? buf_cstr(&ours) : "", theirs.len ? buf_cstr(&theirs) : "") != 0)
		differ(c, m->name, "filter", ours.len ? buf_cstr(&ours) : "",
			theirs.len ? buf_cstr(&theirs) : "");
	json_decref(none);
	buf_free(&ours);
	buf_free(&theirs);
}

static bool lists(json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_array_get(list, i)), text))
			return true;
	return false;
}

static void compare_peers(struct capture *c, const struct member *m, json_t *told)
{
	json_t *peers = json_object_get(told, "peers"), *all = json_object_get(told, "peer_routes");
	for (size_t i = 0; i < c->f.n; i++) {
		const struct member *o = c->f.v[i];
		bool sees = policy_sees(c->p, &c->f, c->cache, m, o);
		if (o == m)
			continue;
		assert_int_equal(sees, policy_allows(c->p, &c->f, m, o) || policy_allows(c->p, &c->f, o, m));
		if (sees != lists(peers, o->name))
			differ(c, m->name, "peer", sees ? o->name : "-", sees ? "-" : o->name);
		for (size_t k = 0; k < o->carries.n && sees; k++) {
			char route[PREFIX_TEXT];
			prefix_format(&o->carries.v[k], route);
			if (!o->carries.v[k].bits)
				continue;
			bool shows = policy_shows_route(c->p, &c->f, m, o, &o->carries.v[k]);
			if (shows != lists(json_object_get(all, o->name), route))
				differ(c, m->name, o->name, shows ? route : "-", shows ? "-" : route);
		}
	}
}

static bool is_base_cap(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(base_caps); i++)
		if (!strcmp(name, base_caps[i]))
			return true;
	return false;
}

static void compare_attrs(struct capture *c, const struct member *m, json_t *told)
{
	struct arena a = { 0 };
	struct ctl_strings ours;
	json_t *caps = json_object_get(told, "caps"), *cap;
	size_t i;
	assert_true(policy_attrs(c->p, &c->f, m, &a, &ours));
	json_array_foreach(caps, i,
		cap) if (!is_base_cap(json_string_value(cap)) && !has_text(&ours, json_string_value(cap)))
		differ(c, m->name, "attribute", "-", json_string_value(cap));
	for (i = 0; i < ours.n; i++)
		if (!lists(caps, ours.v[i]))
			differ(c, m->name, "attribute", ours.v[i], "-");
	arena_free(&a);
}

/* Who may log in as what: sorted "address name=local" for each name that is not refused. A recorded rule for
 * a login from a node on itself, where it is no destination, is left out. */
static void add_logins(json_t *rules, const struct capture *c, const struct member *m, json_t *out)
{
	json_t *rule, *p, *local;
	const char *login;
	char v4[ADDR_TEXT], v6[ADDR_TEXT];
	size_t i, k;
	addr_format(&m->v4, v4);
	addr_format(&m->v6, v6);
	json_array_foreach(rules, i, rule) json_array_foreach(json_object_get(rule, "principals"), k, p)
	{
		const char *ip = json_string_value(json_object_get(p, "nodeIP"));
		char *env = json_dumps(json_object_get(rule, "acceptEnv"), JSON_ENCODE_ANY);
		if (c->own_logins || (strcmp(ip, v4) != 0 && strcmp(ip, v6) != 0))
			json_object_foreach(json_object_get(rule, "sshUsers"), login, local)
			{
				char key[512];
				snprintf(key, sizeof(key), "%s %s=%s %s", ip, login, json_string_value(local),
					env ? env : "");
				if (*json_string_value(local))
					json_object_set_new(out, key, json_true());
			}
		free(env);
	}
}

static void compare_logins(struct capture *c, const struct member *m, json_t *told)
{
	struct arena a = { 0 };
	const char *text;
	json_t *ours = json_object(), *theirs = json_object();
	assert_true(policy_ssh(c->p, &c->f, m, &a, &text));
	json_t *root = json_loads(text, 0, NULL);
	add_logins(json_object_get(root, "rules"), c, m, ours);
	add_logins(json_object_get(told, "ssh"), c, m, theirs);
	char *x = json_dumps(ours, JSON_SORT_KEYS), *y = json_dumps(theirs, JSON_SORT_KEYS);
	if (strcmp(x, y) != 0)
		differ(c, m->name, "ssh", x, y);
	free(x);
	free(y);
	json_decref(ours);
	json_decref(theirs);
	json_decref(root);
	arena_free(&a);
}

static void compare_nodes(struct capture *c)
{
	for (size_t i = 0; i < c->f.n; i++) {
		json_t *told = json_object_get(c->expect, c->f.v[i]->name);
		if (!told)
			continue;
		compare_filter(c, c->f.v[i], told);
		compare_peers(c, c->f.v[i], told);
		compare_attrs(c, c->f.v[i], told);
		compare_logins(c, c->f.v[i], told);
	}
}

/* "" in c->why: as recorded. */
static void run_case(struct capture *c, json_t *one, json_t *topologies)
{
	json_t *topology = json_object_get(topologies, json_string_value(json_object_get(one, "topology")));
	char *text = json_dumps(json_object_get(one, "policy"), 0);
	struct errbuf eb = { 0 };
	c->own_logins = !strstr(text, "localpart:*@");
	bool taken = json_integer_value(json_object_get(one, "status")) == 200;
	c->id = json_string_value(json_object_get(one, "id"));
	c->expect = json_object_get(one, "expect");
	c->p = policy_parse(text, strlen(text), &eb);
	c->cache = policy_cache_new();
	make_tailnet(c, topology);
	settle_routes(c);
	bool ours = c->p && policy_test(c->p, &c->f, &eb) == 0;
	if (ours != taken)
		differ(c, c->id, "the file", ours ? "taken" : eb.text,
			taken ? "taken"
			      : json_string_value(json_object_get(json_object_get(one, "error"), "message")));
	if (ours && taken)
		compare_nodes(c);
	policy_cache_free(c->cache);
	fleet_fini(&c->f);
	policy_free(c->p);
	free(text);
}

static const char *known_reason(const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i].id, id))
			return known[i].why;
	return NULL;
}

static void count_case(struct capture *c, const char *set, struct counts *counts)
{
	size_t at = 0;
	const char *why = known_reason(c->id);
	while (at + 1 < SETS && strcmp(sets[at], set) != 0)
		at++;
	if (!*c->why && why)
		print_error("%s agrees now: take it off the list\n", c->id);
	if (*c->why && !why)
		print_error("%s: %s\n", c->id, c->why);
	if (!*c->why == !why)
		(*c->why ? &counts[at].reason : &counts[at].agree)[0]++;
	else
		counts[at].fail++;
}

static json_t *load(const char *name)
{
	const char *root = getenv("RW_SOURCE_DIR");
	char path[1024];
	snprintf(path, sizeof(path), "%s/../shared/captures/policy/%s", root ? root : ".", name);
	return json_load_file(path, JSON_DISABLE_EOF_CHECK, NULL);
}

static void test_captures(void **state)
{
	const char *root = getenv("RW_SOURCE_DIR");
	struct counts counts[SETS] = { 0 };
	json_t *topologies = load("topologies.json");
	char path[1024];
	unsigned failed = 0;
	(void)state;
	snprintf(path, sizeof(path), "%s/../shared/captures/policy/cases.jsonl", root ? root : ".");
	FILE *f = fopen(path, "r");
	if (!f || !topologies) {
		print_message("%s is not there: the recorded answers cannot be compared\n", path);
		skip();
	}
	for (json_t *one; (one = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)); json_decref(one)) {
		struct capture c = { 0 };
		run_case(&c, one, topologies);
		count_case(&c, json_string_value(json_object_get(one, "set")), counts);
	}
	fclose(f);
	json_decref(topologies);
	for (size_t i = 0; i < SETS; i++) {
		print_message("%-10s %3u agree, %2u differ with a reason, %u fail\n", sets[i],
			counts[i].agree, counts[i].reason, counts[i].fail);
		failed += counts[i].fail;
	}
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_captures) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
