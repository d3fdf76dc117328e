/* A page that shows a run while it happens, takes the steps of buttons, and shows what routers remember. On a loopback address
 * alone, behind one token in its path. */
#ifndef SIMNET_LIVE_H
#define SIMNET_LIVE_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"

struct lab;
enum { LIVE_TOKEN = 32 };
struct live_door {
	int fd; /* owned; -1 = none */
	struct endpoint at;
	char token[LIVE_TOKEN + 1];
};
/* Opens the door before the sandbox hides this machine's loopback. where: "127.0.0.1:0", ":0", "[::1]:8080"; port 0 lets the
 * kernel choose. ERR_REFUSED: it is no loopback address. */
int live_listen(const char *where, struct live_door *out, struct errbuf *eb);
void live_door_close(struct live_door *d);
/* "http://127.0.0.1:8080/TOKEN/". Returns buf. */
const char *live_url(const struct live_door *d, char *buf, size_t cap);

struct live;
/* Serves it from the lab's loop; records come by live_heard, which a story calls (struct story: heard). Neither is owned. */
struct live *live_open(struct lab *l, const struct live_door *d, struct errbuf *eb);
void live_heard(void *live, const char *line);
/* Stays until a button, or an interrupt, ends it. */
void live_hold(struct live *v);
void live_close(struct live *v); /* NULL is fine */

#endif
