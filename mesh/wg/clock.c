#include "mesh/wg/core.h"

#include <string.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000, STEP_NS = 1 << 24, STEP_MS = STEP_NS / NS_PER_MS + 1 };
#define TAI_EPOCH ((UINT64_C(1) << 62) + 10)

/* TAI64N, in steps of 16.8 ms so that it says little about our clock. */
static void write_stamp(uint64_t unix_ms, uint8_t out[static WG_STAMP])
{
	be_put(out, 8, TAI_EPOCH + unix_ms / 1000);
	be_put(out + 8, 4, unix_ms % 1000 * NS_PER_MS / STEP_NS * STEP_NS);
}

static void step_stamp(uint8_t stamp[static WG_STAMP])
{
	uint64_t ns = be_get(stamp + 8, 4) + 1;
	be_put(stamp, 8, be_get(stamp, 8) + ns / NS_PER_S);
	be_put(stamp + 8, 4, ns % NS_PER_S);
}

void wg_clock_set(struct wg *w, uint64_t now_ms, uint64_t unix_ms)
{
	w->clock_known = true;
	w->clock_offset_ms = unix_ms - now_ms;
}

uint64_t wg_clock_floor(const struct wg *w)
{
	uint64_t s = be_get(w->stamp, 8), ms = be_get(w->stamp + 8, 4) / NS_PER_MS;
	return s < TAI_EPOCH ? 0
			     : (s - TAI_EPOCH) * 1000 + ms + 1 + STEP_MS; /* the next stamp is rounded down */
}

void wg_clock_stamp(struct wg *w, uint64_t now_ms, uint8_t out[static WG_STAMP])
{
	write_stamp(now_ms + w->clock_offset_ms, out);
	if (memcmp(out, w->stamp, WG_STAMP) <= 0) {
		memcpy(out, w->stamp, WG_STAMP);
		step_stamp(out);
	}
	memcpy(w->stamp, out, WG_STAMP);
}

bool wg_clock_accept(
	const struct wg *w, uint64_t now_ms, struct wg_peer *p, const uint8_t stamp[static WG_STAMP])
{
	if (memcmp(stamp, p->stamp_floor, WG_STAMP) <= 0 || memcmp(stamp, p->stamp_last, WG_STAMP) == 0)
		return false;
	memcpy(p->stamp_last, stamp, WG_STAMP);
	memcpy(p->stamp_floor, stamp, WG_STAMP);
	/* A peer whose clock was once far ahead must not be locked out after it was put right. */
	uint8_t believed[WG_STAMP];
	write_stamp(now_ms + w->clock_offset_ms + WG_SKEW_MS, believed);
	if (w->clock_known && memcmp(stamp, believed, WG_STAMP) > 0)
		memcpy(p->stamp_floor, believed, WG_STAMP);
	return true;
}
