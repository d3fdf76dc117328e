/* Who may join and what is known of everyone who did: registration, keys, names, addresses, expiry. Holds the
 * fleet in memory. Takes `now`, knows no socket. tailscale-protocol.md 1.7.
 *
 * Changes are of two kinds. What a node is (it came, its name, user, tags, routes, expiry, keys) and what an
 * admin made is *stored first*: the change waits in a queue, is decided by what is true when its turn comes,
 * written where it may block, and only then in the fleet, told to peers and answered. One is on its way at a
 * time, so their order is that of the calls, and none is decided by something that may still fail. What a
 * node says of its whereabouts (endpoints, home relay, online) holds *at once* and is written behind, as
 * often as it takes. */
#ifndef RW_CONTROL_FLEET_REGISTRY_H
#define RW_CONTROL_FLEET_REGISTRY_H

#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/control/fleet/admins.h"
#include "mesh/control/fleet/alloc.h"
#include "mesh/control/fleet/api_keys.h"
#include "mesh/control/fleet/fleet.h"
#include "mesh/control/fleet/keyring.h"
#include "mesh/control/fleet/policies.h"
#include "mesh/control/fleet/people.h"
#include "mesh/control/fleet/store.h"
#include "mesh/proto/control.h"

enum { REGISTRY_REJECTED_MS = 10 * 60 * 1000 }; /* a machine that was rejected may ask again then */
enum { REGISTRY_ROUTES_MAX = 256 };		/* of one node, that are approved or carried */
enum { REGISTRY_ID = 25, REGISTRY_PENDING_MAX = 4096, REGISTRY_KEY_TEXT = 96 };
enum registry_news {
	NEWS_LITTLE,   /* endpoints, keys, home relay, online, host info of one node */
	NEWS_IDENTITY, /* a node came or went, or its user, tags, name, addresses, routes or expiry changed */
};
struct registry_ops {
	/* The fleet is as told. old NULL: the node is new; now NULL: it has gone. Both are valid during the
	 * call. */
	void (*changed)(
		void *arg, const struct member *old, const struct member *now, enum registry_news what);
	void (*decided)(void *arg, const char *pending); /* somebody may wait for this id */
	/* Its machine has taken this login back: who still waits for it is not to ask again. */
	void (*withdrawn)(void *arg, const char *pending);
	/* An admin has said no: who waits for it is told when it asks again. */
	void (*rejected)(void *arg, const char *pending);
	/* This admin is new, has another password, or has gone: who is in by what was before is out. NULL: nobody
	 * wants to know. */
	void (*admin_changed)(void *arg, int64_t admin);
	/* A setting made while the server runs is stored: it holds from now on. NULL: nobody wants to know. */
	void (*text)(void *arg, const char *name, const char *value);
	/* Of the rules in force: whether tag may be given at all, and by this user. NULL: yes; nobody. */
	bool (*knows_tag)(void *arg, const char *tag);
	bool (*owns_tag)(void *arg, const char *tag, const struct user *user);
	/* By the rules in force a node that moves to this address is what it was not. NULL: none says so. */
	bool (*names_address)(void *arg, const struct addr *from, const struct addr *to);
	/* The route (bits 0: an exit) that m offers needs no admin. NULL: it does. */
	bool (*approves)(void *arg, const struct member *m, const struct prefix *route);
	/* The prefixes that the new node m takes its IPv4 address from, in a; none: from everywhere. false: memory
	 * is short. NULL: none. */
	bool (*pools)(void *arg, const struct member *m, struct arena *a, struct ctl_prefixes *out);
	/* The domain for which this provider's groups are known, or NULL: for none. NULL: none of them is. */
	const char *(*groups_domain)(void *arg, const char *issuer);
	/* Whether this text, with this tag, can be the access rules; a sentence. */
	int (*policy_check)(void *arg, const char *text, const char *tag, struct errbuf *eb);
	/* The text that was checked last is stored: it is in force from now on. */
	int (*policy_taken)(void *arg, struct errbuf *eb);
	/* run(x) where it may block, then done(x) from the loop, later. false: neither is called. NULL: both
	 * at once. */
	bool (*work)(void *arg, void (*run)(void *x), void (*done)(void *x), void *x);
	/* Calls registry_save after that time; again replaces. NULL: its owner does by itself. */
	void (*save_in)(void *arg, uint64_t ms);
	void *arg;
};
struct registry_config {
	struct alloc_pool pool;
	const char *server_url; /* without a slash at the end; borrowed, as all here */
	const char *state_path;
	const struct random *rnd;
	struct machine_private
		secret; /* ids of pending registrations are derived from it, so they outlive a restart */
	uint64_t ephemeral_ms; /* a node made by an ephemeral key is deleted when away that long */
	uint64_t expiry_ms;    /* logins of untagged nodes end after that; 0 = never */
	struct registry_ops ops;
};

