#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/policy/test/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What every node is told there, whatever the policy says. */
static const char *const base_caps[] = { "https://tailscale.com/cap/file-sharing",
	"https://tailscale.com/cap/is-admin", "https://tailscale.com/cap/is-owner",
	"https://tailscale.com/cap/ssh", "https://tailscale.com/cap/tailnet-lock", "probe-udp-lifetime",
	"ssh-behavior-v1", "ssh-env-vars", "store-appc-routes", "tailnet-display-name",
	"default-auto-update" };

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

void capture_print_filter(json_t *filter, struct buf *out)
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

void capture_print_rules(const struct ctl_rule *rules, size_t n, struct buf *out)
{
	struct lines l = { 0 };
	for (size_t i = 0; i < n; i++)
		add_rule(&l, &rules[i]);
	print_lines(&l, out);
}

/* --- the tailnet of a case --- */

static int64_t user_of(json_t *topology, const char *name)
{
	json_t *users = json_object_get(topology, "users"), *u;
	size_t i;
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
	d.user = user_of(topology, json_string_value(json_object_get(node, "user")));
	d.role = fleet_role(&c->f, d.user);
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

bool capture_lists(json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_array_get(list, i)), text))
			return true;
	return false;
}

/* The user's nodes were told so; a tagged node is told that it is an owner's whoever made it. */
static enum user_role role_of(const struct capture *c, const char *user)
{
	const char *name;
	json_t *node;
	json_object_foreach(c->nodes, name, node)
	{
		const char *of = json_string_value(json_object_get(node, "user"));
		json_t *caps = json_object_get(json_object_get(c->expect, name), "caps");
		if (!of || strcmp(of, user) != 0 || json_array_size(json_object_get(node, "tags")))
			continue;
		if (capture_lists(caps, "https://tailscale.com/cap/is-owner"))
			return USER_OWNER;
		if (capture_lists(caps, "https://tailscale.com/cap/is-admin"))
			return USER_ADMIN;
	}
	return USER_MEMBER;
}

void capture_make_fleet(struct capture *c, json_t *topology)
{
	const char *name;
	json_t *node, *users = json_object_get(topology, "users"), *u;
	int64_t id = 0;
	size_t i;
	fleet_init(&c->f, 1);
	c->nodes = json_object_get(topology, "nodes");
	json_array_foreach(users, i, u)
	{
		struct user put = { .id = json_integer_value(json_object_get(u, "id")),
			.role = role_of(c, json_string_value(json_object_get(u, "name"))) };
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

void capture_settle_routes(struct capture *c)
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

bool capture_is_base_cap(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(base_caps); i++)
		if (!strcmp(name, base_caps[i]))
			return true;
	return false;
}

/* Who may log in as what: sorted "address name=local" for each name that is not refused. A recorded rule for
 * a login from a node on itself, where it is no destination, is left out. */
void capture_add_logins(json_t *rules, const struct capture *c, const struct member *m, json_t *out)
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
		bool held = json_object_get(json_object_get(rule, "action"), "holdAndDelegate");
		char *env = json_dumps(json_object_get(rule, "acceptEnv"), JSON_ENCODE_ANY);
		if (c->own_logins || (strcmp(ip, v4) != 0 && strcmp(ip, v6) != 0))
			json_object_foreach(json_object_get(rule, "sshUsers"), login, local)
			{
				char key[512];
				snprintf(key, sizeof(key), "%s %s=%s %s%s", ip, login,
					json_string_value(local), env ? env : "", held ? " when let in" : "");
				if (*json_string_value(local))
					json_object_set_new(out, key, json_true());
			}
		free(env);
	}
}

json_t *capture_load(const char *name)
{
	const char *root = getenv("RW_SOURCE_DIR");
	char path[1024];
	snprintf(path, sizeof(path), "%s/../shared/captures/policy/%s", root ? root : ".", name);
	return json_load_file(path, JSON_DISABLE_EOF_CHECK, NULL);
}
