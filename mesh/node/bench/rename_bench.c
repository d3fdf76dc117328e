/* rename_bench PEERS [CHANGE]: how long packets stand while one peer after the other of a big mesh changes, and what a
 * change costs. A whole node, in a network namespace of its own, with a map of that many peers; a thread sends a datagram
 * each millisecond to a socket of the node's loop. Every RENAME_MS a map message about one peer is handed to the node as
 * its server link would; CHANGE is name (default), online, endpoint, member: one leaves, and the next message brings it
 * back, or record: an extra DNS record leads elsewhere. Prints three times in ms, each the longest over RENAMES messages,
 * after the whole map has been settled and kept on disk, and two of CPU:
 * - what the loop computed between two datagrams;
 * - how long a datagram stood, less the time that the loop's thread was ready and waited for a processor
 * since the datagram before (/proc/thread-self/schedstat): on an idle machine all of it, else too little, but
 * with what the loop slept in a call to the kernel;
 * - how long a datagram stood;
 * - CPU of the loop's thread for a message, from its text to a node that does as it says, the ends of what was given to
 *   other threads included: the median;
 * - CPU of the whole process between the messages, for each of them: with the map that is written.
 * With `memory` for CHANGE nobody is renamed. It prints what the process has resident in MiB, three times: with a single
 * peer, with all of them, and when all but that one have left. */
#include "mesh/base/bench/resident.h"
#include "mesh/node/node.h"
#include "mesh/node/queries.h"
#include "mesh/os/file.h"
#include "mesh/os/test/own_ns.h"
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SETTLE_MS = 3000, MEMORY_SETTLE_MS = 10000, RENAME_MS = 20, RENAMES = 200, TEXT_MAX = 2048 };

enum change {
	CHANGE_NAME,
	CHANGE_ONLINE,
	CHANGE_ENDPOINT,
	CHANGE_MEMBER,
	CHANGE_RECORD,
	CHANGE_MEMORY,
	CHANGES
};
static const char *const change_names[] = { [CHANGE_NAME] = "name",
	[CHANGE_ONLINE] = "online",
	[CHANGE_ENDPOINT] = "endpoint",
	[CHANGE_MEMBER] = "member",
	[CHANGE_RECORD] = "record",
	[CHANGE_MEMORY] = "memory" };
static_assert(ARRAY_LEN(change_names) == CHANGES, "change_names misses a change");

struct bench {
	struct node n;
	char dir[64], socket[96], resolv[96];
	unsigned peers, renamed;
	int in, out;
	struct loop_fd *watch;
	struct loop_timer *rename;
	atomic_bool over;
	bool counts;
	int schedstat; /* fd */
	uint64_t stood_ns, alone_ns, waited_ns, busy_ns, cpu_ns;
	enum change change;
	uint64_t took_ns[RENAMES], process_ns; /* process_ns: at the first message; in the end, since then */
	double resident_mib[3];
};

/* What was given to a thread ends on the loop's: its time is that of the message before. */
struct given {
	void (*run)(void *arg), (*done)(void *arg);
	void *arg;
};
static uint64_t *ends_ns; /* where it is counted; NULL: nowhere */

static uint64_t cpu_now_ns(clockid_t of);

static void given_run(void *arg)
{
	struct given *g = arg;
	g->run(g->arg);
}

static void given_done(void *arg)
{
	struct given g = *(struct given *)arg;
	uint64_t began = cpu_now_ns(CLOCK_THREAD_CPUTIME_ID);
	free(arg);
	g.done(g.arg);
	if (ends_ns)
		*ends_ns += cpu_now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
}

struct work *__real_work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);
struct work *__wrap_work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);
struct work *__wrap_work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
	struct given *g = malloc(sizeof(*g));
	if (!g)
		return NULL;
	*g = (struct given) { run, done, arg };
	return __real_work_start(l, given_run, given_done, g);
}

static void *sender(void *arg)
{
	struct bench *b = arg;
	while (!atomic_load(&b->over)) {
		(void)!write(b->out, "x", 1);
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	}
	return NULL;
}