/* How a change ended; all of it is valid during the call. */
struct registry_result {
	int err;	  /* 0, or a code */
	bool unsaved;	  /* err, and the reason is the database: the same may be asked again */
	const char *text; /* the sentence of err; else what was done, a line for each, or "" */
	int64_t id;	  /* of the node, user or key that was changed or made */
	const char *key;  /* the text of a key that was made; not kept anywhere */
};
/* Whoever began a change. The caller's, and must stay until done was called (from the loop, once, perhaps
 * inside the call that began it) or registry_wait_cancel was. */
struct registry_wait {
	void (*done)(void *arg, const struct registry_result *res);
	void *arg;
	int64_t own;   /* the user whose own nodes, without tags, are all they may change; 0 = all */
	int64_t giver; /* the user who gives what tags are given: those that the policy lets them; 0 = all */
	bool ruled;    /* the rules are not theirs: no node gets an address by which these would know it */
	struct change *change; /* the registry's; NULL = over */
};
void registry_wait_cancel(struct registry_wait *w); /* the change itself goes on */

struct registry {
	struct fleet fleet;
	struct keyring keys;
	struct api_keys api_keys;
	struct policies policies;
	struct people people;
	struct admins admins;
	struct store *store; /* only what runs in ops.work touches it */
	struct registry_config c;
	struct change *busy, *first, **end; /* the change that is being written, and those behind it */
	size_t n_waiting;
	bool stepping;
	int64_t next_address;			/* where the search for a free one begins */
	struct id_list unsaved;			/* nodes of which the database has an older record */
	bool saving;				/* a change that writes them waits or is on its way */
	uint64_t save_pause_ms;			/* before the next try; 0 = the last one went well */
	struct table carriers;			/* prefix -> struct carriers */
	struct id_list silent;			/* carriers that do not answer: registry_silent_set */
	struct table pending_by_id;		/* -> struct pending */
	struct pending *pending, **pending_end; /* registrations that wait for an admin, oldest first */
	size_t n_pending;
	int64_t ticked_ms, since_ms;	 /* the last tick and the first: nobody was seen before that */
	uint64_t changes;		 /* so many were stored, or were of who waits */
	struct log_limit refused, asked; /* strangers cause these lines */
	struct log_limit unsaved_said;
	char trouble[384]; /* why the last change was not saved; "" when it was */
};

int registry_open(struct registry *r, const struct registry_config *c, struct errbuf *eb);
/* Not while registry_is_busy. What is not saved yet is tried once more. */
void registry_close(struct registry *r);
/* A change waits or is being written: ops.work has still to call done. */
bool registry_is_busy(const struct registry *r);
/* Writes what nodes said of themselves and could not be written before. */
void registry_save(struct registry *r);
/* Writes a little and is told whether it could. */
void registry_probe(struct registry *r, int64_t now_ms, struct registry_wait *w);

enum registry_verdict {
	REGISTRY_ANSWER, /* *out is it; refusals are answers with Error */
	REGISTRY_WAIT,	 /* the followup is not decided; ask again when ops.decided(pending) comes */
	REGISTRY_STORE,	 /* w is told: ask again when it went well, else see registry_refusal */
};
enum registry_verdict registry_register(struct registry *r, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms, struct arena *a, struct ctl_register_response *out,
	char pending[static REGISTRY_ID], struct registry_wait *w);
/* The answer to a registration that was refused while it was stored. */
void registry_refusal(const struct registry_result *res, struct arena *a, struct ctl_register_response *out);

/* Facts from a map request. Returns the node, or NULL: unknown node key, or not from that machine. */
const struct member *registry_map_received(struct registry *r, const struct ctl_map_request *rq,
	const struct machine_key *machine, int64_t now_ms);
