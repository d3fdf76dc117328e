#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

/* Routers: their NAT, and what they are behind. */
struct router_words {
	const char *behind;
	const struct yaml_value *nat, *lan, *ip, *link, *region, *uplinks, *firewall, *routes, *nat64, *nptv6,
		*portmap, *balance;
	int udp, offers;
	bool accepts_wan;
};

static const char *const offer_words[] = { "all", "ipv4", "ipv6", NULL };
const char *const scenario_udp_words[] = { "open", "blocked", NULL };

const struct schema_form nat_form = { .words = nat_preset_words, .map = &nat_table };
static const struct schema_form address_form = { .word = true },
				router_firewall_form = { .map = &firewall_table },
				uplinks_form = { .named = &uplink_table },
				nat64_form = { .map = &nat64_table }, nptv6_form = { .map = &nptv6_table };

#define AT(field) offsetof(struct router_words, field)
static const struct schema_row router_rows[] = {
	{ "nat", SCHEMA_KEEP, AT(nat), .required = true, .form = &nat_form,
		.doc = "a word of the table below, or the long form" },
	{ "behind", SCHEMA_STRING, AT(behind), .def = "internet", .doc = "another router; any depth" },
	{ "ip", SCHEMA_KEEP, AT(ip), .form = &address_form, .def = "chosen",
		.doc = "its outer address: of the network it is behind, or any on the internet" },
	{ "lan", SCHEMA_KEEP, AT(lan), .form = &address_form, .def = "chosen",
		.doc = "its inner network, as `192.168.1.0/24`, from /8 to /24; the router is the first in "
		       "it; no range that it reaches outside" },
	{ "region", SCHEMA_KEEP, AT(region), .form = &address_form,
		.doc = "of the internet, where it is not behind another" },
	{ "link", SCHEMA_KEEP, AT(link), .form = &link_form, .doc = "what its outer link does to packets" },
	{ "uplinks", SCHEMA_KEEP, AT(uplinks), .form = &uplinks_form,
		.doc = "up to four outer sides, of which one is in use, or all (`balance`), instead of "
		       "`behind`, `ip`, `link` "
		       "and `region`; needs a `nat`, and IPv4 alone" },
	{ "balance", SCHEMA_KEEP, AT(balance), .form = &balance_form,
		.doc = "`flow`: all uplinks that are up are in use, and each flow has one of them" },
	{ "offers", SCHEMA_WORD, AT(offers), .words = offer_words, .def = "all",
		.doc = "the addresses that hosts of its inner network get; `ipv6` alone needs `ipv6: true`" },
	{ "nat64", SCHEMA_KEEP, AT(nat64), .form = &nat64_form,
		.doc = "what has IPv6 inside reaches IPv4; needs a `nat` and `ipv6: true`" },
	{ "nptv6", SCHEMA_KEEP, AT(nptv6), .form = &nptv6_form,
		.doc = "IPv6 of the inside has another prefix outside; needs `ipv6: true`" },
	{ "portmap", SCHEMA_KEEP, AT(portmap), .form = &portmap_form,
		.doc = "it maps ports for hosts of its inside that ask for one; needs a `nat`" },
	{ "firewall", SCHEMA_KEEP, AT(firewall), .form = &router_firewall_form,
		.doc = "of what it forwards, in addresses of the inside" },
	{ "routes", SCHEMA_KEEP, AT(routes), .form = &routes_form,
		.doc = "networks that it reaches by a host of its inner or outer network, as `10.0.0.0/8 via "
		       "192.168.1.7`" },
	{ "udp", SCHEMA_WORD, AT(udp), .words = scenario_udp_words, .def = "open",
		.doc = "`blocked`: no UDP is forwarded, DNS included" },
	{ "count", SCHEMA_CUSTOM, .read = count_skip, .form = &count_form, .doc = COUNT_DOC },
	{ "accepts-wan", SCHEMA_BOOL, AT(accepts_wan), .def = "false",
		.doc = "the router answers unsolicited packets itself, the fault that breaks hole punching" },
	{ 0 },
};
#undef AT
const struct schema_table router_table = { .name = "router",
	.about = "A router has one outer side, the internet or the network of `behind`, and one inner "
		 "network.",
	.rows = router_rows };

static int read_router(struct yaml_reader *y, const struct scenario *s, const struct yaml_pair *p,
	struct scn_router *r, const char **behind)
{
	struct router_words w = { 0 };
	char what[64];

