/* Twice as many questions at once as there are places for: different names, of several clients, of a route whose only
 * server says nothing. How many of them get an answer, whatever it is, within the 5 s after which a client asks again, how
 * late the last one came, and what names of the mesh took meanwhile. */
#include "mesh/os/loop.h"
#include "mesh/os/tied.h"
#include "resolver/core.h"
#include "resolver/listen.h"
#include "resolver/zone.h"
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { CLIENTS = 4, EACH = 2 * FLIGHTS_MAX / CLIENTS, BURST = 16, GIVE_UP_MS = 5000 };

static uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* On 127.0.0.(1 + i), at any port. */
static int bound_socket(unsigned i, struct endpoint *at)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) || getsockname(fd, (struct sockaddr *)&sa, &len))
		return -1;
	*at = (struct endpoint) { .ip = addr_v4(INADDR_LOOPBACK + i), .port = ntohs(sa.sin_port) };
	return fd;
}

static void serve(int report, const struct endpoint *silent)
{
	struct loop *l = loop_new();
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct resolver_upstream up = { .at = *silent };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct errbuf eb = { .text = "out of memory" };
	struct addr ip = addr_v4(0x64400001);
	struct resolver_server *s = l ? resolver_server_open(l, &o, &eb) : NULL;
	struct zone *z = zone_new();
	if (!s || !z || zone_add_address(z, "bob.mesh", &ip, true) ||
		resolver_server_configure(
			s, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, &eb)) {
		fprintf(stderr, "overload_bench: %s\n", eb.text);
		_exit(1);
	}
	resolver_zone_set(resolver_server_core(s), z);
	at = resolver_server_endpoint(s, 0);
	if (write(report, &at, sizeof(at)) != sizeof(at))
		_exit(1);
	loop_run(l);
	_exit(0);
}

static size_t question(uint8_t *buf, const char *text, unsigned id)
{
	struct dns_name name;
	(void)dns_name_parse(text, &name);
	return dns_ask_write(
		buf, &(struct dns_ask) { .id = (uint16_t)id, .type = DNS_A, .edns = true, .name = &name });
}

struct counts {
	unsigned asked, answered, last_ms;
	bool got[CLIENTS][EACH];
};

static void answers_take(const int *fds, struct counts *c, uint64_t since_ms)
{
	uint8_t a[2048];
	for (unsigned i = 0; i < CLIENTS; i++)
		while (recv(fds[i], a, sizeof(a), MSG_DONTWAIT) >= DNS_HEADER) {
			unsigned id = (unsigned)be_get(a, 2);
			if (id >= EACH || c->got[i][id])
				continue;
			c->got[i][id] = true;
			c->answered++;
			c->last_ms = (unsigned)(now_ms() - since_ms);
		}
}

/* A name of the mesh is asked between the bursts: so none of them meets a full socket. Its time in ms; negative: none. */
static int mesh_ask(int fd)
{
	uint8_t q[DNS_ASK_MAX], a[2048];
	uint64_t began = now_ms();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (send(fd, q, question(q, "bob.mesh", 1), 0) < 0 || poll(&p, 1, GIVE_UP_MS) != 1 ||
		recv(fd, a, sizeof(a), 0) < DNS_HEADER || be_get(a + 6, 2) != 1)
		return -1;
	return (int)(now_ms() - began);
}

static bool measure(const struct endpoint *at)
{
	static struct counts c;
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, false, &ss);
	int fds[CLIENTS + 1], took = 0, most = 0;
	uint8_t q[DNS_ASK_MAX];
	struct endpoint own;
	uint64_t began = now_ms();
	for (unsigned i = 0; i <= CLIENTS; i++)
		if ((fds[i] = bound_socket(1 + i, &own)) < 0 || connect(fds[i], (struct sockaddr *)&ss, len))
			return false;
	for (unsigned k = 0; k < EACH; k++) {
		for (unsigned i = 0; i < CLIENTS; i++, c.asked++) {
			char name[64];
			snprintf(name, sizeof(name), "u%u-%u.outside.example", i, k);
			if (send(fds[i], q, question(q, name, k), 0) < 0)
				return false;
		}
		if (k % (BURST / CLIENTS) == 0 && (took = mesh_ask(fds[CLIENTS])) < 0)
			return false;
		most = took > most ? took : most;
		answers_take(fds, &c, began);
	}
	uint64_t end = now_ms() + GIVE_UP_MS;
	while (c.answered < c.asked && now_ms() < end) {
		struct pollfd p[CLIENTS];
		for (unsigned i = 0; i < CLIENTS; i++)
			p[i] = (struct pollfd) { .fd = fds[i], .events = POLLIN };
		(void)poll(p, CLIENTS, (int)(end - now_ms()));
		answers_take(fds, &c, began);
	}
	printf("asked=%u answered=%u last_ms=%u mesh_most_ms=%d\n", c.asked, c.answered, c.last_ms, most);
	return c.answered == c.asked;
}

int main(void)
{
	struct endpoint silent, at;
	int report[2];
	if (!key_setup() || bound_socket(0, &silent) < 0 || pipe(report))
		return 1;
	pid_t pid = fork_tied();
	if (!pid)
		serve(report[1], &silent);
	close(report[1]);
	bool up = read(report[0], &at, sizeof(at)) == sizeof(at), all = up && measure(&at);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return !up ? 1 : all ? 0 : 2;
}
