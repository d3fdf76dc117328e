/* What the kernel hands over by a TUN, and what it is handed: messages of any length, one a read, on a socket in the device's
 * place. Whatever they are, each packet in them comes once, in order and as offload.c cuts it, in batches that fit, to the loop or
 * to a reader beside it; what cannot be cut is counted; and what is written back is as many packets of the same lengths. With no
 * memory for the device as well. The first byte says how; then each message stands behind two bytes of length. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/offload.h"
#include "mesh/node/plane/tun.h"
#include "mesh/os/fuzz/awake.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { SUPER_MAX = 65536 + (int)sizeof(struct virtio_net_hdr), MESSAGES_MAX = 200, TURNS_MAX = 4000 };
enum { PLAIN = 1, BESIDE = 2, BACK = 4, STOPS = 8, AT_ONCE = 16 }; /* bits of the first byte */

struct world {
	struct awake awake;
	struct tun *tun;
	struct tun_reader *reader; /* NULL: the loop reads */
	int near, far;		   /* near: the device */
	uint8_t how;
	bool lost;
	/* what was sent, and how far of that has come */
	const uint8_t *message[MESSAGES_MAX];
	size_t len[MESSAGES_MAX], n, at;
	struct offload_cut cut;
	bool cutting;
	uint64_t bad_header, too_large;
	struct pkt want;
	uint8_t super[SUPER_MAX], back[SUPER_MAX];
};
static struct world only;

/* The next packet that has to come; false: none has. */
static bool want_next(struct world *w)
{
	for (;;) {
		if (w->cutting && offload_cut_next(&w->cut, &w->want))
			return true;
		w->too_large += w->cutting && w->cut.bad;
		w->cutting = false;
		if (w->at == w->n)
			return false;
		size_t len = w->len[w->at];
		memcpy(w->super, w->message[w->at++], len);
		w->cutting = offload_cut_begin(&w->cut, w->super, len, !(w->how & PLAIN));
		w->bad_header += !w->cutting;
	}
}

/* What went to the kernel just now: packets of these lengths. */
static void back_check(struct world *w, const uint16_t *lens, size_t n)
{
	struct offload_cut cut;
	static struct pkt out;
	size_t k = 0;
	for (ssize_t len; (len = recv(w->far, w->back, sizeof(w->back), MSG_DONTWAIT)) >= 0;) {
		must(offload_cut_begin(&cut, w->back, (size_t)len, !(w->how & PLAIN)));
		for (; offload_cut_next(&cut, &out); k++)
			must(k < n && out.len == lens[k]);
		must(!cut.bad);
	}
	must(k == n && tun_drops(w->tun)->tun_write_failed == 0);
}

static void received(void *arg, struct pkt *pkts, size_t n)
{
	struct world *w = arg;
	struct pkt *list[PKT_BATCH];
	uint16_t lens[PKT_BATCH];
	must(n > 0 && n <= PKT_BATCH && !w->lost);
	for (size_t i = 0; i < n; i++) {
		must(want_next(w) && pkts[i].len == w->want.len && pkts[i].at == w->want.at &&
			pkts[i].follows == w->want.follows);
		must(memcmp(pkt_data(&pkts[i]), pkt_data(&w->want), pkts[i].len) == 0);
		list[i] = &pkts[i];
		lens[i] = pkts[i].len;
	}
	if (w->reader && w->how & STOPS)
		tun_reader_stop(w->reader);
	if (!w->reader && w->how & BACK) {
		tun_write_batch(w->tun, list, n);
		back_check(w, lens, n);
	}
	for (size_t i = 0; i < n; i++)
		memset(pkts[i].b, 0xaa, sizeof(pkts[i].b)); /* they may be changed */
}

static void lost(void *arg, int code)
{
	struct world *w = arg;
	must(code < 0 && !w->lost);
	w->lost = true;
}

static void turn(struct world *w)
{
	int err = 0;
	if (!w->reader)
		loop_run_once(w->awake.loop);
	else if (!w->lost && (err = tun_reader_read(w->reader)) != 0)
		lost(w, err);
}

/* Until the device has no more. */
static void turn_all(struct world *w)
{
	uint8_t c;
	for (int i = 0; !w->lost && recv(w->near, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0; i++) {
		must(i < TURNS_MAX);
		turn(w);
	}
}

/* An empty one is how a device says that it is gone. */
static bool message_send(struct world *w, const uint8_t *p, size_t len)
{
	while (send(w->far, p, len, MSG_DONTWAIT) < 0) {
		must(errno == EAGAIN || errno == ENOBUFS);
		turn_all(w);
	}
	if (!len)
		return false;
	w->message[w->n] = p;
	w->len[w->n++] = len;
	if (w->how & AT_ONCE)
		turn(w);
	return true;
}

static bool open_it(struct world *w)
{
	const struct tun_events ev = { .received = received, .lost = lost, .arg = w };
	trouble_begin();
	w->tun = tun_adopt(w->awake.loop, w->near, !(w->how & PLAIN), &ev);
	if (w->tun && w->how & BESIDE) {
		tun_listen(w->tun, false);
		w->reader = tun_reader_new(w->tun, received, w);
	}
	trouble_end();
	bool ok = w->tun && (w->reader || !(w->how & BESIDE));
	must(ok || trouble_happened());
	return ok;
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = &only;
	struct rd r = rd_of(data, len);
	int ends[2];
	log_setup(LOG_ERROR, false);
	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	w->awake = awake_loop(loop_new());
	w->near = ends[0];
	w->far = ends[1];
	w->how = rd_u8(&r);
	w->n = w->at = 0;
	w->bad_header = w->too_large = 0;
	w->cutting = w->lost = false;
	w->tun = NULL;
	w->reader = NULL;
	if (open_it(w)) {
		bool more = true;
		while (more && r.left && w->n < MESSAGES_MAX) {
			size_t n = rd_u16(&r);
			n = n < r.left ? n : r.left;
			more = message_send(w, rd_take(&r, n), n);
		}
		turn_all(w);
		must(!want_next(w));
		must(w->lost == !more);
		const struct tun_drops *d = tun_drops(w->tun);
		must(d->tun_bad_header == w->bad_header && d->tun_too_large == w->too_large);
	}
	if (w->tun) {
		tun_reader_free(w->tun, w->reader);
		must(tun_drops(w->tun)->tun_bad_header == w->bad_header);
		tun_close(w->tun);
	} else {
		close(w->near);
	}
	close(w->far);
	awake_free(&w->awake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
