/* The register request: which of the ways in it is, and what is answered. tailscale-protocol.md 1.7. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include "mesh/base/noise.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_PER_SECOND = 5 };

struct login {
	struct registry *r;
	const struct ctl_register_request *rq;
	const struct machine_key *machine;
	int64_t now_ms;
	struct arena *a;
	struct ctl_register_response *out;
	struct registry_wait *wait;
};

static void empty_answer(struct ctl_register_response *out)
{
	*out = (struct ctl_register_response) { .auth_url = "", .error = "" };
	out->user = out->login =
		(struct ctl_user) { .login_name = "", .display_name = "", .profile_pic = "" };
}

static void answer_error(struct login *l, const char *text)
{
	empty_answer(l->out);
	l->out->error = arena_strdup(l->a, text);
	if (!l->out->error)
		l->out->error = "the server is short of memory: try again";
}

void registry_refusal(const struct registry_result *res, struct arena *a, struct ctl_register_response *out)
{
	answer_error(&(struct login) { .a = a, .out = out }, res->text);
}

static void answer_member(struct login *l, const struct member *m)
{
	const struct user *u = member_is_tagged(m) ? NULL : fleet_user(&l->r->fleet, m->user);
	const char *name = u ? u->name : "tagged-devices";
	empty_answer(l->out);
	l->out->user = (struct ctl_user) { .id = u ? u->id : FLEET_TAGGED_USER,
		.login_name = arena_strdup(l->a, name),
		.display_name = arena_strdup(l->a, name),
		.profile_pic = "" };
	l->out->login = l->out->user;
	l->out->machine_authorized = true;
	l->out->node_key_expired = member_is_expired(m, l->now_ms);
}

static void answer_url(struct login *l)
{
	struct pending *p = registry_pending_make(l->r, l->rq, l->machine, l->now_ms);
	if (!p) {
		answer_error(l, "the server is short of memory: try again");
		return;
	}
	if (registry_pending_is_rejected(p, l->now_ms)) {
		answer_error(l, "an admin has rejected this machine; it may ask again in some minutes");
		return;
	}
	empty_answer(l->out);
	l->out->auth_url = arena_printf(l->a, "%s/register/%s", l->r->c.server_url, p->id);
	if (!l->out->auth_url)
		answer_error(l, "the server is short of memory: try again");
}

static enum registry_verdict follow_up(struct login *l, char id[static REGISTRY_ID])
{
	struct pending *p = registry_pending_make(l->r, l->rq, l->machine, l->now_ms);
	const char *last = strrchr(l->rq->followup, '/');
	if (!p || !last || strcmp(last + 1, p->id) != 0 || registry_pending_is_rejected(p, l->now_ms)) {
		answer_url(l); /* of another key or server: begin anew. Or rejected: it says so */
		return REGISTRY_ANSWER;
	}
	memcpy(id, p->id, REGISTRY_ID);
	return REGISTRY_WAIT; /* once approved, the node key is known and this is not reached */
}

/* --- auth keys --- */

int registry_auth_check(const struct registry *r, const struct preauth *k, int64_t now_ms, struct errbuf *eb)
{
	if (!k)
		return err_say(eb, ERR_REFUSED,
			"this auth key is not known here: check that all of it was copied, and that it is "
			"from this server");
	if (k->expiry_ms != FLEET_NO_TIME && k->expiry_ms <= now_ms)
		return err_say(eb, ERR_REFUSED,
			"this auth key has expired: make a new one with `ropewalk-control preauthkeys "
			"create`");
	if (k->used && !k->reusable)
		return err_say(eb, ERR_REFUSED,
			"this auth key has been used already and is good for one node only: make a new one "
			"with `ropewalk-control preauthkeys create` (--reusable for several nodes)");
	if (k->humble && fleet_role(&r->fleet, k->user) >= USER_ADMIN)
		return err_say(eb, ERR_REFUSED,
			"this auth key was made by somebody who may not let in machines of admins, before "
			"its "
			"user became one: an admin has to make another");
	return 0;
}

