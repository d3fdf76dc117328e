/* A router's UPnP service, with the quirks that routers have: the answer to a search (SSDP), the descriptions, and the
 * calls (SOAP) of WANIPConnection 1 and 2 that map ports, and of WANIPv6FirewallControl 1. Pure; the mappings are portmap.h's. UPnP Device Architecture
 * 1.1 sections 1.3, 2.3, 3.2; WANIPConnection:2 section 2.5. */
#ifndef SIMNET_SERVICE_IGD_H
#define SIMNET_SERVICE_IGD_H

#include "simnet/service/portmap.h"

enum {
	IGD_SEARCH_PORT = 1900,
	IGD_WEB_PORT = 5000,
	IGD_NOBODY_PORT = 5001, /* where a dead control URL leads */
	IGD_GROUP = 0xeffffffa, /* 239.255.255.250 */
	IGD_ANSWERS_MAX = 2,
	IGD_ANSWER_MAX = 512,
	IGD_REPLY_MAX = 4096
};
/* Datagrams to send back; own: the router's address as the asker knows it. Returns how many. */
size_t igd_search(const struct faults *f, const struct addr *own, const uint8_t *msg, size_t len,
	char out[static IGD_ANSWERS_MAX][IGD_ANSWER_MAX]);

struct igd_request { /* of HTTP; text that need not end */
	const char *method, *target, *action;
	const char *body;
	size_t body_len;
};
struct igd_reply {
	unsigned status;
	char body[IGD_REPLY_MAX];
};
/* *changed: the mappings are others now. */
void igd_answer(struct portmap *p, uint64_t now_ms, const struct faults *f, const struct endpoint *from,
	const struct addr *own, const struct igd_request *rq, struct igd_reply *out, bool *changed);

#endif
