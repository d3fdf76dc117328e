/* LocalAPI's preferences: told, changed one by one (PATCH), or as a whole (start). What this node does not
 * have is refused, never ignored: a client would believe it was done. */
#include "mesh/netmap/exits.h"
#include "mesh/base/log.h"
#include "mesh/base/via6.h"
#include "mesh/node/links/server_key.h"
#include "mesh/node/local/local_request.h"
#include "mesh/proto/control_equal.h"
#include "mesh/proto/json_memory.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_MAX = 256 };

static const char no_auto_exit[] =
	"no exit is chosen by itself here (auto:any): `ropewalk exit-node suggest` names the "
	"nearest, and `ropewalk set --exit-node=NAME` uses it";

/* Preferences of official clients that change how a machine behaves, and the options that set them. */
static const struct {
	const char *pref, *option;
} elsewhere[] = {
	{ "AutoExitNode", "--exit-node" },
	{ "AdvertiseServices", "--advertise-services" },
	{ "AppConnector", "--advertise-connector" },
	{ "RunSSH", "--ssh" },
	{ "RunWebClient", "--webclient" },
	{ "ProfileName", "--nickname" },
	{ "RelayServerPort", "--relay-server-port" },
};

static const char *option_of(const char *pref)
{
	for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
		if (strcmp(elsewhere[i].pref, pref) == 0)
			return elsewhere[i].option;
	}
	return NULL;
}

/* false, 0, "", [], null, and objects of nothing else. */
static bool is_nothing(const json_t *v)
{
	const char *key;
	json_t *inner;
	if (json_is_object(v)) {
		json_object_foreach((json_t *)(uintptr_t)v, key, inner)
		{
			if (json_is_object(inner) || !is_nothing(inner))
				return false;
		}
		return true;
	}
	return !v || json_is_null(v) || json_is_false(v) || (json_is_string(v) && !json_string_length(v)) ||
	       (json_is_array(v) && !json_array_size(v)) || (json_is_integer(v) && !json_integer_value(v));
}

/* A port of 0 is a wish too: any port. */
static bool is_wished(const char *pref, const json_t *v)
{
	return strcmp(pref, "RelayServerPort") == 0 ? v && !json_is_null(v) : !is_nothing(v);
}

static void say_missing(const char *pref, char why[static WHY_MAX])
{
	const char *option = option_of(pref);
	if (strcmp(pref, "AutoExitNode") == 0)
		snprintf(why, WHY_MAX, "%s", no_auto_exit);
	else if (option)
		snprintf(why, WHY_MAX, "ropewalkd has nothing like %s (preference %s): leave it away", option,
			pref);
	else
		snprintf(why, WHY_MAX, "ropewalkd has no preference %.60s: leave it away", pref);
}

static bool missing_in_whole(const json_t *prefs, char why[static WHY_MAX])
{
	for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
		if (!is_wished(elsewhere[i].pref, json_object_get(prefs, elsewhere[i].pref)))
			continue;
		say_missing(elsewhere[i].pref, why);
		return true;
	}
	return false;
}

static bool is_ours(const char *pref)
{
	static const char *const ours[] = { "ControlURL", "CorpDNS", "WantRunning", "LoggedOut", "Hostname",
		"OperatorUser", "RouteAll", "AdvertiseRoutes", "AdvertiseTags", "ShieldsUp", "NoSNAT",
		"NoStatefulFiltering", "RoutesPrefer", "ServerKey", "ExitNodeID", "ExitNodeIP",
		"ExitNodeAllowLANAccess", "NetfilterMode" };
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (strcmp(ours[i], pref) == 0)
			return true;
	}
	return false;
}

/* Every "FooSet" that holds must be one of ours, or set Foo to what it is here anyway. */
static bool missing_in_mask(json_t *prefs, char why[static WHY_MAX])
{
	const char *key;
	json_t *set;
	json_object_foreach(prefs, key, set)
	{
		char pref[64];
		size_t len = strlen(key);
		if (len < 4 || strcmp(key + len - 3, "Set") != 0 || is_nothing(set))
			continue;
		snprintf(pref, sizeof(pref), "%.*s", (int)(len - 3), key);
		if (is_ours(pref) || !is_wished(pref, json_object_get(prefs, pref)))
			continue;
		say_missing(pref, why);
		return true;
	}
	return false;
}

