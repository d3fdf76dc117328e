/* A machine that blocks names for the others: peers on addresses of a namespace ask it by UDP, as who they are. */
#include "mesh/node/names.h"
#include "mesh/base/wire.h"
#include "mesh/netmap/test/told_map.h"
#include "mesh/os/file.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_lo.h"
#include "mesh/os/test/own_ns.h"
#include "resolver/name.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define KEY(c) "nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define PEER(n, c, name, more) \
	"{\"ID\":" n ",\"StableID\":\"n" n "\",\"Name\":\"" name \
	".mesh.test.\",\"Key\":\"" KEY(c) "\",\"Addresses\":[\"100.64.0." n "/32\"]," more "}"
#define PEERS(five) \
	"\"Peers\":[" PEER("2", "b2", "phone", "\"User\":8") "," PEER( \
		"3", "b3", "tv", "\"User\":9,\"Tags\":[\"tag:tv\"]") "," PEER("4", "b4", "tablet", \
		"\"User\":7") "," PEER("5", "b5", "laptop", five) "," PEER("6", "b6", "desk", \
		"\"User\":7") "]"
#define USERS \
	"\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"alice\"},{\"ID\":8,\"LoginName\":\"kid\"},{\"ID\":9," \
	"\"LoginName\":\"tagged-devices\"}]"
#define SELF(caps) \
	"\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"pi.mesh.test.\",\"User\":7,\"Key\":\"" KEY( \
		"aa") "\",\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/" \
		      "128\"],\"CapMap\":{\"x\":null" caps "}}"
#define BLOCKS(value) ",\"" CTL_BLOCKING_CAP "\":[" value "]"
#define LISTS \
	"\"Lists\":[{\"Name\":\"ads\",\"Names\":[\"*.ads.example\",\"ads.example\"]}," \
	"{\"Name\":\"games\",\"Names\":[\"games.example\"]}," \
	"{\"Name\":\"fine\",\"Names\":[\"ok.ads.example\"],\"Allow\":true}]"
#define GROUPS \
	"\"Groups\":[{\"Name\":\"kids\",\"Clients\":[\"kid@\"],\"Lists\":[\"ads\",\"games\",\"fine\"]}," \
	"{\"Name\":\"tvs\",\"Clients\":[\"tag:tv\"],\"Lists\":[\"games\"]}," \
	"{\"Name\":\"free\",\"Clients\":[\"tablet\",\"pi\"]}," \
	"{\"Name\":\"one\",\"Clients\":[\"100.64.0.6\",\"alice\"],\"Lists\":[\"ads\"]}]"
#define DNS "\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}"
#define MAP(caps, five) "{" SELF(caps) "," PEERS(five) "," USERS "," DNS "}"
#define ALICES "\"User\":7"

struct place {
	char dir[64], resolv[96];
	struct names n;
	struct state_prefs prefs;
};

static void nothing(void *arg)
{
	(void)arg;
}

