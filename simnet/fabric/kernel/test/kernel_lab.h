/* What the engine's tests share: topologies built in code, packets between their hosts, sandboxed test
 * bodies. */
#ifndef SIMNET_TEST_KERNEL_LAB_H
#define SIMNET_TEST_KERNEL_LAB_H

#include "simnet/fabric/engine.h"
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/fabric/kernel/kernel.h"
#include "simnet/host/sandbox.h"

#include <stdio.h>

/* cmocka's own assertions jump into the runner, which a sandboxed child must not do. */
#define CHECK(cond, ...) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__); \
			fprintf(stderr, "\n"); \
			return 1; \
		} \
	} while (0)

enum { ARRIVE_MS = 60000, NOTHING_MS = 60 }; /* what never comes, and what must not */

struct lab {
	struct scenario s;
	struct scn_router r[20];
	struct scn_node n[24];
	struct hosts *h;
	struct engine *e;
	struct errbuf eb;
};
enum { SERVER, ALICE, BOB }; /* the nodes of start_pair */

/* Fails the test when body does not return 0; skips it with the reason where no sandbox can be had. */
void in_sandbox(int (*body)(void *arg), void *arg);
/* The same for each of n rows of that size, several at once: for bodies that mostly wait. */
void in_sandboxes(int (*body)(void *arg), void *rows, size_t size, size_t n);
/* As root: the same as the user nobody. Skips without root. */
void in_rootless_sandbox(int (*body)(void *arg));

struct scn_router *add_router(struct lab *l, const char *name, int behind);	  /* EIM/APDF */
void set_classes(struct scn_router *r, enum nat_mapping m, enum nat_filtering f); /* UDP and TCP */
int add_node(struct lab *l, const char *name, int router);
int start_on(struct lab *l, const struct engine_ops *engine);
int start(struct lab *l);      /* 0, or 1 with the reason printed */
int start_pair(struct lab *l); /* server, alice behind home, bob behind office */
/* The engine's self-test. Where the machine is too slow to tell, the body ends here and is skipped with that reason. */
int self_test_on(struct lab *l, const struct engine_ops *engine);
int self_test(struct lab *l); /* of engine_kernel */
/* That it finds a router wrong; on a slow machine what it suspects counts. */
bool is_wrong(int err);
bool is_condemned_by(struct lab *l, const struct engine_ops *engine);
bool is_condemned(struct lab *l); /* by engine_kernel */

int udp_on(struct lab *l, int node, uint16_t port);
void send_to(int fd, const struct endpoint *to);
bool receive(int fd, struct endpoint *from, int wait_ms); /* from may be NULL */
struct endpoint at(const struct lab *l, int node, uint16_t port);
/* What the server sees of a packet of fd; port 0: nothing came. */
struct endpoint seen_by_server(struct lab *l, int fd, int server_fd, uint16_t port);
void stop(struct lab *l);
int run_on(struct lab *l, int node, const char *script); /* exit code */

#endif
