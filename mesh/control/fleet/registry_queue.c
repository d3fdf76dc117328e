/* Changes that are stored first: the queue, and what is written behind. Theory of operation in registry.h. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 4096, SAVE_BATCH = 256, SAVE_PAUSE_MIN_MS = 1000, SAVE_PAUSE_MAX_MS = 30000 };

static void step_queue(struct registry *r);
static const struct change_kind save_kind;

/* --- who waits --- */

void registry_wait_cancel(struct registry_wait *w)
{
	if (w->change)
		w->change->wait = NULL;
	w->change = NULL;
}

void registry_fail_now(struct registry_wait *w, int err, const char *text)
{
	if (!w)
		return;
	w->change = NULL;
	w->done(w->arg, &(struct registry_result) { .err = err, .text = text });
}

static void tell(struct change *c)
{
	struct registry_wait *w = c->wait;
	const struct registry_result res = { .err = c->err,
		.unsaved = c->err && c->unsaved,
		.text = c->err	  ? c->eb.text
			: c->told ? c->told
				  : "",
		.id = c->id,
		.key = c->key_text };
	if (!w) {
		if (c->err && c->err != -ENOENT && log_allowed(&c->r->unsaved_said, 1, (uint64_t)c->now_ms))
			log_error("%s", c->eb.text);
		return;
	}
	w->change = NULL;
	w->done(w->arg, &res);
}

/* --- the queue --- */

struct change *registry_change_new(
	struct registry *r, const struct change_kind *kind, struct registry_wait *w)
{
	struct change *c = r->n_waiting < WAITING_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		if (w)
			w->done(w->arg, &(struct registry_result) { .err = -EAGAIN,
						.unsaved = true,
						.text = "the server is too busy to store this: try again" });
		return NULL;
	}
	c->r = r;
	c->kind = kind;
	c->wait = w;
	c->own = w ? w->own : 0;
	c->giver = w ? w->giver : 0;
	c->ruled = w && w->ruled;
	if (w)
		w->change = c;
	return c;
}

struct change *registry_change_find(const struct registry *r, const struct change_kind *kind, int64_t id)
{
	struct change *c = r->first;
	while (c && (c->kind != kind || c->id != id))
		c = c->next;
	return c;
}

static void free_change(struct change *c)
{
	member_put(c->draft);
	for (size_t i = 0; i < c->n_drafts; i++)
		member_put(c->drafts[i]);
	user_groups_put(c->groups);
	arena_free(&c->mem);
	key_wipe(c->key_text, sizeof(c->key_text));
	free(c);
}

static void save_failed(struct registry *r)
{
	r->saving = false;
	r->save_pause_ms = r->save_pause_ms ? r->save_pause_ms * 2 : SAVE_PAUSE_MIN_MS;
	if (r->save_pause_ms > SAVE_PAUSE_MAX_MS)
		r->save_pause_ms = SAVE_PAUSE_MAX_MS;
	if (r->c.ops.save_in)
		r->c.ops.save_in(r->c.ops.arg, r->save_pause_ms);
}

static void finish_change(struct change *c)
{
	struct registry *r = c->r;
	if (c->unsaved && !*r->trouble &&
		c->wait) /* who waits is told, and whoever reads the log is another */
		log_error("a change is not saved: %s", c->eb.text);
	if (c->unsaved)
		snprintf(r->trouble, sizeof(r->trouble), "%s", c->eb.text);
	if (c->kind == &save_kind && c->err)
		save_failed(r);
	tell(c);
	free_change(c);
}

static void run_write(void *arg)
{
	struct change *c = arg;
	struct store *s = c->r->store;
	c->err = store_begin(s, !c->fast, &c->eb);
	if (!c->err)
		c->err = c->kind->write ? c->kind->write(s, c, &c->eb) : store_node_put(s, c->draft, &c->eb);
	if (!c->err)
		c->err = store_commit(s, &c->eb);
	else
		store_rollback(s);
	c->unsaved = c->err != 0;
}

int registry_check_own(const struct change *c, const struct member *m, struct errbuf *eb)
{
	if (!c->own || (m->user == c->own && !member_is_tagged(m)))
		return 0;
	return err_say(eb, -EPERM, "you have no node %lld", (long long)m->id);
}

/* The member as edit leaves it; edit sees what is true now. */
static int edited(struct change *c, struct member *draft, struct errbuf *eb)
{
	const struct member *m = fleet_by_id(&c->r->fleet, c->id);
	if (!m)
		return err_say(eb, -ENOENT, "no node %lld: `nodes list` shows the numbers", (long long)c->id);
	int err = registry_check_own(c, m, eb);
	if (err)
		return err;
	*draft = *m;
	return c->kind->edit(c->r, c, draft, eb);
}

static int prepare_edit(struct change *c)
{
	struct member draft;
	int err = edited(c, &draft, &c->eb);
	if (err)
		return err;
	c->draft = member_copy(&draft);
	return c->draft ? 0 : err_set(&c->eb, -ENOMEM, "change a node");
}

static int publish_edit(struct change *c)
{
	struct member draft = { 0 };
	int err = edited(c, &draft, &c->eb);
	return err ? err : registry_publish(c->r, &draft, NEWS_IDENTITY, &c->eb);
}

/* What is told of it may ask for more, which only stands in line meanwhile: else that could end, and free, others
 * of those that are being told. */
static void write_done(void *arg)
{
	struct change *c = arg;
	struct registry *r = c->r;
	bool stepping = r->stepping;
	r->stepping = true;
	r->busy = NULL;
	if (!c->err) {
		if (*r->trouble)
			log_info("changes are saved again");
		r->trouble[0] = 0;
		r->changes += c->kind != &save_kind;
		c->err = c->kind->edit ? publish_edit(c) : c->kind->publish(r, c, &c->eb);
	}
	bool works = !c->unsaved;
	finish_change(c);
	if (works) /* what could not be written before can be now */
		registry_save(r);
	r->stepping = stepping;
	step_queue(r);
}

