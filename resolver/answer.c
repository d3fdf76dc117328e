#include "resolver/answer.h"

#include "mesh/base/buf.h"
#include <string.h>

enum { OPTION_EDE = 15 };

static bool rdata_copy(struct dns_writer *d, const uint8_t *msg, const struct dns_rr *rr)
{
	size_t at = rr->rdata_at, end = rr->rdata_at + (size_t)rr->rdata_len, n;
	struct dns_name name BUF_UNSET;
	for (const char *f = dns_rdata_form(rr->type); *f; f++, at += n) {
		if (*f == 'n' || *f == 'N') {
			if (!dns_name_expand(msg, end, at, &name, &n))
				return false;
			dns_write_name(d, &name, *f == 'n');
			n -= at;
			continue;
		}
		n = dns_rdata_part(*f, msg, at, end);
		if (n > end - at)
			return false;
		wr_bytes(&d->w, msg + at, n);
	}
	return at == end;
}

bool dns_rr_copy(
	struct dns_writer *d, const uint8_t *msg, size_t len, const struct dns_rr *rr, uint32_t ttl_s)
{
	struct dns_name owner BUF_UNSET;
	size_t next;
	if (!dns_name_expand(msg, len, rr->name_at, &owner, &next))
		return false;
	size_t at = dns_write_rr(d, &owner, rr->type, ttl_s);
	if (!rdata_copy(d, msg, rr))
		return false;
	dns_write_rr_end(d, at);
	return true;
}

/* ---- reading ---- */

static bool owner_is(const uint8_t *msg, size_t len, const struct dns_rr *rr, const struct dns_name *n)
{
	return dns_name_is_at(msg, len, rr->name_at, n);
}

/* The zone a record speaks for must hold the name in question; nothing sideways is believed. */
static bool owner_above(const uint8_t *msg, size_t len, const struct dns_rr *rr, const struct dns_name *n)
{
	struct dns_name owner BUF_UNSET;
	size_t next;
	return dns_name_expand(msg, len, rr->name_at, &owner, &next) && dns_name_within(n, &owner);
}

/* false: an option is cut. */
static bool opt_read(const uint8_t *msg, const struct dns_rr *rr, struct answer *out)
{
	struct rd r = rd_of(msg + rr->rdata_at, rr->rdata_len);
	out->rcode |= (uint16_t)(rr->ttl_s >> 24 << 4);
	while (r.left && !r.bad) {
		uint16_t code = rd_u16(&r);
		struct rd body = rd_sub(&r, rd_u16(&r));
		if (code == OPTION_EDE && !body.bad && body.left >= 2)
			out->ede = rd_u16(&body);
	}
	return !r.bad;
}

/* A pointer to the name of the question, which was read. */
static bool is_question(const uint8_t owner[static 2])
{
	return owner[0] == 0xc0 && owner[1] == DNS_HEADER;
}

static bool records_read(struct answer_work *k, const uint8_t *msg, size_t len, size_t at, struct answer *out)
{
	unsigned answers = (unsigned)be_get(msg + 6, 2), authorities = (unsigned)be_get(msg + 8, 2);
	unsigned total = answers + authorities + (unsigned)be_get(msg + 10, 2), opts = 0;
	if (total > ANSWER_RRS_MAX)
		return false;
	for (unsigned i = 0; i < total; i++) {
		struct dns_rr *rr = &k->rrs[i];
		struct dns_name owner BUF_UNSET;
		size_t next, from = at;
		k->keep[i] = 0;
		if (!dns_rr_next(msg, len, &at, rr))
			return false;
		bool sound = rr->type != DNS_OPT && is_question(msg + from);
		if (!sound && !dns_name_expand(msg, len, from, &owner, &next))
			return false;
		bool additional = i >= answers + authorities;
		if (!dns_rdata_fits(msg, rr) || (!additional && rr->class != DNS_IN))
			return false;
		if (rr->type == DNS_TSIG && (!additional || i + 1 < total)) /* RFC 8945 5.1 */
			return false;
		if (rr->type != DNS_OPT) {
			if (rr->ttl_s >> 31)
				rr->ttl_s = 0;
			if (rr->ttl_s > TTL_MAX_S)
				rr->ttl_s = TTL_MAX_S;
			continue;
		}
		if (!additional || opts++ || owner.len != 1 || !opt_read(msg, rr, out))
			return false;
	}
	k->n_answer = (uint16_t)answers;
	k->n_authority = (uint16_t)authorities;
	return true;
}

