#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `link`: what a link does to packets, both ways alike, or with `up` and `down` apart. */

enum { US_PER_MS = 1000, DELAY_MS_MAX = 60000, MTU_MAX = 1500, RATE_MIN = 1000, TENTHS = 10 };
struct link_words {
	struct link_way way;
	const struct yaml_value *up, *down;
};
struct burst_words {
	int enter, leave, bad;
};

/* "1%", "0.05%": parts per million. */
static int read_share(struct yaml_reader *y, const struct yaml_value *v, const char *key, uint32_t *out)
{
	uint64_t whole = 0, part = 0;
	char text[24];
	char *dot;
	size_t len = v->type == YAML_SCALAR ? strlen(v->text) : 0;
	bool ok = len >= 2 && len < sizeof(text) && v->text[len - 1] == '%';

	if (ok) {
		memcpy(text, v->text, len - 1);
		text[len - 1] = '\0';
		dot = strchr(text, '.');
		size_t digits = dot ? strlen(dot + 1) : 0;
		if (dot)
			*dot = '\0';
		ok = text_u64(text, 0, 100, &whole) && digits <= 4 &&
		     (!dot || (digits && text_u64(dot + 1, 0, 9999, &part)));
		for (; digits < 4; digits++)
			part *= TENTHS;
	}
	if (!ok || whole * LINK_PPM / 100 + part > LINK_PPM)
		return yaml_error(
			y, v->at, "'%s' must be a share of packets from 0%% to 100%%, as 1%% or 0.05%%", key);
	*out = (uint32_t)(whole * LINK_PPM / 100 + part);
	return 0;
}

#define SHARE(field, key) \
	static int read_##field(struct yaml_reader *y, const struct yaml_value *v, void *base) \
	{ \
		return read_share(y, v, key, &((struct link_way *)base)->field); \
	}
SHARE(loss, "loss")
SHARE(reorder, "reorder")
SHARE(duplicate, "duplicate")
SHARE(corrupt, "corrupt")

/* Durations are read as milliseconds, into the field that holds microseconds. */
static int finish_time(struct yaml_reader *y, const struct yaml_value *v, const char *key, uint64_t *us)
{
	if (*us > DELAY_MS_MAX)
		return yaml_error(y, v->at, "'%s' is 60s at most", key);
	*us *= US_PER_MS;
	return 0;
}
#define TIME(field, key) \
	static int finish_##field(struct yaml_reader *y, const struct yaml_value *v, void *base) \
	{ \
		return finish_time(y, v, key, &((struct link_way *)base)->field); \
	}
TIME(delay_us, "delay")
TIME(jitter_us, "jitter")
TIME(reorder_us, "reorder-by")

static int read_rate(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct {
		const char *unit;
		uint64_t bits;
	} units[] = { { "kbit", 1000 }, { "mbit", 1000000 }, { "gbit", 1000000000 } };
	char number[16];
	size_t n = v->type == YAML_SCALAR ? strspn(v->text, "0123456789") : 0;
	uint64_t value = 0;

	for (size_t i = 0; n && n < sizeof(number) && i < ARRAY_LEN(units); i++) {
		if (strcmp(v->text + n, units[i].unit) != 0)
			continue;
		memcpy(number, v->text, n);
		number[n] = '\0';
		if (!text_u64(number, 1, 100000, &value))
			break;
		((struct link_way *)base)->rate_bps = value * units[i].bits;
		return 0;
	}
	return yaml_error(y, v->at, "'rate' must be a rate with its unit, as 256kbit, 10mbit or 1gbit");
}

static int read_queue(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct schema_row row = { "queue", SCHEMA_INT, 0, .min = MTU_MAX, .max = 64 << 20 };
	int bytes = 0, err = schema_read_scalar(y, v, "queue", &row, &bytes);

	((struct link_way *)base)->queue_bytes = (uint32_t)bytes;
	return err;
}

static int read_mtu(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct schema_row row = { "mtu", SCHEMA_INT, 0, .min = LINK_MTU_MIN, .max = MTU_MAX };
	int bytes = 0, err = schema_read_scalar(y, v, "mtu", &row, &bytes);

	((struct link_way *)base)->mtu = (uint16_t)bytes;
	return err;
}

static int read_hops(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct schema_row row = { "hops", SCHEMA_INT, 0, .min = 0, .max = LINK_HOPS_MAX };
	int n = 0, err = schema_read_scalar(y, v, "hops", &row, &n);

	((struct link_way *)base)->hops = (uint8_t)n;
	return err;
}