enum shape { WHOLE, MASKED, INSIDE_START };
/* true, and why: the body asks for what is not here. What is no JSON is for the reader to complain about. */
static bool asks_too_much(const struct request *r, enum shape shape, char why[static WHY_MAX])
{
	json_t *doc = json_memory_load(r->body ? r->body : "", r->len, 0, NULL, NULL);
	json_t *prefs = shape == INSIDE_START ? json_object_get(doc, "UpdatePrefs") : doc;
	bool bad = json_is_object(prefs) &&
		   (shape == MASKED ? missing_in_mask(prefs, why) : missing_in_whole(prefs, why));
	json_decref(doc);
	return bad;
}

/* pin: KEY_TEXT, lent to what is returned; NULL: the pin is left out. */
static struct api_prefs current_prefs(const struct local_facts *f, char *pin)
{
	bool pinned = pin && !key_is_zero(f->prefs->server_pin.b);
	return (struct api_prefs) { .control_url = f->prefs->control_url,
		.hostname = f->prefs->hostname,
		.operator_user = f->prefs->operator_user,
		.want_running = f->prefs->want_running,
		.logged_out = !f->logged_in,
		.corp_dns = f->prefs->accept_dns,
		.route_all = f->prefs->accept_routes,
		.shields_up = f->prefs->shields_up,
		.advertise_routes = { .v = (struct prefix *)(uintptr_t)f->prefs->offered,
			.n = f->prefs->n_offered },
		.no_snat = f->prefs->no_snat,
		.no_stateful_filtering = f->prefs->unasked ? OPT_TRUE : OPT_FALSE,
		.routes_prefer = f->prefs->routes_before_own ? "mesh" : "lan",
		.server_key = pinned ? key_format(f->prefs->server_pin.b, "mkey:", pin) : "",
		.exit_node_id = "",
		.exit_node_ip = "",
		.exit_prior = f->prefs->exit_prior,
		.exit_allow_lan = f->prefs->exit_allow_lan,
		.user = { f->login_name },
		.has_user = f->logged_in,
		.netfilter = f->prefs->no_netfilter ? API_NETFILTER_OFF : API_NETFILTER_ON };
}

/* Clients that show a list know an exit by its StableID. */
static void name_exit(const struct request *r, const struct state_prefs *now, struct api_prefs *p)
{
	const struct netmap *m = r->node->map(r->node->arg);
	const struct netmap_peer *peer = m ? netmap_exit_find(m, now->exit_node) : NULL;
	struct addr ip;
	if (peer)
		p->exit_node_id = peer->node.stable_id;
	else if (addr_parse(now->exit_node, &ip))
		p->exit_node_ip = now->exit_node;
	else
		p->exit_node_id = now->exit_node;
}

void local_prefs_reply(struct request *r)
{
	struct buf b = { 0 };
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	char pin[KEY_TEXT];
	struct api_prefs p = current_prefs(&f, pin);
	struct arena a = { 0 };
	p.advertise_tags = state_tags(&a, f.prefs);
	name_exit(r, f.prefs, &p);
	bool ok = api_prefs_write(&b, &p, NULL) && !a.failed;
	arena_free(&a);
	local_reply_json(r->conn, &b, ok);
}

static bool is_via6_network(const struct prefix *p)
{
	uint32_t site;
	struct prefix v4;
	return via6_extract(p, &site, &v4) && v4.bits;
}

