/* Requests to join that wait for an admin. Anybody can make them: each costs a few hundred bytes, there are
 * so many at most, and the oldest goes. One that was dropped while its node still waits is made again when
 * asked for. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include "mesh/base/noise.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LIFETIME_MS = 24 * 3600 * 1000, LINES_PER_SECOND = 5, OS_MAX = 63 };

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

struct pending *registry_pending_get(const struct registry *r, const char *id)
{
	char key[REGISTRY_ID] = { 0 };
	if (strlen(id) != REGISTRY_ID - 1)
		return NULL;
	memcpy(key, id, REGISTRY_ID);
	return table_get(&r->pending_by_id, key);
}

void registry_pending_drop(struct registry *r, struct pending *p)
{
	table_remove(&r->pending_by_id, p->id);
	*p->at = p->next;
	if (p->next)
		p->next->at = p->at;
	else
		r->pending_end = p->at;
	r->n_pending--;
	r->changes++;
	free(p);
}

static void drop_of(struct registry *r, const struct machine_key *machine, const struct node_key *key,
	char id[static REGISTRY_ID])
{
	pending_id(r, machine, key, id);
	struct pending *p = registry_pending_get(r, id);
	if (p)
		registry_pending_drop(r, p);
}

void registry_pending_settle(
	struct registry *r, const struct machine_key *machine, const struct node_key *key)
{
	char id[REGISTRY_ID];
	drop_of(r, machine, key, id);
	if (r->c.ops.decided)
		r->c.ops.decided(r->c.ops.arg, id);
}

void registry_pending_withdraw(
	struct registry *r, const struct machine_key *machine, const struct node_key *key)
{
	char id[REGISTRY_ID];
	drop_of(r, machine, key, id);
	if (r->c.ops.withdrawn)
		r->c.ops.withdrawn(r->c.ops.arg, id);
}

void registry_pending_seen(struct registry *r, const struct machine_key *machine, const struct node_key *key,
	const struct addr *from)
{
	char id[REGISTRY_ID];
	pending_id(r, machine, key, id);
	struct pending *p = registry_pending_get(r, id);
	if (p)
		p->from = *from;
}

bool registry_pending_is_rejected(const struct pending *p, int64_t now_ms)
{
	return p->rejected_ms && now_ms - p->rejected_ms < REGISTRY_REJECTED_MS;
}

int registry_pending_reject(struct registry *r, const char *id, int64_t now_ms, struct errbuf *eb)
{
	struct pending *p = registry_pending_get(r, id);
	if (!p || p->rejected_ms)
		return err_say(
			eb, -ENOENT, "nothing waits under \"%s\": `nodes pending` shows what does", id);
	p->rejected_ms = now_ms;
	r->changes++;
	log_info("%s is rejected", *p->hostname ? p->hostname : "a node");
	if (r->c.ops.rejected)
		r->c.ops.rejected(r->c.ops.arg, p->id);
	return 0;
}

void registry_pending_free(struct registry *r)
{
	while (r->pending)
		registry_pending_drop(r, r->pending);
	table_fini(&r->pending_by_id);
}

void registry_pending_drop_old(struct registry *r, int64_t now_ms)
{
	while (r->pending && r->pending->since_ms + LIFETIME_MS < now_ms)
		registry_pending_drop(r, r->pending);
}

static const char *put_text(char **to, const char *text, size_t len)
{
	char *at = memcpy(*to, text, len);
	at[len] = 0;
	*to += len + 1;
	return at;
}

static struct pending *new_pending(const struct ctl_register_request *rq, const char *hostinfo_json)
{
	char tags[STORE_TAGS];
	const char *hostname = registry_hostname(&rq->hostinfo), *os = rq->hostinfo.os ? rq->hostinfo.os : "";
	size_t os_len = strnlen(os, OS_MAX);
	registry_tags_join(&rq->hostinfo.request_tags, tags);
	struct pending *p =
		calloc(1, sizeof(*p) + strlen(hostname) + os_len + strlen(tags) + strlen(hostinfo_json) + 4);
	if (!p)
		return NULL;
	char *text = (char *)(p + 1);
	p->hostname = put_text(&text, hostname, strlen(hostname));
	p->os = put_text(&text, os, os_len);
	p->tags = put_text(&text, tags, strlen(tags));
	p->hostinfo_json = put_text(&text, hostinfo_json, strlen(hostinfo_json));
	return p;
}

/* The newest of those who wait. NULL: memory is short. */
static struct pending *add_pending(struct registry *r, const char id[static REGISTRY_ID],
	const struct ctl_register_request *rq, const struct machine_key *machine, const char *hostinfo_json,
	int64_t now_ms)
{
	registry_pending_drop_old(r, now_ms);
	if (r->n_pending >= REGISTRY_PENDING_MAX)
		registry_pending_drop(r, r->pending);
	struct pending *p = new_pending(rq, hostinfo_json);
	if (!p || !table_put(&r->pending_by_id, id, p)) {
		free(p);
		return NULL;
	}
	memcpy(p->id, id, sizeof(p->id));
	p->machine = *machine;
	p->key = rq->node;
	p->old_key = rq->old_node;
	p->ephemeral = rq->ephemeral;
	p->since_ms = now_ms;
	if (!r->pending)
		r->pending_end = &r->pending;
	p->at = r->pending_end;
	*r->pending_end = p;
	r->pending_end = &p->next;
	r->n_pending++;
	r->changes++;
	return p;
}

