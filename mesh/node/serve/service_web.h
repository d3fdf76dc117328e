/* http://100.100.100.100/metrics: counters for collectors of this machine, as official clients have them at that address. Port
 * 80 may be a web server's of this machine, who would not start while another listens there: this one listens beside it, and
 * the guard (host/guard_rules.h) leads there what comes from this machine. */
#ifndef RW_NODE_SERVE_SERVICE_WEB_H
#define RW_NODE_SERVE_SERVICE_WEB_H

#include "mesh/base/buf.h"
#include "mesh/os/loop.h"

struct service_web;
struct service_web_ops {
	bool (*metrics)(void *arg, struct buf *out); /* Prometheus' text; false: memory is short */
	void *arg;
};
struct service_web *service_web_open(
	struct loop *l, const struct service_web_ops *ops); /* NULL: memory is short */
void service_web_close(struct service_web *w);		    /* NULL is fine */
/* Listens, at that port, while this machine has the address. What cannot be had is tried again. */
void service_web_apply(struct service_web *w, bool up, uint16_t port);

uint64_t service_web_paused(const struct service_web *w); /* as peer_api_paused */

#endif
