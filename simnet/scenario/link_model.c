#include "simnet/scenario/link_model.h"

#include "mesh/base/err.h"
#include <assert.h>
#include <stddef.h>

static const char *const class_names[] = { [LINK_DISCO] = "disco",
	[LINK_STUN] = "stun",
	[LINK_WIREGUARD] = "wireguard",
	[LINK_TLS] = "tls",
	[LINK_DNS] = "dns",
	[LINK_QUIC] = "quic",
	[LINK_ICMP] = "icmp",
	[LINK_OTHER] = "other" };
static_assert(ARRAY_LEN(class_names) == LINK_CLASSES, "class_names misses a class");

const char *link_class_name(enum link_class c)
{
	return class_names[c];
}

static bool way_is_plain(const struct link_way *w)
{
	bool plain = !w->delay_us && !w->rate_bps && !w->loss && !w->bursts.enter && !w->big_loss &&
		     !w->reorder && !w->duplicate && !w->corrupt && !w->mtu && !w->hops && !w->dead;
	for (size_t i = 0; i < LINK_NTH_MAX; i++)
		plain = plain && !w->nth[i];
	for (size_t i = 0; i < LINK_CLASSES; i++)
		plain = plain && !w->class_loss[i];
	return plain;
}

bool link_model_is_plain(const struct link_model *m)
{
	return !m || (!m->changes && way_is_plain(&m->up) && way_is_plain(&m->down));
}