/* Marks the records of `name` that answer the question, with their signatures for those who ask for them, and the DNAME
 * they came from; returns the CNAME among them, or NULL. */
static const struct dns_rr *link_mark(struct answer_work *k, const uint8_t *msg, size_t len,
	const struct dns_name *name, const struct dns_ask *asked, struct answer *out)
{
	const struct dns_rr *cname = NULL;
	uint16_t type = asked->type;
	for (unsigned i = 0; i < k->n_answer; i++) {
		const struct dns_rr *rr = &k->rrs[i];
		bool signature = rr->type == DNS_RRSIG && type != DNS_RRSIG && rr->rdata_len >= 2;
		if (signature && !asked->dnssec_ok && type != DNS_ANY) /* RFC 4035 3.2.1 */
			continue;
		uint16_t covers = signature ? (uint16_t)be_get(msg + rr->rdata_at, 2) : rr->type;
		if (covers == DNS_DNAME && type != DNS_DNAME && !owner_is(msg, len, rr, name)) {
			k->keep[i] |= owner_above(msg, len, rr, name);
			continue;
		}
		bool wanted = covers == type || type == DNS_ANY;
		if ((!wanted && covers != DNS_CNAME) || !owner_is(msg, len, rr, name))
			continue;
		k->keep[i] = 1;
		if (wanted && !signature)
			out->complete = true;
		else if (covers == DNS_CNAME && !signature)
			cname = rr;
	}
	return cname;
}

static bool chain_mark(struct answer_work *k, const uint8_t *msg, size_t len, const struct dns_ask *asked,
	struct answer *out)
{
	for (unsigned hops = 0; hops <= ANSWER_CHAIN_MAX; hops++) {
		const struct dns_rr *cname = link_mark(k, msg, len, &out->last, asked, out);
		size_t next;
		if (out->complete || !cname)
			return true;
		if (!dns_name_expand(msg, len, cname->rdata_at, &out->last, &next))
			return false;
	}
	return false; /* a loop, or somebody's joke */
}

/* What the authority section may add: the SOA of a zone above the name, and proofs for those who ask for
 * them. */
static void authority_mark(
	struct answer_work *k, const uint8_t *msg, size_t len, bool dnssec_ok, struct answer *out)
{
	for (unsigned i = k->n_answer; i < (unsigned)k->n_answer + k->n_authority; i++) {
		const struct dns_rr *rr = &k->rrs[i];
		bool proof = rr->type == DNS_NSEC || rr->type == DNS_NSEC3 || rr->type == DNS_DS ||
			     rr->type == DNS_RRSIG;
		if (rr->type == DNS_SOA && !out->complete)
			k->keep[i] = owner_above(msg, len, rr, &out->last);
		else if (proof)
			k->keep[i] = dnssec_ok;
	}
}

/* RFC 2181 5.2: the TTLs of one RRset are the same; the least is right. Sets come in runs. */
static void ttls_level(struct answer_work *k)
{
	for (unsigned i = 1; i < k->n_answer; i++)
		if (k->rrs[i].type == k->rrs[i - 1].type && k->rrs[i].ttl_s > k->rrs[i - 1].ttl_s)
			k->rrs[i].ttl_s = k->rrs[i - 1].ttl_s;
	for (unsigned i = k->n_answer; i-- > 1;)
		if (k->rrs[i].type == k->rrs[i - 1].type && k->rrs[i - 1].ttl_s > k->rrs[i].ttl_s)
			k->rrs[i - 1].ttl_s = k->rrs[i].ttl_s;
}