/* Returns by when registry_tick is to be called for it, INT64_MAX = no need. */
int64_t registry_online_set(struct registry *r, int64_t node, bool online, int64_t now_ms);
/* A node that could carry a network for another does not answer, or does again: who carries is decided anew. */
void registry_silent_set(struct registry *r, int64_t node, bool silent);
/* Nodes that could carry a network which others could carry too, added to *out. */
void registry_rivals(const struct registry *r, struct id_list *out);
/* Expired nodes and ephemeral ones that stayed away. Returns when to call again (Unix ms), INT64_MAX = no
 * need. */
int64_t registry_tick(struct registry *r, int64_t now_ms);

/* --- admin: each tells w, which may be NULL --- */
void registry_user_create(struct registry *r, const char *name, int64_t now_ms, struct registry_wait *w);
void registry_user_rename(struct registry *r, int64_t id, const char *name, struct registry_wait *w);
/* role: one of user_role_parse's. by: what the role of who asks is; root of this machine is as good as the owner. There is
 * one owner, who is neither removed nor made less: another user becomes the owner, and the one of before an admin. The
 * owner alone says so, once there is one. Owner and admins are not for who is less than an admin to change. -EPERM. */
void registry_user_role(
	struct registry *r, const char *name, const char *role, enum user_role by, struct registry_wait *w);
void registry_user_destroy(struct registry *r, const char *name, enum user_role by, struct registry_wait *w);
struct preauth_wish {
	const char *user;
	bool create_user, reusable, ephemeral;
	bool unapproved;      /* as struct preauth has it */
	uint64_t lifetime_ms; /* 0 = never expires */
	const char *tags;     /* "tag:a,tag:b" or "" */
	const char *about;    /* what it is for, in words; NULL = nothing is said */
	enum user_role by;    /* what the role of who asks is */
};
/* The key itself goes to the result and is not kept. -EPERM: the user is an admin or the owner, and who asks is less
 * than an admin; a key that was made so before the user became one is no good while they are. */
void registry_preauth_create(
	struct registry *r, const struct preauth_wish *wish, int64_t now_ms, struct registry_wait *w);
void registry_preauth_expire(struct registry *r, int64_t id, int64_t now_ms, struct registry_wait *w);
void registry_preauth_delete(struct registry *r, int64_t id, struct registry_wait *w);
/* Keys of the API, and clients that get tokens. The key itself goes to the result and is not kept. */
struct api_key_wish {
	enum api_key_kind kind;
	int64_t expiry_ms; /* FLEET_NO_TIME = never */
	const char *about, *scopes, *tags;
};
void registry_api_key_create(
	struct registry *r, const struct api_key_wish *wish, int64_t now_ms, struct registry_wait *w);
/* What a client is for, its scopes and tags; the wish's kind and expiry count for nothing. -ENOENT; -EINVAL: it is none. */
void registry_api_key_set(struct registry *r, int64_t id, const struct api_key_wish *wish, int64_t now_ms,
	struct registry_wait *w);
void registry_api_key_expire(struct registry *r, int64_t id, int64_t now_ms, struct registry_wait *w);
void registry_api_key_delete(struct registry *r, int64_t id, struct registry_wait *w);
/* Whose text this is, expired or not; NULL: nobody's. */
const struct api_key *registry_api_key_find(const struct registry *r, const char *text);
bool registry_api_key_is_expired(const struct api_key *k, int64_t now_ms);
/* Written behind, once a minute at most. */
void registry_api_key_used(struct registry *r, int64_t id, int64_t now_ms);
struct approve_wish {
	const char *user;  /* NULL or "" = the only one there is */
	enum user_role by; /* as a preauth_wish's, and -EPERM for the same */
	int64_t expiry_ms; /* when the login ends that lets it in, Unix ms; 0 = as the settings have it */
};
void registry_approve(struct registry *r, const char *pending, const struct approve_wish *wish,
	int64_t now_ms, struct registry_wait *w);
/* Somebody has logged in by a provider: the result's id is that of the user, who is made if this is the first time. email:
 * only one that the provider vouches for, or "". */
