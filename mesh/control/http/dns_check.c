/* How the nameservers fare that nodes are told: which machine of the network it is, who may ask it by the access rules, and
 * what it answers. The question goes out from here, so that it says nothing of a machine that this one cannot reach. */
#include "mesh/base/text.h"
#include "mesh/control/http/values.h"
#include "mesh/control/http/verbs.h"
#include "mesh/control/policy/policy.h"
#include "resolver/ask.h"
#include "resolver/message.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_PORT = 53, PROTO_UDP = 17, NAMED_MAX = 8, CHECKS_MAX = 8, WHY_MAX = 400 };

/* --- what is known of each --- */

static bool may_ask(
	const struct api *a, const struct member *from, const struct member *to, const struct addr *at)
{
	bool v4 = addr_is_v4(at);
	struct policy_answer r = { 0 };
	struct policy_question q = { .from = from,
		.to = to,
		.from_at = v4 ? from->v4 : from->v6,
		.to_at = *at,
		.proto = PROTO_UDP,
		.port = DNS_PORT };
	if (v4 ? !from->has_v4 : !from->has_v6)
		return false;
	policy_explain(a->streams->set->policy, &a->reg->fleet, &q, &r);
	return r.step == POLICY_PASSES;
}

/* Of the other nodes; `without` names some of those that may not. */
static void add_askers(json_t *o, const struct api *a, const struct member *to, const struct addr *at)
{
	const struct fleet *f = &a->reg->fleet;
	json_t *without = json_array();
	json_int_t n = 0, of = 0;
	for (size_t i = 0; i < f->n; i++) {
		if (f->v[i] == to)
			continue;
		of++;
		if (may_ask(a, f->v[i], to, at))
			n++;
		else if (json_array_size(without) < NAMED_MAX)
			json_array_append_new(without, json_string(f->v[i]->name));
	}
	json_object_set_new(o, "asked_by", json_integer(n));
	json_object_set_new(o, "machines", json_integer(of));
	json_object_set_new(o, "without", without);
}

static json_t *server_value(const struct api *a, const char *text, const char *suffix)
{
	struct addr at;
	const struct member *m = addr_parse(text, &at) ? fleet_by_address(&a->reg->fleet, &at) : NULL;
	json_t *o = json_pack("{s:s, s:s}", "address", text, "suffix", suffix);
	if (!m)
		return o;
	json_object_set_new(o, "node", json_integer(m->id));
	json_object_set_new(o, "name", json_string(m->name));
	json_object_set_new(o, "online", json_boolean(m->online));
	json_object_set_new(o, "expired", json_boolean(member_is_expired(m, clock_unix_ms())));
	json_object_set_new(o, "last_seen", value_time(m->last_seen_ms));
	add_askers(o, a, m, &at);
	return o;
}

static void add_servers(
	json_t *list, const struct api *a, const struct ctl_resolver *v, size_t n, const char *suffix)
{
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, server_value(a, v[i].addr, suffix));
}

void admin_dns_servers(struct api_call *c)
{
	const struct ctl_dns *d = &c->api->streams->set->dns;
	json_t *list = json_array();
	add_servers(list, c->api, d->resolvers, d->n_resolvers, ".");
	if (!d->n_resolvers)
		add_servers(list, c->api, d->fallback, d->n_fallback, ".");
	for (size_t i = 0; i < d->n_routes; i++)
		add_servers(list, c->api, d->routes[i].resolvers, d->routes[i].n, d->routes[i].suffix);
	api_reply_json(&c->way, 200, list);
}

/* --- what it answers --- */

struct dns_check {
	struct api *api;
	struct api_later *later;
	struct dns_asking *asking;
	uint64_t began_ms;
	char server[ADDR_TEXT];
};

static void check_dropped(void *arg)
{
	struct dns_check *k = arg;
	dns_ask_cancel(k->asking);
	k->api->dns_checks--;
	free(k);
}

