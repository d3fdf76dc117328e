/* When map streams are told: at once, after a rest, at the bound of the journal. The HTTP/2 below them is this file's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/view/streams.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	VIEWERS = 2,
	CHANGED = 2,
	BOUND = 8192,
	REST_MOST_MS = 1000,
	KEEPALIVE_MOST_MS = 60000,
	GRACE_MS = 10000
};

/* --- in place of transport/control_server.c --- */

struct h2_stream {
	void *data;
	unsigned begun, messages, ended, cut;
	char said[4][2048]; /* the message n, where there is room, is [n % 4] */
	unsigned takes_ms;  /* to write a message */
	bool full;	    /* it takes no more */
	/* NULL for none: set by a message of one stream, and what it was at a message of the other. */
	struct loop_timer *sets, *asks;
	bool was_set;
};

void h2_stream_data_set(struct h2_stream *s, void *data)
{
	s->data = data;
}

void h2_respond(struct h2_stream *s, int status, const char *content_type, const void *body, size_t len)
{
	(void)s, (void)content_type, (void)body, (void)len;
	fail_msg("answered with %d", status);
}

void h2_respond_begin(struct h2_stream *s, int status, const char *content_type)
{
	assert_int_equal(status, 200);
	assert_string_equal(content_type, "application/json");
	s->begun++;
}

int h2_respond_chunk(struct h2_stream *s, const void *p, size_t len)
{
	assert_true(p && len);
	trouble_pass_ms(s->takes_ms);
	if (s->sets)
		loop_timer_set(s->sets, 0);
	if (s->asks)
		s->was_set = loop_timer_is_set(s->asks);
	snprintf(s->said[s->messages % ARRAY_LEN(s->said)], sizeof(s->said[0]), "%.*s", (int)len - 4,
		(const char *)p + 4);
	s->messages += !s->full;
	return s->full ? ERR_TOO_LARGE : 0;
}

void h2_respond_end(struct h2_stream *s)
{
	s->ended++;
}

void h2_respond_cut(struct h2_stream *s)
{
	s->cut++;
}

/* --- a fleet of three, of whom two listen --- */

struct fixture {
	struct loop *loop;
	struct loop_timer *turn;
	struct fleet f;
	struct streams s;
	struct h2_stream streams[VIEWERS + 1];
	unsigned renamed;
	unsigned online, offline; /* times said */
};

static void online(void *arg, int64_t node, bool is)
{
	struct fixture *x = arg;
	(void)node;
	x->online += is;
	x->offline += !is;
}

static void accept_stream(struct fixture *x, int64_t node, struct h2_stream *h)
{
	const struct ctl_map_request rq = { .version = 113, .compress = "", .stream = true };
	streams_accept(&x->s, h, fleet_by_id(&x->f, node), &rq);
	assert_int_equal(h->begun, 1);
	assert_int_equal(h->messages, 1);
}

static void turned(void *arg)
{
	(void)arg;
}

