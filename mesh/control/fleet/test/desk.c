#include "mesh/control/fleet/test/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void changed(void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	struct desk *x = arg;
	(void)old;
	*(what == NEWS_IDENTITY ? &x->identity : &x->little) += 1;
	x->removed += !now;
}

static void ended(void *arg, const struct registry_result *res)
{
	struct desk *x = arg;
	assert_false(x->ended);
	x->ended = true;
	x->res = *res;
	snprintf(x->made, sizeof(x->made), "%s", res->key ? res->key : "");
	snprintf(x->eb.text, sizeof(x->eb.text), "%s", res->text);
}

struct registry_wait *desk_waits(struct desk *x)
{
	x->ended = false;
	x->wait = (struct registry_wait) { .done = ended, .arg = x };
	return &x->wait;
}

int desk_outcome(const struct desk *x)
{
	assert_true(x->ended);
	assert_null(x->wait.change);
	return x->res.err;
}

static void decided(void *arg, const char *id)
{
	memcpy(((struct desk *)arg)->decided, id, REGISTRY_ID);
}

static void rejected(void *arg, const char *id)
{
	memcpy(((struct desk *)arg)->rejected, id, REGISTRY_ID);
}

static void withdrawn(void *arg, const char *id)
{
	memcpy(((struct desk *)arg)->withdrawn, id, REGISTRY_ID);
}

static bool knows_tag(void *arg, const char *tag)
{
	return !((const struct desk *)arg)->has_owners || !strcmp(tag, "tag:web") || !strcmp(tag, "tag:db");
}
static bool owns_tag(void *arg, const char *tag, const struct user *user)
{
	return ((const struct desk *)arg)->has_owners &&
	       !strcmp(user->name, !strcmp(tag, "tag:web") ? "alice" : "bob");
}

void desk_open(struct desk *x)
{
	struct errbuf eb = { 0 };
	struct registry_config c = { .server_url = "https://hs.test",
		.state_path = x->path,
		.rnd = &random_system,
		.secret = { { 9 } },
		.ephemeral_ms = 60000,
		.ops = { .changed = changed,
			.decided = decided,
			.withdrawn = withdrawn,
			.rejected = rejected,
			.knows_tag = knows_tag,
			.owns_tag = owns_tag,
			.arg = x } };
	c.pool.has_v4 = prefix_parse("100.64.0.0/10", &c.pool.v4);
	c.pool.has_v6 = prefix_parse("fd7a:115c:a1e0::/48", &c.pool.v6);
	if (registry_open(&x->r, &c, &eb))
		fail_msg("%s", eb.text);
}

int desk_setup(void **state)
{
	struct desk *x = calloc(1, sizeof(*x));
	if (!x || !key_setup())
		abort();
	place_make(&x->place);
	place_path(&x->place, "db.sqlite", x->path);
	desk_open(x);
	*state = x;
	registry_user_create(&x->r, "alice", NOW, desk_waits(x));
	return desk_outcome(x);
}

int desk_teardown(void **state)
{
	struct desk *x = *state;
	registry_close(&x->r);
	arena_free(&x->a);
	place_remove(&x->place);
	free(x);
	return 0;
}

void desk_key(struct desk *x, const struct preauth_wish *w, char text[static REGISTRY_KEY_TEXT])
{
	registry_preauth_create(&x->r, w, NOW, desk_waits(x));
	if (desk_outcome(x))
		fail_msg("%s", x->eb.text);
	memcpy(text, x->made, REGISTRY_KEY_TEXT);
	assert_memory_equal(text, "hskey-auth-", 11);
}

enum registry_verdict desk_answer(struct desk *x, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms)
{
	enum registry_verdict v =
		registry_register(&x->r, rq, machine, now_ms, &x->a, &x->out, x->pending, desk_waits(x));
	if (v != REGISTRY_STORE)
		return v;
	if (desk_outcome(x)) {
		registry_refusal(&x->res, &x->a, &x->out);
		return REGISTRY_ANSWER;
	}
	return registry_register(&x->r, rq, machine, now_ms, &x->a, &x->out, x->pending, desk_waits(x));
}

enum registry_verdict desk_ask(struct desk *x, const struct desk_ask *q)
{
	struct ctl_register_request rq = { .version = 119,
		.auth_key = q->key ? q->key : "",
		.followup = q->followup ? q->followup : "",
		.expiry_ms = q->expiry_ms ? q->expiry_ms : INT64_MIN };
	struct machine_key machine;
	memset(rq.node.b, q->node, KEY_LEN);
	memset(rq.old_node.b, q->old, KEY_LEN);
	memset(machine.b, q->machine, KEY_LEN);
	rq.hostinfo.hostname = q->host ? q->host : "box";
	rq.hostinfo.request_tags = (struct ctl_strings) { .v = (const char **)&q->tag, .n = q->tag != NULL };
	return desk_answer(x, &rq, &machine, q->now_ms ? q->now_ms : NOW);
}

const struct member *desk_node(struct desk *x, uint8_t key)
{
	struct node_key k;
	memset(k.b, key, KEY_LEN);
	return fleet_by_key(&x->r.fleet, &k);
}
