/* Connections to relays, against the relay program itself. */
#include "mesh/node/links/relays.h"
#include "mesh/os/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { REGION = 7, MANY = 40, SIZE = 1200 };

struct relay_process {
	pid_t pid;
	char dir[64], pin[80];
	int32_t port;
};

/* false: the program has not been built. */
static bool relay_start(struct relay_process *r, const char *host)
{
	char path[4096], line[512] = "", *at;
	int out[2];
	const char *bin = getenv("RW_BIN_DIR");
	snprintf(path, sizeof(path), "%s/ropewalk-relay", bin ? bin : "");
	if (!bin || access(path, X_OK) != 0)
		return false;
	*r = (struct relay_process) { .dir = "/tmp/rw-relays-XXXXXX" };
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(pipe(out), 0);
	r->pid = fork();
	if (!r->pid) {
		dup2(out[1], 1);
		close(out[0]);
		execl(path, path, "--listen", "127.0.0.1:0", "--stun", "127.0.0.1:0", "--hostname", host,
			"--statedir", r->dir, "--json", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	at = strstr(line, "127.0.0.1:");
	assert_non_null(at);
	r->port = atoi(at + strlen("127.0.0.1:"));
	at = strstr(line, "sha256-raw:");
	assert_non_null(at);
	snprintf(r->pin, sizeof(r->pin), "%.75s", at);
	return true;
}

static void relay_stop(struct relay_process *r)
{
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	assert_int_equal(dir_remove(r->dir, NULL), 0);
}

struct end {
	struct relays *relays;
	struct node_private priv;
	struct node_key pub;
	size_t packets, bytes, flushes;
	int ups, downs, gone;
	double latency_ms;
	bool measured;
};

static void received(void *arg, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	struct end *e = arg;
	assert_int_equal(region, REGION);
	assert_false(key_is_zero(from->b));
	assert_true(!len || p[0] == 'x');
	e->packets++;
	e->bytes += len;
}

static void flush(void *arg)
{
	((struct end *)arg)->flushes++;
}

static void up(void *arg, int32_t region, bool is)
{
	struct end *e = arg;
	(void)region;
	*(is ? &e->ups : &e->downs) += 1;
}

static void peer_gone(void *arg, int32_t region, const struct node_key *who)
{
	(void)region;
	(void)who;
	((struct end *)arg)->gone++;
}

static void latency(void *arg, int32_t region, double ms)
{
	struct end *e = arg;
	(void)region;
	e->measured = true;
	e->latency_ms = ms;
}

static void end_open(struct end *e, struct loop *l)
{
	*e = (struct end) { 0 };
	key_generate(&random_system, e->priv.b);
	key_public(e->priv.b, e->pub.b);
	struct relays_events ev = { .received = received,
		.flush = flush,
		.up = up,
		.peer_gone = peer_gone,
		.latency = latency,
		.arg = e };
	e->relays = relays_open(l, &e->priv, &ev, &random_system);
	assert_non_null(e->relays);
}

static struct ctl_derp_node node_of(const struct relay_process *r, int32_t port)
{
	return (struct ctl_derp_node) { .name = "n",
		.region = REGION,
		.host = "127.0.0.1",
		.cert_name = r->pin,
		.ipv4 = "127.0.0.1",
		.ipv6 = "none",
		.stun_test_ip = "",
		.derp_port = port };
}

#define WAIT(l, what) \
	do { \
		while (!(what)) \
			loop_run_once(l); \
	} while (0)

static void test_packets(void **state)
{
	struct relay_process r;
	static struct pkt pkts[MANY];
	struct pkt *ptr[MANY];
	struct end a, b;
	(void)state;
	if (!relay_start(&r, "127.0.0.1")) {
		print_message("skipped: ropewalk-relay is not built\n");
		skip();
		return;
	}
	struct loop *l = loop_new();
	/* Nobody answers at the first relay of the region: the second is tried. */
	struct ctl_derp_node nodes[2] = { node_of(&r, 1), node_of(&r, r.port) };
	struct ctl_derp_region region = {
		.id = REGION, .code = "x", .name = "X", .nodes = nodes, .n_nodes = 2
	};
	struct ctl_derp_map map = { .regions = &region, .n_regions = 1 };
	end_open(&a, l);
	end_open(&b, l);
	relays_map_set(a.relays, &map);
	relays_map_set(b.relays, &map);
	relays_home_set(b.relays, REGION);
	WAIT(l, relays_is_up(b.relays, REGION));
	assert_true(b.downs >= 1);

	/* The first packets open the connection and wait for it. */
	nodes[0] = nodes[1];
	relays_map_set(a.relays, &map);
	for (int i = 0; i < 3; i++)
		relays_send(a.relays, REGION, &b.pub, (const uint8_t *)"xyz", 3);
	WAIT(l, b.packets == 3);
	assert_int_equal(relays_dropped(a.relays), 0);
	assert_true(b.flushes > 0);

	for (size_t i = 0; i < MANY; i++) {
		pkt_reset(&pkts[i]);
		pkts[i].len = SIZE;
		memset(pkt_data(&pkts[i]), 'x', SIZE);
		ptr[i] = &pkts[i];
	}
	relays_send_batch(a.relays, REGION, &b.pub, ptr, MANY);
	WAIT(l, b.packets == 3 + MANY);
	assert_int_equal(b.bytes, 9 + MANY * SIZE);

	relays_measure(a.relays, REGION);
	WAIT(l, a.measured);
	assert_true(a.latency_ms > 0);

	/* Who leaves is told of to those it wrote to. */
	relays_send(b.relays, REGION, &a.pub, (const uint8_t *)"x", 1);
	WAIT(l, a.packets == 1);
	relays_close(b.relays);
	WAIT(l, a.gone > 0);
	relays_close(a.relays);
	loop_free(l);
	relay_stop(&r);
}

static void test_map_changes(void **state)
{
	struct relay_process r;
	struct end a;
	(void)state;
	if (!relay_start(&r, "127.0.0.1")) {
		print_message("skipped: ropewalk-relay is not built\n");
		skip();
		return;
	}
	struct loop *l = loop_new();
	struct ctl_derp_node node = node_of(&r, r.port);
	struct ctl_derp_region region = {
		.id = REGION, .code = "x", .name = "X", .nodes = &node, .n_nodes = 1
	};
	struct ctl_derp_map map = { .regions = &region, .n_regions = 1 }, empty = { 0 };
	end_open(&a, l);
	relays_home_set(a.relays, REGION); /* before it is known */
	relays_map_set(a.relays, &map);
	WAIT(l, a.ups == 1);
	assert_string_equal(relays_region_code(a.relays, REGION), "x");
	relays_map_set(a.relays, &map);
	assert_int_equal(a.downs, 0);
	relays_map_set(a.relays, &empty);
	assert_int_equal(a.downs, 1);
	assert_string_equal(relays_region_code(a.relays, REGION), "");
	relays_send(a.relays, REGION, &a.pub, (const uint8_t *)"x", 1);
	assert_int_equal(relays_dropped(a.relays), 1);
	relays_map_set(a.relays, &map);
	WAIT(l, a.ups == 2);
	/* Loopback is not among the machine's listed addresses, and stays. */
	relays_links_changed(a.relays, NULL, 0);
	assert_true(relays_is_up(a.relays, REGION));

	kill(r.pid, SIGKILL);
	WAIT(l, a.downs == 2);
	relays_measure(a.relays, REGION);
	WAIT(l, a.measured);
	assert_true(a.latency_ms < 0);
	relays_close(a.relays);
	loop_free(l);
	relay_stop(&r);
}

/* Somebody in between has another certificate. */
static void test_other_pin(void **state)
{
	struct relay_process r;
	struct end a;
	(void)state;
	if (!relay_start(&r, "127.0.0.1")) {
		print_message("skipped: ropewalk-relay is not built\n");
		skip();
		return;
	}
	struct loop *l = loop_new();
	struct ctl_derp_node node = node_of(&r, r.port);
	char *last = &r.pin[strlen(r.pin) - 1];
	*last = *last == '0' ? '1' : '0';
	struct ctl_derp_region region = {
		.id = REGION, .code = "x", .name = "X", .nodes = &node, .n_nodes = 1
	};
	struct ctl_derp_map map = { .regions = &region, .n_regions = 1 };
	end_open(&a, l);
	relays_map_set(a.relays, &map);
	relays_home_set(a.relays, REGION);
	WAIT(l, a.downs >= 2);
	assert_int_equal(a.ups, 0);
	relays_close(a.relays);
	loop_free(l);
	relay_stop(&r);
}

/* A literal that fails is not all that the map says: the name is tried as well, and what worked is kept. */
static void test_by_name(void **state)
{
	struct relay_process r;
	struct end a;
	(void)state;
	if (!relay_start(&r, "localhost")) {
		print_message("skipped: ropewalk-relay is not built\n");
		skip();
		return;
	}
	struct loop *l = loop_new();
	struct ctl_derp_node node = node_of(&r, r.port);
	node.ipv4 = "127.0.0.9"; /* nobody listens there */
	node.host = "localhost";
	struct ctl_derp_region region = {
		.id = REGION, .code = "x", .name = "X", .nodes = &node, .n_nodes = 1
	};
	struct ctl_derp_map map = { .regions = &region, .n_regions = 1 };
	end_open(&a, l);
	assert_string_equal(relays_trouble(a.relays), "");
	relays_map_set(a.relays, &map);
	relays_home_set(a.relays, REGION);
	WAIT(l, a.ups == 1);
	assert_int_equal(a.downs, 2); /* by IPv4, and what there is instead of IPv6 */
	assert_string_equal(relays_trouble(a.relays), "");
	kill(r.pid, SIGKILL);
	WAIT(l, a.downs >= 7);
	assert_non_null(strstr(relays_trouble(a.relays), "no relay can be reached: "));
	relays_close(a.relays);
	loop_free(l);
	relay_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_map_changes),
		cmocka_unit_test(test_other_pin),
		cmocka_unit_test(test_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