static uint64_t real_ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

/* When the kernel took the next datagram; 0: there is none. */
static uint64_t next_stamp(int fd)
{
	char byte;
	_Alignas(struct cmsghdr) char control[64];
	struct iovec io = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct timespec t;
	if (recvmsg(fd, &m, 0) < 0 || !CMSG_FIRSTHDR(&m))
		return 0;
	memcpy(&t, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(t));
	return real_ns(&t);
}

/* How long this thread has been ready without a processor, all in all. */
static uint64_t waited_ns(const struct bench *b)
{
	char text[128] = "";
	unsigned long long ran, waited = 0;
	if (pread(b->schedstat, text, sizeof(text) - 1, 0) <= 0 ||
		sscanf(text, "%llu %llu", &ran, &waited) != 2)
		return 0;
	return waited;
}

static uint64_t cpu_now_ns(clockid_t of)
{
	struct timespec t;
	clock_gettime(of, &t);
	return real_ns(&t);
}

static void received(void *arg, int events)
{
	struct bench *b = arg;
	uint64_t stamp, waited = waited_ns(b), others = waited - b->waited_ns;
	(void)events;
	uint64_t cpu = cpu_now_ns(CLOCK_THREAD_CPUTIME_ID);
	if (b->counts && cpu - b->cpu_ns > b->busy_ns)
		b->busy_ns = cpu - b->cpu_ns;
	b->cpu_ns = cpu;
	b->waited_ns = waited;
	while ((stamp = next_stamp(b->in))) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		uint64_t stood = real_ns(&now) - stamp, alone = stood > others ? stood - others : 0;
		if (b->counts && stood > b->stood_ns)
			b->stood_ns = stood;
		if (b->counts && alone > b->alone_ns)
			b->alone_ns = alone;
	}
}

static void peer_json(struct buf *out, unsigned i, unsigned version)
{
	char text[TEXT_MAX];
	const unsigned long long key_start = (i + 1) * 0x9e3779b97f4a7c15; /* keys differ from the start on */
	snprintf(text, sizeof(text),
		"{\"ID\":%u,\"StableID\":\"n%u\",\"Name\":\"peer-%u-%u.mesh.test.\",\"User\":1,"
		"\"Key\":\"nodekey:%016llx%048x\",\"DiscoKey\":\"discokey:%064x\",\"Machine\":\"mkey:%064x\","
		"\"Addresses\":[\"100.%u.%u.%u/32\",\"fd7a:115c:a1e0::1:%x:%x/128\"],"
		"\"AllowedIPs\":[\"100.%u.%u.%u/32\",\"fd7a:115c:a1e0::1:%x:%x/128\"],"
		"\"Endpoints\":[\"192.0.2.1:41641\",\"198.51.100.7:1024\"],\"HomeDERP\":1,"
		"\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"peer-%u\"},\"Online\":true,\"Cap\":119}",
		i + 2, i + 2, i, version, key_start, i + 1, i + 1, i + 1, 65 + (i >> 16), i >> 8 & 255,
		i & 255, i >> 16, i & 0xffff, 65 + (i >> 16), i >> 8 & 255, i & 255, i >> 16, i & 0xffff, i);
	buf_append(out, text, strlen(text));
}

static void put_text(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text));
}

/* What the server link does with a message. */
static bool take(struct node *n, const char *json, size_t len)
{
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb = { 0 };
	struct netmap *next = NULL;
	if (ctl_map_response_read(&a, json, len, &m, &eb) == 0)
		next = netmap_apply(n->apply.map, &m, clock_unix_ms(), &eb);
	arena_free(&a);
	if (next)
		apply_map(&n->apply, next);
	else
		fprintf(stderr, "%s\n", eb.text);
	return next;
}

