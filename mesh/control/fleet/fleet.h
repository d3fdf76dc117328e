/* Who is in the mesh, in memory: users and members. A member is never edited once published: a change makes a
 * copy and puts it in the old one's place, so that a view can tell by the pointer what it has sent already.
 */
#ifndef RW_CONTROL_FLEET_H
#define RW_CONTROL_FLEET_H

#include "mesh/base/arena.h"
#include "mesh/base/table.h"
#include "mesh/control/fleet/groups.h"
#include "mesh/control/fleet/id_list.h"
#include "mesh/proto/control.h"

enum { FLEET_LABEL = 64, FLEET_USER_NAME = 128 };
#define FLEET_NO_TIME INT64_MIN
/* Owner of tagged nodes on the wire: no person; outside the range of our own ids. */
#define FLEET_TAGGED_USER INT64_C(2147455555)

/* What a person is in the mesh, beside being in it; the access rules may name them (autogroup:admin). */
enum user_role {
	USER_MEMBER,
	USER_AUDITOR,
	USER_BILLING_ADMIN,
	USER_IT_ADMIN,
	USER_NETWORK_ADMIN,
	USER_ADMIN,
	USER_OWNER, /* an admin too */
	USER_ROLES
};
struct user {
	int64_t id;
	char name[FLEET_USER_NAME];
	enum user_role role;
	int64_t created_ms;
	struct user_groups *groups; /* NULL = none. The fleet's users count; copies of them borrow */
};

/* What the node says of its machine; shared by the copies of a member, as it changes seldom and is large. */
struct member_host {
	unsigned refs;
	struct arena mem;
	const char *json; /* "" = none */
	struct ctl_hostinfo info;
};

struct member {
	unsigned refs;
	struct arena mem;    /* all pointers below; empty in a draft */
	int64_t id, user;    /* user: who registered it; for tagged ones only a record of that, 0 = nobody */
	int64_t preauth;     /* the auth key it came by; 0 = an admin let it in */
	enum user_role role; /* of that user, whose record it is stored with */
	struct user_groups *groups; /* of that user too; counted, borrowed in a draft */
	struct machine_key machine;
	struct node_key key;
	struct disco_key disco;
	const char *name;     /* unique DNS label */
	const char *hostname; /* as the node says */
	bool has_v4, has_v6;
	struct addr v4, v6;
	int32_t home_derp;
	uint16_t cap;
	struct ctl_endpoints endpoints;
	struct member_host
		*host; /* counted; what a draft has of it is taken when its text is hostinfo_json */
	const char *hostinfo_json;    /* "" = none */
	struct ctl_hostinfo hostinfo; /* of hostinfo_json; ignored in a draft */
	struct ctl_strings tags;
	struct ctl_strings routes;   /* approved by an admin, as text with the host bits cleared */
	struct ctl_prefixes carries; /* those of them that it offers; found by member_copy */
	struct ctl_prefixes served;  /* those of them that it offers and is the one to carry; not stored */
	bool ephemeral, online;
	bool expired; /* its key, as far as the registry has looked; not stored */
	bool renamed; /* by an admin: the host name no longer decides */
	int64_t created_ms, last_seen_ms, expiry_ms; /* Unix; FLEET_NO_TIME = none */
};

/* A counted deep copy of a draft (a member on the stack whose pointers are borrowed); NULL when memory is
 * short. */
struct member *member_copy(const struct member *draft);
const struct member *member_get(const struct member *m);
void member_put(const struct member *m); /* NULL is fine */
bool member_is_expired(const struct member *m, int64_t now_ms);
bool member_is_tagged(const struct member *m);
bool member_has_tag(const struct member *m, const char *tag);
/* Same person with the same role and groups, or same tags: decides visibility and filters together with the addresses. */
bool member_same_identity(const struct member *a, const struct member *b);

struct fleet {
	struct member **v; /* sorted by id */
	size_t n, size;
	struct table by_key, by_name, by_address; /* -> member */
	struct table by_machine;		  /* machine key -> struct id_list */
	struct table next_suffix;		  /* label -> where the search for a free "label-N" begins */
	struct user *users;			  /* sorted by id */
	size_t n_users, users_size;
};

void fleet_init(struct fleet *f, uint64_t seed);
void fleet_fini(struct fleet *f);
struct member *fleet_by_id(const struct fleet *f, int64_t id);
struct member *fleet_by_key(const struct fleet *f, const struct node_key *k);
struct member *fleet_by_name(const struct fleet *f, const char *name);
struct member *fleet_by_address(const struct fleet *f, const struct addr *a);
/* The i-th node of a machine, by number; NULL behind the last. */
struct member *fleet_of_machine(const struct fleet *f, const struct machine_key *k, size_t i);
/* Takes m, in the place of the member with the same id if there is one. false (m released): memory is short.
 */
bool fleet_put(struct fleet *f, struct member *m);
void fleet_remove(struct fleet *f, int64_t id);

/* label.c. A DNS label from what a host calls itself: lower case, [a-z0-9-], never empty. */
void fleet_label_from(const char *hostname, char out[static FLEET_LABEL]);
/* The same with "-1", "-2", ... behind it when another member has that name. */
void fleet_label_unique(
	struct fleet *f, const char *hostname, int64_t except_id, char out[static FLEET_LABEL]);
/* Whether an admin may give it: the form, and no name that machines look up by themselves. */
bool fleet_label_valid(const char *label);
/* old has gone, or is now called otherwise: for fleet_put and fleet_remove. */
void fleet_label_freed(struct fleet *f, const struct member *old, const struct member *now);

bool fleet_user_put(struct fleet *f, const struct user *u);
void fleet_user_remove(struct fleet *f, int64_t id);
const struct user *fleet_user(const struct fleet *f, int64_t id);
const struct user *fleet_user_named(const struct fleet *f, const char *name);
/* "member", "auditor", "network-admin", ... false: no role is called so. */
bool user_role_parse(const char *text, enum user_role *out);
const char *user_role_name(enum user_role role);
/* What a node of this user is taken to be: 0 and a user that is gone are members. */
enum user_role fleet_role(const struct fleet *f, int64_t user);
struct user_groups *fleet_groups(const struct fleet *f, int64_t user); /* borrowed; those have none */

#endif