static void begin_write(struct change *c)
{
	const struct registry_ops *ops = &c->r->c.ops;
	c->r->busy = c;
	if (!ops->work) {
		run_write(c);
		write_done(c);
	} else if (!ops->work(ops->arg, run_write, write_done, c)) {
		c->err = err_set(&c->eb, -ENOMEM, "store a change");
		c->unsaved = true;
		c->r->busy = NULL;
		finish_change(c);
	}
}

static void step_queue(struct registry *r)
{
	if (r->stepping) /* the one that is at it goes on */
		return;
	r->stepping = true;
	while (!r->busy && r->first) {
		struct change *c = r->first;
		r->first = c->next;
		r->n_waiting--;
		c->err = c->mem.failed	 ? err_set(&c->eb, -ENOMEM, "change")
			 : c->kind->edit ? prepare_edit(c)
					 : c->kind->prepare(r, c, &c->eb);
		if (c->err)
			finish_change(c);
		else
			begin_write(c);
	}
	r->stepping = false;
}

void registry_change_submit(struct change *c)
{
	struct registry *r = c->r;
	if (!r->first)
		r->end = &r->first;
	*r->end = c;
	r->end = &c->next;
	r->n_waiting++;
	step_queue(r);
}

bool registry_is_busy(const struct registry *r)
{
	return r->busy || r->first;
}

/* --- into memory --- */

static bool same_carries(const struct member *a, const struct member *b)
{
	if (a->carries.n != b->carries.n)
		return false;
	for (size_t i = 0; i < a->carries.n; i++)
		if (!prefix_equal(&a->carries.v[i], &b->carries.v[i]))
			return false;
	return true;
}

int registry_publish(
	struct registry *r, const struct member *draft, enum registry_news what, struct errbuf *eb)
{
	struct member *m = member_copy(draft), *old = fleet_by_id(&r->fleet, draft->id);
	if (old)
		member_get(old);
	if (!m || !fleet_put(&r->fleet, m)) {
		member_put(old);
		return err_set(eb, -ENOMEM, "change node %lld", (long long)draft->id);
	}
	member_get(m);
	if (!old || !same_carries(old, m))
		what = NEWS_IDENTITY;
	if (r->c.ops.changed)
		r->c.ops.changed(r->c.ops.arg, old, m, what);
	registry_routes_update(r, old, m);
	member_put(m);
	member_put(old);
	return 0;
}

void registry_forget(struct registry *r, int64_t node)
{
	struct member *old = fleet_by_id(&r->fleet, node);
	if (!old)
		return;
	member_get(old);
	fleet_remove(&r->fleet, node);
	id_list_remove(&r->unsaved, node);
	if (r->c.ops.changed)
		r->c.ops.changed(r->c.ops.arg, old, NULL, NEWS_IDENTITY);
	registry_routes_update(r, old, NULL);
	member_put(old);
}

/* --- written behind --- */

/* Peers need a node's new address whether it can be written down or not. */
void registry_publish_unsaved(struct registry *r, const struct member *draft, enum registry_news what)
{
	struct errbuf eb = { 0 };
	if (registry_publish(r, draft, what, &eb)) {
		log_error("%s: its update is lost", eb.text);
		return;
	}
	if (!id_list_add(&r->unsaved, draft->id))
		log_error("node %lld: out of memory: its update is not saved", (long long)draft->id);
	if (!r->save_pause_ms || !r->c.ops.save_in)
		registry_save(r);
}

static int save_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	size_t n = r->unsaved.n < SAVE_BATCH ? r->unsaved.n : SAVE_BATCH;
	c->fast = true;
	c->drafts = arena_array(&c->mem, n, sizeof(struct member *));
	if (!c->drafts)
		return err_set(eb, -ENOMEM, "save the nodes");
	for (size_t i = 0; i < n; i++) {
		struct member *m = fleet_by_id(&r->fleet, r->unsaved.v[i]);
		if (m)
			c->drafts[c->n_drafts++] = (struct member *)member_get(m);
	}
	return 0;
}

static int save_write(struct store *s, struct change *c, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; i < c->n_drafts && !err; i++)
		err = store_node_put(s, c->drafts[i], eb);
	return err;
}

static int save_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	for (size_t i = 0; i < c->n_drafts; i++)
		if (fleet_by_id(&r->fleet, c->drafts[i]->id) == c->drafts[i])
			id_list_remove(&r->unsaved, c->drafts[i]->id);
	r->saving = false;
	r->save_pause_ms = 0;
	return 0;
}

static const struct change_kind save_kind = {
	.prepare = save_prepare, .write = save_write, .publish = save_publish
};

void registry_save(struct registry *r)
{
	if (r->saving || !r->unsaved.n)
		return;
	struct change *c = registry_change_new(r, &save_kind, NULL);
	if (!c) {
		save_failed(r);
		return;
	}
	r->saving = true;
	registry_change_submit(c);
}

/* --- whether it can be written --- */

static int probe_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)r;
	(void)c;
	(void)eb;
	return 0;
}
static int probe_write(struct store *s, struct change *c, struct errbuf *eb)
{
	(void)c;
	return store_probe(s, eb);
}
static int probe_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	return probe_prepare(r, c, eb);
}
static const struct change_kind probe_kind = {
	.prepare = probe_prepare, .write = probe_write, .publish = probe_publish
};

void registry_probe(struct registry *r, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &probe_kind, w);
	if (!c)
		return;
	c->now_ms = now_ms;
	registry_change_submit(c);
}
