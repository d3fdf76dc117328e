/* What one may do to another by a policy, as sets that can be compared: ports by protocol, and words for the rest
 * (logins, capabilities). For difference.c. */
#ifndef RW_CONTROL_POLICY_REACH_H
#define RW_CONTROL_POLICY_REACH_H

#include "mesh/base/buf.h"
#include "mesh/control/policy/rules.h"

struct reach_ports {
	uint8_t proto;
	struct port_span *v; /* after reach_settle: sorted, apart from each other */
	size_t n, size;
};
struct reach {
	struct arena *a; /* all below */
	struct reach_ports *protos;
	size_t n_protos, protos_size;
	struct ctl_strings words; /* each once */
	size_t words_size;
};

/* Nothing of these fails at once: the arena has failed then. protos: none = the usual ones. */
void reach_add_ports(struct reach *r, const struct target *t, const uint8_t *protos, size_t n_protos);
void reach_add_word(struct reach *r, const char *word); /* borrowed */
void reach_settle(struct reach *r);
/* What a has and b has not, as text: "tcp 22, ssh as root"; "" when that is nothing. Both settled. */
void reach_less(const struct reach *a, const struct reach *b, struct buf *out);

#endif
