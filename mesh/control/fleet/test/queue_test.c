/* Changes that are stored first: what is told when, in which order, and what survives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/registry.h"
#include "mesh/control/fleet/test/place.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW INT64_C(1700000000000)

struct end {
	struct registry_wait wait;
	int err;
	bool ended, unsaved;
	char text[384], key[REGISTRY_KEY_TEXT];
	int64_t id;
};

struct fixture {
	struct place place;
	char path[256];
	struct registry r;
	struct { /* the work that waits: one piece at most */
		void (*run)(void *x);
		void (*done)(void *x);
		void *x;
	} work;
	unsigned told;
	struct end *asks; /* who asks for more when it is told; NULL: nobody */
	int told_fd;
	uint64_t save_in_ms;
	char key[REGISTRY_KEY_TEXT];
};

static bool begin_work(void *arg, void (*run)(void *x), void (*done)(void *x), void *x)
{
	struct fixture *f = arg;
	assert_null(f->work.run); /* one at a time */
	f->work.run = run;
	f->work.done = done;
	f->work.x = x;
	return true;
}

static void save_in(void *arg, uint64_t ms)
{
	((struct fixture *)arg)->save_in_ms = ms;
}

/* The disk does its part of what waits; false: nothing waits. */
static bool work_once(struct fixture *f)
{
	if (!f->work.run)
		return false;
	void (*done)(void *) = f->work.done;
	f->work.run(f->work.x);
	f->work.run = NULL;
	done(f->work.x);
	return true;
}

static void work_all(struct fixture *f)
{
	while (work_once(f))
		;
	assert_false(registry_is_busy(&f->r));
}

static void on_end(void *arg, const struct registry_result *res)
{
	struct end *e = arg;
	assert_false(e->ended);
	e->ended = true;
	e->err = res->err;
	e->unsaved = res->unsaved;
	e->id = res->id;
	snprintf(e->text, sizeof(e->text), "%s", res->text);
	snprintf(e->key, sizeof(e->key), "%s", res->key ? res->key : "");
}

static struct registry_wait *waits(struct end *e)
{
	*e = (struct end) { .wait = { .done = on_end, .arg = e } };
	return &e->wait;
}

/* The first of both is refused, but not while others are being told. */
static void changed(void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	struct fixture *f = arg;
	struct end *e = f->asks;
	(void)old;
	(void)now;
	(void)what;
	f->told++;
	if (!e)
		return;
	f->asks = NULL;
	registry_node_rename(&f->r, 99, "nobody", waits(&e[0]));
	registry_node_rename(&f->r, 1, "told", waits(&e[1]));
	assert_false(e[0].ended || e[1].ended);
}

static void open_registry(struct fixture *f)
{
	struct errbuf eb = { 0 };
	struct registry_config c = { .server_url = "https://hs.test",
		.state_path = f->path,
		.rnd = &random_system,
		.secret = { { 9 } },
		.ops = { .changed = changed, .work = begin_work, .save_in = save_in, .arg = f } };
	c.pool.has_v4 = prefix_parse("100.64.0.0/10", &c.pool.v4);
	if (registry_open(&f->r, &c, &eb))
		fail_msg("%s", eb.text);
}

static enum registry_verdict ask(
	struct fixture *f, uint8_t n, struct ctl_register_response *out, struct end *e)
{
	struct ctl_register_request rq = {
		.version = 119, .auth_key = f->key, .followup = "", .expiry_ms = INT64_MIN
	};
	struct machine_key machine;
	struct arena a = { 0 };
	char pending[REGISTRY_ID];
	memset(rq.node.b, n, KEY_LEN);
	memset(machine.b, n, KEY_LEN);
	rq.hostinfo.hostname = "box";
	enum registry_verdict v = registry_register(&f->r, &rq, &machine, NOW, &a, out, pending, waits(e));
	arena_free(&a);
	return v;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct end e;
	struct ctl_register_response out;
	if (!f || !key_setup())
		abort();
	place_make(&f->place);
	place_path(&f->place, "db.sqlite", f->path);
	open_registry(f);
	registry_preauth_create(&f->r,
		&(struct preauth_wish) { .user = "alice", .create_user = true, .reusable = true, .tags = "" },
		NOW, waits(&e));
	work_all(f);
	assert_int_equal(e.err, 0);
	memcpy(f->key, e.key, sizeof(f->key));
	assert_int_equal(ask(f, 1, &out, &e), REGISTRY_STORE);
	assert_false(e.ended);
	assert_int_equal(f->r.fleet.n, 0);
	assert_int_equal(f->told, 0);
	work_all(f);
	assert_int_equal(e.err, 0);
	assert_int_equal(f->r.fleet.n, 1);
	assert_int_equal(ask(f, 1, &out, &e), REGISTRY_ANSWER);
	assert_true(out.machine_authorized);
	f->told = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	work_all(f);
	registry_close(&f->r);
	place_remove(&f->place);
	free(f);
	return 0;
}