static int setup(void **state)
{
	static const char *const local[] = { "100.100.100.100/32", "100.64.0.1/32", "100.64.0.2/32",
		"100.64.0.3/32", "100.64.0.4/32", "100.64.0.5/32", "100.64.0.6/32", "100.64.0.7/32",
		"fd7a:115c:a1e0::1/128" };
	*state = NULL;
	if (!own_ns(CLONE_NEWNET))
		return 0;
	struct place *p = calloc(1, sizeof(*p));
	own_lo(local, ARRAY_LEN(local));
	strcpy(p->dir, "/tmp/rw-blocking-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->resolv, sizeof(p->resolv), "%s/resolv.conf", p->dir);
	p->n = (struct names) { .loop = loop_new(), .prefs = &p->prefs, .state_dir = p->dir };
	struct dns_places places;
	dns_places_system(&places, p->resolv);
	p->n.os_dns = os_dns_open(p->n.loop, &places, nothing, NULL);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	if (!p)
		return 0;
	names_forget(&p->n);
	os_dns_close(p->n.os_dns);
	loop_free(p->n.loop);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
	free(p);
	return 0;
}

static struct place *place_of(void **state)
{
	if (*state)
		return *state;
	print_message("skipped: this kernel gives no network namespace\n");
	skip();
	return NULL;
}

static void use_map(struct place *p, const char *json, const struct netmap *before)
{
	struct errbuf eb = { 0 };
	struct netmap *next = told_map(before, json);
	if (names_apply(&p->n, next, "lo", false, &eb))
		fail_msg("%s", eb.text);
	netmap_put(next);
}

struct asker {
	int fd;
	struct loop_fd *watch;
	bool over;
	int rcode; /* negative: nobody is there */
};

static void answered(void *arg, int what)
{
	struct asker *a = arg;
	uint8_t b[512];
	(void)what;
	ssize_t len = recv(a->fd, b, sizeof(b), 0);
	a->over = true;
	a->rcode = len < 12 ? -1 : b[3] & 15;
	if (len >= 12 && !a->rcode && !be_get(b + 6, 2))
		a->rcode = 100; /* no record */
}

static void ask_begin(struct place *p, struct asker *a, const char *from, const char *at, const char *name)
{
	struct endpoint src = { 0 }, to = { .port = 53 };
	struct dns_name n = { .len = 1 };
	struct errbuf eb;
	uint8_t q[300] = { 1, 2, 1, 0, 0, 1 };
	assert_true(addr_parse(from, &src.ip) && addr_parse(at, &to.ip) && dns_name_parse(name, &n));
	memcpy(q + 12, n.b, n.len);
	q[12 + n.len + 1] = 1;
	q[12 + n.len + 3] = 1;
	a->over = false;
	a->fd = sock_udp(&src, &eb);
	assert_true(a->fd >= 0);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	assert_int_equal(connect(a->fd, (struct sockaddr *)&ss, len), 0);
	a->watch = loop_fd_new(p->n.loop, a->fd, answered, a);
	loop_fd_set(a->watch, LOOP_READ);
	assert_true(send(a->fd, q, 12u + n.len + 4u, 0) > 0);
}

static int ask_end(struct place *p, struct asker *a)
{
	while (!a->over)
		loop_run_once(p->n.loop);
	loop_fd_free(a->watch);
	close(a->fd);
	return a->rcode;
}

/* The rcode of the answer to who asks from there: blocked names have a record, others no server to ask: SERVFAIL. */
static int ask(struct place *p, const char *from, const char *at, const char *name)
{
	struct asker a;
	ask_begin(p, &a, from, at, name);
	return ask_end(p, &a);
}

/* Lists are read on another thread: until they are there. */
static void await(struct place *p, const char *from, const char *name, int rcode)
{
	for (uint64_t began_ms = clock_now_ms(); ask(p, from, "100.64.0.1", name) != rcode;)
		if (clock_now_ms() - began_ms > 20000)
			fail_msg("%s for %s never becomes %d", name, from, rcode);
}

static void test_groups(void **state)
{
	static const struct {
		const char *from, *at, *name;
		bool blocked;
	} rows[] = {
		{ "100.64.0.2", "100.64.0.1", "x.ads.example", true }, /* by its user */
		{ "100.64.0.2", "100.64.0.1", "ok.ads.example", false },
		{ "100.64.0.2", "100.64.0.1", "games.example", true },
		{ "100.64.0.3", "100.64.0.1", "games.example", true }, /* by its tag */
		{ "100.64.0.3", "100.64.0.1", "ads.example", false },
		{ "100.64.0.4", "100.64.0.1", "games.example", false }, /* by its name: nothing */
		{ "100.64.0.4", "100.64.0.1", "ads.example", false },
		{ "100.64.0.5", "100.64.0.1", "games.example", true }, /* in none: all */
		{ "100.64.0.5", "100.64.0.1", "ads.example", true },
		{ "100.64.0.6", "100.64.0.1", "ads.example", true }, /* by its address */
		{ "100.64.0.6", "100.64.0.1", "games.example", false },
		{ "100.64.0.7", "100.64.0.1", "games.example", true },	   /* nobody that is known */
		{ "100.64.0.1", "100.100.100.100", "ads.example", false }, /* this machine */
		{ "127.0.0.1", "100.100.100.100", "games.example", false },
	};
	struct place *p = place_of(state);
	if (!p)
		return;
	use_map(p, MAP(BLOCKS("{" LISTS "," GROUPS "}"), ALICES), NULL);
	assert_string_equal(p->n.odd_dns, "");
	await(p, "100.64.0.2", "games.example", 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ask(p, rows[i].from, rows[i].at, rows[i].name) != (rows[i].blocked ? 0 : 2))
			fail_msg("row %zu: %s for %s", i, rows[i].name, rows[i].from);
	/* who is in the mesh is for the server to say: the names are not for others to find out here */
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "tv.mesh.test"), 5);
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "none.mesh.test"), 5);
	assert_int_equal(ask(p, "100.64.0.7", "100.64.0.1", "tv.mesh.test"), 5);
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "3.0.64.100.in-addr.arpa"), 5);
	assert_int_equal(ask(p, "100.64.0.1", "100.64.0.1", "tv.mesh.test"), 0);
	assert_int_equal(ask(p, "127.0.0.1", "100.100.100.100", "tv.mesh.test"), 0);
}

