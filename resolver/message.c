#include "resolver/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
	OPTION_COOKIE = 10,
	OPTION_KEEPALIVE = 11,
	OPTION_PADDING = 12,
	OPTION_EDE = 15,
	KEEPALIVE_LEN = 6,
	EDE_TEXT_MAX = 96
};

/* RFC 7873 5.2.2 is the only option whose length a plain server can judge. */
static bool options_read(struct rd r, struct dns_query *q)
{
	while (r.left && !r.bad) {
		uint16_t code = rd_u16(&r), len = rd_u16(&r);
		rd_take(&r, len);
		if (code == OPTION_COOKIE && len != 8 && (len < 16 || len > 40))
			return false;
		q->keepalive |= code == OPTION_KEEPALIVE && q->tcp;
	}
	return !r.bad;
}

/* The record at msg[at], which is not used: well-formed, and a TSIG comes last (RFC 8945 5.1). */
static bool is_sound(const uint8_t *msg, size_t len, size_t at, bool last)
{
	struct dns_name owner;
	struct dns_rr rr;
	size_t next;
	return dns_name_expand(msg, len, at, &owner, &next) && dns_rr_next(msg, len, &at, &rr) &&
	       dns_rdata_fits(msg, &rr) && (last || rr.type != DNS_TSIG);
}

/* The additional section of a query: at most one OPT, at the root. Returns an rcode. */
static uint16_t additional_read(const uint8_t *msg, size_t len, struct rd r, unsigned n, struct dns_query *q)
{
	uint16_t size = 0;
	for (; n; n--) {
		size_t at = len - r.left, next = r.left ? dns_name_skip(msg, len, at) : 0;
		if (!next)
			return DNS_FORMERR;
		rd_take(&r, next - at);
		uint16_t type = rd_u16(&r), class = rd_u16(&r);
		uint32_t ttl = rd_u32(&r);
		struct rd rdata = rd_sub(&r, rd_u16(&r));
		if (r.bad)
			return DNS_FORMERR;
		if (type != DNS_OPT && !is_sound(msg, len, at, n == 1))
			return DNS_FORMERR;
		if (type != DNS_OPT)
			continue;
		if (q->edns || next - at != 1)
			return DNS_FORMERR;
		q->edns = true;
		q->dnssec_ok = ttl >> 15 & 1;
		if (!options_read(rdata, q))
			return DNS_FORMERR;
		size = class;
		if (ttl >> 16 & 0xff)
			q->rcode = DNS_BADVERS;
	}
	if (q->edns && !q->tcp)
		q->size = size < DNS_UDP_PLAIN ? DNS_UDP_PLAIN : size > DNS_UDP_SIZE ? DNS_UDP_SIZE : size;
	return q->rcode;
}

/* The one question. No pointer may stand in it: there is nothing before it to point to. */
static bool question_read(struct rd *r, struct dns_query *q)
{
	const uint8_t *start = r->p;
	size_t used = 0;
	for (uint8_t c = 1; c;) {
		c = rd_u8(r);
		rd_take(r, c);
		used += c + 1u;
		if (r->bad || c > DNS_LABEL_MAX || used > DNS_NAME_MAX)
			return false;
	}
	dns_fold(q->name.b, start, used);
	q->name.len = (uint8_t)used;
	q->type = rd_u16(r);
	q->class = rd_u16(r);
	if (r->bad)
		return false;
	q->question_len = (uint16_t)(used + 4);
	memmove(q->question, start, q->question_len); /* a call: memcpy becomes a slow instruction here */
	return true;
}

static uint16_t body_read(const uint8_t *msg, size_t len, struct dns_query *q)
{
	struct rd r = rd_of(msg, len);
	rd_take(&r, 4);
	uint16_t questions = rd_u16(&r), answers = rd_u16(&r), authorities = rd_u16(&r),
		 additionals = rd_u16(&r);
	if (questions > 1 || (questions && !question_read(&r, q)))
		return DNS_FORMERR;
	if (answers || authorities)
		return DNS_FORMERR;
	uint16_t rcode = additional_read(msg, len, r, additionals, q);
	if (rcode || !questions)
		return rcode ? rcode : DNS_FORMERR;
	if (q->type == DNS_OPT || q->type == DNS_TSIG)
		return DNS_FORMERR;
	if (q->class != DNS_IN || q->type == DNS_AXFR || q->type == DNS_IXFR)
		return DNS_REFUSED;
	return DNS_NOERROR;
}

