/* The relay inside the server (derp.server). */
#ifndef RW_CONTROL_HTTP_DERP_H
#define RW_CONTROL_HTTP_DERP_H

#include "mesh/control/http/web.h"

int derp_open(struct web *w, struct errbuf *eb);
void derp_close(struct web *w);
/* The node with this key is none of this server's any more. */
void derp_member_gone(struct web *w, const struct node_key *who);
/* A certificate that was read gets what clients of the relay look for in it. */
int derp_certificate_carries(const struct web *w, const struct web_certificate *c, struct errbuf *eb);

#endif