static json_t *checked_value(const char *server, bool well, bool reached, uint64_t took_ms, const char *why)
{
	return json_pack("{s:s, s:b, s:b, s:I, s:s}", "server", server, "well", well, "reached", reached,
		"took_ms", (json_int_t)took_ms, "why", why);
}

static bool is_out_of_reach(int code)
{
	return code == -ETIMEDOUT || code == -EHOSTUNREACH || code == -ENETUNREACH;
}

/* A sentence. */
static void say_checked(int code, size_t len, unsigned rcode, char why[static WHY_MAX])
{
	if (is_out_of_reach(code))
		snprintf(why, WHY_MAX,
			"it does not answer, or the server's own machine does not reach it: the addresses of "
			"the "
			"network are for machines that are in it");
	else if (code)
		snprintf(why, WHY_MAX, "it cannot be asked: %s", err_text(code));
	else if (len < DNS_HEADER)
		snprintf(why, WHY_MAX, "its answer is none");
	else if (rcode == DNS_REFUSED)
		snprintf(why, WHY_MAX,
			"it refuses to answer: a pi-hole takes the network for strangers until all origins "
			"are "
			"permitted (Settings, DNS, Interface settings)");
	else if (rcode == DNS_SERVFAIL)
		snprintf(why, WHY_MAX,
			"it answers, but finds nothing out (SERVFAIL): whom does it ask itself?");
	else
		snprintf(why, WHY_MAX, "it answers");
}

static void check_answered(void *arg, int code, const uint8_t *answer, size_t len)
{
	struct dns_check *k = arg;
	const struct api_way way = api_later_way(k->later);
	unsigned rcode = len >= DNS_HEADER ? answer[3] & 15 : 0;
	bool well = !code && len >= DNS_HEADER && rcode != DNS_REFUSED && rcode != DNS_SERVFAIL;
	char why[WHY_MAX];
	say_checked(code, len, rcode, why);
	json_t *o = checked_value(k->server, well, !is_out_of_reach(code),
		loop_now_ms(k->api->streams->loop) - k->began_ms, why);
	k->api->dns_checks--;
	free(k);
	api_reply_json(&way, 200, o);
}

static const char *checked_name(const struct api_call *c)
{
	const char *name = verb_text(c, "name");
	return *name ? name : "example.com";
}

/* An answer, or the check that brings it. */
static void check_start(struct api_call *c, const struct endpoint *at)
{
	struct loop *l = c->api->streams->loop;
	struct errbuf eb = { .text = "the server is short of memory" };
	struct dns_check *k = calloc(1, sizeof(*k));
	if (k) {
		*k = (struct dns_check) { .api = c->api, .began_ms = loop_now_ms(l) };
		snprintf(k->server, sizeof(k->server), "%s", verb_text(c, "server"));
		k->asking = dns_ask_start(l, at, checked_name(c), "A", check_answered, k, &eb);
	}
	if (!k || !k->asking) {
		free(k);
		api_reply_json(&c->way, 200, checked_value(verb_text(c, "server"), false, false, 0, eb.text));
		return;
	}
	c->api->dns_checks++;
	k->later = api_later_open(c, check_dropped, k);
	if (!k->later) /* answered */
		check_dropped(k);
}

void admin_dns_check(struct api_call *c)
{
	struct endpoint at = { .port = DNS_PORT }; /* and no other: nobody looks for ports by this */
	if (!addr_parse(verb_text(c, "server"), &at.ip))
		api_reply_error(&c->way, 400, "an address is wanted, such as 100.64.0.7");
	else if (!dns_ask_valid(checked_name(c), "A"))
		api_reply_error(&c->way, 400, "that is no name that can be asked for");
	else if (c->api->dns_checks >= CHECKS_MAX)
		api_reply_error(&c->way, 503, "too many nameservers are being asked: try again");
	else
		check_start(c, &at);
}