static const char *check_offered(const struct ctl_prefixes *all)
{
	bool v4 = false, v6 = false;
	if (all->n > STATE_OFFERED_MAX)
		return "more than 256 networks are offered";
	for (size_t i = 0; i < all->n; i++) {
		struct prefix p = all->v[i];
		prefix_mask(&p);
		if (!prefix_equal(&p, &all->v[i]))
			return "a network that is offered has bits set behind its length: not "
			       "192.168.1.7/24, but 192.168.1.0/24";
		if (!p.bits)
			*(addr_is_v4(&p.ip) ? &v4 : &v6) = true;
		else if (via6_is(&p.ip)) {
			if (!is_via6_network(&p))
				return "a network of 4via6 is of one site, with at least one bit of its IPv4 "
				       "network: ropewalk debug via 7 192.168.1.0/24 says it";
		} else if (addr_is_mesh(&p.ip) || addr_is_loopback(&p.ip) || addr_is_link_local(&p.ip) ||
			   addr_is_multicast(&p.ip))
			return "a network that is offered is behind nobody: the mesh's own range, "
			       "loopback, link-local or multicast";
	}
	return v4 == v6 ? NULL
			: "half an exit is offered: both of 0.0.0.0/0 and ::/0, or --advertise-exit-node";
}

/* As --advertise-tags takes them. false: they are too long together. */
static bool join_tags(const struct ctl_strings *tags, char out[static STATE_TAGS_MAX])
{
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; i < tags->n; i++) {
		size_t n = strlen(tags->v[i]);
		if (n + 1 >= STATE_TAGS_MAX - len)
			return false;
		if (len)
			out[len++] = ',';
		memcpy(out + len, tags->v[i], n + 1);
		len += n;
	}
	return true;
}

static const char *check_tags(const struct ctl_strings *tags)
{
	char joined[STATE_TAGS_MAX];
	for (size_t i = 0; i < tags->n; i++) {
		const char *name = strncmp(tags->v[i], "tag:", 4) == 0 ? tags->v[i] + 4 : "";
		if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
						"0123456789-")])
			return "--advertise-tags: a tag is tag: and letters, digits and dashes, such as "
			       "tag:web";
	}
	return join_tags(tags, joined) ? NULL : "--advertise-tags: too many tags";
}

static const char *check_routes(const struct api_prefs *p, const struct api_prefs_mask *m)
{
	const char *prefer = p->routes_prefer;
	if (m->exit_node_id && strncmp(p->exit_node_id, "auto:", 5) == 0)
		return no_auto_exit;
	if (m->routes_prefer && *prefer && strcmp(prefer, "lan") != 0 && strcmp(prefer, "mesh") != 0)
		return "--routes-prefer is lan or mesh";
	if ((m->exit_node_id && strlen(p->exit_node_id) >= sizeof(((struct state *)0)->prefs.exit_node)) ||
		(m->exit_node_ip && strlen(p->exit_node_ip) >= ADDR_TEXT))
		return "the exit's name is too long";
	return m->advertise_routes ? check_offered(&p->advertise_routes) : NULL;
}

/* Zero: none is said. */
static struct machine_key pin_of(const struct api_prefs *p, const struct api_prefs_mask *m)
{
	struct machine_key key = { 0 };
	if (!m->server_key || !key_parse(p->server_key, "mkey:", key.b))
		key = (struct machine_key) { 0 };
	return key;
}

static const char *check_prefs(const struct api_prefs *p, const struct api_prefs_mask *m)
{
	struct url url;
	uid_t uid;
	struct machine_key pin = pin_of(p, m);
	if (m->server_key && p->server_key[0] && (!m->control_url || key_is_zero(pin.b)))
		return "the server's key is mkey: and 64 hex digits, and comes with the server's URL";
	if (m->control_url && !url_parse(p->control_url, &url))
		return "the login server must be a URL such as https://control.example.com";
	if (m->control_url && strlen(p->control_url) >= sizeof(((struct state *)0)->prefs.control_url))
		return "the login server's URL is too long";
	if (m->hostname && strlen(p->hostname) >= sizeof(((struct state *)0)->prefs.hostname))
		return "the host name is longer than 63 characters";
	if (m->operator_user && p->operator_user[0] &&
		(strlen(p->operator_user) >= sizeof(((struct state *)0)->prefs.operator_user) ||
			!local_user_id(p->operator_user, &uid)))
		return "the operator is no user of this machine: a name in /etc/passwd, or a number";
	if (m->netfilter && p->netfilter == API_NETFILTER_NODIVERT)
		return "--netfilter-mode is on or off: rules are in a table of ropewalkd's own, to which "
		       "nothing of yours could lead (nodivert)";
	const char *tags = m->advertise_tags ? check_tags(&p->advertise_tags) : NULL;
	if (tags)
		return tags;
	return check_routes(p, m);
}

