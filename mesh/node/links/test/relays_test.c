/* Connections to relays, against the relay program itself. */
#include "mesh/node/links/relays.h"
#include "mesh/os/file.h"
#include "mesh/os/tied.h"
#include "mesh/proto/derp_queue.h"
#include "mesh/proto/disco.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { REGION = 7, MANY = 40, SIZE = 1200, BEHIND = DERP_QUEUE_WAKE / SIZE - 2, WAIT_MS = 30000 };

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
	r->pid = fork_tied();
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
	size_t packets, bytes, flushes, held; /* held: since the last flush */
	size_t before_disco;		      /* packets, when disco came; 0 = it has not */
	int ups, downs, gone;
	double latency_ms;
	bool measured;
};

static void received(void *arg, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	struct end *e = arg;
	assert_int_equal(region, REGION);
	assert_false(key_is_zero(from->b));
	if (disco_is(p, len)) {
		e->before_disco = e->packets;
		return;
	}
	assert_true(!len || p[0] == 'x');
	e->packets++;
	e->held++;
	e->bytes += len;
}

static void flush(void *arg)
{
	struct end *e = arg;
	e->flushes++;
	e->held = 0;
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

/* A relay that runs, a map with one region that has it, and one end that knows neither yet. */
struct rig {
	struct relay_process r;
	struct loop *l;
	struct ctl_derp_node nodes[2];
	struct ctl_derp_region region;
	struct ctl_derp_map map;
	struct end a;
};

static void rig_open(struct rig *g, const char *host)
{
	*g = (struct rig) { 0 };
	if (!relay_start(&g->r, host)) {
		print_message("skipped: ropewalk-relay is not built\n");
		skip();
	}
	g->l = loop_new();
	g->nodes[0] = node_of(&g->r, g->r.port);
	g->region = (struct ctl_derp_region) {
		.id = REGION, .code = "x", .name = "X", .nodes = g->nodes, .n_nodes = 1
	};
	g->map = (struct ctl_derp_map) { .regions = &g->region, .n_regions = 1 };
	end_open(&g->a, g->l);
}

static void rig_close(struct rig *g)
{
	relays_close(g->a.relays);
	loop_free(g->l);
	relay_stop(&g->r);
}

static void test_packets(void **state)
{
	struct rig g;
	static struct pkt pkts[MANY];
	struct pkt *ptr[MANY];
	struct end b;
	(void)state;
	rig_open(&g, "127.0.0.1");
	/* Nobody answers at the first relay of the region: the second is tried. */
	g.nodes[1] = g.nodes[0];
	g.nodes[0].derp_port = 1;
	g.region.n_nodes = 2;
	end_open(&b, g.l);
	relays_map_set(g.a.relays, &g.map);
	relays_map_set(b.relays, &g.map);
	relays_home_set(b.relays, REGION);
	WAIT(g.l, relays_is_up(b.relays, REGION));
	assert_true(b.downs >= 1);

	/* The first packets open the connection and wait for it. */
	g.nodes[0] = g.nodes[1];
	relays_map_set(g.a.relays, &g.map);
	for (int i = 0; i < 3; i++)
		relays_send(g.a.relays, REGION, &b.pub, (const uint8_t *)"xyz", 3);
	WAIT(g.l, b.packets == 3);
	assert_int_equal(relays_dropped(g.a.relays), 0);
	assert_true(b.flushes > 0);

	for (size_t i = 0; i < MANY; i++) {
		pkt_reset(&pkts[i]);
		pkts[i].len = SIZE;
		memset(pkt_data(&pkts[i]), 'x', SIZE);
		ptr[i] = &pkts[i];
	}
	relays_send_batch(g.a.relays, REGION, &b.pub, ptr, MANY);
	WAIT(g.l, b.packets == 3 + MANY);
	assert_int_equal(b.bytes, 9 + MANY * SIZE);
	assert_int_equal(b.held, 0);

	relays_measure(g.a.relays, REGION);
	WAIT(g.l, g.a.measured);
	assert_true(g.a.latency_ms > 0);

	/* Who leaves is told of to those it wrote to. */
	relays_send(b.relays, REGION, &g.a.pub, (const uint8_t *)"x", 1);
	WAIT(g.l, g.a.packets == 1);
	relays_close(b.relays);
	WAIT(g.l, g.a.gone > 0);
	rig_close(&g);
}

/* The network takes nothing, and data waits: what finds another way does not wait behind it. Data that waited too long does
 * not come, but for what a line takes at once. */
static void test_disco_first(void **state)
{
	struct rig g;
	struct end b;
	uint8_t data[SIZE], disco[DISCO_HEADER + BOX_TAG + 2] = "TS\xf0\x9f\x92\xac";
	(void)state;
	rig_open(&g, "127.0.0.1");
	end_open(&b, g.l);
	relays_map_set(g.a.relays, &g.map);
	relays_map_set(b.relays, &g.map);
	relays_home_set(g.a.relays, REGION);
	relays_home_set(b.relays, REGION);
	WAIT(g.l, relays_is_up(g.a.relays, REGION) && relays_is_up(b.relays, REGION));
	memset(data, 'x', sizeof(data));
	kill(g.r.pid, SIGSTOP);
	while (!relays_dropped(g.a.relays))
		relays_send(g.a.relays, REGION, &b.pub, data, sizeof(data));
	relays_send(g.a.relays, REGION, &b.pub, disco, sizeof(disco));
	assert_int_equal(relays_dropped(g.a.relays), 1);
	assert_int_equal(relays_dropped_old(g.a.relays), 0);
	poll(NULL, 0, 2 * DERP_QUEUE_INTERVAL_US / 1000);
	kill(g.r.pid, SIGCONT);
	WAIT(g.l, b.before_disco);
	WAIT(g.l, b.packets >= b.before_disco + BEHIND);
	assert_true(relays_dropped_old(g.a.relays) > DERP_QUEUE_BYTES_MAX / SIZE / 2);
	relays_close(b.relays);
	rig_close(&g);
}

static void test_map_changes(void **state)
{
	struct rig g;
	(void)state;
	rig_open(&g, "127.0.0.1");
	const struct ctl_derp_map empty = { 0 };
	relays_home_set(g.a.relays, REGION); /* before it is known */
	relays_map_set(g.a.relays, &g.map);
	WAIT(g.l, g.a.ups == 1);
	assert_string_equal(relays_region_code(g.a.relays, REGION), "x");
	relays_map_set(g.a.relays, &g.map);
	assert_int_equal(g.a.downs, 0);
	relays_map_set(g.a.relays, &empty);
	assert_int_equal(g.a.downs, 1);
	assert_string_equal(relays_region_code(g.a.relays, REGION), "");
	relays_send(g.a.relays, REGION, &g.a.pub, (const uint8_t *)"x", 1);
	assert_int_equal(relays_dropped(g.a.relays), 1);
	relays_map_set(g.a.relays, &g.map);
	WAIT(g.l, g.a.ups == 2);
	/* Loopback is not among the machine's listed addresses, and stays. */
	relays_links_changed(g.a.relays, NULL, 0);
	assert_true(relays_is_up(g.a.relays, REGION));

	kill(g.r.pid, SIGKILL);
	WAIT(g.l, g.a.downs == 2);
	relays_measure(g.a.relays, REGION);
	WAIT(g.l, g.a.measured);
	assert_true(g.a.latency_ms < 0);
	rig_close(&g);
}

/* Somebody in between has another certificate. */
static void test_other_pin(void **state)
{
	struct rig g;
	(void)state;
	rig_open(&g, "127.0.0.1");
	char *last = &g.r.pin[strlen(g.r.pin) - 1];
	*last = *last == '0' ? '1' : '0';
	relays_map_set(g.a.relays, &g.map);
	relays_home_set(g.a.relays, REGION);
	WAIT(g.l, g.a.downs >= 2);
	assert_int_equal(g.a.ups, 0);
	rig_close(&g);
}

/* A literal that fails is not all that the map says: the name is tried as well, and what worked is kept. */
static void test_by_name(void **state)
{
	struct rig g;
	(void)state;
	rig_open(&g, "localhost");
	g.nodes[0].ipv4 = "127.0.0.9"; /* nobody listens there */
	g.nodes[0].host = "localhost";
	assert_string_equal(relays_trouble(g.a.relays), "");
	relays_map_set(g.a.relays, &g.map);
	relays_home_set(g.a.relays, REGION);
	WAIT(g.l, g.a.ups == 1);
	assert_int_equal(g.a.downs, 2); /* by IPv4, and what there is instead of IPv6 */
	assert_string_equal(relays_trouble(g.a.relays), "");
	kill(g.r.pid, SIGKILL);
	WAIT(g.l, g.a.downs >= 7);
	assert_non_null(strstr(relays_trouble(g.a.relays), "no relay can be reached: "));
	rig_close(&g);
}

/* One literal refuses what is sent, and the other family's is tried within the same attempt. */
static void test_other_family(void **state)
{
	struct rig g;
	(void)state;
	rig_open(&g, "127.0.0.1");
	g.nodes[0].ipv4 = "127.0.0.9"; /* nobody listens there */
	g.nodes[0].ipv6 = "127.0.0.1";
	relays_map_set(g.a.relays, &g.map);
	relays_home_set(g.a.relays, REGION);
	WAIT(g.l, g.a.ups == 1);
	assert_int_equal(g.a.downs, 0);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_disco_first),
		cmocka_unit_test(test_map_changes),
		cmocka_unit_test(test_other_pin),
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_other_family),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
