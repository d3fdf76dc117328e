/* What the TLS door shows, and where it comes from. */
#ifndef RW_CONTROL_HTTP_CERTIFICATE_H
#define RW_CONTROL_HTTP_CERTIFICATE_H

#include "mesh/control/http/web.h"

/* For the doors; all zero where no TLS is spoken, and after a failure. */
int certificate_load(const struct control_config *c, struct web_certificate *out, struct errbuf *eb);
/* From an authority, by ACME: begins to look after it. After the doors are open. */
int certificate_open(struct web *w, struct errbuf *eb);
/* The door has another struct tls: what an authority must meet is shown there too. */
void certificate_door_changed(struct web *w);
void certificate_close(struct web *w);
bool certificate_needs_door(const struct control_config *c); /* acme_listen: for HTTP-01 */

#endif