/* The message about peer i; the round says what it is told. */
static void change_json(struct bench *b, struct buf *json, unsigned i, unsigned round)
{
	char text[TEXT_MAX];
	switch (b->change) {
	case CHANGE_ONLINE:
		snprintf(text, sizeof(text), "{\"PeersChangedPatch\":[{\"NodeID\":%u,\"Online\":%s}]}", i + 2,
			round % 2 ? "false" : "true");
		break;
	case CHANGE_ENDPOINT:
		snprintf(text, sizeof(text),
			"{\"PeersChangedPatch\":[{\"NodeID\":%u,\"Endpoints\":[\"192.0.2.9:%u\"]}]}", i + 2,
			1024 + round);
		break;
	case CHANGE_RECORD:
		snprintf(text, sizeof(text),
			"{\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],\"ExtraRecords\":["
			"{\"Name\":\"nas.mesh.test\",\"Value\":\"192.0.2.%u\"}]}}",
			round % 250);
		break;
	case CHANGE_MEMBER:
		if (round % 2) {
			snprintf(text, sizeof(text), "{\"PeersRemoved\":[%u]}", i + 2);
			break;
		} /* fall through */
	default:
		put_text(json, "{\"PeersChanged\":[");
		peer_json(json, i, b->change == CHANGE_NAME ? round : 0);
		snprintf(text, sizeof(text), "]}");
	}
	put_text(json, text);
}

static void rename_one(void *arg)
{
	struct bench *b = arg;
	struct buf json = { 0 };
	unsigned round = b->renamed + 1, who = b->change == CHANGE_MEMBER ? b->renamed / 2 : round;
	if (b->renamed == RENAMES) {
		ends_ns = NULL;
		b->process_ns = cpu_now_ns(CLOCK_PROCESS_CPUTIME_ID) - b->process_ns;
		loop_stop(b->n.loop);
		return;
	}
	if (!b->renamed)
		b->process_ns = cpu_now_ns(CLOCK_PROCESS_CPUTIME_ID);
	b->counts = true;
	change_json(b, &json, who * 7919 % b->peers, round);
	uint64_t began = cpu_now_ns(CLOCK_THREAD_CPUTIME_ID);
	if (!take(&b->n, (const char *)buf_data(&json), json.len))
		exit(1);
	ends_ns = &b->took_ns[b->renamed];
	b->took_ns[b->renamed++] = cpu_now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
	buf_free(&json);
	loop_timer_set(b->rename, RENAME_MS);
}

/* The peers from the second on come, or leave. */
static bool move_the_rest(struct bench *b, bool come)
{
	struct buf json = { 0 };
	char id[16];
	put_text(&json, come ? "{\"PeersChanged\":[" : "{\"PeersRemoved\":[");
	for (unsigned i = 1; i < b->peers; i++) {
		put_text(&json, i > 1 ? "," : "");
		if (come) {
			peer_json(&json, i, 0);
			continue;
		}
		snprintf(id, sizeof(id), "%u", i + 2);
		put_text(&json, id);
	}
	put_text(&json, "]}");
	bool ok = take(&b->n, (const char *)buf_data(&json), json.len);
	buf_free(&json);
	return ok;
}

static void look_at_memory(void *arg)
{
	struct bench *b = arg;
	unsigned step = b->renamed++;
	b->resident_mib[step] = resident_mib();
	if (step == 2) {
		loop_stop(b->n.loop);
		return;
	}
	if (!move_the_rest(b, step == 0))
		exit(1);
	loop_timer_set(b->rename, MEMORY_SETTLE_MS);
}

static int by_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void print_found(struct bench *b)
{
	if (b->change == CHANGE_MEMORY) {
		printf("%.1f %.1f %.1f\n", b->resident_mib[0], b->resident_mib[1], b->resident_mib[2]);
		return;
	}
	qsort(b->took_ns, RENAMES, sizeof(b->took_ns[0]), by_ns);
	const uint64_t median_ns = b->took_ns[RENAMES / 2];
	printf("%.3f %.3f %.3f %.3f %.3f\n", (double)b->busy_ns / 1e6, (double)b->alone_ns / 1e6,
		(double)b->stood_ns / 1e6, (double)median_ns / 1e6, (double)b->process_ns / RENAMES / 1e6);
}