struct person_wish {
	const char *issuer, *subject, *email, *display;
	const char
		*groups; /* what the provider calls those that the person is in, a line each; NULL = none */
};
void registry_person_login(
	struct registry *r, const struct person_wish *wish, int64_t now_ms, struct registry_wait *w);
/* Of a node: -EPERM where registry_wait.own is another's, or the node has tags, when its turn comes. */
void registry_node_delete(struct registry *r, int64_t node, struct registry_wait *w);
/* Whose node it is may end its login sooner, never later. -EPERM. */
void registry_node_expire(
	struct registry *r, int64_t node, int64_t at_ms, int64_t now_ms, struct registry_wait *w);
void registry_node_rename(struct registry *r, int64_t node, const char *label, struct registry_wait *w);
void registry_node_tag(struct registry *r, int64_t node, const char *tags, struct registry_wait *w);
/* The approved routes of a node, all of them: "10.0.0.0/8,192.0.2.0/24"; "" = none. */
void registry_node_routes(struct registry *r, int64_t node, const char *routes, struct registry_wait *w);

/* Nodes that lack an address of a family that the settings have get one, and lose those of one that they have not. */
void registry_backfill(struct registry *r, struct registry_wait *w);

/* Whether a machine may come by this key (NULL: there is none) now; ERR_REFUSED. */
int registry_auth_check(const struct registry *r, const struct preauth *k, int64_t now_ms, struct errbuf *eb);
/* What of an auth key is kept. */
void registry_key_hash(const char *key, uint8_t hash[static STORE_HASH]);

/* A setting, whole: at an open registry before the loop runs, and written. "" = back to what the settings say. */
int registry_text(struct registry *r, const char *name, struct buf *out, struct errbuf *eb);
bool registry_text_waits(const struct registry *r); /* one is not stored yet */
void registry_text_put(struct registry *r, const char *name, const char *value, struct registry_wait *w);
/* Another address of a family it has: free, and of the network. */
void registry_node_address(struct registry *r, int64_t node, const struct addr *a, struct registry_wait *w);

/* --- the access rules, as text --- */
struct policy_wish {
	const char *text, *tag, *author; /* tag: the text's */
	const char *if_tag;		 /* of the text that it shall replace, "" = none; NULL: of any */
	int64_t now_ms;
};
/* Kept and in force. -ESTALE: another than if_tag's is the newest. */
void registry_policy_set(struct registry *r, const struct policy_wish *wish, struct registry_wait *w);
/* It is in force by other means: kept, unless it is the newest anyway. */
void registry_policy_note(struct registry *r, const struct policy_wish *wish);
/* w is told the text of a version that is kept, as result's text. */
void registry_policy_read(struct registry *r, int64_t id, struct registry_wait *w);

/* Local admins. hash: of a password, as web/password.h makes it. */
void registry_admin_create(
	struct registry *r, const char *name, const char *hash, int64_t now_ms, struct registry_wait *w);
void registry_admin_password(struct registry *r, const char *name, const char *hash, struct registry_wait *w);
void registry_admin_delete(struct registry *r, const char *name, struct registry_wait *w);

/* A machine that is not there asks to join, as says has it, for trials of programs that let machines in: under an id that who
 * tries chooses (REGISTRY_ID - 1 letters, digits, - and _), by keys of its own, which are told. -EINVAL; -EEXIST: another
 * waits under this id; -ENOMEM. */
int registry_pending_invent(struct registry *r, const char *id, const struct ctl_hostinfo *says,
	int64_t now_ms, struct machine_key *machine, struct node_key *key, struct errbuf *eb);
struct pending_info {
	const char *id, *hostname, *os;
	struct node_key key;
	struct addr from; /* whence it asked last; all zero = not known */
	int64_t since_ms;
};
/* Whence it asks: told to whoever decides. None there is fine. */
void registry_pending_seen(struct registry *r, const struct machine_key *machine, const struct node_key *key,
	const struct addr *from);
void registry_pending_each(
	const struct registry *r, void (*each)(void *arg, const struct pending_info *p), void *arg);
/* It is told so for REGISTRY_REJECTED_MS, and is not among those who wait; approving it takes that back. -ENOENT. */
int registry_pending_reject(struct registry *r, const char *id, int64_t now_ms, struct errbuf *eb);
bool registry_pending_find(const struct registry *r, const char *id, struct pending_info *out);

#endif
