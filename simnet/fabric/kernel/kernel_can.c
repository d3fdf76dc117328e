#include "simnet/fabric/kernel/engine_kernel.h"

/* What nftables and conntrack cannot be, each with the reason. */

static const char *ports_trouble(const struct nat_model *m)
{
	const struct nat_lifetimes *l = &m->lifetimes;
	bool drawn = m->ports == NAT_PORTS_SEQUENTIAL || m->ports == NAT_PORTS_RANDOM;

	if (m->ports == NAT_PORTS_OVERLOAD &&
		(m->udp.mapping != NAT_EIM || m->tcp.mapping != NAT_EIM || m->udp.filtering != NAT_APDF ||
			m->tcp.filtering != NAT_APDF || m->hairpin != NAT_HAIRPIN_OFF))
		return "overloaded ports with another class than EIM/APDF or with a hairpin: conntrack knows "
		       "an "
		       "overloaded port by the outside endpoint alone";
	if (m->accepts_wan && m->ports != NAT_PORTS_HASH && m->ports != NAT_PORTS_OVERLOAD)
		return "ports that do not give way on a router that accepts what comes to its WAN";
	if (drawn && m->expiry == NAT_EXPIRY_KEEP)
		return "sequential or random ports that come back after expiry";
	if (!drawn && m->expiry == NAT_EXPIRY_MOVE)
		return "ports that move after expiry though their policy brings them back: a hash is a hash";
	if (drawn && (m->refresh != NAT_REFRESH_BOTH || l->udp_new_s != l->udp_s))
		return "sequential or random ports with mappings that expire before conntrack's flow does: "
		       "the "
		       "flow would keep its port";
	return NULL;
}

static const char *pool_trouble(const struct nat_model *m)
{
	if (m->pool == 1)
		return NULL;
	if (m->ports == NAT_PORTS_PRESERVE || m->ports == NAT_PORTS_OVERLOAD || m->ports == NAT_PORTS_BLOCK)
		return "a pool of addresses with preserved, overloaded or blocks of ports";
	if (m->accepts_wan || m->hairpin_filters)
		return "a pool of addresses with 'accepts-wan' or filtered hairpins";
	return NULL;
}

/* Of UDP whose flows live shorter at first. */
static const char *young_trouble(const struct nat_model *m)
{
	if (m->lifetimes.udp_new_s == m->lifetimes.udp_s || nat_model_is_conntrack(m))
		return NULL;
	if (m->udp_stream_s)
		return "a stream that is not conntrack's, which begins after 2 s and has a mapping of its "
		       "own: overloaded ports, refreshed by both sides";
	if (m->accepts_wan)
		return "a shorter life of what nobody has answered on a router that accepts what comes to "
		       "its "
		       "WAN: it would remember that as long as what was answered";
	return NULL;
}

bool kernel_can(const struct nat_model *m, const char **why)
{
	*why = ports_trouble(m);
	if (!*why)
		*why = young_trouble(m);
	if (!*why)
		*why = pool_trouble(m);
	if (!*why && m->refresh == NAT_REFRESH_IN)
		*why = "mappings that only inbound packets refresh: a packet that goes out keeps conntrack's "
		       "flow";
	if (!*why && m->fragments != NAT_FRAGMENTS_ANY)
		*why = "fragments that do not pass: conntrack puts them together first";
	if (!*why && m->hairpin_filters && m->hairpin != NAT_HAIRPIN_EXTERNAL)
		*why = "filtered hairpins that keep the inner source";
	if (!*why && m->tcp.filtering != NAT_APDF &&
		m->lifetimes.tcp_closing_s != nat_model_default.lifetimes.tcp_closing_s)
		*why = "a lifetime of closing TCP with other filtering than APDF: the mapping lives by its "
		       "packets";
	return !*why;
}