/* Of those who are nobody in the mesh, containers are this machine's, and hosts behind a peer are not. */
static void test_networks(void **state)
{
	static const struct {
		const char *net, *src, *from;
		bool ours;
	} rows[] = {
		{ "172.17.0.0/16", "172.17.0.1", "172.17.0.2", true },
		{ "10.8.0.0/16", "100.64.0.1", "10.8.0.7", false }, /* carried by a peer */
		{ "10.8.7.0/24", "10.8.7.1", "10.8.7.2", true },    /* and within it a bridge of our own */
		{ "fd17::/64", "fd17::1", "fd17::2", true },
		{ "fd08::/64", "fd7a:115c:a1e0::1", "fd08::2", false },
		{ NULL, NULL, "192.0.2.1", true }, /* nothing leads there */
	};
	struct place *p = place_of(state);
	struct errbuf eb = { 0 };
	struct addr from;
	if (!p)
		return;
	use_map(p, MAP(BLOCKS("{" LISTS "}"), ALICES), NULL);
	struct nl *nl = nl_open(&eb);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nl_route r = { .ifindex = nl_link_index(nl, "lo") };
		struct prefix own;
		if (rows[i].net) {
			assert_true(prefix_parse(rows[i].net, &r.dst) && addr_parse(rows[i].src, &r.src));
			own = (struct prefix) { r.src, addr_is_v4(&r.src) ? 32 : 128 };
			if (nl_addr_add(nl, r.ifindex, &own, &eb) || nl_route_add(nl, &r, &eb))
				fail_msg("%s", eb.text);
		}
		assert_true(addr_parse(rows[i].from, &from));
		if (blocking_is_ours(&p->n.blocking, &from) != rows[i].ours)
			fail_msg("row %zu: %s", i, rows[i].from);
	}
	nl_close(nl);
}

/* Who a machine is follows the map; so does whether this one blocks at all. */
static void test_changes(void **state)
{
	struct place *p = place_of(state);
	if (!p)
		return;
	use_map(p, MAP(BLOCKS("{" LISTS "," GROUPS "}"), ALICES), NULL);
	await(p, "100.64.0.5", "games.example", 0);
	struct netmap *before = netmap_get(p->n.map);
	use_map(p,
		"{\"PeersChanged\":[" PEER(
			"5", "b5", "laptop", "\"User\":9,\"Tags\":[\"tag:tv\"]") "],"
										 "\"PeersRemoved\":[4]}",
		before);
	netmap_put(before);
	assert_int_equal(ask(p, "100.64.0.5", "100.64.0.1", "ads.example"), 2);
	assert_int_equal(ask(p, "100.64.0.5", "100.64.0.1", "games.example"), 0);
	assert_int_equal(ask(p, "100.64.0.4", "100.64.0.1", "ads.example"), 0);

	use_map(p, MAP(BLOCKS("{" LISTS ",\"Answer\":[\"nxdomain\"]}"), ALICES), NULL);
	await(p, "100.64.0.2", "games.example", 3);
	use_map(p, MAP(BLOCKS("[]"), ALICES), NULL); /* what is not understood changes nothing */
	assert_non_null(strstr(p->n.odd_dns, "is not understood"));
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "games.example"), 3);
	use_map(p, MAP("", ALICES), NULL);
	assert_string_equal(p->n.odd_dns, "");
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "games.example"), -1);
	assert_int_equal(ask(p, "100.64.0.1", "100.100.100.100", "games.example"), 2);
	assert_int_equal(ask(p, "100.64.0.1", "100.100.100.100", "tv.mesh.test"), 0);
}

