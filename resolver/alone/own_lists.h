/* The two lists that are changed while the resolver runs (conf_block.h): one name at a time, on another thread, whole
 * or not at all; then the lists are read again. */
#ifndef RW_RESOLVER_ALONE_OWN_LISTS_H
#define RW_RESOLVER_ALONE_OWN_LISTS_H

#include "mesh/base/buf.h"
#include "resolver/blocker.h"

enum { OWN_NAMES_MAX = 10000 };
enum own_verb {
	OWN_ALLOW, /* on the list of what is let through, and not on the other */
	OWN_DENY,
	OWN_FORGET, /* on neither */
};
struct own_lists;
struct own_lists *own_lists_new(
	struct loop *l, struct blocker *b, const char *state); /* NULL: memory short */
void own_lists_free(struct own_lists *o);		       /* waits for a change; NULL is fine */
/* name: "ads.example", or "*.ads.example" for what is below. done once, from the loop, code 0 or negative with why, unless an
 * error is given here: no name; -EBUSY: another change is being written. NULL: nobody wants to know. */
int own_lists_change(struct own_lists *o, enum own_verb verb, const char *name,
	void (*done)(void *arg, int code, const char *why), void *arg, struct errbuf *eb);
void own_lists_unask(struct own_lists *o, void *arg); /* no done for this arg; what was asked happens */
/* The lines of the list of OWN_ALLOW or OWN_DENY, appended to out; a list that is not there has none. */
int own_lists_text(const struct own_lists *o, enum own_verb which, struct buf *out, struct errbuf *eb);

#endif