static const char *name_of(struct fixture *f, int64_t id)
{
	return fleet_by_id(&f->r.fleet, id)->name;
}

/* Each is decided by what is true when its turn comes, and told when it is on the disk. */
static void test_order(void **state)
{
	struct fixture *f = *state;
	struct end a, b, c, d;
	registry_node_rename(&f->r, 1, "first", waits(&a));
	registry_node_rename(&f->r, 1, "second", waits(&b));
	registry_node_delete(&f->r, 1, waits(&c));
	registry_node_rename(&f->r, 1, "third", waits(&d));
	assert_string_equal(name_of(f, 1), "box");
	assert_int_equal(f->told, 0);
	assert_true(work_once(f));
	assert_true(a.ended && !a.err && !b.ended);
	assert_string_equal(name_of(f, 1), "first");
	assert_int_equal(f->told, 1);
	registry_wait_cancel(&b.wait); /* who asked has gone, the change has not */
	assert_true(work_once(f));
	assert_false(b.ended);
	assert_string_equal(name_of(f, 1), "second");
	assert_true(work_once(f));
	assert_true(c.ended && !c.err && d.ended);
	assert_int_equal(d.err, -ENOENT);
	assert_false(d.unsaved);
	assert_null(fleet_by_id(&f->r.fleet, 1));
}

static struct registry_wait *waits_own(struct end *e, int64_t own)
{
	waits(e)->own = own;
	return &e->wait;
}

/* Whose node it is ends its login sooner, never later: by what an admin has said before its turn came. */
static void test_own_expiry(void **state)
{
	struct fixture *f = *state;
	const struct member *m = fleet_by_id(&f->r.fleet, 1);
	struct end admin, e[3];
	int64_t own = m->user;
	assert_int_equal(m->expiry_ms, FLEET_NO_TIME);
	registry_node_expire(&f->r, 1, NOW + 5000, NOW, waits(&admin));
	registry_node_expire(&f->r, 1, NOW + 5001, NOW, waits_own(&e[0], own));
	registry_node_expire(&f->r, 1, NOW + 5000, NOW, waits_own(&e[1], own));
	registry_node_expire(&f->r, 1, NOW + 4999, NOW, waits_own(&e[2], own));
	work_all(f);
	assert_true(!admin.err && !e[1].err && !e[2].err);
	assert_int_equal(e[0].err, -EPERM);
	assert_int_equal(fleet_by_id(&f->r.fleet, 1)->expiry_ms, NOW + 4999);
	registry_node_expire(&f->r, 1, FLEET_NO_TIME, NOW, waits(&admin));
	registry_node_expire(&f->r, 1, NOW + 9000, NOW, waits_own(&e[0], own));
	work_all(f);
	assert_true(!admin.err && !e[0].err);
	assert_int_equal(fleet_by_id(&f->r.fleet, 1)->expiry_ms, NOW + 9000);
}