enum dns_read dns_query_read(const uint8_t *msg, size_t len, bool tcp, struct dns_query *q)
{
	if (len < DNS_HEADER)
		return DNS_READ_SHORT;
	if (msg[2] & 0x80)
		return DNS_READ_RESPONSE;
	q->id = (uint16_t)be_get(msg, 2);
	q->opcode = msg[2] >> 3 & 15;
	q->rd = msg[2] & 1;
	q->ad = msg[3] & DNS_AD;
	q->cd = msg[3] & DNS_CD;
	q->edns = q->dnssec_ok = q->keepalive = false;
	q->tcp = tcp;
	q->size = tcp ? DNS_MESSAGE_MAX : DNS_UDP_PLAIN;
	q->question_len = 0;
	q->type = q->class = q->rcode = 0;
	q->rcode = body_read(msg, len, q);
	if (q->opcode)
		q->rcode = DNS_NOTIMP;
	return q->rcode ? DNS_READ_ERROR : DNS_READ_OK;
}

void dns_query_copy(struct dns_query *to, const struct dns_query *from)
{
	memcpy(to, from, offsetof(struct dns_query, name));
	if (from->question_len)
		dns_name_copy(&to->name, &from->name);
	memmove(to->question, from->question, from->question_len); /* a call, as in question_read */
}

static void names_add(struct dns_writer *d, size_t at)
{
	if (at < 0x4000 && d->n_names < sizeof(d->names) / sizeof(d->names[0]))
		d->names[d->n_names++] = (uint16_t)at;
}

void dns_write_begin(struct dns_writer *d, void *buf, size_t cap, const struct dns_query *q)
{
	if (cap > q->size)
		cap = q->size;
	d->w = wr_of(buf, cap - (q->edns ? DNS_OPT_LEN : 0));
	d->cap = cap;
	memset(d->counts, 0, sizeof(d->counts));
	d->counts[0] = q->question_len != 0;
	d->section = d->n_names = 0;
	d->truncated = false;
	uint8_t *h = wr_take(&d->w, DNS_HEADER);
	if (h)
		be_put(h, 2, q->id);
	wr_bytes(&d->w, q->question, q->question_len);
	if (q->question_len)
		for (size_t at = 0; q->name.b[at]; at += q->name.b[at] + 1u)
			names_add(d, DNS_HEADER + at);
}

void dns_write_mark(struct dns_writer *d, uint8_t section)
{
	d->section = section;
	d->mark_len = d->w.len;
	d->mark_names = d->n_names;
	memcpy(d->mark_counts, d->counts, sizeof(d->counts));
}

bool dns_write_keep(struct dns_writer *d)
{
	if (!d->w.bad && !d->truncated)
		return true;
	d->w.bad = false;
	d->w.len = d->mark_len;
	d->n_names = d->mark_names;
	memcpy(d->counts, d->mark_counts, sizeof(d->counts));
	d->truncated = true;
	return false;
}

/* Is the name written at offset `at` (pointers allowed: we wrote them) the wire name s? */
static bool written_equal(const struct dns_writer *d, size_t at, const uint8_t *s)
{
	for (;;) {
		while ((d->w.p[at] & 0xc0) == 0xc0)
			at = be_get(d->w.p + at, 2) & 0x3fff;
		uint8_t c = d->w.p[at];
		if (c != *s)
			return false;
		if (!c)
			return true;
		if (!dns_bytes_equal(d->w.p + at + 1, s + 1, c))
			return false;
		at += c + 1u;
		s += c + 1u;
	}
}

void dns_write_name(struct dns_writer *d, const struct dns_name *n, bool compress)
{
	size_t at = 0,
	       known = compress ? d->n_names : 0; /* not what this very name adds: it is not whole yet */
	for (; n->b[at]; at += n->b[at] + 1u) {
		for (size_t i = 0; i < known; i++) {
			if (!written_equal(d, d->names[i], n->b + at))
				continue;
			wr_u16(&d->w, (uint16_t)(0xc000 | d->names[i]));
			return;
		}
		size_t here = d->w.len;
		wr_bytes(&d->w, n->b + at, n->b[at] + 1u);
		if (!d->w.bad && compress)
			names_add(d, here);
	}
	wr_u8(&d->w, 0);
}