struct pending *registry_pending_make(struct registry *r, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms)
{
	char id[REGISTRY_ID];
	pending_id(r, machine, &rq->node, id);
	struct pending *p = registry_pending_get(r, id);
	if (p && (!p->rejected_ms || registry_pending_is_rejected(p, now_ms)))
		return p;
	if (p)
		registry_pending_drop(r, p);
	p = add_pending(r, id, rq, machine, "", now_ms);
	if (p && log_allowed(&r->asked, LINES_PER_SECOND, (uint64_t)now_ms))
		log_info("%s asks to join: ropewalk-control nodes approve %s",
			*p->hostname ? p->hostname : "a node", p->id);
	return p;
}

/* What another program's own paths and lines may have. */
static bool is_id(const char *id)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t len = strlen(id);
	return len == REGISTRY_ID - 1 && strspn(id, good) == len;
}

int registry_pending_invent(struct registry *r, const char *id, const struct ctl_hostinfo *says,
	int64_t now_ms, struct machine_key *machine, struct node_key *key, struct errbuf *eb)
{
	if (!is_id(id))
		return err_say(eb, -EINVAL, "the key has to be %d letters, digits, - and _", REGISTRY_ID - 1);
	if (registry_pending_get(r, id))
		return err_say(eb, -EEXIST, "something waits under \"%s\" already: take another key", id);
	struct ctl_register_request rq = { .hostinfo = *says };
	char *json = registry_hostinfo_text(says);
	r->c.rnd->fill(r->c.rnd->arg, machine->b, KEY_LEN);
	r->c.rnd->fill(r->c.rnd->arg, rq.node.b, KEY_LEN);
	*key = rq.node;
	bool made = json && add_pending(r, id, &rq, machine, json, now_ms);
	free(json);
	return made ? 0 : err_set(eb, -ENOMEM, "make up a machine");
}

static struct pending_info inform(const struct pending *p)
{
	return (struct pending_info) { .id = p->id,
		.hostname = p->hostname,
		.os = p->os,
		.key = p->key,
		.from = p->from,
		.since_ms = p->since_ms };
}

void registry_pending_each(
	const struct registry *r, void (*each)(void *arg, const struct pending_info *p), void *arg)
{
	for (const struct pending *p = r->pending; p; p = p->next) {
		struct pending_info info = inform(p);
		if (!p->rejected_ms)
			each(arg, &info);
	}
}

bool registry_pending_find(const struct registry *r, const char *id, struct pending_info *out)
{
	const struct pending *p = registry_pending_get(r, id);
	if (!p || p->rejected_ms)
		return false;
	*out = inform(p);
	return true;
}
