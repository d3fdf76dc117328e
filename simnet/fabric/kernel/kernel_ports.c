#include "simnet/fabric/kernel/kernel_probe.h"
#include "simnet/fabric/kernel/kernel_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How a new mapping finds its external port. A mapping that is known takes the port it has (`external`).
 * Else the policy of the model proposes ports, and the first that nobody has is taken; when none is left the
 * packet is dropped and says so. A proposal is a number in the packet's mark, so that `taken` can be asked
 * for it, and it travels on in the connection's mark until `learning` keeps it:
 *
 *   a hash      the port with its bytes swapped, as nft hands it over. Masks on the number choose a range of
 *               ports by its low byte, and the parity of the port by its bit 8.
 *   a window    1 to WINDOW_PORTS, turned into a port by the map `window`: sequential and random ports
 *   a constant  a hash's number, written out: a block of at most BLOCK_LISTED ports, one rule for each
 *
 * A preserved port has no number. It is asked for in `mapped`, and hashes keep away from such ports: while
 * ports are preserved, hashes lie above FALLBACK_FIRST, and only what is below is preserved. */
enum { BLOCK_FIRST = 16384, BLOCK_LISTED = 64, BLOCK_TRIES = 16, BLOCK_HOSTS = 64 };

static unsigned swapped(unsigned port)
{
	return (port >> 8 | port << 8) & 0xffff;
}

/* What a number must be to be free. A port that is forwarded belongs to somebody. */
static const char *free_number(const struct nat *n, const struct nat_proto *p, char out[96])
{
	size_t forwards = 0;
	for (size_t i = 0; i < n->m->n_forwards; i++)
		forwards += n->m->forwards[i].proto == p->number;
	int len = snprintf(out, 96, "meta mark != @taken_%s", p->word);
	if (forwards)
		snprintf(out + len, 96 - (size_t)len, " meta mark != @forwarded_%s", p->word);
	return out;
}

/* to: the statement up to the port, as "masquerade to ". */
struct choice {
	const struct nat_proto *p;
	const char *to;
};

/* mask and bits of the number; `when` narrows the flows that the tries are for. */
static void put_hashes(
	struct nat *n, const struct choice *c, const char *when, unsigned mask, unsigned bits, unsigned tries)
{
	char is_free[96], masked[32] = "";
	if (mask != 0xffff)
		snprintf(masked, sizeof(masked), " & 0x%x", mask);
	for (uint32_t i = 0; i < tries; i++) {
		uint32_t seed = n->seed + i ? n->seed + i : UINT32_MAX / 2; /* nft takes 0 as "choose one" */
		nat_put(n,
			"  meta l4proto %s %smeta mark set jhash %s mod 65536 seed 0x%" PRIx32 "%s | 0x%x\n"
			"  meta l4proto %s %s%s ct mark set meta mark %s:jhash %s mod 65536 seed 0x%" PRIx32
			"%s | 0x%x\n",
			c->p->word, when, c->p->key->out, seed, masked, bits, c->p->word, when,
			free_number(n, c->p, is_free), c->to, c->p->key->out, seed, masked, bits);
	}
}

static void put_parity(struct nat *n, const struct choice *c)
{
	put_hashes(n, c, "ct original proto-src & 1 == 0 ", 0xfeff, 0x10, PORT_TRIES);
	put_hashes(n, c, "ct original proto-src & 1 == 1 ", 0xfeff, 0x110, PORT_TRIES);
}

static void put_preserved(struct nat *n, const struct choice *c)
{
	nat_put(n, "  meta l4proto %s ct original proto-src < %d ct original proto-src != @mapped_%s",
		c->p->word, FALLBACK_FIRST, c->p->word);
	for (size_t i = 0; i < n->m->n_forwards; i++)
		if (n->m->forwards[i].proto == c->p->number)
			nat_put(n, " ct original proto-src != %u", n->m->forwards[i].port);
	nat_put(n, " %s:ct original proto-src\n", c->to);
	put_hashes(n, c, "", 0xff0f, 0xf0, PORT_TRIES);
}

/* One counter for all tries and all hosts, in the chain `draw`. */
static void put_drawn(struct nat *n, const struct choice *c)
{
	char is_free[96];
	for (unsigned i = 0; i < PORT_TRIES; i++)
		nat_put(n,
			"  jump draw_%s\n  meta l4proto %s %s ct mark set meta mark %s:meta mark map "
			"@window\n",
			c->p->word, c->p->word, free_number(n, c->p, is_free), c->to);
}

/* ---- blocks: each inside address has ports of its own (RFC 7422) ---- */