size_t dns_write_rr(struct dns_writer *d, const struct dns_name *owner, uint16_t type, uint32_t ttl_s)
{
	dns_write_name(d, owner, true);
	wr_u16(&d->w, type);
	wr_u16(&d->w, DNS_IN);
	wr_u32(&d->w, ttl_s);
	size_t at = d->w.len;
	wr_u16(&d->w, 0);
	return at;
}

void dns_write_rr_end(struct dns_writer *d, size_t rdlength_at)
{
	if (d->w.bad)
		return;
	be_put(d->w.p + rdlength_at, 2, d->w.len - rdlength_at - 2);
	d->counts[d->section]++;
}

size_t dns_write_opt(
	uint8_t *buf, size_t len, size_t cap, const struct dns_query *q, const struct dns_end *end)
{
	struct wr w = { .p = buf, .cap = cap, .len = len };
	unsigned flags = DNS_QR | (unsigned)q->opcode << 11 | (end->rcode & 15u);
	if (!q->opcode) /* the others mean nothing elsewhere, RFC 8906 8.1.4 */
		flags |= DNS_RA | (q->rd ? DNS_RD : 0) | (q->cd ? DNS_CD : 0) | end->flags;
	be_put(buf, 2, q->id);
	be_put(buf + 2, 2, flags);
	be_put(buf + 10, 2, q->edns);
	if (!q->edns)
		return len;
	size_t text = end->ede_text ? strnlen(end->ede_text, EDE_TEXT_MAX) : 0;
	size_t room = cap - len - DNS_OPT_LEN;
	bool ede = end->ede != EDE_NONE && room >= text + 6;
	size_t options = ede ? text + 6 : 0;
	bool keepalive = q->keepalive && room >= options + KEEPALIVE_LEN;
	options += keepalive ? KEEPALIVE_LEN : 0;
	wr_u8(&w, 0);
	wr_u16(&w, DNS_OPT);
	wr_u16(&w, DNS_UDP_SIZE);
	wr_u8(&w, (uint8_t)(end->rcode >> 4));
	wr_u8(&w, 0);
	wr_u16(&w, q->dnssec_ok ? 0x8000 : 0);
	wr_u16(&w, (uint16_t)options);
	if (keepalive) {
		wr_u16(&w, OPTION_KEEPALIVE);
		wr_u16(&w, 2);
		wr_u16(&w, DNS_TCP_IDLE_MS / 100);
	}
	if (ede) {
		wr_u16(&w, OPTION_EDE);
		wr_u16(&w, (uint16_t)(text + 2));
		wr_u16(&w, end->ede);
		wr_bytes(&w, end->ede_text, text);
	}
	return w.len;
}

size_t dns_write_end(struct dns_writer *d, const struct dns_query *q, const struct dns_end *end)
{
	struct dns_end e = *end;
	for (size_t i = 0; i < 4; i++)
		be_put(d->w.p + 4 + 2 * i, 2, d->counts[i]);
	if (d->truncated)
		e.flags |= DNS_TC;
	return dns_write_opt(d->w.p, d->w.len, d->cap, q, &e);
}

/* Past the record at `at`, or 0. */
static size_t record_skip(const uint8_t *msg, size_t len, size_t at)
{
	size_t fixed = dns_name_skip(msg, len, at);
	if (!fixed || len - fixed < 10)
		return 0;
	size_t rdata = be_get(msg + fixed + 8, 2);
	return len - fixed - 10 < rdata ? 0 : fixed + 10 + rdata;
}

/* Where the records begin; 0: nowhere. */
static size_t records_at(const uint8_t *msg, size_t len)
{
	size_t at = len < DNS_HEADER ? 0 : DNS_HEADER;
	for (size_t n = at ? be_get(msg + 4, 2) : 0; n && at; n--) {
		at = dns_name_skip(msg, len, at);
		at = at && len - at >= 4 ? at + 4 : 0;
	}
	return at;
}

static size_t records_count(const uint8_t *msg)
{
	return be_get(msg + 6, 2) + be_get(msg + 8, 2) + be_get(msg + 10, 2);
}

