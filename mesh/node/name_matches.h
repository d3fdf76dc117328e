/* Which names a machine has to ask the mesh's resolver for, where its owner of names can tell them apart: those that
 * nobody else can give. Pure. */
#ifndef RW_NODE_NAME_MATCHES_H
#define RW_NODE_NAME_MATCHES_H

#include "mesh/proto/control_net.h"
#include "resolver/name.h"
#include <stdbool.h>

enum { NAME_MATCHES_MAX = 200 }; /* systemd-resolved takes 256 of an interface */

struct name_matches {
	const char *v[NAME_MATCHES_MAX]; /* domains; the strings are the settings' */
	struct dns_name name[NAME_MATCHES_MAX];
	size_t n;
	bool too_many; /* then it is asked for everything */
};
/* m: all zero. The search domains, those of routes, the reverse domains of the mesh, and the names of extra records that
 * are elsewhere; none that another covers. Lent as long as dns is. */
void name_matches_fill(struct name_matches *m, const struct ctl_dns *dns);
/* The first `cap` of the search domains, without what is no name, for which an owner would refuse them all, and without
 * the root. Lent as long as dns is; how many they are. */
size_t name_matches_search(const struct ctl_dns *dns, const char **out, size_t cap);

#endif
