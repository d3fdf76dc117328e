/* LocalAPI's preferences: told, changed one by one (PATCH), or as a whole (start). What this node does not
 * have is refused, never ignored: a client would believe it was done. */
#include "mesh/node/links/server_key.h"
#include "mesh/node/local/local_request.h"
#include "mesh/proto/json_memory.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_MAX = 256 };

/* Preferences of official clients that change how a machine behaves, and the options that set them. */
static const struct {
	const char *pref, *option;
} elsewhere[] = {
	{ "RouteAll", "--accept-routes" },
	{ "ShieldsUp", "--shields-up" },
	{ "ExitNodeID", "--exit-node" },
	{ "ExitNodeIP", "--exit-node" },
	{ "AutoExitNode", "--exit-node" },
	{ "ExitNodeAllowLANAccess", "--exit-node-allow-lan-access" },
	{ "AdvertiseRoutes", "--advertise-routes and --advertise-exit-node" },
	{ "AdvertiseTags", "--advertise-tags" },
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
	if (option)
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
		"OperatorUser",
		/* No packet filter of the machine is touched here, however these are set. */
		"NetfilterMode", "NoStatefulFiltering", "NoSNAT" };
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

static struct api_prefs current_prefs(const struct local_facts *f)
{
	return (struct api_prefs) { .control_url = f->prefs->control_url,
		.hostname = f->prefs->hostname,
		.operator_user = f->prefs->operator_user,
		.want_running = f->prefs->want_running,
		.logged_out = !f->logged_in,
		.corp_dns = f->prefs->accept_dns,
		.user = { f->login_name },
		.has_user = f->logged_in,
		.netfilter_mode = API_NETFILTER_ON };
}

static void reply_prefs(struct request *r)
{
	struct buf b = { 0 };
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	struct api_prefs p = current_prefs(&f);
	bool ok = api_prefs_write(&b, &p, NULL);
	local_reply_json(r->conn, &b, ok);
}

static const char *check_prefs(const struct api_prefs *p, const struct api_prefs_mask *m)
{
	struct url url;
	uid_t uid;
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
	return NULL;
}

static void take_prefs(struct request *r, const struct api_prefs *p, const struct api_prefs_mask *m)
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	struct state_prefs next = *f.prefs;
	if (m->control_url)
		snprintf(next.control_url, sizeof(next.control_url), "%s", p->control_url);
	if (m->hostname)
		snprintf(next.hostname, sizeof(next.hostname), "%s", p->hostname);
	if (m->operator_user)
		snprintf(next.operator_user, sizeof(next.operator_user), "%s", p->operator_user);
	if (m->want_running)
		next.want_running = p->want_running;
	if (m->corp_dns)
		next.accept_dns = p->corp_dns;
	r->node->prefs_set(r->node->arg, &next);
}

/* --- another server is tried before what the present one gave is dropped --- */

struct server_try {
	struct server_key_ask *ask;
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
	t->waiting.client->trying = NULL;
	if (key) {
		t->run(&t->waiting);
	} else {
		snprintf(text, sizeof(text), "%s at %s (%s); nothing was changed",
			reached ? "there is no control server" : "the new control server cannot be reached",
			t->url, why);
		local_reply_error(t->waiting.conn, 502, text);
	}
	try_free(t);
}

/* true: the request waits, or is answered. */
static bool is_tried_first(
	struct request *r, const struct api_prefs *p, bool server_set, void (*run)(struct request *r))
{
	struct local_facts f;
	r->node->facts(r->node->arg, &f);
	if (r->server_tried || !server_set || !f.logged_in || url_same(f.prefs->control_url, p->control_url))
		return false;
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
		t->ask = server_key_ask(r->loop, p->control_url, server_tried, t, &eb);
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
	reply_prefs(r);
}

void local_prefs_patch(struct request *r)
{
	struct arena a = { 0 };
	struct api_prefs p;
	struct api_prefs_mask m;
	struct errbuf eb;
	char missing[WHY_MAX];
	const char *bad = NULL;
	if (api_prefs_read(&a, r->body, r->len, &p, &m, &eb) != 0)
		bad = eb.text;
	else if (asks_too_much(r, MASKED, missing))
		bad = missing;
	else
		bad = check_prefs(&p, &m);
	if (bad) {
		local_reply_error(r->conn, 400, bad);
	} else if (!is_tried_first(r, &p, m.control_url, local_prefs_patch)) {
		take_prefs(r, &p, &m);
		reply_prefs(r);
	}
	arena_free(&a);
}

void local_prefs_check(struct request *r)
{
	struct arena a = { 0 };
	struct api_prefs p;
	struct errbuf eb;
	char missing[WHY_MAX];
	struct api_prefs_mask all = { .control_url = true, .hostname = true, .operator_user = true };
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
		s->prefs = current_prefs(&f);
		return NULL;
	}
	*m = (struct api_prefs_mask) { .control_url = s->prefs.control_url[0] != 0,
		.hostname = true,
		.operator_user = true,
		.want_running = true,
		.corp_dns = true };
	return asks_too_much(r, INSIDE_START, missing) ? missing : check_prefs(&s->prefs, m);
}

static void start_node(struct request *r, struct api_start *s, const struct api_prefs_mask *m)
{
	const struct local_node_ops *node = r->node;
	struct local_facts f;
	s->prefs.want_running = true;
	take_prefs(r, &s->prefs, m);
	node->facts(node->arg, &f);
	if (s->auth_key[0] && (s->force_reauth || !f.logged_in))
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
	else if (!is_tried_first(r, &s.prefs, m.control_url, local_start))
		start_node(r, &s, &m);
	arena_free(&a);
}
