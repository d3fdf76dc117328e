#include "simnet/scenario/dnsmsg.h"

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/base/wire.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { T_A = 1, T_NS = 2, T_CNAME = 5, T_PTR = 12, T_TXT = 16, T_AAAA = 28, T_OPT = 41 };
enum { NAME_MAX_TEXT = 256, JUMPS_MAX = 32, RECORDS_MAX = 256 };

static const struct {
	const char *word;
	uint16_t type;
} types[] = {
	{ "A", T_A },
	{ "AAAA", T_AAAA },
	{ "PTR", T_PTR },
	{ "CNAME", T_CNAME },
	{ "TXT", T_TXT },
	{ "NS", T_NS },
	{ "SOA", 6 },
	{ "MX", 15 },
	{ "SRV", 33 },
};

uint16_t dnsmsg_type(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strcmp(types[i].word, word))
			return types[i].type;
	return 0;
}

static void reverse_name(const struct addr *a, char *out, size_t cap)
{
	size_t n = 0;

	if (addr_is_v4(a)) {
		snprintf(out, cap, "%u.%u.%u.%u.in-addr.arpa", a->b[15], a->b[14], a->b[13], a->b[12]);
		return;
	}
	for (int i = 15; i >= 0 && n < cap; i--)
		n += (size_t)snprintf(out + n, cap - n, "%x.%x.", a->b[i] & 15, a->b[i] >> 4);
	if (n < cap)
		snprintf(out + n, cap - n, "ip6.arpa");
}

static void write_name(struct wr *w, const char *name)
{
	while (*name && !w->bad) {
		size_t n = strcspn(name, ".");
		if (!n || n > 63) {
			w->bad = true;
			return;
		}
		wr_u8(w, (uint8_t)n);
		wr_bytes(w, name, n);
		name += n;
		if (*name == '.')
			name++;
	}
	wr_u8(w, 0);
}

size_t dnsmsg_write_query(uint8_t *out, size_t cap, uint16_t id, const char *name, uint16_t type)
{
	struct wr w = wr_of(out, cap);
	char reverse[NAME_MAX_TEXT];
	struct addr a;

	if (type == T_PTR && addr_parse(name, &a)) {
		reverse_name(&a, reverse, sizeof(reverse));
		name = reverse;
	}
	if (strlen(name) > 253)
		return 0;
	wr_u16(&w, id);
	wr_u16(&w, 0x0100);
	wr_u16(&w, 1);
	wr_u32(&w, 0);
	wr_u16(&w, 1);
	write_name(&w, name);
	wr_u16(&w, type);
	wr_u16(&w, 1);
	wr_u8(&w, 0); /* OPT, RFC 6891 6.1.2 */
	wr_u16(&w, T_OPT);
	wr_u16(&w, 1232);
	wr_zero(&w, 6);
	return w.bad ? 0 : w.len;
}

struct message {
	const uint8_t *p;
	size_t len;
};

static void append_label(char *out, size_t *n, const uint8_t *label, size_t len)
{
	if (*n)
		out[(*n)++] = '.';
	for (size_t i = 0; i < len; i++)
		out[(*n)++] = isprint(label[i]) ? (char)tolower(label[i]) : '?';
}

/* Reads a name at r, following compression backwards only. out[NAME_MAX_TEXT]. */
static bool read_name(const struct message *m, struct rd *r, char *out)
{
	struct rd at = *r;
	bool jumped = false;
	size_t n = 0, limit = (size_t)(r->p - m->p);

	for (unsigned jumps = 0; jumps < JUMPS_MAX;) {
		uint8_t c = rd_u8(&at);
		if (at.bad || (c & 0xc0) == 0x40 || (c & 0xc0) == 0x80)
			return false;
		if (c >= 0xc0) {
			size_t to = (size_t)(c & 0x3f) << 8 | rd_u8(&at);
			if (at.bad || to >= limit)
				return false;
			if (!jumped)
				*r = at;
			jumped = true;
			jumps++;
			limit = to;
			at = rd_of(m->p + to, m->len - to);
			continue;
		}
		if (!c)
			break;
		const uint8_t *label = rd_take(&at, c);
		if (at.bad || n + c + 2 > NAME_MAX_TEXT)
			return false;
		append_label(out, &n, label, c);
	}
	out[n] = '\0';
	if (!jumped)
		*r = at;
	return !at.bad;
}

static bool read_txt(struct rd *d, struct buf *values)
{
	while (d->left && !d->bad) {
		uint8_t n = rd_u8(d);
		const uint8_t *p = rd_take(d, n);
		if (d->bad || !buf_append(values, p, n))
			return false;
	}
	return buf_append(values, "\n", 1);
}

static bool read_value(const struct message *m, uint16_t type, struct rd d, struct buf *values)
{
	char text[NAME_MAX_TEXT];
	struct addr a;

	if (type == T_TXT)
		return read_txt(&d, values);
	if (type == T_A || type == T_AAAA) {
		if (d.left != (type == T_A ? 4 : 16))
			return false;
		a = type == T_A ? addr_v4_bytes(d.p) : addr_v6_bytes(d.p);
		return buf_printf(values, "%s\n", addr_format(&a, text));
	}
	if (type == T_PTR || type == T_CNAME || type == T_NS)
		return read_name(m, &d, text) && buf_printf(values, "%s\n", text);
	return buf_printf(values, "(%zu bytes)\n", d.left);
}

static bool skip_questions(const struct message *m, struct rd *r, unsigned n)
{
	char name[NAME_MAX_TEXT];

	for (unsigned i = 0; i < n; i++) {
		if (!read_name(m, r, name))
			return false;
		rd_take(r, 4);
	}
	return !r->bad;
}

bool dnsmsg_read_reply(
	const uint8_t *p, size_t len, uint16_t type, struct dnsmsg_reply *out, struct buf *values)
{
	struct message m = { .p = p, .len = len };
	struct rd r = rd_of(p, len);
	struct dnsmsg_reply v = { .id = rd_u16(&r) };
	struct buf found = { .cap = 1 << 16 };
	char name[NAME_MAX_TEXT];

	uint16_t flags = rd_u16(&r), questions = rd_u16(&r), answers = rd_u16(&r);
	rd_u32(&r);
	v.rcode = flags & 15;
	v.truncated = flags & 0x0200;
	bool good = !r.bad && (flags & 0x8000) && questions <= 1 && answers <= RECORDS_MAX &&
		    skip_questions(&m, &r, questions);
	for (unsigned i = 0; good && i < answers; i++) {
		good = read_name(&m, &r, name);
		uint16_t have = rd_u16(&r);
		rd_take(&r, 6);
		uint16_t data_len = rd_u16(&r);
		struct rd d = rd_sub(&r, data_len);
		good = good && !r.bad;
		if (good && have == type && (good = read_value(&m, type, d, &found)))
			v.answers++;
	}
	if (good)
		good = !found.len || buf_append(values, buf_data(&found), found.len);
	if (good)
		*out = v;
	buf_free(&found);
	return good;
}

const char *dnsmsg_rcode_word(const struct dnsmsg_reply *r)
{
	switch (r->rcode) {
	case 0: return r->answers ? "" : "NODATA";
	case 2: return "SERVFAIL";
	case 3: return "NXDOMAIN";
	case 5: return "REFUSED";
	default: return "RCODE";
	}
}