static bool open_sockets(struct bench *b)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	b->in = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	b->out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (b->in < 0 || b->out < 0 || bind(b->in, (struct sockaddr *)&at, sizeof(at)) ||
		getsockname(b->in, (struct sockaddr *)&at, &len) ||
		connect(b->out, (struct sockaddr *)&at, sizeof(at)) ||
		setsockopt(b->in, SOL_SOCKET, SO_TIMESTAMPNS, &(int) { 1 }, sizeof(int)))
		return false;
	b->watch = loop_fd_new(b->n.loop, b->in, received, b);
	loop_fd_set(b->watch, LOOP_READ);
	return true;
}

static bool open_node(struct bench *b, struct errbuf *eb)
{
	struct loop *l = loop_new();
	snprintf(b->dir, sizeof(b->dir), "%s", "/tmp/rw-rename-XXXXXX");
	if (!l || !mkdtemp(b->dir))
		return false;
	snprintf(b->socket, sizeof(b->socket), "%s/sock", b->dir);
	snprintf(b->resolv, sizeof(b->resolv), "%s/resolv.conf", b->dir);
	struct node_options opt = { .state_dir = b->dir,
		.socket = b->socket,
		.tun_name = "rwbench0",
		.resolv_conf = b->resolv,
		.mtu = 1280 };
	struct local_node_ops answers = queries_ops(&b->n);
	opt.answers = &answers;
	if (node_open(&b->n, l, &opt, eb) != 0)
		return false;
	struct state_prefs up = b->n.state.prefs;
	up.want_running = true;
	/* Nowhere: there is no network here, and the link to it tries again now and then. */
	snprintf(up.control_url, sizeof(up.control_url), "https://192.0.2.1");
	node_prefs_set(&b->n, &up);
	return engine_is_open(&b->n.engine);
}

static bool first_map(struct bench *b)
{
	struct buf json = { 0 };
	put_text(&json,
		"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"self.mesh.test.\",\"User\":1,"
		"\"Key\":\"nodekey:00000000000000000000000000000000000000000000000000000000000fffff\","
		"\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"]},"
		"\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]},\"PacketFilter\":["
		"{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}],"
		"\"Peers\":[");
	for (unsigned i = 0; i < (b->change == CHANGE_MEMORY ? 1 : b->peers); i++) {
		if (i)
			put_text(&json, ",");
		peer_json(&json, i, 0);
	}
	put_text(&json, "]}");
	bool ok = take(&b->n, (const char *)buf_data(&json), json.len);
	buf_free(&json);
	return ok;
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct errbuf eb = { 0 };
	pthread_t t;
	b.peers = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	while (argc > 2 && b.change < CHANGES && strcmp(argv[2], change_names[b.change]) != 0)
		b.change++;
	log_setup(LOG_ERROR, false);
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20); /* as ropewalkd */
	(void)mallopt(M_ARENA_MAX, 1);
	if (b.change == CHANGES || b.peers < 1 || b.peers > 100000 || !own_ns(CLONE_NEWNET) ||
		system("ip link set lo up") != 0) {
		fprintf(stderr, "rename_bench PEERS [name|online|endpoint|member|record|memory], where "
				"network namespaces "
				"can be made\n");
		return 3;
	}
	if (!open_node(&b, &eb) || !open_sockets(&b) || !first_map(&b)) {
		fprintf(stderr, "cannot set up: %s\n", eb.text);
		return 1;
	}
	b.schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	b.rename = loop_timer_new(b.n.loop, b.change == CHANGE_MEMORY ? look_at_memory : rename_one, &b);
	loop_timer_set(b.rename, SETTLE_MS);
	pthread_create(&t, NULL, sender, &b);
	loop_run(b.n.loop);
	atomic_store(&b.over, true);
	pthread_join(t, NULL);
	loop_timer_free(b.rename);
	loop_fd_free(b.watch);
	node_close(&b.n);
	loop_free(b.n.loop);
	close(b.schedstat);
	close(b.in);
	close(b.out);
	dir_remove(b.dir, NULL);
	print_found(&b);
	return 0;
}
