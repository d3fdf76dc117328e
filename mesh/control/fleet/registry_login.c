/* The register request: which of the ways in it is, and what is answered. tailscale-protocol.md 1.7. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include "mesh/base/noise.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PENDING_LIFETIME_MS = 24 * 3600 * 1000, LINES_PER_SECOND = 5 };

struct call {
	struct registry *r;
	const struct ctl_register_request *rq;
	const struct machine_key *machine;
	int64_t now_ms;
	struct arena *a;
	struct ctl_register_response *out;
};

void registry_auth_hash(const char *key, uint8_t hash[static STORE_HASH])
{
	blake2s_hash(&(struct noise_part) { key, strlen(key) }, 1, hash);
}

void registry_tags_split(struct arena *a, const char *text, struct ctl_strings *out)
{
	char *copy = arena_strdup(a, text), *save = NULL;
	*out = (struct ctl_strings) { .v = arena_array(a, strlen(text) / 2 + 1, sizeof(*out->v)) };
	for (char *t = copy && out->v ? strtok_r(copy, ", ", &save) : NULL; t;
		t = strtok_r(NULL, ", ", &save))
		out->v[out->n++] = t;
}

static void empty_answer(struct ctl_register_response *out)
{
	*out = (struct ctl_register_response) { .auth_url = "", .error = "" };
	out->user = out->login =
		(struct ctl_user) { .login_name = "", .display_name = "", .profile_pic = "" };
}

static void answer_error(struct call *c, const char *text)
{
	empty_answer(c->out);
	c->out->error = arena_strdup(c->a, text);
	if (!c->out->error)
		c->out->error = "the server is short of memory: try again";
}

static void answer_member(struct call *c, const struct member *m)
{
	const struct user *u = member_is_tagged(m) ? NULL : fleet_user(&c->r->fleet, m->user);
	const char *name = u ? u->name : "tagged-devices";
	empty_answer(c->out);
	c->out->user = (struct ctl_user) { .id = u ? u->id : FLEET_TAGGED_USER,
		.login_name = arena_strdup(c->a, name),
		.display_name = arena_strdup(c->a, name),
		.profile_pic = "" };
	c->out->login = c->out->user;
	c->out->machine_authorized = true;
	c->out->node_key_expired = member_is_expired(m, c->now_ms);
}

/* --- pending registrations --- */

/* The same machine and node key give the same id, after a restart too: the page a person has open stays
 * valid. */
static void pending_id(const struct registry *r, const struct machine_key *machine,
	const struct node_key *key, char out[static REGISTRY_ID])
{
	static const char label[] = "pending registration";
	uint8_t digest[32];
	blake2s_hmac(r->c.secret.b, KEY_LEN,
		(struct noise_part[]) {
			{ label, sizeof(label) }, { machine->b, KEY_LEN }, { key->b, KEY_LEN } },
		3, digest);
	hex_encode(digest, (REGISTRY_ID - 1) / 2, out);
}

static struct pending *find_pending(const struct registry *r, const char *id)
{
	struct pending *p = r->pending;
	while (p && strcmp(p->id, id) != 0)
		p = p->next;
	return p;
}

static void free_pending(struct registry *r, struct pending **at)
{
	struct pending *p = *at;
	*at = p->next;
	r->n_pending--;
	free(p->hostinfo_json);
	free(p);
}

void registry_pending_free(struct registry *r)
{
	while (r->pending)
		free_pending(r, &r->pending);
}

void registry_pending_drop_old(struct registry *r, int64_t now_ms)
{
	for (struct pending **at = &r->pending; *at;)
		if ((*at)->since_ms + PENDING_LIFETIME_MS < now_ms)
			free_pending(r, at);
		else
			at = &(*at)->next;
}

/* Anybody can fill the list; whose node still waits is put back when an admin asks for it. */
static void drop_oldest(struct registry *r)
{
	struct pending **at = &r->pending;
	while (*at && (*at)->next)
		at = &(*at)->next;
	if (*at)
		free_pending(r, at);
}

static char *hostinfo_text(const struct ctl_hostinfo *h)
{
	struct buf json = { 0 };
	bool fits = ctl_hostinfo_write(&json, h) && json.len <= REGISTRY_HOSTINFO_MAX;
	char *copy = fits && buf_cstr(&json) ? strdup(buf_cstr(&json)) : NULL;
	buf_free(&json);
	return copy;
}

/* "tag:a,tag:b"; what does not fit is left out. */
static void join_tags(const struct ctl_strings *tags, char out[static STORE_TAGS])
{
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; i < tags->n && len + strlen(tags->v[i]) + 2 < STORE_TAGS; i++)
		len += (size_t)sprintf(out + len, "%s%s", len ? "," : "", tags->v[i]);
}