static uint32_t soa_ttl(const uint8_t *msg, const struct dns_rr *rr)
{
	uint32_t minimum = (uint32_t)be_get(msg + rr->rdata_at + rr->rdata_len - 4, 4);
	uint32_t ttl = rr->ttl_s < minimum ? rr->ttl_s : minimum;
	return ttl < NEGATIVE_TTL_MAX_S ? ttl : NEGATIVE_TTL_MAX_S;
}

static void clean_begin(
	struct dns_writer *d, struct dns_query *q, uint8_t *buf, const struct dns_ask *asked, uint16_t ede)
{
	memset(q, 0, offsetof(struct dns_query, name));
	q->id = ede;
	q->rd = q->tcp = true;
	q->size = DNS_MESSAGE_MAX;
	dns_name_copy(&q->name, asked->name);
	q->question_len = (uint16_t)(q->name.len + 4);
	memmove(q->question, q->name.b, q->name.len); /* a call, as in question_read */
	be_put(q->question + q->name.len, 2, asked->type);
	be_put(q->question + q->name.len + 2, 2, DNS_IN);
	dns_write_begin(d, buf, DNS_MESSAGE_MAX, q);
}

static size_t clean_write(struct answer_work *k, const uint8_t *msg, size_t len, const struct dns_ask *asked,
	struct answer *out, uint8_t *buf)
{
	struct dns_query q BUF_UNSET;
	struct dns_writer d BUF_UNSET;
	clean_begin(&d, &q, buf, asked, out->ede);
	out->ttl_s = out->complete ? TTL_MAX_S : BARE_NEGATIVE_TTL_S;
	for (unsigned i = 0; i < (unsigned)k->n_answer + k->n_authority; i++) {
		const struct dns_rr *rr = &k->rrs[i];
		uint32_t ttl = rr->ttl_s;
		if (!k->keep[i])
			continue;
		bool authority = i >= k->n_answer;
		if (authority && rr->type == DNS_SOA)
			out->ttl_s = ttl = soa_ttl(msg, rr);
		dns_write_mark(&d, authority ? DNS_AUTHORITY : DNS_ANSWER);
		if (!dns_rr_copy(&d, msg, len, rr, ttl) || !dns_write_keep(&d))
			return 0;
	}
	for (unsigned i = 0; i < k->n_answer; i++)
		if (k->keep[i] && k->rrs[i].ttl_s < out->ttl_s)
			out->ttl_s = k->rrs[i].ttl_s;
	struct dns_end end = { .rcode = out->rcode & 15, .ede = EDE_NONE };
	return dns_write_end(&d, &q, &end);
}

size_t answer_error_write(uint8_t *buf, const struct dns_ask *asked, uint16_t rcode, uint16_t ede)
{
	struct dns_query q BUF_UNSET;
	struct dns_writer d BUF_UNSET;
	clean_begin(&d, &q, buf, asked, ede);
	return dns_write_end(&d, &q, &(struct dns_end) { .rcode = rcode, .ede = EDE_NONE });
}

/* Does the message echo exactly our question? Servers may change its case; no pointer may stand in it, for there is
 * nothing before it to point to. */
static bool question_match(const uint8_t *msg, size_t len, const struct dns_ask *asked, size_t *at)
{
	struct dns_name name BUF_UNSET;
	if (!dns_name_expand(msg, len, DNS_HEADER, &name, at) || len - *at < 4 ||
		*at != (size_t)DNS_HEADER + name.len)
		return false;
	bool same = dns_name_equal(&name, asked->name) && be_get(msg + *at, 2) == asked->type &&
		    be_get(msg + *at + 2, 2) == DNS_IN;
	*at += 4;
	return same;
}