/* Memory is short for who is who: peers are told nothing of the mesh until they are known again, this machine all. */
bool __real_netmap_compare(const struct netmap *before, const struct netmap *after, struct netmap_diff *out);
bool __wrap_netmap_compare(const struct netmap *before, const struct netmap *after, struct netmap_diff *out);
static bool memory_is_short;
bool __wrap_netmap_compare(const struct netmap *before, const struct netmap *after, struct netmap_diff *out)
{
	return !memory_is_short && __real_netmap_compare(before, after, out);
}

static void test_short_of_memory(void **state)
{
	struct errbuf eb = { 0 };
	struct place *p = place_of(state);
	if (!p)
		return;
	use_map(p, MAP(BLOCKS("{" LISTS "," GROUPS "}"), ALICES), NULL);
	await(p, "100.64.0.2", "games.example", 0);
	struct netmap *same = netmap_get(p->n.map);
	memory_is_short = true;
	assert_int_equal(names_apply(&p->n, same, "lo", false, &eb), -ENOMEM);
	assert_int_equal(ask(p, "100.64.0.4", "100.64.0.1", "tv.mesh.test"), 5);
	assert_int_equal(ask(p, "100.64.0.4", "100.64.0.1", "games.example"), 0); /* its group would let it */
	assert_int_equal(ask(p, "100.64.0.1", "100.64.0.1", "tv.mesh.test"), 0);
	assert_int_equal(ask(p, "127.0.0.1", "100.100.100.100", "tv.mesh.test"), 0);
	memory_is_short = false;
	assert_int_equal(names_apply(&p->n, same, "lo", false, &eb), 0);
	assert_int_equal(ask(p, "100.64.0.4", "100.64.0.1", "games.example"), 2);
	assert_int_equal(ask(p, "100.64.0.4", "100.64.0.1", "tv.mesh.test"), 5);
	netmap_put(same);
}

/* Rules that wait for the blocker are not lost to words that cannot be read, or for want of memory. */
static void test_words_kept(void **state)
{
	struct blocking b = { .state_dir = "/nowhere" };
	struct netmap *good = told_map(NULL, MAP(BLOCKS("{" LISTS "," GROUPS "}"), ALICES));
	struct netmap *bad = told_map(NULL, MAP(BLOCKS("[]"), ALICES));
	struct netmap *other = told_map(NULL, MAP(BLOCKS("{" LISTS "}"), ALICES));
	(void)state;
	assert_true(blocking_follow(&b, good));
	assert_true(b.wanted && b.fresh && b.rules.n_lists == 3);
	assert_true(blocking_follow(&b, bad));
	assert_non_null(strstr(b.odd, "is not understood"));
	assert_true(b.wanted && b.fresh && b.rules.n_lists == 3 && b.rules.n_groups == 4);
	assert_string_equal(b.rules.lists[1].name, "games");
	b.mem.cap = 1;
	assert_false(blocking_follow(&b, other));
	assert_true(b.wanted && b.fresh && b.rules.n_groups == 4);
	assert_string_equal(b.rules.groups[0].name, "kids");
	b.mem.cap = 0;
	assert_true(blocking_follow(&b, other));
	assert_true(b.fresh && b.rules.n_lists == 3 && b.rules.n_groups == 0);
	blocking_fini(&b);
	netmap_put(good);
	netmap_put(bad);
	netmap_put(other);
}

/* What the server says is looked at: names that are files' too, hours, answers, URLs. What cannot be used is told, and
 * the rest holds. */