/* A node may ask for tags that the policy lets its user give. */
static int check_requested_tags(const struct registry *r, const char *tags, int64_t user, struct errbuf *eb)
{
	const struct user *u = fleet_user(&r->fleet, user);
	struct ctl_strings list;
	struct arena a = { 0 };
	int err = *tags ? registry_tags_check(r, tags, eb) : 0;
	registry_tags_split(&a, tags, &list);
	for (size_t i = 0; i < list.n && !err; i++)
		if (!u || !r->c.ops.owns_tag || !r->c.ops.owns_tag(r->c.ops.arg, list.v[i], u->name))
			err = err_say(eb, ERR_REFUSED,
				"this node may not be %.64s: \"tagOwners\" in the policy does not give that "
				"tag to %.64s",
				list.v[i], u ? u->name : "its user");
	arena_free(&a);
	return err;
}

static struct pending *make_pending(struct call *c)
{
	struct registry *r = c->r;
	char id[REGISTRY_ID];
	pending_id(r, c->machine, &c->rq->node, id);
	struct pending *p = find_pending(r, id);
	if (p)
		return p;
	registry_pending_drop_old(r, c->now_ms);
	if (r->n_pending >= REGISTRY_PENDING_MAX)
		drop_oldest(r);
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	memcpy(p->id, id, sizeof(p->id));
	p->machine = *c->machine;
	p->key = c->rq->node;
	p->old_key = c->rq->old_node;
	p->ephemeral = c->rq->ephemeral;
	p->since_ms = c->now_ms;
	snprintf(p->hostname, sizeof(p->hostname), "%s", registry_hostname(&c->rq->hostinfo));
	snprintf(p->os, sizeof(p->os), "%s", c->rq->hostinfo.os ? c->rq->hostinfo.os : "");
	join_tags(&c->rq->hostinfo.request_tags, p->tags);
	p->hostinfo_json = hostinfo_text(&c->rq->hostinfo);
	p->next = r->pending;
	r->pending = p;
	r->n_pending++;
	if (log_allowed(&r->asked, LINES_PER_SECOND, (uint64_t)c->now_ms))
		log_info("%s asks to join: ropewalk-control nodes approve %s",
			*p->hostname ? p->hostname : "a node", p->id);
	return p;
}

static void answer_url(struct call *c)
{
	struct pending *p = make_pending(c);
	if (!p) {
		answer_error(c, "the server is short of memory: try again");
		return;
	}
	empty_answer(c->out);
	c->out->auth_url = arena_printf(c->a, "%s/register/%s", c->r->c.server_url, p->id);
	if (!c->out->auth_url)
		answer_error(c, "the server is short of memory: try again");
}

static enum registry_verdict follow_up(struct call *c, char id[static REGISTRY_ID])
{
	struct pending *p = make_pending(c);
	const char *last = strrchr(c->rq->followup, '/');
	if (!p || !last || strcmp(last + 1, p->id) != 0) {
		answer_url(c); /* of another key or server: begin anew */
		return REGISTRY_ANSWER;
	}
	memcpy(id, p->id, REGISTRY_ID);
	return REGISTRY_WAIT; /* once approved, the node key is known and this is not reached */
}

/* --- auth keys --- */

static int check_auth_key(struct call *c, struct preauth *k, struct errbuf *eb)
{
	uint8_t hash[STORE_HASH];
	registry_auth_hash(c->rq->auth_key, hash);
	int err = store_preauth_find(c->r->store, hash, k, eb);
	if (err == -ENOENT)
		return err_say(eb, ERR_REFUSED,
			"this auth key is not known here: check that all of it was copied, and that it is "
			"from this server");
	if (err)
		return err;
	if (k->expiry_ms != FLEET_NO_TIME && k->expiry_ms <= c->now_ms)
		return err_say(eb, ERR_REFUSED,
			"this auth key has expired: make a new one with `ropewalk-control preauthkeys "
			"create`");
	if (k->used && !k->reusable)
		return err_say(eb, ERR_REFUSED,
			"this auth key has been used already and is good for one node only: make a new one "
			"with `ropewalk-control preauthkeys create` (--reusable for several nodes)");
	return 0;
}

static void admit_by_key(struct call *c)
{
	struct preauth k;
	struct errbuf eb = { 0 };
	int64_t node = 0;
	char *json = hostinfo_text(&c->rq->hostinfo);
	char asked[STORE_TAGS];
	int err = check_auth_key(c, &k, &eb);
	join_tags(&c->rq->hostinfo.request_tags, asked);
	if (!err && !*k.tags)
		err = check_requested_tags(c->r, asked, k.user, &eb);
	if (!err) {
		struct admission ad = { .user = k.user,
			.tags = *k.tags ? k.tags : asked,
			.ephemeral = k.ephemeral || c->rq->ephemeral,
			.preauth = k.id,
			.machine = *c->machine,
			.key = c->rq->node,
			.old_key = c->rq->old_node,
			.hostname = registry_hostname(&c->rq->hostinfo),
			.hostinfo_json = json ? json : "",
			.now_ms = c->now_ms };
		err = registry_admit(c->r, &ad, &node, &eb);
	}
	free(json);
	if (err) {
		if (log_allowed(&c->r->refused, LINES_PER_SECOND, (uint64_t)c->now_ms))
			log_warn("registration refused: %s", eb.text);
		answer_error(c, eb.text);
	} else {
		answer_member(c, fleet_by_id(&c->r->fleet, node));
	}
}