static bool was_offered(const struct state_prefs *p, const struct prefix *net)
{
	for (size_t i = 0; i < p->n_offered; i++)
		if (prefix_equal(&p->offered[i], net))
			return true;
	return false;
}

/* Whoever names none by either member turns it off. */
static void take_exit(struct state_prefs *next, const struct api_prefs *p, const struct api_prefs_mask *m)
{
	const char *id = m->exit_node_id ? p->exit_node_id : "", *ip = m->exit_node_ip ? p->exit_node_ip : "";
	if (m->exit_allow_lan)
		next->exit_allow_lan = p->exit_allow_lan;
	if (m->exit_node_id || m->exit_node_ip)
		local_exit_take(next, *id ? id : ip);
}

static void take_routes(struct state_prefs *next, const struct api_prefs *p, const struct api_prefs_mask *m)
{
	if (m->route_all)
		next->accept_routes = p->route_all;
	if (m->no_snat)
		next->no_snat = p->no_snat;
	if (m->no_stateful_filtering)
		next->unasked = p->no_stateful_filtering == OPT_TRUE;
	if (m->routes_prefer && *p->routes_prefer)
		next->routes_before_own = strcmp(p->routes_prefer, "mesh") == 0;
	if (!m->advertise_routes)
		return;
	memset(next->offered, 0, sizeof(next->offered));
	next->n_offered = 0;
	for (size_t i = 0; i < p->advertise_routes.n; i++)
		if (!was_offered(next, &p->advertise_routes.v[i]))
			next->offered[next->n_offered++] = p->advertise_routes.v[i];
}

static void take_prefs(struct request *r, const struct api_prefs *p, const struct api_prefs_mask *m)
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	struct state_prefs next = *f.prefs;
	if (m->control_url && !url_same(next.control_url, p->control_url))
		next.server_pin = (struct machine_key) { 0 };
	if (m->control_url)
		snprintf(next.control_url, sizeof(next.control_url), "%s", p->control_url);
	if (m->server_key)
		next.server_pin = pin_of(p, m);
	if (m->hostname)
		snprintf(next.hostname, sizeof(next.hostname), "%s", p->hostname);
	if (m->operator_user)
		snprintf(next.operator_user, sizeof(next.operator_user), "%s", p->operator_user);
	if (m->want_running)
		next.want_running = p->want_running;
	if (m->corp_dns)
		next.accept_dns = p->corp_dns;
	if (m->shields_up)
		next.shields_up = p->shields_up;
	if (m->netfilter)
		next.no_netfilter = p->netfilter == API_NETFILTER_OFF;
	if (m->advertise_tags)
		(void)join_tags(&p->advertise_tags, next.tags); /* they fit, check_tags */
	take_routes(&next, p, m);
	take_exit(&next, p, m);
	r->node->prefs_set(r->node->arg, &next);
}

/* --- another server is tried before what the present one gave is dropped --- */

struct server_try {
	struct server_key_ask *ask;
	struct machine_key pin; /* zero: any will do */
	struct request waiting; /* without its head */
	char *body, url[sizeof(((struct state *)0)->prefs.control_url)];
	void (*run)(struct request *r);
};

static void try_free(struct server_try *t)
{
	t->waiting.node->trying(t->waiting.node->arg, "");
	key_wipe(t->body, t->waiting.len); /* it may hold an auth key */
	free(t->body);
	free(t);
}