size_t dns_pad(uint8_t *msg, size_t len, size_t cap, size_t block)
{
	size_t at = records_at(msg, len), last = 0;
	for (size_t n = at ? records_count(msg) : 0; n && at; n--) {
		last = at;
		at = record_skip(msg, len, at);
	}
	bool opt = at == len && last && msg[last] == 0 && be_get(msg + last + 1, 2) == DNS_OPT;
	size_t bare = len + DNS_OPTION_HEAD, whole = (bare + block - 1) / block * block;
	whole = whole > cap ? cap : whole;
	if (!opt || whole < bare)
		return len;
	be_put(msg + len, 2, OPTION_PADDING);
	be_put(msg + len + 2, 2, whole - bare);
	memset(msg + bare, 0, whole - bare);
	be_put(msg + last + 9, 2, be_get(msg + last + 9, 2) + whole - len);
	return whole;
}

uint32_t dns_min_ttl(const uint8_t *msg, size_t len)
{
	size_t at = records_at(msg, len), next;
	uint32_t least = UINT32_MAX;
	for (size_t n = at ? records_count(msg) : 0; n && (next = record_skip(msg, len, at));
		n--, at = next) {
		size_t fixed = dns_name_skip(msg, len, at);
		uint32_t ttl = (uint32_t)be_get(msg + fixed + 4, 4);
		if (be_get(msg + fixed, 2) != DNS_OPT && ttl < least)
			least = ttl;
	}
	return least == UINT32_MAX ? 0 : least;
}

size_t dns_ask_write(uint8_t *buf, const struct dns_ask *a)
{
	struct wr w = wr_of(buf, a->padded ? DNS_ASK_MAX : DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN);
	wr_u16(&w, a->id);
	wr_u16(&w, (uint16_t)(DNS_RD | (a->cd ? DNS_CD : 0)));
	wr_u16(&w, 1);
	wr_u32(&w, 0);
	wr_u16(&w, a->edns);
	uint8_t *name = wr_take(&w, a->name->len);
	if (name)
		memmove(name, a->name->b, a->name->len); /* a call, as in question_read */
	dns_name_mix(buf + DNS_HEADER, a->name->len, a->upper);
	wr_u16(&w, a->type);
	wr_u16(&w, DNS_IN);
	if (a->edns) {
		wr_u8(&w, 0);
		wr_u16(&w, DNS_OPT);
		wr_u16(&w, DNS_UDP_SIZE);
		wr_u32(&w, a->dnssec_ok ? 0x8000 : 0);
		size_t bare = w.len + 2 + DNS_OPTION_HEAD;
		size_t pad = (DNS_PAD_BLOCK - bare % DNS_PAD_BLOCK) % DNS_PAD_BLOCK;
		wr_u16(&w, a->padded ? (uint16_t)(DNS_OPTION_HEAD + pad) : 0);
		if (a->padded) {
			wr_u16(&w, OPTION_PADDING);
			wr_u16(&w, (uint16_t)pad);
			wr_zero(&w, pad);
		}
	}
	return w.len;
}

static const struct {
	const char *name;
	uint16_t type;
} types[] = {
	{ "A", DNS_A },
	{ "NS", DNS_NS },
	{ "CNAME", DNS_CNAME },
	{ "SOA", DNS_SOA },
	{ "PTR", DNS_PTR },
	{ "MX", DNS_MX },
	{ "TXT", DNS_TXT },
	{ "AAAA", DNS_AAAA },
	{ "SRV", DNS_SRV },
	{ "DNAME", DNS_DNAME },
	{ "DS", DNS_DS },
	{ "RRSIG", DNS_RRSIG },
	{ "NSEC", DNS_NSEC },
	{ "DNSKEY", DNS_DNSKEY },
	{ "NSEC3", DNS_NSEC3 },
	{ "NAPTR", 35 },
	{ "TLSA", 52 },
	{ "SSHFP", 44 },
	{ "SVCB", DNS_SVCB },
	{ "HTTPS", DNS_HTTPS },
	{ "CAA", 257 },
	{ "ANY", DNS_ANY },
	{ "HINFO", 13 },
};

char *dns_type_format(uint16_t type, char *buf)
{
	snprintf(buf, DNS_TYPE_TEXT, "TYPE%u", type);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			snprintf(buf, DNS_TYPE_TEXT, "%s", types[i].name);
	return buf;
}

bool dns_type_parse(const char *text, uint16_t *out)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcasecmp(text, types[i].name)) {
			*out = types[i].type;
			return true;
		}
	char *end;
	if (strncasecmp(text, "TYPE", 4) != 0 || text[4] < '0' || text[4] > '9')
		return false;
	unsigned long v = strtoul(text + 4, &end, 10);
	if (*end || v > 65535)
		return false;
	*out = (uint16_t)v;
	return true;
}