/* Turns of the loop until all that is due is done. */
static void settle(struct fixture *x)
{
	do {
		loop_timer_set(x->turn, 1);
		while (loop_timer_is_set(x->turn))
			loop_run_once(x->loop);
	} while (x->s.flush_queued && x->s.flush_from_ms <= loop_now_ms(x->loop));
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct errbuf eb;
	x->loop = loop_new();
	x->turn = loop_timer_new(x->loop, turned, NULL);
	net_init(&x->f);
	net_add(&x->f, 1, "laptop", 1, NULL);
	net_add(&x->f, CHANGED, "phone", 1, NULL);
	net_add(&x->f, 3, "bobs", 2, NULL);
	assert_int_equal(streams_open(&x->s, x->loop, &x->f, &(struct streams_ops) { online, x }, &eb), 0);
	struct settings *set = calloc(1, sizeof(*set));
	set->refs = 1;
	set->base_domain = "mesh.test";
	streams_settings_set(&x->s, set);
	settings_put(set);
	for (int i = 0; i < VIEWERS; i++)
		accept_stream(x, 1 + 2 * i, &x->streams[i]);
	assert_int_equal(streams_count(&x->s), VIEWERS);
	settle(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	streams_close(&x->s);
	loop_timer_free(x->turn);
	loop_free(x->loop);
	fleet_fini(&x->f);
	free(x);
	return 0;
}

/* The phone is called otherwise. */
static void change(struct fixture *x)
{
	char name[32];
	struct member *old = fleet_by_id(&x->f, CHANGED);
	member_get(old);
	struct member draft = *old;
	snprintf(name, sizeof(name), "phone-%u", ++x->renamed);
	draft.name = name;
	const struct member *now = net_put(&x->f, &draft);
	assert_non_null(now);
	streams_changed(&x->s, old, now, false);
	member_put(old);
}

/* Both have been told so many messages. */
static void assert_told(const struct fixture *x, unsigned messages)
{
	for (int i = 0; i < VIEWERS; i++)
		if (x->streams[i].messages != messages)
			fail_msg("stream %d: %u messages, not %u", i, x->streams[i].messages, messages);
}

static void test_single(void **state)
{
	struct fixture *x = *state;
	change(x);
	assert_told(x, 1); /* in the next turn, with all else of this one */
	change(x);
	settle(x);
	assert_told(x, 2);
	assert_int_equal(x->s.journal.n, 0);
	settle(x);
	assert_told(x, 2);
}

/* That member has another home relay. */
static void move(struct fixture *x, int64_t id, int32_t region)
{
	struct member *old = fleet_by_id(&x->f, id);
	member_get(old);
	struct member draft = *old;
	draft.home_derp = region;
	const struct member *now = net_put(&x->f, &draft);
	assert_non_null(now);
	streams_changed(&x->s, old, now, false);
	member_put(old);
}

/* What changes of oneself and of others at one moment are two messages: the second changes peers and nothing else. */
static void test_moved_together(void **state)
{
	struct fixture *x = *state;
	const struct h2_stream *laptop = &x->streams[0], *bobs = &x->streams[1];
	move(x, 1, 900);
	move(x, CHANGED, 900);
	settle(x);
	assert_int_equal(laptop->messages, 3);
	assert_non_null(strstr(laptop->said[1], "\"Node\":"));
	assert_null(strstr(laptop->said[1], "PeersChangedPatch"));
	assert_null(strstr(laptop->said[2], "\"Node\":"));
	assert_non_null(strstr(laptop->said[2], "\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":900}]"));
	assert_int_equal(bobs->messages, 2); /* nothing of its own */
	assert_non_null(strstr(bobs->said[1], "\"NodeID\":1,"));
	assert_non_null(strstr(bobs->said[1], "\"NodeID\":2,"));
}

/* However many changes there are before the loop turns, no more than so many are kept. */
static void test_bound(void **state)
{
	struct fixture *x = *state;
	x->streams[0].takes_ms = x->streams[1].takes_ms = 10; /* more than a turn has for it */
	for (int i = 0; i < BOUND; i++)
		change(x);
	assert_told(x, 1);
	assert_int_equal(x->s.journal.n, BOUND);
	change(x);
	assert_told(x, 2);
	assert_int_equal(x->s.journal.n, 0);
	settle(x);
	assert_told(x, 2); /* nothing was left */
}

static const struct test_rest {
	const char *name;
	unsigned takes_ms; /* each of the two messages */
	bool most;
} rests[] = { { "four times what it took", 50, false }, { "a second at most", 400, true } };

static void test_rest(void **state)
{
	struct fixture *x = *state;
	for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
		const struct test_rest *r = &rests[i];
		const unsigned told = x->streams[0].messages;
		x->streams[0].takes_ms = x->streams[1].takes_ms = r->takes_ms;
		trouble_pass_ms(REST_MOST_MS); /* of the row before */
		const uint64_t before = loop_now_ms(x->loop);
		change(x);
		settle(x);
		const uint64_t after = loop_now_ms(x->loop),
			       least = r->most ? REST_MOST_MS : 4 * VIEWERS * r->takes_ms;
		uint64_t most = 4 * (after - before);
		if (most > REST_MOST_MS)
			most = REST_MOST_MS;
		assert_told(x, told + 1);
		if (x->s.flush_from_ms < before + VIEWERS * r->takes_ms + least ||
			x->s.flush_from_ms > after + most)
			fail_msg("%s: rests until %llu, not %llu", r->name,
				(unsigned long long)x->s.flush_from_ms,
				(unsigned long long)(before + VIEWERS * r->takes_ms + least));
	}
}

/* What changes while they rest is told together, when the rest is over. */
static void test_after_rest(void **state)
{
	struct fixture *x = *state;
	x->streams[0].takes_ms = x->streams[1].takes_ms = 1000;
	change(x);
	settle(x);
	assert_told(x, 2);
	for (int i = 0; i < 3; i++) {
		change(x);
		settle(x);
	}
	if (loop_now_ms(x->loop) < x->s.flush_from_ms)
		assert_told(x, 2);
	trouble_pass_ms(REST_MOST_MS);
	settle(x);
	assert_told(x, 3);
}

