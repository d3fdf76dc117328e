/* What a reload takes: the settings, and the certificate whose pin they tell. Both are read before either is in force, so that
 * what nodes are told is never of another certificate than the one that is shown. */
#ifndef RW_CONTROL_RENEWAL_H
#define RW_CONTROL_RENEWAL_H

#include "mesh/base/buf.h"
#include "mesh/control/config/settings.h"
#include "mesh/control/http/web.h"

/* What settings are made of, beside the files that they name. */
struct renewal_sources {
	const struct control_config *cfg;
	const struct buf *dns;	    /* the DNS settings that were made by the API; empty = none were */
	struct policy_source *kept; /* the policy in the database; NULL = none is */
};
/* pin: of the certificate at the door. NULL with the sentence. */
struct settings *renewal_settings(
	const struct renewal_sources *from, const struct web *w, const char *pin, struct errbuf *eb);

struct renewal {
	struct web_certificate certificate;
	struct settings *set;
};
/* wrong: a line for each of both that cannot be read. renewal_drop it all the same. */
int renewal_read(const struct web *w, const struct renewal_sources *from, struct renewal *out,
	struct buf *wrong, struct errbuf *eb);
/* The certificate is in force, and the settings are the caller's. */
struct settings *renewal_use(struct renewal *r, struct web *w);
void renewal_drop(struct renewal *r);
/* To the log, each line of wrong by itself, or what eb says where there is none. */
void renewal_complain(const char *doing, struct buf *wrong, const struct errbuf *eb);

#endif