static void server_tried(void *arg, const struct machine_key *key, bool reached, const char *why)
{
	struct server_try *t = arg;
	char text[1024];
	bool other = key && !key_is_zero(t->pin.b) && !key_equal(t->pin.b, key->b);
	t->waiting.client->trying = NULL;
	if (other) {
		snprintf(text, sizeof(text),
			"the server at %s has another key than the invitation says: another server, or "
			"somebody "
			"in between; nothing was changed",
			t->url);
		local_reply_error(t->waiting.conn, 502, text);
	} else if (key) {
		t->run(&t->waiting);
	} else {
		snprintf(text, sizeof(text), "%s at %s (%s); nothing was changed",
			reached ? "there is no control server" : "the new control server cannot be reached",
			t->url, why);
		local_reply_error(t->waiting.conn, 502, text);
	}
	try_free(t);
}

/* Of the server that this machine is logged in at another key is told: it would never be let in again. */
static bool is_other_key(const struct local_facts *f, const struct machine_key *pin)
{
	return f->logged_in && !key_is_zero(f->server->b) && !key_is_zero(pin->b) &&
	       !key_equal(f->server->b, pin->b);
}

/* true: the request waits, or is answered. */
static bool is_tried_first(struct request *r, const struct api_prefs *p, const struct api_prefs_mask *m,
	void (*run)(struct request *r))
{
	struct local_facts f;
	struct machine_key pin = pin_of(p, m);
	r->node->facts(r->node->arg, &f);
	if (r->server_tried || !m->control_url || !f.logged_in)
		return false;
	if (url_same(f.prefs->control_url, p->control_url)) {
		if (!is_other_key(&f, &pin))
			return false;
		local_reply_error(r->conn, 409,
			"this machine is logged in at that server, which had another key than the invitation "
			"says: if it was set up anew, run `ropewalk logout` first; nothing was changed");
		return true;
	}
	struct errbuf eb = { .text = "memory is short" };
	struct server_try *t = calloc(1, sizeof(*t));
	char *body = malloc(r->len + 1);
	if (t && body) {
		memcpy(body, r->body, r->len);
		*t = (struct server_try) { .waiting = *r, .body = body, .run = run };
		snprintf(t->url, sizeof(t->url), "%s", p->control_url);
		t->waiting.head = NULL;
		t->waiting.body = body;
		t->waiting.server_tried = true;
		r->node->trying(r->node->arg, t->url);
		t->pin = pin;
		t->ask = server_key_ask(
			r->loop, p->control_url, !key_is_zero(pin.b), &f.way, server_tried, t, &eb);
	}
	if (!t || !t->ask) {
		r->node->trying(r->node->arg, "");
		if (body)
			key_wipe(body, r->len); /* it may hold an auth key */
		free(body);
		free(t);
		local_reply_error(r->conn, 502, eb.text);
		return true;
	}
	r->client->trying = t;
	return true;
}

void local_prefs_gone(struct local_client *c)
{
	if (!c->trying)
		return;
	server_key_cancel(c->trying->ask);
	try_free(c->trying);
	c->trying = NULL;
}

/* --- verbs --- */

void local_prefs_get(struct request *r)
{
	local_prefs_reply(r);
}

static void note_down(
	struct request *r, const struct api_prefs *p, const struct api_prefs_mask *m, const char *who)
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	if (m->want_running && !p->want_running && f.prefs->want_running)
		log_info("taken off the network by %s", who);
}

void local_prefs_patch(struct request *r)
{
	struct arena a = { 0 };
	char who[LOCAL_ASKER];
	struct api_prefs p;
	struct api_prefs_mask m;
	struct errbuf eb;
	char missing[WHY_MAX];
	const char *bad = NULL;
	if (api_prefs_read(&a, r->body, r->len, &p, &m, &eb) != 0)
		bad = eb.text;
	else if (asks_too_much(r, MASKED, missing))
		bad = missing;
	else if (!local_asker(r, who))
		bad = local_asker_unclear;
	else
		bad = check_prefs(&p, &m);
	if (bad) {
		local_reply_error(r->conn, 400, bad);
	} else if (!is_tried_first(r, &p, &m, local_prefs_patch)) {
		note_down(r, &p, &m, who);
		take_prefs(r, &p, &m);
		local_prefs_reply(r);
	}
	arena_free(&a);
}

