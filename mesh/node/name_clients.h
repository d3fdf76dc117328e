/* How the node's resolver serves its clients beside DNS in clear, as ropewalkd's options say: by TLS and HTTPS, at the
 * addresses and for the clients of those in clear, and how many questions each may ask. */
#ifndef RW_NODE_NAME_CLIENTS_H
#define RW_NODE_NAME_CLIENTS_H

#include "resolver/listen.h"

/* Borrowed. */
struct name_clients_options {
	const char *certificate, *key; /* PEM files; NULL: neither by TLS nor by HTTPS */
	uint16_t https_port;	       /* 0: not by HTTPS */
	uint32_t per_s; /* questions; 0: as many as they like. This machine itself has no limit */
};
/* Embedded in its owner, who sets the first and leaves the rest at zero. */
struct name_clients {
	struct name_clients_options opt;
	char trouble[512]; /* why they are not served as is wanted, and what to do; "" = they are */
};
/* The resolver is open, or the certificate may be another: it is read, doors open where there are none yet, and the log
 * has what is new. A certificate that cannot be used leaves the one of before. */
void name_clients_serve(struct name_clients *c, struct resolver_server *s);

#endif
