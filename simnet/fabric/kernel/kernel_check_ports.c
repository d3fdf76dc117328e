#include "simnet/fabric/kernel/kernel_probe.h"

/* How external ports have to look, by RFC 4787 section 4.2; written without a look at the rules that choose
 * them. */

static bool all_kept(const struct probe_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i].inner != ports[i].outer)
			return false;
	return true;
}

static bool all_next(const struct probe_port *ports, size_t n)
{
	enum { STEP_MAX = 16 }; /* others make mappings between them */
	for (size_t i = 1; i < n; i++)
		if (ports[i].outer <= ports[i - 1].outer || ports[i].outer - ports[i - 1].outer > STEP_MAX)
			return false;
	return true;
}

static bool all_of_parity(const struct probe_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i].inner % 2 != ports[i].outer % 2)
			return false;
	return true;
}

static bool all_in_blocks(const struct probe_port *ports, size_t n, uint32_t size)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if ((ports[i].host == ports[k].host) !=
				(ports[i].outer / size == ports[k].outer / size))
				return false;
	return true;
}

const char *probe_ports_trouble(const struct nat_model *m, const struct probe_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ports[i].outer)
			return NULL; /* what did not arrive is somebody else's finding */
	switch (m->ports) {
	case NAT_PORTS_HASH: return all_kept(ports, n) ? "it keeps the inner ports" : NULL;
	case NAT_PORTS_PRESERVE:
	case NAT_PORTS_OVERLOAD: return all_kept(ports, n) ? NULL : "it does not keep a free inner port";
	case NAT_PORTS_SEQUENTIAL: return all_next(ports, n) ? NULL : "its ports do not follow each other";
	case NAT_PORTS_RANDOM:
		return all_kept(ports, n) || (n > 2 && all_next(ports, n)) ? "its ports are not random"
									   : NULL;
	case NAT_PORTS_PARITY: return all_of_parity(ports, n) ? NULL : "its ports have another parity";
	case NAT_PORTS_BLOCK:
		return all_in_blocks(ports, n, m->block_ports) ? NULL
							       : "its ports are not in blocks of a host";
	case NAT_PORTS_KINDS: break;
	}
	return NULL;
}