enum answer_read answer_read(struct answer_work *k, const uint8_t *msg, size_t len,
	const struct dns_ask *asked, bool trusted, struct answer *out, uint8_t *buf)
{
	size_t at = DNS_HEADER;
	if (len < DNS_HEADER || be_get(msg, 2) != asked->id || !(msg[2] & 0x80) || msg[2] >> 3 & 15)
		return ANSWER_MISMATCH;
	out->rcode = msg[3] & 15;
	out->ede = EDE_NONE;
	out->truncated = msg[2] & 2;
	out->complete = false;
	dns_name_copy(&out->last, asked->name);
	out->ttl_s = 0;
	out->len = 0;
	unsigned questions = (unsigned)be_get(msg + 4, 2);
	out->no_question = !questions;
	if (out->no_question) /* old servers answer FORMERR to an OPT with a bare header */
		return out->rcode == DNS_FORMERR || out->rcode == DNS_NOTIMP ? ANSWER_OK : ANSWER_MISMATCH;
	if (questions != 1 || !question_match(msg, len, asked, &at))
		return ANSWER_MISMATCH;
	if (!records_read(k, msg, len, at, out))
		return out->truncated ? ANSWER_OK : ANSWER_MALFORMED;
	if (!chain_mark(k, msg, len, asked, out))
		return ANSWER_MALFORMED;
	authority_mark(k, msg, len, asked->dnssec_ok, out);
	ttls_level(k);
	out->len = clean_write(k, msg, len, asked, out, buf);
	if (!out->len)
		return ANSWER_MALFORMED;
	dns_name_fold(&out->last);
	if (trusted && msg[3] & DNS_AD)
		buf[3] |= DNS_AD;
	return ANSWER_OK;
}

/* ---- where it leads ---- */

enum { SVCB_IPV4_HINT = 4, SVCB_IPV6_HINT = 6 };

/* One after the other, each of 4 or 16 bytes. */
static bool any_is_private(const uint8_t *p, size_t len, size_t each, const struct nat64_set *translators)
{
	for (; len >= each; p += each, len -= each) {
		struct addr ip = each == 4 ? addr_v4_bytes(p) : addr_v6_bytes(p);
		if (nat64_is_inside(&ip, translators))
			return true;
	}
	return false;
}

/* The hints of an SVCB or HTTPS record, RFC 9460 2.2. */
static bool hints_are_private(
	const uint8_t *msg, const struct dns_rr *rr, const struct nat64_set *translators)
{
	struct rd r = rd_of(msg + rr->rdata_at, rr->rdata_len);
	bool found = false;
	(void)rd_u16(&r);
	for (uint8_t label; (label = rd_u8(&r)) && !r.bad;)
		(void)rd_take(&r, label);
	while (r.left && !r.bad && !found) {
		unsigned key = rd_u16(&r), n = rd_u16(&r);
		const uint8_t *p = rd_take(&r, n);
		if (p && (key == SVCB_IPV4_HINT || key == SVCB_IPV6_HINT))
			found = any_is_private(p, n, key == SVCB_IPV4_HINT ? 4 : 16, translators);
	}
	return found;
}

bool answer_has_private(const uint8_t *msg, size_t len, const struct nat64_set *translators)
{
	size_t at = dns_name_skip(msg, len, DNS_HEADER) + 4;
	struct dns_rr rr;
	for (unsigned n = (unsigned)be_get(msg + 6, 2); n && dns_rr_next(msg, len, &at, &rr); n--) {
		bool svcb = rr.type == DNS_SVCB || rr.type == DNS_HTTPS;
		if (rr.type == DNS_A && any_is_private(msg + rr.rdata_at, rr.rdata_len, 4, translators))
			return true;
		if (rr.type == DNS_AAAA && any_is_private(msg + rr.rdata_at, rr.rdata_len, 16, translators))
			return true;
		if (svcb && hints_are_private(msg, &rr, translators))
			return true;
	}
	return false;
}

/* ---- joining ---- */

static bool section_copy(struct dns_writer *d, const struct cache_item *from, bool authority)
{
	size_t at = dns_name_skip(from->msg, from->len, DNS_HEADER) + 4;
	unsigned answers = (unsigned)be_get(from->msg + 6, 2),
		 authorities = (unsigned)be_get(from->msg + 8, 2);
	struct dns_rr rr;
	for (unsigned i = 0; i < answers + authorities; i++) {
		if (!dns_rr_next(from->msg, from->len, &at, &rr))
			return false;
		if ((i >= answers) != authority)
			continue;
		dns_write_mark(d, authority ? DNS_AUTHORITY : DNS_ANSWER);
		if (!dns_rr_copy(d, from->msg, from->len, &rr, cache_item_ttl(from, rr.ttl_s)) ||
			!dns_write_keep(d))
			return false;
	}
	return true;
}

