/* bare_bench NAME ADDRESS PORT PEER plain|sealed: one end of a tunnel that is nothing but a TUN device NAME with ADDRESS/24, UDP
 * at PORT to PEER (address:port), and, where it is sealed, the cipher with a fixed key: no handshake, no rules, no ways. What
 * goes through it is what the kernel and the cipher leave of this machine; a node's figures beside it say what the node
 * takes. TUN, UDP and cipher are those of the node. `ci/bench stream` runs two of each. */
#include "mesh/base/aead.h"
#include "mesh/base/key.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/tun.h"
#include "mesh/node/plane/udp.h"
#include "mesh/os/netlink.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MTU = 1280, HEADER = 16, COUNTER_AT = 8, COUNTER = 8 }; /* as long as WireGuard's */

struct bare {
	struct tun *tun;
	struct udp *udp;
	struct endpoint peer;
	struct aead *seal, *open; /* NULL: packets go as they are */
	uint64_t counter;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bare_bench: %s\n", what);
	exit(1);
}

static bool seal(struct bare *b, struct pkt *p)
{
	uint8_t nonce[AEAD_NONCE] = { 0 };
	le_put(nonce + AEAD_NONCE - COUNTER, COUNTER, b->counter);
	if (!aead_seal_inplace(b->seal, nonce, pkt_data(p), p->len))
		return false;
	p->at -= HEADER;
	p->len += HEADER + AEAD_TAG;
	memset(pkt_data(p), 0, HEADER);
	le_put(pkt_data(p) + COUNTER_AT, COUNTER, b->counter++);
	return true;
}

static bool unseal(struct bare *b, struct pkt *p)
{
	uint8_t nonce[AEAD_NONCE] = { 0 };
	if (p->len < HEADER + AEAD_TAG)
		return false;
	memcpy(nonce + AEAD_NONCE - COUNTER, pkt_data(p) + COUNTER_AT, COUNTER);
	p->at += HEADER;
	p->len -= HEADER;
	if (!aead_open_inplace(b->open, nonce, pkt_data(p), p->len))
		return false;
	p->len -= AEAD_TAG;
	return true;
}

static void take_from_tun(void *arg, struct pkt *pkts, size_t n)
{
	struct bare *b = arg;
	struct pkt *ready[PKT_BATCH];
	size_t n_ready = 0;
	for (size_t i = 0; i < n; i++)
		if (!b->seal || seal(b, &pkts[i]))
			ready[n_ready++] = &pkts[i];
	udp_send_batch(b->udp, &b->peer, ready, n_ready);
}

static void take_from_udp(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct bare *b = arg;
	struct pkt *ready[PKT_BATCH];
	size_t n_ready = 0;
	(void)from;
	for (size_t i = 0; i < n; i++)
		if (!b->open || unseal(b, &pkts[i]))
			ready[n_ready++] = &pkts[i];
	tun_write_batch(b->tun, ready, n_ready);
}

static void tun_lost(void *arg, int code)
{
	(void)arg;
	(void)code;
	must(false, "the TUN is gone");
}

/* What cannot be sent is lost, as with a node. */
static void not_sent(void *arg, const struct endpoint *to, int code)
{
	(void)arg;
	(void)to;
	(void)code;
}

static void bring_up(const char *name, const struct addr *address)
{
	struct errbuf eb = { 0 };
	struct prefix p = { *address, 24 };
	struct nl *nl = nl_open(&eb);
	must(nl, eb.text);
	int index = nl_link_index(nl, name);
	must(nl_link_mtu(nl, index, MTU, &eb) == 0 && nl_addr_add(nl, index, &p, &eb) == 0 &&
			nl_link_up(nl, index, true, &eb) == 0,
		eb.text);
	nl_close(nl);
}

int main(int argc, char **argv)
{
	static struct bare b;
	static const uint8_t key[AEAD_KEY] = { 1 };
	struct errbuf eb = { 0 };
	struct addr address;
	must(argc == 6 && addr_parse(argv[2], &address) && endpoint_parse(argv[4], &b.peer) && key_setup(),
		"NAME ADDRESS PORT PEER plain|sealed");
	if (strcmp(argv[5], "sealed") == 0) {
		b.seal = aead_new(key, true);
		b.open = aead_new(key, false);
		must(b.seal && b.open, "memory is short");
	}
	struct loop *l = loop_new();
	must(l, "memory is short");
	struct tun_events tun_events = { .received = take_from_tun, .lost = tun_lost, .arg = &b };
	struct udp_events udp_events = { .received = take_from_udp, .send_failed = not_sent, .arg = &b };
	b.tun = tun_open(l, argv[1], &tun_events, &eb);
	must(b.tun, eb.text);
	b.udp = udp_open(l, (uint16_t)atoi(argv[3]), &udp_events, &eb);
	must(b.udp, eb.text);
	bring_up(argv[1], &address);
	printf("ready\n");
	fflush(stdout);
	loop_run(l);
	return 0;
}
