/* Whether this machine's kernel forwards packets, which a machine that carries networks needs. */
#ifndef RW_NODE_HOST_FORWARDING_H
#define RW_NODE_HOST_FORWARDING_H

#include "mesh/base/addr.h"

enum { FORWARDING_TEXT = 256 };
/* What keeps it from carrying these networks and what to do, as a sentence into text; false: nothing does. */
bool forwarding_problem(const struct prefix *nets, size_t n, char text[static FORWARDING_TEXT]);

/* The same of a firewall of this machine (docker's, ufw's, somebody's own) that drops what comes from ifname. */
bool forwarding_firewall_problem(
	const struct prefix *nets, size_t n, const char *ifname, char text[static FORWARDING_TEXT]);

/* The same of a machine that uses an exit: whether the kernel takes answers to the node's own packets. */
bool forwarding_exit_problem(char text[static FORWARDING_TEXT]);

#endif
