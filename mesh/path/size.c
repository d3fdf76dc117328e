/* Some ways carry small datagrams and swallow large ones without a word: a tunnel below us whose ICMP is
 * filtered, or fragments that a firewall drops. Probes pass there, so the way is trusted, and every full
 * packet is lost. So a way is proven at full size: a ping padded to what a full data packet takes. The pong
 * is small and proves one direction, ours; the peer proves the other.
 *
 * begin -> asking
 *     A new way carries everything, until shown otherwise: the first padded ping leaves at once.
 * asking -> proven
 *     An answer: everything up to that size goes direct (peer.most), what is larger by the relay. The full
 *     size is asked for again after PROVE_MS, or AGAIN_MS when less was proven.
 * asking -> asking
 *     TRIES pings of one size unanswered while the way is trusted: the next smaller size.
 *
 * Only a trusted way is asked: when small probes are lost too, the session has its own word about it.
 */
#include "mesh/path/size.h"
#include "mesh/path/probe.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"

enum { TRIES = 3, PROVE_MS = 60000, AGAIN_MS = 20000 };
/* Of the UDP payload. Full: inner MTU 1280 and WireGuard's 32. Then what fits the links that are in use:
 * IPv6's least (1280), PPPoE in a tunnel, IPv4's least. */
static const uint16_t sizes[] = { 1312, 1232, 1120, 980, 548 };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

void size_begin(struct path *p, struct peer *e)
{
	e->most = 0;
	e->size_step = e->size_tries = 0;
	e->size_ms = p->now_ms;
}

uint64_t size_due(const struct path *p, const struct peer *e)
{
	return way_trusted(p, e) && peer_active(p, e) && !key_is_zero(e->disco.b) ? e->size_ms : UINT64_MAX;
}

void size_step(struct path *p, struct peer *e)
{
	if (p->now_ms < size_due(p, e))
		return;
	if (e->size_tries == TRIES) {
		e->size_tries = 0;
		if (++e->size_step == SIZES) { /* answers nothing large at all: the least is what is left */
			e->size_step = 0;
			e->most = sizes[SIZES - 1];
			e->size_ms = p->now_ms + AGAIN_MS;
			way_publish(p, e);
			return;
		}
	}
	e->size_tries++;
	e->size_ms = p->now_ms + way_check_time(e);
	probe_send_sized(p, e, (struct place) { .at = e->best, .socket = e->socket }, sizes[e->size_step]);
}

void size_answered(struct path *p, struct peer *e, uint16_t size)
{
	e->most = size < sizes[0] ? size : 0;
	e->size_step = e->size_tries = 0;
	e->size_ms = p->now_ms + (e->most ? AGAIN_MS : PROVE_MS);
	way_publish(p, e);
}