static void test_odd(void **state)
{
	static const struct {
		const char *more, *odd;
	} rows[] = {
		{ "{\"Name\":\"../x\",\"URL\":\"https://x/y\"}", "the list \"../x\" has a name" },
		{ "{\"Name\":\"x\",\"URL\":\"file:///etc/passwd\"}", "the list \"x\" has a name or a URL" },
		{ "{\"Name\":\"x\",\"Names\":[\"games.example\"],\"When\":[\"noon\"]}",
			"the hours \"noon\"" },
		{ "{\"Name\":\"x\",\"Names\":[\"other.example\"]},{\"Name\":\"x\",\"URL\":\"https://x/y\"}",
			"the list x is there twice" },
	};
	char json[4096];
	struct place *p = place_of(state);
	if (!p)
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(json, sizeof(json),
			MAP(BLOCKS("{\"Lists\":[%s,{\"Name\":\"ads\",\"Names\":[\"n%zu.example\"]}]}"),
				ALICES),
			rows[i].more, i);
		use_map(p, json, NULL);
		if (!strstr(p->n.odd_dns, rows[i].odd))
			fail_msg("row %zu: %s", i, p->n.odd_dns);
		snprintf(json, sizeof(json), "n%zu.example", i);
		await(p, "100.64.0.2", json, 0);
		assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "games.example"), 2);
	}
}

/* Another program answers there: this machine has its names all the same, and says what is wrong. */
static void test_taken(void **state)
{
	struct endpoint at = { .port = 53 };
	struct errbuf eb;
	struct place *p = place_of(state);
	if (!p)
		return;
	assert_true(addr_parse("100.64.0.1", &at.ip));
	int fd = sock_udp(&at, &eb);
	assert_true(fd >= 0);
	use_map(p, MAP(BLOCKS("{" LISTS "}"), ALICES), NULL);
	assert_non_null(strstr(p->n.odd_dns, "the machines of the mesh cannot ask this one for names"));
	assert_non_null(strstr(p->n.odd_dns, "100.64.0.1:53"));
	assert_int_equal(ask(p, "100.64.0.1", "100.100.100.100", "tv.mesh.test"), 0);
	use_map(p, MAP(BLOCKS("{" LISTS "}"), ALICES), NULL);
	assert_non_null(strstr(p->n.odd_dns, "cannot ask this one"));
	close(fd);
}

/* The guard of the interface comes or goes, and the resolver's sockets are others: what was blocked is from the first question
 * on, though its words are not understood by then. */
static void test_reopened(void **state)
{
	struct errbuf eb = { 0 };
	struct endpoint at = { .port = 53 };
	struct place *p = place_of(state);
	if (!p)
		return;
	use_map(p, MAP(BLOCKS("{" LISTS "," GROUPS "}"), ALICES), NULL);
	await(p, "100.64.0.2", "games.example", 0);
	p->n.guarded = true;
	use_map(p, MAP(BLOCKS("{" LISTS "," GROUPS "}"), ALICES), NULL);
	assert_true(blocking_lists(&p->n.blocking, &(struct addr) { 0 }) != 0); /* before the loop runs */
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "games.example"), 0);
	use_map(p, MAP(BLOCKS("[]"), ALICES), NULL);
	p->n.guarded = false;
	use_map(p, MAP(BLOCKS("[]"), ALICES), NULL);
	assert_non_null(strstr(p->n.odd_dns, "is not understood"));
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "games.example"), 0);
	assert_int_equal(ask(p, "100.64.0.3", "100.64.0.1", "ads.example"), 2);

	/* no socket can be had for a while: lists that are read then wait for one */
	struct netmap *other = told_map(NULL, MAP(BLOCKS("{" LISTS ",\"Answer\":[\"nxdomain\"]}"), ALICES));
	use_map(p, MAP(BLOCKS("{" LISTS ",\"Answer\":[\"nxdomain\"]}"), ALICES), NULL);
	map_zone_serve(&p->n.zones, NULL);
	resolver_server_close(p->n.dns);
	p->n.dns = NULL;
	blocking_move(&p->n.blocking, NULL);
	assert_true(addr_parse("100.100.100.100", &at.ip));
	int fd = sock_udp(&at, &eb);
	assert_true(fd >= 0);
	assert_int_not_equal(names_apply(&p->n, other, "lo", false, &eb), 0);
	for (uint64_t began_ms = clock_now_ms(); clock_now_ms() - began_ms < 20000;) {
		const struct conf_block *c = blocker_conf(p->n.blocking.blocker);
		if (c && !c->n_groups)
			break;
		loop_run_once(p->n.loop);
	}
	close(fd);
	assert_int_equal(names_apply(&p->n, other, "lo", false, &eb), 0);
	assert_int_equal(ask(p, "100.64.0.2", "100.64.0.1", "games.example"), 3);
	netmap_put(other);
}

