/* Access rules of the policy file (tailscale-protocol.md 6.3): who may see whom, and the packet filter of one
 * node. Pure: a compiled policy is immutable and asked about members. */
#ifndef RW_CONTROL_POLICY_H
#define RW_CONTROL_POLICY_H

#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include "mesh/control/fleet/fleet.h"
#include "mesh/proto/control.h"

struct policy; /* NULL stands for "no policy": everything is allowed */

/* text is changed (comments are blanked). NULL: eb says "LINE:COLUMN: PLACE: ...", PLACE as in
 * "acls[2].dst[0]", none for bad JSON. Free with policy_free. */
struct policy *policy_parse(char *text, size_t len, struct errbuf *eb);
void policy_free(struct policy *p); /* NULL is fine */
/* Runs "tests" and "sshTests": 0, or an error that says which failed as policy_parse does. An address in a
 * test stands for the node of fleet that has it too; without one (NULL) what depends on that is not judged.
 */
int policy_test(const struct policy *p, const struct fleet *f, struct errbuf *eb);

/* Some rule lets packets from a to b pass. */
bool policy_allows(
	const struct policy *p, const struct fleet *f, const struct member *a, const struct member *b);
/* a may be told of the route that b carries. One that b serves: a may reach it, be reached from it, or
 * carries it too. One that another serves: a may reach it only by b, or by others like it of whom b is the
 * first. */
bool policy_has_via(const struct policy *p); /* some grant does that */
bool policy_shows_route(const struct policy *p, const struct fleet *f, const struct member *a,
	const struct member *b, const struct prefix *route);

/* What is found out about members and rules is kept: which rules each member is a source or a destination
 * of, until it is another; who the sources of each rule are, until one of them is. */
struct policy_cache;
struct policy_cache *policy_cache_new(void); /* NULL: memory is short */
void policy_cache_free(struct policy_cache *c);
/* The member with this number came, went, or is otherwise another to the rules. NULL is fine, here and below.
 */
void policy_cache_member_changed(struct policy_cache *c, int64_t id);
void policy_cache_policy_changed(struct policy_cache *c);
/* policy_allows from a to b or from b to a; with a cache at the cost of a few words. */
bool policy_sees(const struct policy *p, const struct fleet *f, struct policy_cache *c,
	const struct member *a, const struct member *b);
/* What the node lets in: rules in a's arena (and in c, which may be NULL). NULL and false when memory is
 * short. */
bool policy_filter(const struct policy *p, const struct fleet *f, struct policy_cache *c,
	const struct member *node, struct arena *a, struct ctl_rule **rules, size_t *n);

/* A number that is the same as before when policy_filter would give what it gave, for this policy and this
 * cache. false: memory is short. */
bool policy_filter_mark(const struct policy *p, const struct fleet *f, struct policy_cache *c,
	const struct member *node, uint64_t *mark);

/* One packet, from one address of a node to one of another: of the same family. */
struct policy_question {
	const struct member *from, *to;
	struct addr from_at, to_at;
	uint8_t proto; /* as in an IP header */
	uint16_t port; /* of TCP and UDP */
	bool any_port; /* of any protocol: proto and port are not asked about */
};
/* How far the best rule lets it come. */
enum policy_step {
	POLICY_NO_SOURCE, /* no rule has from as a source */
	POLICY_NO_TARGET, /* one has, and not to as a destination */
	POLICY_NO_PORT,	  /* one lets from to to, by other ports or protocols */
	POLICY_PASSES,
};
struct policy_answer {
	enum policy_step step;
	const char
		*section; /* "acls" or "grants": the rule that came so far, the first of them. NULL: none is
				written that did */
	unsigned index, line; /* the index from 0, the line from 1 */
};
/* What the packet filter of q->to does with it, and why. */
void policy_explain(const struct policy *p, const struct fleet *f, const struct policy_question *q,
	struct policy_answer *out);

/* Whom rules are looked for: a user, whose machines are sources; or, user NULL, an address and port, as a destination. */
struct policy_about {
	const struct user *user;
	struct endpoint to;
};
/* Each rule that is about them, once, in their order: "acls" or "grants", its index from 0 and its line from 1. */
void policy_preview(const struct policy *p, const struct fleet *f, const struct policy_about *about,
	void (*each)(void *arg, const char *section, unsigned index, unsigned line), void *arg);

/* user may give this tag to nodes (tagOwners). */
bool policy_owns_tag(const struct policy *p, const char *tag, const struct user *user);
/* tag is declared in tagOwners, or there is no policy. */
bool policy_knows_tag(const struct policy *p, const char *tag);
/* autoApprovers: the route (bits 0: an exit) that m offers needs no admin. */
bool policy_approves(
	const struct policy *p, const struct fleet *f, const struct member *m, const struct prefix *route);

/* A node that had the address from and has to would be what some rule or attribute names by address, and was not. */
bool policy_names_address(const struct policy *p, const struct addr *from, const struct addr *to);

/* What the node is told of who may log in on it, in a: a JSON object, without rules where there are none. */
bool policy_ssh(const struct policy *p, const struct fleet *f, const struct member *node, struct arena *a,
	const char **json);
bool policy_has_ssh(const struct policy *p);
/* Whether src may log in on dst as this user, if somebody lets it in; then *period_ms: for how long that holds, 0: for
 * this once. */
bool policy_ssh_checked(const struct policy *p, const struct fleet *f, const struct member *src,
	const struct member *dst, const char *login, uint64_t *period_ms);
/* ipPool: where a new node m takes its IPv4 address from, in a; the prefixes in order. None: from everywhere.
 * false: memory is short. */
bool policy_pools(const struct policy *p, const struct fleet *f, const struct member *m, struct arena *a,
	struct ctl_prefixes *out);
/* nodeAttrs: the names of what m is told of itself, in a and p. false: memory is short. */
bool policy_attrs(const struct policy *p, const struct fleet *f, const struct member *m, struct arena *a,
	struct ctl_strings *out);

#endif