/* --- the decision --- */

static void log_out(struct call *c, const struct member *m)
{
	struct errbuf eb = { 0 };
	struct member draft = *m;
	answer_member(c, m);
	c->out->node_key_expired = true;
	draft.expiry_ms = c->now_ms;
	log_info("node %lld (%s): logged out", (long long)m->id, m->name);
	int err = m->ephemeral ? registry_node_delete(c->r, m->id, &eb)
			       : registry_replace(c->r, &draft, true, CHANGE_IDENTITY, &eb);
	if (err)
		answer_error(c, eb.text);
}

static bool wants_logout(const struct call *c)
{
	return c->rq->expiry_ms != FLEET_NO_TIME && c->rq->expiry_ms > 0 && c->rq->expiry_ms <= c->now_ms;
}

/* A known node key. */
static void answer_known(struct call *c, const struct member *m)
{
	if (!key_equal(m->machine.b, c->machine->b))
		answer_error(c, "this node key belongs to another machine: do not copy a node's state; log "
				"this one out and in again");
	else if (wants_logout(c))
		log_out(c, m);
	else /* an expired node proves itself anew by a key or an approval, with a new node key */
		answer_member(c, m);
}

enum registry_verdict registry_register(struct registry *r, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms, struct arena *a, struct ctl_register_response *out,
	char pending[static REGISTRY_ID])
{
	struct call c = { .r = r, .rq = rq, .machine = machine, .now_ms = now_ms, .a = a, .out = out };
	const struct member *m = fleet_by_key(&r->fleet, &rq->node);
	pending[0] = 0;
	empty_answer(out);
	if (key_is_zero(rq->node.b))
		answer_error(&c, "the request names no node key");
	else if (m)
		answer_known(&c, m);
	else if (wants_logout(&c))
		out->node_key_expired = true; /* gone already */
	else if (rq->followup && *rq->followup)
		return follow_up(&c, pending);
	else if (rq->auth_key && *rq->auth_key)
		admit_by_key(&c);
	else
		answer_url(&c);
	return REGISTRY_ANSWER;
}

/* --- approval --- */

static int choose_user(const struct registry *r, const char *user, const struct user **out, struct errbuf *eb)
{
	const struct fleet *f = &r->fleet;
	if (user && *user) {
		*out = fleet_user_named(f, user);
		return *out ? 0
			    : err_say(eb, -ENOENT,
				      "no user \"%s\": make it with `ropewalk-control users create %s`", user,
				      user);
	}
	if (f->n_users == 1) {
		*out = &f->users[0];
		return 0;
	}
	return err_say(eb, -EINVAL,
		f->n_users ? "there are several users: say whose node this is with --user NAME"
			   : "there is no user yet: make one with `ropewalk-control users create NAME`");
}

int registry_approve(struct registry *r, const char *id, const char *user, int64_t now_ms, int64_t *node,
	struct errbuf *eb)
{
	const struct user *u = NULL;
	struct pending *p = find_pending(r, id);
	if (!p)
		return err_say(eb, -ENOENT,
			"nothing waits under \"%s\": the node's login page shows the id, and it must still "
			"be waiting",
			id);
	int err = choose_user(r, user, &u, eb);
	if (err || !u || (err = check_requested_tags(r, p->tags, u->id, eb)))
		return err;
	struct admission ad = { .user = u->id,
		.tags = p->tags,
		.ephemeral = p->ephemeral,
		.machine = p->machine,
		.key = p->key,
		.old_key = p->old_key,
		.hostname = p->hostname,
		.hostinfo_json = p->hostinfo_json ? p->hostinfo_json : "",
		.now_ms = now_ms };
	if ((err = registry_admit(r, &ad, node, eb)))
		return err;
	for (struct pending **at = &r->pending; *at; at = &(*at)->next)
		if (*at == p) {
			free_pending(r, at);
			break;
		}
	if (r->c.ops.decided)
		r->c.ops.decided(r->c.ops.arg, id);
	return 0;
}

static struct pending_info inform(const struct pending *p)
{
	return (struct pending_info) {
		.id = p->id, .hostname = p->hostname, .os = p->os, .since_ms = p->since_ms
	};
}

void registry_pending_each(
	const struct registry *r, void (*each)(void *arg, const struct pending_info *p), void *arg)
{
	for (const struct pending *p = r->pending; p; p = p->next) {
		struct pending_info info = inform(p);
		each(arg, &info);
	}
}

bool registry_pending_find(const struct registry *r, const char *id, struct pending_info *out)
{
	const struct pending *p = find_pending(r, id);
	if (p)
		*out = inform(p);
	return p;
}
