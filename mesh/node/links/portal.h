/* Whether a captive portal stands between this machine and the internet: a network that leads web pages to its own until
 * somebody has logged in. It is asked for as browsers do, by a page over plain HTTP whose answer is known; only an answer that
 * leads elsewhere counts, since a server of that name may have any page of its own. tailscale-protocol.md 2.1. */
#ifndef RW_NODE_LINKS_PORTAL_H
#define RW_NODE_LINKS_PORTAL_H

#include "mesh/os/loop.h"
#include <stdbool.h>

enum { PORTAL_HOST = 256, PORTAL_URL = 512 };

struct proxies;
struct portal {
	struct loop *loop;
	struct http_client *rq; /* the question that is out; NULL = none */
	const struct proxies *proxies;
	char host[PORTAL_HOST]; /* whom it is for */
	char url[PORTAL_URL];	/* where somebody logs in; "" = no portal is known */
	char line[PORTAL_URL + 128];
};

/* What an answer to the question says: *out is where somebody logs in, "" = nothing stands in between. host: that was asked.
 * location: of a redirect; NULL = none. Control characters are not kept. */
void portal_read(const char *host, int status, const char *location, char out[static PORTAL_URL]);

/* proxies: which lead to the page; borrowed, NULL: none do. */
void portal_open(struct portal *p, struct loop *l, const struct proxies *proxies);
/* Asks host, at port 80; a question that is out is let be. */
void portal_look(struct portal *p, const char *host);
void portal_forget(struct portal *p); /* the way is free, or another one; a question that is out is off */
/* A sentence for who uses the machine; NULL: no portal is known. */
const char *portal_line(const struct portal *p);

#endif
