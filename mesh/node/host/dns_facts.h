/* What dns_owner.h decides by, read from this machine. Nothing is changed, nobody is asked. */
#ifndef RW_NODE_HOST_DNS_FACTS_H
#define RW_NODE_HOST_DNS_FACTS_H

#include "mesh/base/buf.h"
#include "mesh/node/host/dns_owner.h"
#include <limits.h>

/* Where it is. */
struct dns_places {
	const char *resolv_conf;
	bool own_path;	     /* resolv_conf is another file than the machine's: nobody looks after it */
	const char *uplinks; /* in which systemd-resolved names the nameservers behind its stub */
	const char *networkmanager; /* the same of NetworkManager */
	const char *openresolv;	    /* its folder of what interfaces say */
	const char *nsswitch, *bus; /* bus: the system's, a socket */
	uint64_t ask_again_ms;	    /* an owner that refused is asked again after this, at first */
};
void dns_places_system(struct dns_places *p, const char *resolv_conf);

struct dns_facts_store {
	char link[PATH_MAX], unwritable[96];
	struct buf nsswitch;
};
/* own: the machine's resolv.conf or, while that is ours, what was there before; text: what it says (borrowed by
 * out; the rest by s). missing: there was none. What others refused is not filled in. */
void dns_facts_read(const struct dns_places *p, const char *own, bool missing, const struct buf *text,
	struct dns_facts_store *s, struct dns_facts *out);
void dns_facts_free(struct dns_facts_store *s);

#endif
