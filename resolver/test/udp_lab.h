/* A server with real sockets, and two clients of it in the test's thread, between turns of the loop. */
#ifndef RW_RESOLVER_TEST_UDP_LAB_H
#define RW_RESOLVER_TEST_UDP_LAB_H

#include "mesh/os/loop.h"
#include "resolver/listen.h"
#include "resolver/zone.h"
#include <sys/types.h>

enum { UDP_LAB_CLIENTS = 2 };

struct udp_lab {
	struct loop *loop;
	struct resolver_server *server;
	struct loop_timer *limit;
	bool gave_up;
	int clients[UDP_LAB_CLIENTS];
};

/* The server listens at these places and knows z, which is the lab's from here on. */
void udp_lab_open(struct udp_lab *l, const struct endpoint *at, size_t n, struct zone *z);
/* The clients, which ask at these addresses of the server's first place. Connected: what comes from another address is not
 * received. */
void udp_lab_clients(struct udp_lab *l, uint32_t first, uint32_t second);
void udp_lab_close(struct udp_lab *l);

void udp_lab_limit(struct udp_lab *l); /* eight seconds from now */
/* A turn of the loop. false: the limit is over. */
bool udp_lab_turn(struct udp_lab *l);
/* Turns the loop until there is a datagram, as recvfrom(2); -1: the limit was over before. */
ssize_t udp_lab_receive(struct udp_lab *l, int fd, void *buf, size_t cap, struct sockaddr_in *from);

#endif