/* A node that an admin gives tags is nobody's own any more, whoever asked before. */
static void test_own_tagged(void **state)
{
	struct fixture *f = *state;
	struct end admin, e[4];
	int64_t own = fleet_by_id(&f->r.fleet, 1)->user;
	registry_node_rename(&f->r, 1, "other", waits_own(&e[0], own + 1));
	registry_node_tag(&f->r, 1, "tag:web", waits(&admin));
	registry_node_rename(&f->r, 1, "mine", waits_own(&e[1], own));
	registry_node_expire(&f->r, 1, NOW, NOW, waits_own(&e[2], own));
	registry_node_delete(&f->r, 1, waits_own(&e[3], own));
	registry_wait_cancel(&e[3].wait); /* who asks has gone: the change stays theirs */
	work_all(f);
	assert_int_equal(admin.err, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(e[i].err, -EPERM);
	assert_string_equal(name_of(f, 1), "box");
}

/* What is asked for while a change is told waits until all of it is told. */
static void test_asks_while_told(void **state)
{
	struct fixture *f = *state;
	struct end a, more[2];
	f->asks = more;
	registry_node_rename(&f->r, 1, "first", waits(&a));
	assert_true(work_once(f));
	assert_true(a.ended && !a.err && more[0].ended && !more[1].ended);
	assert_int_equal(more[0].err, -ENOENT);
	assert_true(work_once(f));
	assert_true(more[1].ended && !more[1].err);
	assert_string_equal(name_of(f, 1), "told");
}

/* Two that want one name, one key for one machine: the second is refused though both began before either was
 * done. */
static void test_races(void **state)
{
	struct fixture *f = *state;
	struct ctl_register_response out;
	struct end a, b;
	registry_preauth_create(
		&f->r, &(struct preauth_wish) { .user = "alice", .tags = "" }, NOW, waits(&a));
	work_all(f);
	memcpy(f->key, a.key, sizeof(f->key));
	assert_int_equal(ask(f, 2, &out, &a), REGISTRY_STORE);
	assert_int_equal(ask(f, 3, &out, &b), REGISTRY_STORE);
	work_all(f);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, ERR_REFUSED);
	assert_non_null(strstr(b.text, "has been used already"));
	assert_int_equal(f->r.fleet.n, 2);
	registry_node_rename(&f->r, 1, "nas", waits(&a));
	registry_node_rename(&f->r, 2, "nas", waits(&b));
	work_all(f);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, -EEXIST);
}

static void move(struct fixture *f, uint16_t port)
{
	struct endpoint ep = { .ip = addr_v4(0xc0000201U), .port = port };
	struct ctl_map_request rq = { .endpoints = { .v = &ep, .n = 1, .present = true } };
	struct machine_key machine;
	memset(rq.node.b, 1, KEY_LEN);
	memset(machine.b, 1, KEY_LEN);
	assert_non_null(registry_map_received(&f->r, &rq, &machine, NOW + port));
}

static void reopen(struct fixture *f)
{
	work_all(f);
	registry_close(&f->r);
	open_registry(f);
}

/* A node moves while its new name is on its way to the disk: told at once, and neither undoes the other. */
static void test_moves_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct end e;
	registry_node_rename(&f->r, 1, "nas", waits(&e));
	move(f, 7);
	assert_int_equal(f->told, 1);
	assert_int_equal(fleet_by_id(&f->r.fleet, 1)->endpoints.v[0].port, 7);
	assert_string_equal(name_of(f, 1), "box");
	work_all(f);
	assert_string_equal(name_of(f, 1), "nas");
	assert_int_equal(fleet_by_id(&f->r.fleet, 1)->endpoints.v[0].port, 7);
	reopen(f);
	assert_string_equal(name_of(f, 1), "nas");
	assert_int_equal(fleet_by_id(&f->r.fleet, 1)->endpoints.v[0].port, 7);
}

struct said {
	unsigned unsaved, again;
};

static void log_said(void *arg, enum log_level level, const char *text)
{
	struct said *s = arg;
	s->unsaved += level == LOG_ERROR && strstr(text, "a change is not saved: ") != NULL;
	s->again += level == LOG_INFO && strstr(text, "changes are saved again") != NULL;
}

/* While nothing can be written, admins are told so, and nodes move all the same; what they said is written
 * later. */
static void test_disk_away_and_back(void **state)
{
	struct fixture *f = *state;
	struct end e;
	struct said said = { 0 };
	char aside[256];
	assert_int_equal(rename(f->path, place_path(&f->place, "aside", aside)), 0);
	log_tell(log_said, &said);
	registry_node_rename(&f->r, 1, "nas", waits(&e));
	work_all(f);
	assert_int_equal(e.err, -ENOENT);
	assert_true(e.unsaved);
	assert_int_equal(f->told, 0);
	assert_string_equal(name_of(f, 1), "box");
	registry_probe(&f->r, NOW, waits(&e));
	work_all(f);
	assert_true(e.unsaved);
	move(f, 7);
	work_all(f);
	assert_int_equal(f->told, 1);
	assert_int_equal(f->save_in_ms, 1000);
	move(f, 8); /* no try before the time has come */
	assert_false(work_once(f));
	registry_save(&f->r);
	work_all(f);
	assert_int_equal(f->save_in_ms, 2000);
	assert_int_equal(said.unsaved, 1);
	assert_int_equal(said.again, 0);

	assert_int_equal(rename(aside, f->path), 0);
	registry_probe(&f->r, NOW, waits(&e)); /* that it works again is reason enough */
	work_all(f);
	assert_int_equal(e.err, 0);
	assert_int_equal(f->r.unsaved.n, 0);
	assert_string_equal(f->r.trouble, "");
	assert_int_equal(said.unsaved, 1);
	assert_int_equal(said.again, 1);
	log_tell(NULL, NULL);
	reopen(f);
	assert_int_equal(fleet_by_id(&f->r.fleet, 1)->endpoints.v[0].port, 8);
}

