/* What a million blocked names cost each question: the resolver alone, without sockets, asked for a name that it
 * has in its cache, without a set and with one that has nothing of it (passed) or its neighbours (beside), and for a
 * name of the set. The floor is that none of them allocates, and that a set adds less than a twentieth of what a
 * question costs with its two system calls, which are measured beside it. Medians of short rounds, in turn. */
#include "mesh/os/loop.h"
#include "resolver/block.h"
#include "resolver/message.h"
#include "resolver/resolver.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

enum { ROUNDS = 51, QUERIES = 20000, NAMES = 1000000, NAMES_ASKED = 1000, FLOOR_PERCENT = 5 };

/* glibc's own, so that what is allocated can be counted here. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
static unsigned long allocations;
void *malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
	allocations++;
	return __libc_realloc(p, n);
}

struct world {
	struct resolver *r;
	uint64_t replies, sent_id;
	size_t sent_len;
	uint8_t sent[600];
};

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	(void)client, (void)msg, (void)len;
	((struct world *)arg)->replies++;
}

static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	(void)to;
	w->sent_id = id;
	w->sent_len = len;
	memcpy(w->sent, msg, len);
}

static void upstream_done(void *arg, uint64_t id)
{
	(void)arg, (void)id;
}

static const char there[] = "host-%u.ads%u.example", beside[] = "www-%u.ads%u.example",
		  other[] = "www-%u.site%u.example";

static size_t question(uint8_t *buf, const char *kind, unsigned i)
{
	char text[64];
	struct dns_name name;
	snprintf(text, sizeof(text), kind, i, i % 977);
	(void)dns_name_parse(text, &name);
	return dns_ask_write(buf, &(struct dns_ask) { .type = DNS_A, .edns = true, .name = &name });
}

/* An answer for a day to what was just asked. */
static void answer(struct world *w)
{
	static const uint8_t a[] = { 0xc0, 12, 0, 1, 0, 1, 0, 1, 0x51, 0x80, 0, 4, 192, 0, 2, 1 };
	uint8_t msg[700];
	size_t end = w->sent_len - DNS_OPT_LEN;
	memcpy(msg, w->sent, end);
	be_put(msg + 2, 2, DNS_QR | DNS_RD | DNS_RA);
	be_put(msg + 6, 2, 1);
	be_put(msg + 10, 2, 0);
	memcpy(msg + end, a, sizeof(a));
	resolver_upstream_received(w->r, 1, w->sent_id, msg, end + sizeof(a));
}

static bool world_make(struct world *w)
{
	struct resolver_ops ops = {
		.reply = reply, .upstream_send = upstream_send, .upstream_done = upstream_done, .arg = w
	};
	struct resolver_upstream up = { .at = { .ip = addr_v4(0xc0000201), .port = 53 } };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	uint8_t msg[DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN];
	w->r = resolver_new(&ops, &random_system);
	if (!w->r ||
		resolver_configure(w->r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL))
		return false;
	for (unsigned i = 0; i < NAMES_ASKED; i++) {
		resolver_query(w->r, 1, 0, msg, question(msg, other, i), false);
		answer(w);
		resolver_query(w->r, 1, 0, msg, question(msg, beside, i), false);
		answer(w);
	}
	return true;
}

static struct block *set_make(void)
{
	static const uint64_t seed[2] = { 1, 2 };
	struct block *b = block_new(seed);
	char text[64];
	unsigned list;
	bool ok = b && !block_list_add(b, "bench", false, &list);
	for (unsigned i = 0; ok && i < NAMES; i++) {
		struct dns_name name;
		snprintf(text, sizeof(text), there, i, i % 977);
		ok = dns_name_parse(text, &name) && !block_add(b, list, &name, BLOCK_NAME);
	}
	return ok ? b : NULL;
}

/* ns for each of QUERIES. */
static double round_run(struct world *w, const char *kind, unsigned step)
{
	static uint8_t msg[NAMES_ASKED][128];
	static size_t len[NAMES_ASKED];
	for (unsigned i = 0; i < NAMES_ASKED; i++)
		len[i] = question(msg[i], kind, i * step);
	uint64_t began = clock_now_ns();
	for (unsigned i = 0; i < QUERIES; i++)
		resolver_query(w->r, 2, 0, msg[i % NAMES_ASKED], len[i % NAMES_ASKED], false);
	return (double)(clock_now_ns() - began) / QUERIES;
}

static int by_size(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_size);
	return v[ROUNDS / 2];
}

/* What a server pays the kernel for a question: one call to receive, one to send. */
static double calls_run(int fd)
{
	uint8_t msg[64] = { 0 };
	uint64_t began = clock_now_ns();
	for (unsigned i = 0; i < QUERIES / 4; i++)
		if (send(fd, msg, sizeof(msg), 0) < 0 || recv(fd, msg, sizeof(msg), 0) < 0)
			return 0;
	return (double)(clock_now_ns() - began) / (QUERIES / 4);
}

/* Sends to itself. */
static int socket_make(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && !bind(fd, (struct sockaddr *)&sa, len) &&
		  !getsockname(fd, (struct sockaddr *)&sa, &len) && !connect(fd, (struct sockaddr *)&sa, len);
	return ok ? fd : -1;
}

int main(void)
{
	static struct world w;
	static double plain[ROUNDS], passed[ROUNDS], near[ROUNDS], blocked[ROUNDS], share[ROUNDS];
	struct block_answer how = { 0 };
	uint64_t began = clock_now_ns();
	struct block *b = set_make();
	double made_ms = (double)(clock_now_ns() - began) / 1e6;
	int fd = socket_make();
	if (!key_setup() || !b || fd < 0 || !world_make(&w)) {
		fprintf(stderr, "block_bench: out of memory or sockets\n");
		return 1;
	}
	unsigned long before = allocations;
	for (unsigned i = 0; i < ROUNDS; i++) {
		resolver_block_set(w.r, NULL, &how);
		plain[i] = round_run(&w, other, 1);
		resolver_block_set(w.r, b, &how);
		passed[i] = round_run(&w, other, 1);
		near[i] = round_run(&w, beside, 1);
		blocked[i] = round_run(&w, there, NAMES / NAMES_ASKED);
		share[i] = (passed[i] - plain[i]) * 100 / (plain[i] + calls_run(fd));
	}
	unsigned long allocated = allocations - before;
	double adds = median(share);
	bool whole = resolver_stats(w.r)->blocked == (uint64_t)ROUNDS * QUERIES &&
		     resolver_stats(w.r)->cached == 3 * (uint64_t)ROUNDS * QUERIES;
	printf("names=%zu made_ms=%.0f bytes=%zu plain_ns=%.0f passed_ns=%.0f beside_ns=%.0f blocked_ns=%.0f "
	       "added_percent=%.1f allocations=%lu\n",
		block_names(b), made_ms, block_bytes(b), median(plain), median(passed), median(near),
		median(blocked), adds, allocated);
	resolver_free(w.r);
	block_put(b);
	close(fd);
	return !whole ? 1 : adds > FLOOR_PERCENT || allocated ? 2 : 0;
}