/* What lists may block waits until they have been read, at the start and after a lost interface; the rest does not. */
static void test_from_start(void **state)
{
	static const char json[] =
		MAP(BLOCKS("{\"Lists\":[{\"Name\":\"ads\",\"URL\":\"https://192.0.2.1/x\"}],"
			   "\"Groups\":[{\"Name\":\"free\",\"Clients\":[\"tablet\"]}]}"),
			ALICES);
	struct place *p = place_of(state);
	struct asker kid;
	char path[96];
	if (!p)
		return;
	snprintf(path, sizeof(path), "%s/lists", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/lists/ads.list", p->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (int turn = 0; turn < 2; turn++) {
		use_map(p, json, NULL);
		ask_begin(p, &kid, "100.64.0.2", "100.64.0.1", "ads.example");
		int free = ask(p, "100.64.0.4", "100.64.0.1", "ads.example"); /* its group has no lists */
		int own = ask(p, "127.0.0.1", "100.100.100.100", "tv.mesh.test");
		bool waited = !kid.over;
		int fd = open(path, O_WRONLY); /* waits for who reads it */
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "ads.example\n", 12), 12);
		close(fd);
		assert_int_equal(ask_end(p, &kid), 0);
		assert_true(waited && free == 2 && own == 0);
		names_forget(&p->n);
	}
}

struct told {
	bool over;
	char group[32], lines[256];
	size_t blocks, allows;
};

static void told(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb)
{
	struct told *t = arg;
	(void)eb;
	assert_int_equal(err, 0);
	t->over = true;
	snprintf(t->group, sizeof(t->group), "%s", w->group);
	snprintf(t->lines, sizeof(t->lines), "%s", w->lines);
	t->blocks = w->found.blocks;
	t->allows = w->found.allows;
}

static void test_search(void **state)
{
	struct told t = { 0 };
	struct dns_name name;
	struct addr kid, self;
	struct place *p = place_of(state);
	if (!p)
		return;
	assert_true(addr_parse("100.64.0.2", &kid) && addr_parse("100.64.0.1", &self) &&
		    dns_name_parse("ok.ads.example", &name));
	use_map(p, MAP("", ALICES), NULL);
	assert_null(blocking_search(&p->n.blocking, &kid, &name, told, &t));
	use_map(p, MAP(BLOCKS("{" LISTS "," GROUPS "}"), ALICES), NULL);
	await(p, "100.64.0.2", "games.example", 0);
	assert_non_null(blocking_search(&p->n.blocking, &kid, &name, told, &t));
	while (!t.over)
		loop_run_once(p->n.loop);
	assert_string_equal(t.group, "kids");
	assert_string_equal(t.lines, "blocked by the list ads, *.ads.example\n"
				     "allowed by the list fine, ok.ads.example\n");
	assert_true(t.blocks == 1 && t.allows == 1);
	t = (struct told) { 0 };
	assert_non_null(blocking_search(&p->n.blocking, &self, &name, told, &t));
	while (!t.over)
		loop_run_once(p->n.loop);
	assert_string_equal(t.group, "free");
	assert_string_equal(t.lines, "");
	blocker_search_cancel(blocking_search(&p->n.blocking, &kid, &name, told, &t));
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_groups), ONE(test_networks), ONE(test_changes),
		ONE(test_odd), ONE(test_taken), ONE(test_search), ONE(test_reopened), ONE(test_from_start),
		ONE(test_short_of_memory), cmocka_unit_test(test_words_kept) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