	snprintf(what, sizeof(what), "router '%.32s'", p->key->text);
	r->name = p->key->text;
	r->at = p->key->at;
	int err = name_check(y, p->key), more = schema_read_map(y, p->value, what, router_rows, &w);
	err = err ? err : more;
	more = w.nat ? nat_read(y, w.nat, r) : 0;
	err = err ? err : more;
	more = router_net_read(y, w.lan, w.ip, r);
	err = err ? err : more;
	more = w.link ? link_read(y, w.link, &r->link) : 0;
	err = err ? err : more;
	more = w.region ? region_read(y, w.region, s, !w.behind || !strcmp(w.behind, "internet"), &r->region)
			: 0;
	err = err ? err : more;
	more = w.firewall ? firewall_read(y, w.firewall, &r->firewall) : 0;
	err = err ? err : more;
	more = w.nat64 ? nat64_read(y, w.nat64, &r->nat64) : 0;
	err = err ? err : more;
	more = w.nptv6 ? nptv6_read(y, w.nptv6, &r->nptv6) : 0;
	err = err ? err : more;
	more = w.portmap ? portmap_read(y, w.portmap, &r->portmap) : 0;
	err = err ? err : more;
	more = w.routes ? routes_read(y, w.routes, &r->routes) : 0;
	*behind = w.behind;
	const struct yaml_value *one = w.ip ? w.ip : w.link ? w.link : w.region;
	if (w.uplinks && (w.behind || one))
		return yaml_error(y, one ? one->at : p->key->at,
			"router '%s' has 'uplinks': 'behind', 'ip', 'link' and 'region' are of a router with "
			"one",
			p->key->text);
	if (err || more)
		return err ? err : more;
	if (w.accepts_wan && !r->nat)
		return yaml_error(y, p->key->at, "'accepts-wan' is a fault of a NAT; router '%s' has none",
			p->key->text);
	if (w.nat64 && !r->nat)
		return yaml_error(y, w.nat64->at,
			"'nat64' shares a NAT's outer addresses; router '%s' has none", p->key->text);
	if (w.portmap && !r->nat)
		return yaml_error(y, w.portmap->at, "'portmap' maps ports of a NAT; router '%s' has none",
			p->key->text);
	r->model.accepts_wan |= w.accepts_wan;
	r->udp_blocked = w.udp;
	r->offers = (enum scn_offer)w.offers;
	return 0;
}

int router_by_name(
	struct yaml_reader *y, const struct scenario *s, struct scn_at at, const char *name, int *out)
{
	const char *names[256] = { "internet" };

	if (!strcmp(name, "internet")) {
		*out = -1;
		return 0;
	}
	*out = scenario_find_router(s, name);
	if (*out >= 0)
		return 0;
	for (size_t i = 0; i < s->n_routers && i < ARRAY_LEN(names) - 2; i++)
		names[i + 1] = s->routers[i].name;
	return yaml_error_near(y, at, name, names, "no router '%s'", name);
}

static int cut_uplink_circles(struct yaml_reader *y, struct scenario *s, size_t i)
{
	struct scn_router *r = &s->routers[i];
	int first = 0;

	for (size_t k = 0; k < r->n_uplinks; k++)
		for (int up = r->uplinks[k].network; up >= 0; up = s->routers[up].behind)
			if (up == (int)i) {
				int err = yaml_error(
					y, r->uplinks[k].at, "router '%s' would be behind itself", r->name);
				first = first ? first : err;
				r->uplinks[k].network = -1;
				break;
			}
	return first;
}

static bool is_behind_itself(const struct scenario *s, int router)
{
	int up = s->routers[router].behind;

	for (size_t hops = 0; up >= 0 && up != router && hops < s->n_routers; hops++)
		up = s->routers[up].behind;
	return up == router;
}

/* Such a router is on the internet from here on: what else is wrong is looked for by those who follow the way up. */
static int cut_circles(struct yaml_reader *y, struct scenario *s)
{
	int first = 0;

	for (size_t i = 0; i < s->n_routers; i++)
		if (is_behind_itself(s, (int)i)) {
			int err = yaml_error(
				y, s->routers[i].at, "router '%s' is behind itself", s->routers[i].name);
			first = first ? first : err;
			s->routers[i].behind = -1;
		}
	for (size_t i = 0; i < s->n_routers; i++) {
		int err = cut_uplink_circles(y, s, i);
		first = first ? first : err;
	}
	return first;
}

int routers_read(struct yaml_reader *y, const struct yaml_value *v, struct scenario *s)
{
	size_t n = v ? v->n : 0;

	if (v && v->type != YAML_MAP)
		return yaml_error(y, v->at, "'routers' must be a map, not %s", yaml_type_name(v));
	s->routers = arena_array(y->arena, n + 1, sizeof(*s->routers));
	const char **behind = arena_array(y->arena, n + 1, sizeof(*behind));
	if (!s->routers || !behind)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many routers", y->file);
	int first = 0;
	for (size_t i = 0; i < n; i++, s->n_routers++) {
		int err = read_router(y, s, &v->pairs[i], &s->routers[i], &behind[i]);
		first = first ? first : err;
	}
	for (size_t i = 0; i < n; i++) {
		struct scn_router *r = &s->routers[i];
		r->behind = -1;
		int err = behind[i] ? router_by_name(y, s, yaml_get(v->pairs[i].value, "behind")->at,
					      behind[i], &r->behind)
				    : 0;
		first = first ? first : err;
		const struct yaml_value *body = v->pairs[i].value,
					*uplinks = body->type == YAML_MAP ? yaml_get(body, "uplinks") : NULL;
		const struct yaml_value *balance = body->type == YAML_MAP ? yaml_get(body, "balance") : NULL;
		err = uplinks ? uplinks_read(y, s, uplinks, r) : 0;
		first = first ? first : err;
		err = balance && !err ? balance_read(y, balance, r) : 0;
		first = first ? first : err;
	}
	int err = cut_circles(y, s);
	return first ? first : err;
}
