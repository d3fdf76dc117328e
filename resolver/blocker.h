/* What blocks in a running resolver: the lists of its configuration read into a set, for whom and at what
 * hours they hold, and pauses. */
#ifndef RW_RESOLVER_BLOCKER_H
#define RW_RESOLVER_BLOCKER_H

#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/os/loop.h"
#include "resolver/conf_block.h"
#include "resolver/lists.h"

struct resolver;
struct blocker;
struct blocker *blocker_new(struct loop *l, struct resolver *core); /* NULL: memory short */
/* Call it before the core is freed. Lists that are being read are thrown away when they have been. NULL is fine. */
void blocker_free(struct blocker *b);
/* Another core from now on, which blocks at once what the one before did; NULL: none for a while. The one before has its set
 * until it is freed. */
void blocker_move(struct blocker *b, struct resolver *core);
/* By which proxies lists are fetched from now on; borrowed; NULL, which is so at first: by none. */
struct proxies;
void blocker_proxies(struct blocker *b, const struct proxies *p);
/* Reads the lists of c now. mem, which all of c lives in, is taken over and empty afterwards. A list that cannot be
 * read is an error: all stays as it was. */
int blocker_configure(struct blocker *b, struct arena *mem, const struct conf_block *c, struct errbuf *eb);
/* The same on another thread; the old set serves meanwhile, and stays when that fails, which blocker_state says; for want
 * of memory it is tried again until there is some. Before the first set names wait that one of its lists could block
 * (resolver_block_wait), and whatever it failed for is tried again. An error: memory was short at once, mem is the caller's still, all
 * stays as it was. */
int blocker_reconfigure(struct blocker *b, struct arena *mem, const struct conf_block *c, struct errbuf *eb);
/* Nothing is blocked for as long as the configuration says; while that lasts: it ends. */
void blocker_pause(struct blocker *b);
/* Nothing is blocked for so long; 0: a pause ends. CONF_PAUSE_LONGEST_MS at most. */
void blocker_pause_for(struct blocker *b, uint64_t ms);
struct blocker_state {
	size_t lists, names;
	size_t missing;		/* of the lists, those that have never come from their URL */
	uint64_t pause_ms;	/* of the configuration */
	uint64_t pause_left_ms; /* 0: names are blocked */
	/* Why it is not what was configured last, or what is missing; "" = it is, whole. Valid until the next call. */
	const char *trouble;
};
void blocker_state(const struct blocker *b, struct blocker_state *out);
/* What serves, valid until the next call into the loop; NULL: nothing yet. */
const struct conf_block *blocker_conf(const struct blocker *b);
/* Reads the lists again, as blocker_reconfigure, to the same configuration; a failure is told as there. */
void blocker_reread(struct blocker *b);
/* Which lists hold for a client just now: a bit for each. */
uint32_t blocker_lists(const struct blocker *b, const struct addr *from);
/* The same for one that may be known by other words as well; is (NULL: by none) says whether such a word of a group is
 * one of its. */
struct blocker_client {
	const struct addr *from;
	bool (*is)(void *arg, const char *word);
	void *arg;
};
uint32_t blocker_lists_of(const struct blocker *b, const struct blocker_client *c);

/* Reads the lists of c and says what is in each, a line for each list: --check. */
int blocker_check(const struct conf_block *c, struct buf *out, struct errbuf *eb);
/* lists_explain, whatever the hour. */
int blocker_explain(const struct conf_block *c, uint32_t lists, const struct dns_name *name, struct buf *out,
	struct lists_found *found, struct errbuf *eb);
/* blocker_explain for what is in force, on a thread of its own: of the lists of that client's group. told comes once, from the loop, and frees the search; err: eb says why. NULL: memory is short. */
struct blocker_search;
struct blocker_why {
	const char *group; /* "" = none: all lists are its */
	const char *
		lines; /* NULL: memory was short. Of blocker_explain; "(not now)" in those of lists that have another hour, or a pause */
	struct lists_found found; /* without those */
};
struct blocker_search *blocker_search_start(struct blocker *b, const struct blocker_client *c,
	const struct dns_name *name,
	void (*told)(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb), void *arg);
void blocker_search_cancel(struct blocker_search *s); /* not told any more; NULL is fine */
/* The lists of the group that a client is in, whatever the hour. */
uint32_t blocker_group(const struct conf_block *c, const struct addr *from, const char **name);

#endif