/* The inside addresses of a plan, and those of the probe. */
static unsigned hosts_inside(const struct nat *n, struct addr out[BLOCK_HOSTS])
{
	static const uint32_t probes[] = { PROBE_IN, PROBE_HAIRPIN };
	unsigned k = 0;
	for (size_t i = 0; i < ARRAY_LEN(probes); i++)
		out[k++] = probe_host(n->s, n->router, probes[i]);
	for (size_t i = 0; i < n->s->n_nodes; i++)
		for (size_t f = 0; f < n->s->nodes[i].n_ifaces && k < BLOCK_HOSTS; f++)
			if (n->s->nodes[i].ifaces[f].network == n->router)
				out[k++] = n->s->nodes[i].ifaces[f].ip;
	for (size_t i = 0; i < n->s->n_routers && k < BLOCK_HOSTS; i++)
		if (n->s->routers[i].behind == n->router)
			out[k++] = n->s->routers[i].wan;
	return k;
}

static void put_block(struct nat *n, const struct choice *c, unsigned first)
{
	unsigned size = n->m->block_ports;
	char is_free[96];
	if (size > BLOCK_LISTED) {
		put_hashes(n, c, "", swapped(size - 1), swapped(first), BLOCK_TRIES);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		nat_put(n, "  meta l4proto %s meta mark set 0x%x %s ct mark set meta mark %s:%u\n",
			c->p->word, swapped(first + i), free_number(n, c->p, is_free), c->to, first + i);
}

static void put_block_chains(struct nat *n, const char *chain, const struct choice *c)
{
	struct addr hosts[BLOCK_HOSTS];
	unsigned k = hosts_inside(n, hosts), blocks = (65536 - BLOCK_FIRST) / n->m->block_ports;
	for (unsigned i = 0; i < k && i < blocks; i++) {
		unsigned which = (i + n->seed % blocks) % blocks;
		nat_put(n, " chain %s_%s_%u {\n", chain, c->p->word, i);
		put_block(n, c, BLOCK_FIRST + which * n->m->block_ports);
		nat_put_drop(n, "", "no mapping: the host's block of ports is used up");
		nat_put(n, " }\n");
	}
}

static void put_block_jumps(struct nat *n, const char *chain, const struct choice *c)
{
	struct addr hosts[BLOCK_HOSTS];
	char text[ADDR_TEXT];
	unsigned k = hosts_inside(n, hosts), blocks = (65536 - BLOCK_FIRST) / n->m->block_ports;
	nat_put(n, "  ct original ip saddr vmap {");
	for (unsigned i = 0; i < k && i < blocks; i++)
		nat_put(n, "%s %s : goto %s_%s_%u", i ? "," : "", addr_format(&hosts[i], text), chain,
			c->p->word, i);
	nat_put(n, " }\n");
	nat_put_drop(n, "", "no mapping: a host without a block of ports");
}

/* ---- chains ---- */

static void put_policy(struct nat *n, const char *chain, const struct choice *c)
{
	switch (n->m->ports) {
	case NAT_PORTS_HASH: put_hashes(n, c, "", 0xffff, 0x10, PORT_TRIES); break;
	case NAT_PORTS_PRESERVE: put_preserved(n, c); break;
	case NAT_PORTS_SEQUENTIAL:
	case NAT_PORTS_RANDOM: put_drawn(n, c); break;
	case NAT_PORTS_PARITY: put_parity(n, c); break;
	case NAT_PORTS_BLOCK: put_block_jumps(n, chain, c); return;
	case NAT_PORTS_OVERLOAD:
	case NAT_PORTS_KINDS: break;
	}
	nat_put_drop(n, "", "no mapping: every port that was tried is taken");
}

/* What a forward's inside end sends, and what becomes of it. */
static void put_forwarded_out(struct nat *n, const struct nat_proto *p, const char *end, bool port)
{
	char text[ADDR_TEXT];
	for (size_t i = 0; i < n->m->n_forwards; i++) {
		const struct nat_forward *f = &n->m->forwards[i];
		if (f->proto != p->number)
			continue;
		nat_put(n, "  meta l4proto %s ct original ip saddr %s ct original proto-src %u %s", p->word,
			addr_format(&f->ip, text), f->to_port, end);
		nat_put(n, port ? ":%u\n" : "\n", f->port);
	}
}

static void put_choice(struct nat *n, const char *chain, const struct choice *c)
{
	if (n->m->ports == NAT_PORTS_BLOCK)
		put_block_chains(n, chain, c);
	nat_put(n, " chain %s_%s {\n", chain, c->p->word);
	put_forwarded_out(n, c->p, c->to, true);
	if (!n->roams)
		nat_put(n, "  meta l4proto %s %s:%s map @external_%s\n", c->p->word, c->to, c->p->key->out,
			c->p->word);
	if (n->roams && n->m->ports == NAT_PORTS_OVERLOAD)
		nat_put(n, "  meta l4proto %s masquerade\n", c->p->word);
	else if (n->roams)
		nat_put(n, "  meta l4proto %s %s:%u-%u%s\n", c->p->word, c->to, n->window,
			n->window + WINDOW_PORTS - 1, c->p->class.mapping == NAT_APDM ? " fully-random" : "");
	else
		put_policy(n, chain, c);
	nat_put(n, " }\n");
}

/* Which address of the pool a flow takes: the first, where forwards are, or a hash of its inside address, or of what its
 * mapping depends on. */
static void put_pool_jumps(struct nat *n, const char *chain, const struct nat_proto *p)
{
	char first[48];
	nat_put(n, " chain %s_%s {\n", chain, p->word);
	snprintf(first, sizeof(first), "goto %s0_%s", chain, p->word);
	put_forwarded_out(n, p, first, false);
	nat_put(n, "  meta l4proto %s jhash %s mod %" PRIu32 " seed 0x%" PRIx32 " vmap {", p->word,
		n->m->pool_arbitrary ? p->key->out : "ct original ip saddr", n->m->pool, n->seed / 2 + 1);
	for (uint32_t k = 0; k < n->m->pool; k++)
		nat_put(n, "%s %" PRIu32 " : goto %s%" PRIu32 "_%s", k ? "," : "", k, chain, k, p->word);
	nat_put(n, " }\n }\n");
}

static void put_pool_choices(struct nat *n, const char *chain, const struct nat_proto *p)
{
	char name[32], to[ADDR_TEXT + 16];
	for (uint32_t k = 0; k < n->m->pool; k++) {
		snprintf(name, sizeof(name), "%s%" PRIu32, chain, k);
		snprintf(to, sizeof(to), "snat ip to %s", n->pool[k]);
		put_choice(n, name, &(struct choice) { p, to });
	}
	put_pool_jumps(n, chain, p);
}

/* What has no ports: ICMP and the rest. */
static void put_shared(struct nat *n)
{
	nat_put(n, " chain shared {\n");
	if (n->m->pool == 1) {
		nat_put(n, "  masquerade\n }\n");
		return;
	}
	for (uint32_t k = 1; k < n->m->pool && !n->m->pool_arbitrary; k++)
		nat_put(n,
			"  jhash ct original ip saddr mod %" PRIu32 " seed 0x%" PRIx32 " %" PRIu32
			" snat ip to %s\n",
			n->m->pool, n->seed / 2 + 1, k, n->pool[k]);
	nat_put(n, "  snat ip to %s\n }\n", n->pool[0]);
}

void nat_put_windows(struct nat *n)
{
	bool random = n->m->ports == NAT_PORTS_RANDOM;
	if (n->roams || (!random && n->m->ports != NAT_PORTS_SEQUENTIAL))
		return;
	nat_put(n, " map window { type mark : inet_service; elements = {");
	for (unsigned i = 1; i <= WINDOW_PORTS; i++)
		nat_put(n, "%s0x%x : %u", i > 1 ? "," : "", i, n->window + i - 1);
	nat_put(n, " }\n }\n");
	for (unsigned p = 0; p < NAT_PROTOS; p++)
		nat_put(n, " chain draw_%s {\n  meta mark set numgen %s mod %d offset 1\n }\n",
			n->protos[p].word, random ? "random" : "inc", WINDOW_PORTS);
}

static void put_forwarded(struct nat *n, const struct nat_proto *p)
{
	bool window = n->m->ports == NAT_PORTS_SEQUENTIAL || n->m->ports == NAT_PORTS_RANDOM;
	nat_put(n, " set forwarded_%s { type mark; elements = { 0", p->word); /* 0 is nobody's number */
	for (size_t i = 0; i < n->m->n_forwards; i++) {
		unsigned port = n->m->forwards[i].port,
			 number = window ? port - n->window + 1 : swapped(port);
		if (n->m->forwards[i].proto == p->number && number)
			nat_put(n, ", 0x%x", number);
	}
	nat_put(n, " }\n }\n");
}

void nat_put_choices(struct nat *n)
{
	char snat[ADDR_TEXT + 16];
	snprintf(snat, sizeof(snat), "snat ip to %s", n->pool[0]);
	for (unsigned i = 0; i < NAT_PROTOS; i++) {
		const struct nat_proto *p = &n->protos[i];
		bool hairpins = n->m->hairpin == NAT_HAIRPIN_EXTERNAL;
		if (n->m->n_forwards)
			put_forwarded(n, p);
		if (n->m->pool > 1)
			put_pool_choices(n, "choose", p);
		else
			put_choice(n, "choose", &(struct choice) { p, "masquerade to " });
		if (hairpins && n->m->pool > 1)
			put_pool_choices(n, "hairpin", p);
		else if (hairpins)
			put_choice(n, "hairpin", &(struct choice) { p, snat });
	}
	put_shared(n);
}
