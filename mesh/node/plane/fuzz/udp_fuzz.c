/* Datagrams of any lengths and marks in any batches, from one socket of ours to another on this machine: what the kernel cuts and
 * joins arrives as it was, each whole, of who sent it, in order. Two bytes of the input say how a packet is: its length, its mark,
 * and whether the batch ends behind it. With no memory for the socket as well. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/node/plane/udp.h"
#include "mesh/os/fuzz/awake.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PACKETS_MAX = 256, TURNS_MAX = 20000, FULL = PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM };
enum { ENDS = 0x20, SAME = 0x10, ALONE = 0x08, ECN = 3 }; /* bits of the first byte */

struct world {
	struct awake awake;
	struct udp *from, *to;
	struct pkt sent[PACKETS_MAX];
	size_t n_sent, n_arrived;
	uint64_t lost; /* of those that were sent */
};
static struct world only;

static void received(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct world *w = arg;
	must(n <= PKT_BATCH);
	for (size_t i = 0; i < n; i++) {
		const struct pkt *want = &w->sent[w->n_arrived];
		must(w->n_arrived < w->n_sent && from[i].port == udp_port(w->from));
		must(pkts[i].len == want->len && pkts[i].ecn == want->ecn &&
			!memcmp(pkt_data(&pkts[i]), pkt_data((struct pkt *)want), want->len));
		w->n_arrived++;
		memset(pkt_data(&pkts[i]), 0, pkts[i].len); /* they may be changed */
	}
}

static void send_failed(void *arg, const struct endpoint *to, int code)
{
	(void)arg, (void)to;
	must(code < 0);
}

static uint64_t lost(const struct world *w)
{
	const struct udp_drops *d = udp_drops(w->from), *there = udp_drops(w->to);
	return d->udp_queue_full + d->udp_unsent + there->udp_oversize + there->udp_bad_source;
}

static void turn(struct world *w)
{
	for (int i = 0; w->n_arrived < w->n_sent; i++) {
		must(i < TURNS_MAX);
		loop_run_once(w->awake.loop);
	}
}

static void send_batch(struct world *w, size_t first, bool alone)
{
	struct pkt *list[PACKETS_MAX];
	const struct endpoint to = { .ip = addr_v4(0x7f000001), .port = udp_port(w->to) };
	size_t n = w->n_sent - first;
	for (size_t i = 0; i < n; i++)
		list[i] = &w->sent[first + i];
	if (!alone)
		udp_send_batch(w->from, &to, list, n);
	for (size_t i = 0; alone && i < n; i++) {
		list[i]->ecn = 0; /* such a one has no mark */
		udp_send(w->from, &to, pkt_data(list[i]), list[i]->len);
	}
	must(lost(w) == 0); /* the queues are longer than all of it */
	turn(w);
}

static void packet_make(struct world *w, const uint8_t *how)
{
	struct pkt *p = &w->sent[w->n_sent];
	pkt_reset(p);
	p->ecn = how[0] & ECN;
	p->len = (uint16_t)(1 + how[1] * 6 % FULL);
	if (how[0] & SAME && w->n_sent)
		p->len = w->sent[w->n_sent - 1].len;
	memset(pkt_data(p), (int)(w->n_sent + 1), p->len);
	w->n_sent++;
}

static bool open_both(struct world *w)
{
	const struct udp_events ev = { .received = received, .send_failed = send_failed, .arg = w };
	struct errbuf eb = { 0 };
	w->awake = awake_loop(loop_new());
	trouble_begin();
	w->from = udp_open(w->awake.loop, 0, &ev, &eb);
	w->to = w->from ? udp_open(w->awake.loop, udp_port(w->from), &ev, &eb) : NULL; /* that is taken */
	trouble_end();
	must((w->from && w->to) || (trouble_happened() && eb.code));
	return w->to;
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = &only;
	log_setup(LOG_ERROR, false);
	w->n_sent = w->n_arrived = 0;
	if (open_both(w)) {
		size_t first = 0;
		must(udp_port(w->from) != udp_port(w->to));
		for (size_t i = 0; i + 1 < len && w->n_sent < PACKETS_MAX; i += 2) {
			packet_make(w, data + i);
			if (data[i] & ENDS || i + 3 >= len || w->n_sent == PACKETS_MAX) {
				send_batch(w, first, data[i] & ALONE);
				first = w->n_sent;
			}
		}
	}
	udp_close(w->to);
	udp_close(w->from);
	awake_free(&w->awake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
