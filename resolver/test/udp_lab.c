#include "resolver/test/udp_lab.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIMIT_MS = 60000 };

static void give_up(void *arg)
{
	((struct udp_lab *)arg)->gave_up = true;
}

void udp_lab_open(struct udp_lab *l, const struct endpoint *at, size_t n, struct zone *z)
{
	struct resolver_server_options o = { .at = at, .n = n };
	*l = (struct udp_lab) { .loop = loop_new() };
	l->limit = loop_timer_new(l->loop, give_up, l);
	l->server = resolver_server_open(l->loop, &o, NULL);
	assert_non_null(l->server);
	resolver_zone_set(resolver_server_core(l->server), z);
	zone_put(z);
}

static int client_open(const struct udp_lab *l, uint32_t ask)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(ask),
		.sin_port = htons(resolver_server_endpoint(l->server, 0).port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof(at)));
	return fd;
}

void udp_lab_clients(struct udp_lab *l, uint32_t first, uint32_t second)
{
	l->clients[0] = client_open(l, first);
	l->clients[1] = client_open(l, second);
}

void udp_lab_close(struct udp_lab *l)
{
	for (unsigned i = 0; i < UDP_LAB_CLIENTS; i++)
		close(l->clients[i]);
	resolver_server_close(l->server);
	loop_timer_free(l->limit);
	loop_free(l->loop);
}

void udp_lab_limit(struct udp_lab *l)
{
	loop_timer_set(l->limit, LIMIT_MS);
}

bool udp_lab_turn(struct udp_lab *l)
{
	loop_run_once(l->loop);
	return !l->gave_up;
}

ssize_t udp_lab_receive(struct udp_lab *l, int fd, void *buf, size_t cap, struct sockaddr_in *from)
{
	socklen_t len = sizeof(*from);
	ssize_t n;
	while ((n = recvfrom(fd, buf, cap, MSG_DONTWAIT, (struct sockaddr *)from, from ? &len : NULL)) < 0 &&
		udp_lab_turn(l))
		;
	return n;
}
