/* Shared by the registry's files. */
#ifndef RW_CONTROL_FLEET_REGISTRY_INNER_H
#define RW_CONTROL_FLEET_REGISTRY_INNER_H

#include "mesh/control/fleet/registry.h"

/* What a node says of itself goes to all its peers: no more of it is taken than an honest one has. */
enum { REGISTRY_HOSTINFO_MAX = 32 * 1024, REGISTRY_HOSTNAME_MAX = 255, REGISTRY_ENDPOINTS_MAX = 64 };

/* What approval needs of a request that waits for it; the rest the node says again. One piece of memory. */
struct pending {
	struct pending *next, **at;
	char id[REGISTRY_ID];
	struct machine_key machine;
	struct node_key key, old_key;
	const char *hostname, *os, *tags; /* tags: those it asks for */
	const char *hostinfo_json;	  /* "": the node will say it again */
	struct addr from;		  /* whence it asked last */
	bool ephemeral;
	int64_t since_ms, rejected_ms; /* rejected_ms: 0 = it was not */
};

/* How a node comes in: by whose right and as what. */
struct admission {
	int64_t user;
	const char *tags; /* comma separated, "" = none */
	bool ephemeral;
	int64_t preauth;     /* used up with the same transaction; 0 = none */
	const char *pending; /* the request that is approved; NULL = none */
	int64_t expiry_ms;   /* when the login ends, Unix; 0 = as the settings have it */
	struct machine_key machine;
	struct node_key key, old_key;
	const char *hostname, *hostinfo_json;
};

/* A change that is stored first: waits, is prepared when its turn comes, written, published, and its end
 * told. */
struct change_kind {
	/* Decides by what is true now, and makes what is to be written. 0 or a code with the sentence. */
	int (*prepare)(struct registry *r, struct change *c, struct errbuf *eb);
	/* On another thread: touches s and c alone. NULL: nothing is written. */
	int (*write)(struct store *s, struct change *c, struct errbuf *eb);
	/* It is stored: into memory, and told. */
	int (*publish)(struct registry *r, struct change *c, struct errbuf *eb);
	/* One member as edit leaves it, which then stands for prepare, write and publish: it is called for
	 * what is stored, and again for what is published, since little things may have changed meanwhile. */
	int (*edit)(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb);
};
struct change {
	struct change *next;
	struct registry *r;
	const struct change_kind *kind;
	struct registry_wait *wait; /* NULL: nobody waits any more */
	struct arena mem;	    /* all text here */
	bool fast;		    /* need not be on the disk when it is told */
	int64_t now_ms, id, at_ms;
	int64_t own, giver; /* of who asks: registry_wait */
	bool ruled;
	const char *text; /* name, tags or routes */
	const char *value;
	struct addr address;
	const char *if_tag; /* of the policy that it replaces; NULL: of any */
	struct policy_version policy;
	const char *told; /* what was done, for who waits; NULL = the usual */
	struct admission ad;
	struct preauth_wish wish;
	struct preauth key;
	struct api_key api_key;
	char key_text[REGISTRY_KEY_TEXT];
	struct user user;
	enum user_role by;	    /* what who asks for it may */
	struct person *person;	    /* of mem */
	struct user_groups *groups; /* of that person, counted */
	struct admin *admin;	    /* the same */
	bool same;		    /* nothing of the person has changed */
	char label[FLEET_LABEL];
	struct member *draft; /* as it is written; counted */
	struct member **drafts;
	size_t n_drafts;
	int64_t next_address; /* 0 = stays */
	struct errbuf eb;
	int err;
	bool unsaved;
};

/* registry_queue.c. A change to be filled in and submitted; NULL (w is told) when memory is short or too many
 * wait. */
struct change *registry_change_new(
	struct registry *r, const struct change_kind *kind, struct registry_wait *w);
/* Begins it, or puts it behind the others. Fails it when its arena has failed. */
void registry_change_submit(struct change *c);
/* Whether one of this kind waits for this node and is not being written yet; else NULL. */
struct change *registry_change_find(const struct registry *r, const struct change_kind *kind, int64_t id);
/* Whether who asks may change m as it is now: -EPERM. */
int registry_check_own(const struct change *c, const struct member *m, struct errbuf *eb);
void registry_fail_now(struct registry_wait *w, int err, const char *text); /* before there was a change */
/* Puts draft's copy into the fleet and tells it. */
int registry_publish(
	struct registry *r, const struct member *draft, enum registry_news what, struct errbuf *eb);