/* All ask before the disk has heard of the first: a key that is good for one node lets in one. */
static void test_one_key(void **state)
{
	enum { MANY = 64, FIRST = 2 };
	struct fixture *f = *state;
	struct end e[MANY], key;
	struct ctl_register_response out;
	unsigned in = 0, refused = 0;
	registry_preauth_create(
		&f->r, &(struct preauth_wish) { .user = "alice", .tags = "" }, NOW, waits(&key));
	work_all(f);
	memcpy(f->key, key.key, sizeof(f->key));
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(ask(f, (uint8_t)(FIRST + i), &out, &e[i]), REGISTRY_STORE);
	work_all(f);
	for (unsigned i = 0; i < MANY; i++) {
		in += e[i].ended && !e[i].err;
		refused += e[i].err == ERR_REFUSED && strstr(e[i].text, "has been used already");
	}
	assert_int_equal(in, 1);
	assert_int_equal(refused, MANY - 1);
	assert_int_equal(f->r.fleet.n, 2);
	reopen(f);
	assert_int_equal(f->r.fleet.n, 2);
	assert_int_equal(ask(f, FIRST + MANY, &out, &e[0]), REGISTRY_ANSWER);
	assert_false(out.machine_authorized);
}

/* A host that says another name with every message makes one change, not as many. */
static void test_host_names(void **state)
{
	struct fixture *f = *state;
	struct ctl_map_request rq = { .has_hostinfo = true };
	struct machine_key machine;
	char name[32];
	memset(rq.node.b, 1, KEY_LEN);
	memset(machine.b, 1, KEY_LEN);
	rq.hostinfo.hostname = name;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "host-%u", i);
		assert_non_null(registry_map_received(&f->r, &rq, &machine, NOW));
	}
	assert_true(f->r.n_waiting <= 2);
	work_all(f);
	assert_string_equal(name_of(f, 1), "host-999");
}

/* --- kill -9 at any moment --- */

static void tell_parent(
	void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	int n = 0;
	struct fixture *f = arg;
	(void)old;
	(void)what;
	if (now && sscanf(now->name, "n-%d", &n) == 1 && write(f->told_fd, &n, sizeof(n)) != sizeof(n))
		_exit(1);
}

/* What was told to others before the server died, is there when it starts again. */
static void test_killed(void **state)
{
	struct fixture *f = *state;
	work_all(f);
	registry_close(&f->r);
	for (int round = 0; round < 5; round++) {
		int p[2], n = -1, last = -1, status, found = 0;
		assert_int_equal(pipe(p), 0);
		pid_t child = fork();
		if (!child) {
			f->told_fd = p[1];
			open_registry(f);
			f->r.c.ops.work = NULL;
			f->r.c.ops.changed = tell_parent;
			for (int i = 0;; i++) {
				char name[32];
				snprintf(name, sizeof(name), "n-%d", i);
				registry_node_rename(&f->r, 1, name, NULL);
			}
		}
		close(p[1]);
		for (int i = 0; i < 20 + round * 3; i++)
			assert_int_equal(read(p[0], &n, sizeof(n)), sizeof(n));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		while (read(p[0], &n, sizeof(n)) == sizeof(n))
			last = n;
		last = last > n ? last : n;
		close(p[0]);
		open_registry(f);
		assert_int_equal(sscanf(name_of(f, 1), "n-%d", &found), 1);
		assert_true(found == last || found == last + 1);
		registry_close(&f->r);
	}
	open_registry(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_tagged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asks_while_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_races, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moves_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_away_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