char *registry_hostinfo_text(const struct ctl_hostinfo *h)
{
	struct buf json = { 0 };
	bool fits = ctl_hostinfo_write(&json, h) && json.len <= REGISTRY_HOSTINFO_MAX;
	char *copy = fits && buf_cstr(&json) ? strdup(buf_cstr(&json)) : NULL;
	buf_free(&json);
	return copy;
}

static void say_refused(struct login *l, const char *text)
{
	if (log_allowed(&l->r->refused, LINES_PER_SECOND, (uint64_t)l->now_ms))
		log_warn("registration refused: %s", text);
	answer_error(l, text);
}

static enum registry_verdict admit_by_key(struct login *l)
{
	uint8_t hash[STORE_HASH];
	struct errbuf eb = { 0 };
	registry_key_hash(l->rq->auth_key, hash);
	const struct preauth *k = keyring_by_hash(&l->r->keys, hash);
	int err = registry_auth_check(l->r, k, l->now_ms, &eb);
	if (!err)
		err = registry_tags_check_key(k->tags, &l->rq->hostinfo.request_tags, &eb);
	if (err) {
		say_refused(l, eb.text);
		return REGISTRY_ANSWER;
	}
	char *json = registry_hostinfo_text(&l->rq->hostinfo);
	registry_admit(l->r,
		&(struct admission) { .user = k->user,
			.tags = k->tags,
			.ephemeral = k->ephemeral || l->rq->ephemeral,
			.preauth = k->id,
			.machine = *l->machine,
			.key = l->rq->node,
			.old_key = l->rq->old_node,
			.hostname = registry_hostname(&l->rq->hostinfo),
			.hostinfo_json = json ? json : "" },
		l->now_ms, l->wait);
	free(json);
	return REGISTRY_STORE;
}

/* --- the decision --- */

/* Ephemeral nodes go at once, others have to log in again. */
static enum registry_verdict log_out(struct login *l, const struct member *m)
{
	log_info("node %lld (%s): logged out", (long long)m->id, m->name);
	if (m->ephemeral)
		registry_node_delete(l->r, m->id, l->wait);
	else
		registry_node_expire(l->r, m->id, l->now_ms, l->now_ms, l->wait);
	return REGISTRY_STORE;
}

static bool wants_logout(const struct login *l)
{
	return l->rq->expiry_ms != FLEET_NO_TIME && l->rq->expiry_ms > 0 && l->rq->expiry_ms <= l->now_ms;
}

/* Gone already, or it never was in: then it waits no longer. */
static void answer_stranger_logout(struct login *l)
{
	registry_pending_withdraw(l->r, l->machine, &l->rq->node);
	l->out->node_key_expired = true;
}

/* A known node key. */
static enum registry_verdict answer_known(struct login *l, const struct member *m)
{
	if (!key_equal(m->machine.b, l->machine->b))
		answer_error(l, "this node key belongs to another machine: do not copy a node's state; log "
				"this one out and in again");
	else if (wants_logout(l) && !member_is_expired(m, l->now_ms))
		return log_out(l, m);
	else /* an expired node proves itself anew by a key or an approval, with a new node key */
		answer_member(l, m);
	return REGISTRY_ANSWER;
}

enum registry_verdict registry_register(struct registry *r, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms, struct arena *a, struct ctl_register_response *out,
	char pending[static REGISTRY_ID], struct registry_wait *w)
{
	struct login l = { r, rq, machine, now_ms, a, out, w };
	const struct member *m = fleet_by_key(&r->fleet, &rq->node);
	pending[0] = 0;
	empty_answer(out);
	if (key_is_zero(rq->node.b))
		answer_error(&l, "the request names no node key");
	else if (m)
		return answer_known(&l, m);
	else if (wants_logout(&l))
		answer_stranger_logout(&l);
	else if (rq->followup && *rq->followup)
		return follow_up(&l, pending);
	else if (rq->auth_key && *rq->auth_key)
		return admit_by_key(&l);
	else
		answer_url(&l);
	return REGISTRY_ANSWER;
}