/* The same for what holds at once and is written behind. */
void registry_publish_unsaved(struct registry *r, const struct member *draft, enum registry_news what);
/* The user, who is there, is another one: so may the rules for the nodes be, and peers see the name. */
int registry_publish_user(struct registry *r, const struct user *u, struct errbuf *eb);
/* The node is gone from the database. */
void registry_forget(struct registry *r, int64_t node);

/* New node, or the machine's old one with a new key; all of ad is copied. */
void registry_admit(struct registry *r, const struct admission *ad, int64_t now_ms, struct registry_wait *w);
/* Ephemeral and away: deleted, if that is still so when its turn comes. */
void registry_delete_away(struct registry *r, int64_t node);
/* The host is called otherwise now, and the node with it unless an admin named it. */
void registry_host_renamed(struct registry *r, int64_t node, const char *hostname);

/* registry_routes.c: after any change of a member; old or now may be NULL, and must stay during the call. */
void registry_routes_update(struct registry *r, const struct member *old, const struct member *now);
/* What the rules approve of its offers needs no admin. */
void registry_routes_approve(struct registry *r, const struct member *m);
void registry_routes_init(struct registry *r, uint64_t seed);
void registry_routes_free(struct registry *r);

/* registry_people.c: what the provider says of p, as rules name it. false: memory is short. */
bool registry_groups(const struct registry *r, const struct person *p, struct user_groups **out);

/* registry_nodes.c: a name in the database may be none: the work of another program, or of a hand. Such a node is told
 * of by one that it gets here, and nobody's map lacks anything. Until all are read it has one that no node can have. */
enum { REGISTRY_UNNAMED = 24 };
void registry_unnamed(const struct member *m, char out[static REGISTRY_UNNAMED]);
int registry_names_mend(struct registry *r, struct errbuf *eb);

/* registry_login.c */
char *registry_hostinfo_text(
	const struct ctl_hostinfo *h); /* free() it; NULL: too long, or memory is short */

/* registry_pending.c */
bool registry_pending_is_rejected(const struct pending *p, int64_t now_ms);
struct pending *registry_pending_make(struct registry *r, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms); /* or the one there is */
struct pending *registry_pending_get(const struct registry *r, const char *id);
void registry_pending_drop(struct registry *r, struct pending *p);
/* The machine is in by this key, whichever way: nobody need approve it any more, and who waits may ask. */
void registry_pending_settle(
	struct registry *r, const struct machine_key *machine, const struct node_key *key);
/* Its machine takes it back: it is gone, and so is who still waits for it. */
void registry_pending_withdraw(
	struct registry *r, const struct machine_key *machine, const struct node_key *key);
void registry_pending_drop_old(struct registry *r, int64_t now_ms);
void registry_pending_free(struct registry *r);

/* "tag:a,tag:b": names and, with a policy, tagOwners. */
int registry_tags_check(const struct registry *r, const char *tags, struct errbuf *eb);
/* And that this user may give them: for what a node asks for itself. */
int registry_tags_check_owner(const struct registry *r, const char *tags, int64_t user, struct errbuf *eb);
/* That giver (0: anybody who may give all) may give those of the tags that are not among have; NULL: it has none. */
int registry_tags_check_giver(const struct registry *r, const char *tags, int64_t giver,
	const struct ctl_strings *have, struct errbuf *eb);
/* Whether u's machines may be made by who is this: -EPERM. */
int registry_check_maker(const struct user *u, enum user_role by, struct errbuf *eb);
/* What a node that comes by a key asks for must be the key's: tags come from keys, admins, or a login that
 * somebody approves who may give them. */
int registry_tags_check_key(const char *tags, const struct ctl_strings *asked, struct errbuf *eb);
void registry_tags_split(struct arena *a, const char *text, struct ctl_strings *out);
/* "tag:a,tag:b" of a list; what does not fit is left out. */
void registry_tags_join(const struct ctl_strings *tags, char out[static STORE_TAGS]);
/* Its host name; "" when there is none, or no host can have it. */
const char *registry_hostname(const struct ctl_hostinfo *h);
/* One that a user's name may have. */
bool registry_is_name_letter(char c);
/* word, 12 characters to tell keys apart, "-", 64 of secret; 6 bits each. */
void registry_key_make(const struct random *rnd, const char *word, char text[static REGISTRY_KEY_TEXT]);

#endif