size_t answer_join(uint8_t *buf, const struct cache_item *before, const struct cache_item *item)
{
	struct dns_ask asked = { 0 };
	struct dns_name name;
	struct dns_query q;
	struct dns_writer d;
	size_t next;
	if (!dns_name_expand(before->msg, before->len, DNS_HEADER, &name, &next))
		return 0;
	asked.name = &name;
	asked.type = (uint16_t)be_get(before->msg + next, 2);
	clean_begin(&d, &q, buf, &asked, answer_ede(item));
	if (!section_copy(&d, before, false) || !section_copy(&d, item, false) ||
		!section_copy(&d, item, true))
		return 0;
	size_t len = dns_write_end(&d, &q, &(struct dns_end) { .rcode = item->msg[3] & 15, .ede = EDE_NONE });
	buf[2] |= item->msg[2] & DNS_TC >> 8;
	buf[3] |= before->msg[3] & item->msg[3] & DNS_AD;
	return len;
}

/* ---- replying ---- */

/* How much of the clean message fits into `room` bytes when cut between RRsets; counts are set in buf. */
static size_t cut(uint8_t *buf, size_t len, size_t at, size_t room)
{
	unsigned left[2] = { (unsigned)be_get(buf + 6, 2), (unsigned)be_get(buf + 8, 2) };
	unsigned kept[2] = { 0, 0 }, run = 0;
	size_t end = at;
	uint16_t type = 0;
	for (unsigned s = 0; s < 2; s++) {
		run = 0;
		for (unsigned i = 0; i <= left[s]; i++) {
			struct dns_rr rr = { 0 };
			size_t from = at;
			bool more = i < left[s] && dns_rr_next(buf, len, &at, &rr);
			if (run && (!more || rr.type != type)) { /* an RRset ended at `from` */
				if (from > room)
					goto done;
				kept[s] += run;
				end = from;
				run = 0;
			}
			type = rr.type;
			run++;
		}
	}
done:
	be_put(buf + 6, 2, kept[0]);
	be_put(buf + 8, 2, kept[1]);
	return end;
}

uint16_t answer_ede(const struct cache_item *item)
{
	if (item->stale)
		return (item->msg[3] & 15) == DNS_NXDOMAIN ? EDE_STALE_NXDOMAIN : EDE_STALE;
	return (uint16_t)be_get(item->msg, 2);
}

static void ttls_set(uint8_t *buf, size_t at, const struct cache_item *item)
{
	struct dns_rr rr;
	while ((item->age_s || item->stale) && at < item->len && dns_rr_next(buf, item->len, &at, &rr))
		be_put(buf + rr.rdata_at - 6, 4, cache_item_ttl(item, rr.ttl_s));
}

void answer_copy(uint8_t *buf, const struct cache_item *item)
{
	memcpy(buf, item->msg, item->len);
	ttls_set(buf, dns_name_skip(buf, item->len, DNS_HEADER) + 4, item);
	be_put(buf, 2, answer_ede(item));
}

size_t answer_reply(uint8_t *buf, size_t cap, const struct dns_query *q, const struct cache_item *item)
{
	const uint8_t *msg = item->msg;
	size_t len = item->len;
	struct dns_end end = { .flags = msg[2] << 8 & DNS_TC, .rcode = msg[3] & 15 };
	size_t most = cap < q->size ? cap : q->size;
	size_t room = most - (q->edns ? DNS_OPT_LEN : 0), at = DNS_HEADER + q->question_len;
	end.ede = answer_ede(item);
	memcpy(buf, msg, len);
	memcpy(buf + DNS_HEADER, q->question, q->question_len);
	if (q->ad || q->dnssec_ok)
		end.flags |= msg[3] & DNS_AD;
	ttls_set(buf, at, item);
	if (len > room) {
		len = cut(buf, len, at, room);
		end.flags |= DNS_TC;
	}
	return dns_write_opt(buf, len, most, q, &end);
}
