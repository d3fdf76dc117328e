/* What two programs that punch holes can achieve between two nodes (RFC 4787, RFC 5128; simnet.md 3.4), from
 * what the file says of the network and of what has happened to it. */
#ifndef SIMNET_ORACLE_H
#define SIMNET_ORACLE_H

#include "simnet/scenario/scenario.h"

struct oracle_verdict {
	enum scn_path path; /* PATH_ANY: the file does not say; why tells what it lacks */
	char why[200];
};
/* After the first n_steps steps, which may have cut something or changed it by a command that nobody here can
 * read. By TCP: whether two programs that send their SYNs at once, from the ports that a server has seen, get a
 * connection without a third. */
struct oracle_question {
	size_t n_steps;
	int a, b; /* nodes */
	bool tcp;
};
void oracle_answer(const struct scenario *s, const struct oracle_question *q, struct oracle_verdict *out);
/* The same by UDP. */
void oracle_ask(const struct scenario *s, size_t n_steps, int node_a, int node_b, struct oracle_verdict *out);

#endif
