/* What Headscale keeps in SQLite, since 0.23, taken over: users, nodes, auth keys, routes, tags. Numbers, keys and
 * addresses stay what they are, so that nodes notice nothing. Its schemas are told apart by the columns they have. */
#ifndef RW_CONTROL_FLEET_HEADSCALE_H
#define RW_CONTROL_FLEET_HEADSCALE_H

#include "mesh/base/buf.h"
#include "mesh/control/fleet/people.h"
#include "mesh/control/fleet/store.h"

/* A provider of logins: as its ID tokens name it, and as people are kept here (people.h). Most have one name. */
struct headscale_issuer {
	const char *said, *issuer;
};
struct headscale_taken {
	unsigned users, nodes, keys;
	unsigned people;		   /* users who are known by the provider that they log in by */
	unsigned lost_people;		   /* whose provider is none of the issuers: they will be new users */
	unsigned lost_keys, lost_api_keys; /* of which Headscale has but a hash that is of no use here */
	unsigned renamed;		   /* users and nodes whose name is none here */
	struct buf policy;		   /* the newest one of its database; empty = none */
};
/* All of it into an empty store, or nothing. `from` is read only; issuers end with one of NULLs. out->policy is the caller's
 * to free, always. */
int headscale_take(const char *from, const struct headscale_issuer *issuers, struct store *to,
	struct headscale_taken *out, struct errbuf *eb);
/* What Headscale calls somebody, the issuer's URL with the subject as its last part, as issuer and subject. false: of none of
 * these; out is as it was. */
bool headscale_person(const char *identifier, const struct headscale_issuer *issuers, struct person *out);

#endif