void local_prefs_check(struct request *r)
{
	struct arena a = { 0 };
	struct api_prefs p;
	struct errbuf eb;
	char missing[WHY_MAX];
	struct api_prefs_mask all = { .control_url = true,
		.hostname = true,
		.operator_user = true,
		.advertise_routes = true,
		.advertise_tags = true,
		.server_key = true,
		.netfilter = true };
	const char *bad;
	if (api_prefs_read(&a, r->body, r->len, &p, NULL, &eb) != 0)
		bad = eb.text;
	else if (asks_too_much(r, WHOLE, missing))
		bad = missing;
	else
		bad = check_prefs(&p, &all);
	struct buf b = { 0 };
	bool ok = api_error_write(&b, bad ? bad : "");
	local_reply_json(r->conn, &b, ok);
	arena_free(&a);
}

/* What the options name is set, and WantRunning; NULL, or why not. */
static const char *start_prefs(
	struct request *r, struct api_start *s, struct api_prefs_mask *m, char missing[static WHY_MAX])
{
	*m = (struct api_prefs_mask) { .want_running = true };
	if (!s->has_prefs) {
		struct local_facts f;
		r->node->facts(r->node->arg, &f);
		s->prefs = current_prefs(&f, NULL);
		return NULL;
	}
	*m = (struct api_prefs_mask) { .control_url = s->prefs.control_url[0] != 0,
		.hostname = true,
		.operator_user = true,
		.want_running = true,
		.corp_dns = true,
		.route_all = true,
		.shields_up = true,
		.advertise_routes = true,
		.advertise_tags = true,
		.no_snat = true,
		.no_stateful_filtering = true,
		.routes_prefer = true,
		.server_key = s->prefs.server_key[0] != 0,
		.exit_node_id = true,
		.exit_node_ip = true,
		.exit_allow_lan = true,
		.netfilter = true };
	return asks_too_much(r, INSIDE_START, missing) ? missing : check_prefs(&s->prefs, m);
}

/* The network gives tags at a login alone: others than were asked for before take a new one, unless this machine has them. */
static bool tags_need_login(struct request *r, const struct local_facts *f, const struct api_prefs *p,
	const struct api_prefs_mask *m)
{
	char joined[STATE_TAGS_MAX];
	const struct netmap *map = r->node->map(r->node->arg);
	if (!m->advertise_tags || (join_tags(&p->advertise_tags, joined) && !strcmp(joined, f->prefs->tags)))
		return false;
	return !map || !ctl_strings_same(&p->advertise_tags, &map->self->node.tags);
}

static void start_node(struct request *r, struct api_start *s, const struct api_prefs_mask *m)
{
	const struct local_node_ops *node = r->node;
	struct local_facts f;
	s->prefs.want_running = true;
	node->facts(node->arg, &f);
	bool other_tags = tags_need_login(r, &f, &s->prefs, m);
	take_prefs(r, &s->prefs, m);
	node->facts(node->arg, &f);
	if (f.logged_in ? other_tags || (s->auth_key[0] && s->force_reauth) : s->auth_key[0] != 0)
		node->login(node->arg, s->auth_key);
	else
		node->try_now(node->arg);
	node->facts(node->arg, &f);
	if (f.stopped && f.error[0])
		local_reply_error(r->conn, 500, f.error);
	else
		local_reply_done(r->conn, 204);
}

void local_start(struct request *r)
{
	struct arena a = { 0 };
	struct api_start s;
	struct errbuf eb;
	struct api_prefs_mask m;
	char missing[WHY_MAX];
	const char *bad =
		api_start_read(&a, r->body, r->len, &s, &eb) ? eb.text : start_prefs(r, &s, &m, missing);
	if (bad)
		local_reply_error(r->conn, 400, bad);
	else if (!is_tried_first(r, &s.prefs, &m, local_start))
		start_node(r, &s, &m);
	arena_free(&a);
}