static int read_nth(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct link_way *w = base;
	uint64_t n = 0;

	memset(w->nth, 0, sizeof(w->nth));
	if (v->type != YAML_LIST || !v->n || v->n > LINK_NTH_MAX)
		return yaml_error(
			y, v->at, "'nth' must be a list of 1 to %d numbers of packets", LINK_NTH_MAX);
	for (size_t i = 0; i < v->n; i++) {
		if (v->items[i]->type != YAML_SCALAR || !text_u64(v->items[i]->text, 1, UINT32_MAX, &n))
			return yaml_error(y, v->items[i]->at, "'nth' counts the packets of a flow from 1");
		w->nth[i] = (uint32_t)n;
	}
	return 0;
}

/* ---- the maps inside ---- */

#define CLASS_READ(name, class) \
	static int read_class_##name(struct yaml_reader *y, const struct yaml_value *v, void *base) \
	{ \
		return read_share(y, v, #name, &((struct link_way *)base)->class_loss[class]); \
	}
CLASS_READ(disco, LINK_DISCO)
CLASS_READ(stun, LINK_STUN)
CLASS_READ(wireguard, LINK_WIREGUARD)
CLASS_READ(tls, LINK_TLS)
CLASS_READ(dns, LINK_DNS)
CLASS_READ(quic, LINK_QUIC)
CLASS_READ(icmp, LINK_ICMP)
CLASS_READ(other, LINK_OTHER)

static const struct schema_form share_form = { .word = true };
#define CLASS_ROW(name, text) \
	{ \
#name, SCHEMA_CUSTOM, .read = read_class_##name, .form = &share_form, .doc = (text) \
	}
static const struct schema_row class_rows[] = {
	CLASS_ROW(disco, "path discovery of tailscale-like meshes"),
	CLASS_ROW(stun, "STUN"),
	CLASS_ROW(wireguard, "WireGuard, handshakes and data"),
	CLASS_ROW(tls, "TCP port 443 or 8443"),
	CLASS_ROW(dns, "port 53"),
	CLASS_ROW(quic, "UDP port 443"),
	CLASS_ROW(icmp, "ICMP and ICMPv6"),
	CLASS_ROW(other, "everything else"),
	{ 0 },
};
static const struct schema_table class_table = {
	.name = "link-class-loss", .about = "Losses of a kind of packet.", .rows = class_rows
};

static int read_classes(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	return schema_read_map(y, v, "class-loss", class_rows, base);
}

#define BURST_READ(field, key) \
	static int read_burst_##field(struct yaml_reader *y, const struct yaml_value *v, void *base) \
	{ \
		return read_share(y, v, key, &((struct link_way *)base)->bursts.field); \
	}
BURST_READ(enter, "enter")
BURST_READ(leave, "leave")
BURST_READ(bad, "loss")
static const struct schema_row burst_rows[] = {
	{ "enter", SCHEMA_CUSTOM, .required = true, .read = read_burst_enter, .form = &share_form,
		.doc = "chance of a packet to be the first of a burst" },
	{ "leave", SCHEMA_CUSTOM, .required = true, .read = read_burst_leave, .form = &share_form,
		.doc = "chance of a packet to be the first behind it: bursts are 1 / `leave` packets long" },
	{ "loss", SCHEMA_CUSTOM, .read = read_burst_bad, .form = &share_form, .def = "100%",
		.doc = "chance to be lost within it" },
	{ 0 },
};
static const struct schema_table burst_table = { .name = "link-burst",
	.about = "Losses in bursts, after Gilbert and Elliott; each flow has its own.",
	.rows = burst_rows };

static int read_burst(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	return schema_read_map(y, v, "burst", burst_rows, base);
}

static int read_over(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	static const struct schema_row row = { "over", SCHEMA_INT, 0, .min = 1, .max = MTU_MAX };
	int bytes = 0, err = schema_read_scalar(y, v, "over", &row, &bytes);

	((struct link_way *)base)->big = (uint16_t)bytes;
	return err;
}

static int read_big_loss(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	return read_share(y, v, "loss", &((struct link_way *)base)->big_loss);
}

static const struct schema_form number_form = { .number = true };
static const struct schema_row big_rows[] = {
	{ "over", SCHEMA_CUSTOM, .required = true, .read = read_over, .form = &number_form,
		.doc = "bytes of an IP packet" },
	{ "loss", SCHEMA_CUSTOM, .required = true, .read = read_big_loss, .form = &share_form,
		.doc = "of packets larger than that" },
	{ 0 },
};
static const struct schema_table big_table = {
	.name = "link-big", .about = "Losses of big packets.", .rows = big_rows
};

static int read_big(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	return schema_read_map(y, v, "big", big_rows, base);
}

/* ---- a way, and both ---- */

static const struct schema_form class_form = { .map = &class_table }, burst_form = { .map = &burst_table },
				big_form = { .map = &big_table }, nth_form = { .strings = true };
#define WAY(field) offsetof(struct link_way, field)
#define WAY_ROWS \
	{ "delay", SCHEMA_DURATION, WAY(delay_us), .read = finish_delay_us, .doc = "one way, at most 60s" }, \
		{ "jitter", SCHEMA_DURATION, WAY(jitter_us), .read = finish_jitter_us, \
			.doc = "the delay is uniform within `delay` - `jitter` and `delay` + `jitter`; a " \
			       "flow keeps " \
			       "its order" }, \
		{ "rate", SCHEMA_CUSTOM, .read = read_rate, .form = &share_form, \
			.doc = "`256kbit`, `10mbit`, `1gbit`" }, \
		{ "queue", SCHEMA_CUSTOM, .read = read_queue, .form = &number_form, \
			.def = "100 ms of `rate`", \
			.doc = "bytes that may wait for the rate; then the newest is lost" }, \
		{ "loss", SCHEMA_CUSTOM, .read = read_loss, .form = &share_form, \
			.doc = "as `1%` or `0.05%`" }, \
		{ "burst", SCHEMA_CUSTOM, .read = read_burst, .form = &burst_form, \
			.doc = "losses in bursts" }, \
		{ "nth", SCHEMA_CUSTOM, .read = read_nth, .form = &nth_form, \
			.doc = "packets of every flow that are lost, counted from 1: `[1, 3]`" }, \
		{ "class-loss", SCHEMA_CUSTOM, .read = read_classes, .form = &class_form, \
			.doc = "losses of a kind of packet, as `{disco: 100%}`" }, \
		{ "big", SCHEMA_CUSTOM, .read = read_big, .form = &big_form, \
			.doc = "losses of big packets" }, \
		{ "reorder", SCHEMA_CUSTOM, .read = read_reorder, .form = &share_form, \
			.doc = "packets that are held back, so that later ones overtake" }, \
		{ "reorder-by", SCHEMA_DURATION, WAY(reorder_us), .read = finish_reorder_us, .def = "10ms", \
			.doc = "how long" }, \
		{ "duplicate", SCHEMA_CUSTOM, .read = read_duplicate, .form = &share_form, \
			.doc = "packets that come twice" }, \
		{ "corrupt", SCHEMA_CUSTOM, .read = read_corrupt, .form = &share_form, \
			.doc = "packets with one bit turned, behind the IP header" }, \
		{ "mtu", SCHEMA_CUSTOM, .read = read_mtu, .form = &number_form, .def = "1500", \
			.doc = "bytes of an IP packet, 576 to 1500; what may be is cut, of other packets " \
			       "the sender is " \
			       "told by ICMP" }, \
		{ "mtu-silent", SCHEMA_BOOL, WAY(mtu_silent), .def = "false", .doc = "nobody is told" }, \
		{ "hops", SCHEMA_CUSTOM, .read = read_hops, .form = &number_form, .def = "0", \
			.doc = "routers on the way, at most 64: a packet's TTL or hop limit is less by so " \
			       "many; what " \
			       "has no more is lost, and nobody is told" }, \
	{ \
		"dead", SCHEMA_BOOL, WAY(dead), .def = "false", .doc = "nothing passes" \
	}
static const struct schema_row way_rows[] = { WAY_ROWS, { 0 } };
static const struct schema_table way_table = {
	.name = "link-way", .about = "One way of a link.", .rows = way_rows
};
static const struct schema_form way_form = { .map = &way_table };
static const struct schema_row link_rows[] = {
	WAY_ROWS,
	{ "up", SCHEMA_KEEP, offsetof(struct link_words, up), .form = &way_form,
		.doc = "what is other, away from the node or router: the same keys" },
	{ "down", SCHEMA_KEEP, offsetof(struct link_words, down), .form = &way_form,
		.doc = "what is other, to it" },
	{ 0 },
};
const struct schema_table link_table = { .name = "link",
	.about = "What the link of a node, or the outer one of a router, does to packets, both ways alike "
		 "unless `up` "
		 "or `down` says otherwise. `docs/simnet/engines.md` says what decides each.",
	.rows = link_rows };
const struct schema_form link_form = { .map = &link_table };

static int read_way(struct yaml_reader *y, const struct yaml_value *v, const char *what, struct link_way *w)
{
	if (!v)
		return 0;
	int err = schema_read_map(y, v, what, way_rows, w);
	if (!err && w->jitter_us > w->delay_us)
		err = yaml_error(y, v->at, "'jitter' must not be more than 'delay'");
	return err;
}

int link_read(struct yaml_reader *y, const struct yaml_value *v, const struct link_model **out)
{
	struct link_words w = { 0 };
	struct link_model *m = arena_alloc(y->arena, sizeof(*m));

	if (!m)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
	int err = schema_read_map(y, v, "link", link_rows, &w);
	if (!err && w.way.jitter_us > w.way.delay_us)
		err = yaml_error(y, v->at, "'jitter' must not be more than 'delay'");
	if (err)
		return err;
	m->up = m->down = w.way;
	err = read_way(y, w.up, "up", &m->up);
	int more = read_way(y, w.down, "down", &m->down);
	*out = m;
	return err ? err : more;
}