/* Between two messages that took too long, what else is due comes to its turn. */
static void test_slices(void **state)
{
	struct fixture *x = *state;
	x->streams[0].takes_ms = 10;
	x->streams[0].sets = x->streams[1].asks = x->turn;
	x->streams[1].was_set = true;
	change(x);
	settle(x);
	assert_told(x, 2);
	assert_false(x->streams[1].was_set);
	assert_int_equal(x->s.journal.n, 0);
}

/* Who does not read is cut off, and counts as online for a while; nobody else waits. */
static void test_full(void **state)
{
	struct fixture *x = *state;
	x->streams[0].full = true;
	change(x);
	settle(x);
	assert_int_equal(x->streams[0].cut, 1);
	assert_int_equal(x->streams[1].messages, 2);
	assert_int_equal(streams_count(&x->s), 1);
	assert_int_equal(x->offline, 0);
	trouble_pass_ms(GRACE_MS);
	settle(x);
	assert_int_equal(x->offline, 1);
}

static void test_keepalive(void **state)
{
	struct fixture *x = *state;
	trouble_pass_ms(KEEPALIVE_MOST_MS);
	settle(x);
	assert_told(x, 2);
	settle(x);
	assert_told(x, 2);
	/* Any other message counts as one. */
	trouble_pass_ms(KEEPALIVE_MOST_MS / 2);
	change(x);
	settle(x);
	assert_told(x, 3);
	trouble_pass_ms(KEEPALIVE_MOST_MS / 2 + 10000);
	settle(x);
	assert_told(x, 3);
	trouble_pass_ms(KEEPALIVE_MOST_MS / 2 - 10000);
	settle(x);
	assert_told(x, 4);
}

/* The newest stream is the node's, and begins with all there is. */
static void test_again(void **state)
{
	struct fixture *x = *state;
	accept_stream(x, 1, &x->streams[VIEWERS]);
	assert_int_equal(x->streams[0].cut, 1);
	assert_int_equal(streams_count(&x->s), VIEWERS);
	change(x);
	settle(x);
	assert_int_equal(x->streams[0].messages, 1);
	assert_int_equal(x->streams[1].messages, 2);
	assert_int_equal(x->streams[VIEWERS].messages, 2);
	assert_int_equal(x->offline, 0);
}

static void accept_disco(struct fixture *x, uint8_t disco, struct h2_stream *h)
{
	struct ctl_map_request rq = { .version = 113, .compress = "", .stream = true };
	memset(rq.disco.b, disco, sizeof(rq.disco.b));
	*h = (struct h2_stream) { 0 };
	streams_accept(&x->s, h, fleet_by_id(&x->f, 1), &rq);
	assert_int_equal(h->begun, 1);
}

static bool says(const struct h2_stream *h, unsigned n, const char *text)
{
	return h->messages > n && strstr(h->said[n], text);
}

/* Two machines with one key, as after a copy of a disk, are told so; one that begins anew, however often, is not. */
static void test_twins(void **state)
{
	static const struct {
		const char *discos; /* one after the other */
		uint64_t apart_ms;
		bool told; /* the last of them */
	} rows[] = {
		{ "a", 0, false }, { "aaa", 0, false }, { "abcd", 0, false }, { "ab", 0, false },
		{ "aba", 20000, true }, { "abab", 20000, true },
		{ "abaa", 20000, false }, /* its own stream anew; nothing is known of the other one */
		{ "aba", 61000, false },  /* a disk that was put back */
	};
	struct fixture *x = *state;
	struct h2_stream h[4];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *d = rows[i].discos;
		for (size_t k = 0; d[k]; k++) {
			trouble_pass_ms(k ? rows[i].apart_ms : 2 * 61000);
			accept_disco(x, (uint8_t)(16 * i + (uint8_t)d[k]), &h[k]);
		}
		size_t last = strlen(d) - 1;
		if (says(&h[last], 1, "\"Health\":[\"another machine has the keys of this one") !=
			rows[i].told)
			fail_msg("row %zu: %u messages", i, h[last].messages);
		/* It holds until nobody has come for a while. */
		unsigned before = h[last].messages;
		trouble_pass_ms(KEEPALIVE_MOST_MS);
		settle(x);
		assert_int_equal(h[last].messages, before + 1);
		assert_true(says(&h[last], before, "\"Health\":[]") == rows[i].told);
	}
	streams_close(&x->s); /* before its streams go */
}

/* A policy that was being stored when the server was told to end comes into force after its streams have ended. */
static void test_closed(void **state)
{
	struct fixture *x = *state;
	struct settings *late = calloc(1, sizeof(*late));
	late->refs = 1;
	streams_close(&x->s);
	streams_settings_set(&x->s, late);
	assert_int_equal(late->refs, 1);
	settings_put(late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_single, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_after_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keepalive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
	};
	log_setup(LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
