/* Our readers beside libknot and ldns, on the same bytes: the seeds of the fuzz targets and thousands of messages made of
 * them. What libknot refuses is refused here, but for the rows of a table; what is taken says the same everywhere. */
#include "resolver/test/fake.h"
#include <dirent.h>
#include <ldns/ldns.h>
#include <libknot/libknot.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A_A "0161 00 0001 0001 "

enum { LONGEST = 4096, SEEDS_MAX = 400, MADE_OF_EACH = 120, RECORDS_MAX = 256 };

struct message {
	size_t len;
	uint8_t b[LONGEST];
};
struct record {
	unsigned section;
	uint16_t type, class;
	uint32_t ttl_s;
	struct dns_name owner; /* lower case */
};
/* What a message says, whoever read it. */
struct said {
	struct dns_name name; /* lower case */
	uint16_t type, class;
	size_t n;
	struct record records[RECORDS_MAX];
};

static struct message seeds[SEEDS_MAX];
static size_t n_seeds;

static int seeds_read(void **state)
{
	static const char *const folders[] = { "query", "answer", "present" };
	const char *root = getenv("RW_SOURCE_DIR");
	char path[1024];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/resolver/fuzz/%s_fuzz.seeds", root ? root : ".", folders[i]);
		struct dirent **found = NULL;
		int n = scandir(path, &found, NULL, alphasort);
		for (int e = 0; e < n; e++) {
			char file[2048];
			snprintf(file, sizeof(file), "%s/%s", path, found[e]->d_name);
			FILE *f = found[e]->d_name[0] == '.' ? NULL : fopen(file, "r");
			free(found[e]);
			if (!f)
				continue;
			assert_true(n_seeds < SEEDS_MAX);
			seeds[n_seeds].len = fread(seeds[n_seeds].b, 1, LONGEST, f);
			n_seeds++;
			fclose(f);
		}
		free(found);
	}
	return n_seeds < 90; /* it is run in the tree */
}

/* ---- messages made of others ---- */

static uint32_t dice_state;

static uint32_t dice(uint32_t below)
{
	dice_state = dice_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(dice_state >> 8) * below >> 24);
}

/* A record of it, whole in its bounds. false: there is none. */
static bool record_pick(const struct message *m, struct dns_rr *rr)
{
	size_t at = m->len < DNS_HEADER ? 0 : dns_name_skip(m->b, m->len, DNS_HEADER);
	struct dns_rr found[64];
	uint32_t n = 0;
	if (!at)
		return false;
	for (at += 4; n < ARRAY_LEN(found) && at < m->len && dns_rr_next(m->b, m->len, &at, &found[n]);)
		n++;
	if (n)
		*rr = found[dice(n)];
	return n;
}

/* `more` bytes of chance come to m at `at`, or go from there. */
static void resize(struct message *m, size_t at, int more)
{
	if (more < 0) {
		size_t gone = (size_t)-more > m->len - at ? m->len - at : (size_t)-more;
		memmove(m->b + at, m->b + at + gone, m->len - at - gone);
		m->len -= gone;
		return;
	}
	if (m->len + (size_t)more > LONGEST)
		return;
	memmove(m->b + at + more, m->b + at, m->len - at);
	for (int i = 0; i < more; i++)
		m->b[at + (size_t)i] = (uint8_t)dice(256);
	m->len += (size_t)more;
}

static void record_change(struct message *m)
{
	static const uint16_t types[] = { 249, 250, 251, 252, 255, 256, 257, 65280 };
	struct dns_rr rr;
	if (!record_pick(m, &rr))
		return;
	size_t fixed = rr.rdata_at - 10;
	int more = (int)dice(9) - 4;
	switch (dice(4)) {
	case 0: /* RDATA longer or shorter, and its length says so */
		if (more < 0 && -more > rr.rdata_len)
			more = -rr.rdata_len;
		resize(m, rr.rdata_at + (more < 0 ? rr.rdata_len + (size_t)more : rr.rdata_len), more);
		be_put(m->b + fixed + 8, 2, rr.rdata_len + (uint64_t)more);
		return;
	case 1: be_put(m->b + fixed, 2, dice(4) ? 1 + dice(110) : types[dice(ARRAY_LEN(types))]); return;
	case 2: be_put(m->b + fixed + 2, 2, dice(5)); return;
	default: /* once more, at the end */
		if (m->len + 12u + rr.rdata_len > LONGEST)
			return;
		memmove(m->b + m->len, m->b + rr.name_at, rr.rdata_at + rr.rdata_len - rr.name_at);
		m->len += rr.rdata_at + rr.rdata_len - rr.name_at;
		m->b[11]++;
	}
}

static void change(struct message *m)
{
	static const uint8_t telling[] = { 0, 1, 0x0c, 0x29, 0x3f, 0x40, 0x80, 0xc0, 0xff };
	if (!m->len)
		return;
	size_t at = dice(4) && m->len > 4 ? 4 + dice((uint32_t)m->len - 4) : dice((uint32_t)m->len);
	switch (dice(10)) {
	case 0: m->b[at] ^= (uint8_t)(1u << dice(8)); break;
	case 1: m->b[at] = (uint8_t)dice(256); break;
	case 2: m->b[at] = telling[dice(ARRAY_LEN(telling))]; break;
	case 3: m->b[at] += dice(2) ? 1 : 0xff; break;
	case 4: resize(m, at, 1 - 2 * (int)dice(2)); break;
	case 5: resize(m, dice(2) ? m->len : at, 1 + (int)dice(12)); break;
	default: record_change(m);
	}
}

/* ---- what each says ---- */

static void name_of(struct dns_name *out, const uint8_t *wire, size_t len)
{
	assert_in_range(len, 1, DNS_NAME_MAX);
	dns_fold(out->b, wire, len);
	out->len = (uint8_t)len;
}

static void said_by_us(struct said *s, const struct message *m)
{
	size_t at = DNS_HEADER, next = 0;
	struct dns_rr rr = { 0 };
	assert_true(dns_name_expand(m->b, m->len, at, &s->name, &at));
	dns_name_fold(&s->name);
	s->type = (uint16_t)be_get(m->b + at, 2);
	s->class = (uint16_t)be_get(m->b + at + 2, 2);
	at += 4;
	s->n = 0;
	for (unsigned section = 1; section < 4; section++)
		for (uint64_t n = be_get(m->b + 4 + 2 * section, 2); n; n--) {
			struct record *r = &s->records[s->n++];
			size_t from = at;
			assert_true(s->n <= RECORDS_MAX);
			assert_true(dns_rr_next(m->b, m->len, &at, &rr) &&
				    dns_name_expand(m->b, m->len, from, &r->owner, &next));
			dns_name_fold(&r->owner);
			*r = (struct record) { section, rr.type, rr.class, rr.ttl_s, r->owner };
		}
}

static void said_by_knot(struct said *s, const knot_pkt_t *pkt)
{
	name_of(&s->name, knot_pkt_wire_qname(pkt), pkt->qname_size);
	s->type = knot_pkt_qtype(pkt);
	s->class = knot_pkt_qclass(pkt);
	s->n = 0;
	for (unsigned section = 0; section < 3; section++)
		for (uint16_t i = 0; i < pkt->sections[section].count; i++) {
			const knot_rrset_t *rr = knot_pkt_rr(&pkt->sections[section], i);
			struct record *r = &s->records[s->n++];
			*r = (struct record) { section + 1, rr->type, rr->rclass, rr->ttl, { 0 } };
			name_of(&r->owner, rr->owner, knot_dname_size(rr->owner));
		}
}

/* ldns keeps no OPT among the records. */
static void said_by_ldns(struct said *s, const ldns_pkt *pkt)
{
	const ldns_rr_list *sections[] = { ldns_pkt_answer(pkt), ldns_pkt_authority(pkt),
		ldns_pkt_additional(pkt) };
	const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(pkt), 0);
	const ldns_rdf *name = ldns_rr_owner(question);
	name_of(&s->name, ldns_rdf_data(name), ldns_rdf_size(name));
	s->type = ldns_rr_get_type(question);
	s->class = ldns_rr_get_class(question);
	s->n = 0;
	for (unsigned section = 0; section < 3; section++)
		for (size_t i = 0; i < ldns_rr_list_rr_count(sections[section]); i++) {
			const ldns_rr *rr = ldns_rr_list_rr(sections[section], i);
			struct record *r = &s->records[s->n++];
			*r = (struct record) { section + 1, ldns_rr_get_type(rr), ldns_rr_get_class(rr),
				ldns_rr_ttl(rr), { 0 } };
			name_of(&r->owner, ldns_rdf_data(ldns_rr_owner(rr)),
				ldns_rdf_size(ldns_rr_owner(rr)));
		}
}

static bool said_equal(const struct said *a, const struct said *b)
{
	bool same = a->type == b->type && a->class == b->class && dns_name_equal(&a->name, &b->name) &&
		    a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++) {
		const struct record *x = &a->records[i], *y = &b->records[i];
		same = x->section == y->section && x->type == y->type && x->class == y->class &&
		       x->ttl_s == y->ttl_s && dns_name_equal(&x->owner, &y->owner);
	}
	return same;
}

/* ---- taken by us? ---- */

static bool query_taken(const struct message *m)
{
	struct dns_query q;
	return dns_query_read(m->b, m->len, true, &q) == DNS_READ_OK;
}

static uint8_t clean[DNS_MESSAGE_MAX];
static size_t clean_len;

/* The question is what the message says it is. */
static bool answer_taken(const struct message *m)
{
	static struct answer_work work;
	struct dns_ask ask = { .edns = true, .dnssec_ok = true };
	struct dns_name name;
	struct answer a = { 0 };
	size_t next;
	if (m->len < DNS_HEADER || !dns_name_expand(m->b, m->len, DNS_HEADER, &name, &next) ||
		m->len - next < 4)
		return false;
	dns_name_fold(&name);
	ask.id = (uint16_t)be_get(m->b, 2);
	ask.type = (uint16_t)be_get(m->b + next, 2);
	ask.name = &name;
	bool taken = answer_read(&work, m->b, m->len, &ask, true, &a, clean) == ANSWER_OK && a.len;
	clean_len = a.len;
	return taken;
}

/* ---- what we take and libknot does not ---- */

static bool tail_cut(struct message *m)
{
	size_t at = dns_name_skip(m->b, m->len, DNS_HEADER) + 4, len = m->len;
	struct dns_rr rr;
	for (uint64_t n = be_get(m->b + 6, 2) + be_get(m->b + 8, 2) + be_get(m->b + 10, 2); n; n--)
		assert_true(dns_rr_next(m->b, m->len, &at, &rr));
	m->len = at;
	return at < len;
}

/* Records of one type without RDATA get another type or class. */
static bool empty_change(
	struct message *m, uint16_t type, uint16_t class, uint16_t new_type, uint16_t new_class)
{
	size_t at = dns_name_skip(m->b, m->len, DNS_HEADER) + 4;
	struct dns_rr rr;
	bool found = false;
	while (at < m->len && dns_rr_next(m->b, m->len, &at, &rr)) {
		if (rr.type != type || rr.class != class || rr.rdata_len)
			continue;
		be_put(m->b + rr.rdata_at - 10, 2, new_type);
		be_put(m->b + rr.rdata_at - 8, 2, new_class);
		found = true;
	}
	return found;
}

static bool size_raise(struct message *m)
{
	return empty_change(m, DNS_OPT, 1, DNS_OPT, DNS_UDP_PLAIN);
}

static bool null_rename(struct message *m)
{
	return empty_change(m, 10, DNS_IN, 65280, DNS_IN);
}

/* A pointer to nothing but the root becomes one to the name in question. */
static bool roots_move(struct message *m)
{
	bool found = false;
	for (size_t at = DNS_HEADER; at + 1 < m->len; at++) {
		size_t to = be_get(m->b + at, 2) & 0x3fff;
		if (m->b[at] < 0xc0 || to >= at || m->b[to])
			continue;
		be_put(m->b + at, 2, 0xc000 | DNS_HEADER);
		found = true;
	}
	return found;
}

/* Each makes of a message what libknot takes as well, when it is the reason; false: it is not. */
static struct {
	const char *what;
	bool (*mend)(struct message *m);
	unsigned n;
} exceptions[] = {
	{ "bytes behind the counted records: nothing of ours has them (B7)", tail_cut, 0 },
	{ "an OPT with a size of 1: as 512 (RFC 6891 6.2.3); libknot thinks of class IN", size_raise, 0 },
	{ "a pointer to the root: longer than it need be, and nothing else (RFC 1035 4.1.4)", roots_move, 0 },
	{ "NULL without a byte: \"anything at all\" (RFC 1035 3.3.10)", null_rename, 0 },
};

/* ---- side by side ---- */

static unsigned refused_by_both, taken_by_both, taken_by_ldns;

static void fail_with(const struct message *m, const char *what)
{
	static char hex[2 * LONGEST + 1];
	for (size_t i = 0; i < m->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", m->b[i]);
	hex[2 * m->len] = 0;
	fail_msg("%s: %s", what, hex);
}

/* NULL: refused. Its bytes are m's. */
static knot_pkt_t *knot_read(struct message *m)
{
	knot_pkt_t *pkt = knot_pkt_new(m->b, (uint16_t)m->len, NULL);
	assert_non_null(pkt);
	if (knot_pkt_parse(pkt, KNOT_PF_KEEPWIRE) == KNOT_EOK)
		return pkt;
	knot_pkt_free(pkt);
	return NULL;
}

/* Records whose end we know by their length alone. ldns reads on where what it knows of them ends, whatever the length
 * says, and finds other records behind them. */
static bool has_opaque(const struct said *s)
{
	bool found = false;
	for (size_t i = 0; i < s->n; i++)
		found |= strpbrk(dns_rdata_form(s->records[i].type), "*+") != NULL;
	return found;
}

static void ldns_compare(const struct message *m, struct said *ours)
{
	static struct said theirs;
	ldns_pkt *pkt;
	size_t n = 0;
	for (size_t i = 0; i < ours->n; i++) {
		if (ours->records[i].type == DNS_TSIG) /* it leaks then */
			return;
		if (ours->records[i].type != DNS_OPT)
			ours->records[n++] = ours->records[i];
	}
	ours->n = n;
	if (ldns_wire2pkt(&pkt, m->b, m->len) != LDNS_STATUS_OK)
		return;
	said_by_ldns(&theirs, pkt);
	ldns_pkt_free(pkt);
	bool same = said_equal(ours, &theirs);
	if (!same && !has_opaque(ours))
		fail_with(m, "ldns reads something else");
	taken_by_ldns += same;
}

static bool record_equal(const knot_rrset_t *a, const knot_rrset_t *b)
{
	const knot_rdata_t *x = a->rrs.rdata, *y = b->rrs.rdata;
	return a->type == b->type && a->rclass == b->rclass && knot_dname_is_case_equal(a->owner, b->owner) &&
	       x->len == y->len && memcmp(x->data, y->data, x->len) == 0;
}

/* What is kept of an answer are records of it, whole, in their order. */
static void kept_compare(const struct message *m, const knot_pkt_t *whole)
{
	static struct message copy;
	if (clean_len > LONGEST)
		return;
	copy.len = clean_len;
	memcpy(copy.b, clean, clean_len);
	knot_pkt_t *kept = knot_read(&copy);
	if (!kept) {
		fail_with(m, "libknot refuses what we made of it");
		return;
	}
	for (unsigned section = 0; section < 3; section++) {
		const knot_pktsection_t *from = &whole->sections[section], *to = &kept->sections[section];
		uint16_t at = 0;
		for (uint16_t i = 0; i < to->count; i++, at++) {
			while (at < from->count && !record_equal(knot_pkt_rr(from, at), knot_pkt_rr(to, i)))
				at++;
			if (at == from->count)
				fail_with(m, "a record came to it");
		}
	}
	knot_pkt_free(kept);
}

static void compare(const struct message *m, bool answer)
{
	static struct said ours, theirs;
	static struct message copy;
	bool taken = answer ? answer_taken(m) : query_taken(m), mended = false;
	copy = *m;
	knot_pkt_t *pkt = knot_read(&copy);
	refused_by_both += !taken && !pkt;
	if (taken && !pkt) {
		copy = *m;
		mended = true;
		for (size_t i = 0; i < ARRAY_LEN(exceptions) && !pkt; i++)
			if (exceptions[i].mend(&copy)) {
				exceptions[i].n++;
				pkt = knot_read(&copy);
			}
		if (!pkt)
			fail_with(m, answer ? "an answer that libknot refuses"
					    : "a question that libknot refuses");
	}
	if (taken) {
		taken_by_both += !mended;
		said_by_us(&ours, &copy);
		said_by_knot(&theirs, pkt);
		if (!said_equal(&ours, &theirs))
			fail_with(m, "libknot reads something else");
		if (answer && !mended)
			kept_compare(m, pkt);
		ldns_compare(&copy, &ours);
	}
	knot_pkt_free(pkt);
}

/* Each exception, and what was an exception once. */
static void test_rows(void **state)
{
	static const struct {
		const char *id;
		bool answer, taken;
		const char *hex;
	} rows[] = {
		{ "trailing bytes", false, true, "0001 0100 0001 0000 0000 0000" A_A "ff" },
		{ "size 1", false, true, "0001 0100 0001 0000 0000 0001" A_A "00 0029 0001 00000000 0000" },
		{ "trailing bytes", true, true, "0001 8180 0001 0001 0000 0000" A_A A_RECORD "ff" },
		{ "a pointer to the root", true, true,
			"0001 8180 0001 0001 0000 0000 0161 00 000f 0001 c00c 000f 0001 00000000 0004 000a "
			"c00e" },
		{ "NULL of 0", true, true,
			"0001 8180 0001 0001 0000 0000 0161 00 000a 0001 c00c 000a 0001 00000000 0000" },
		{ "a pointer in the question", true, false,
			"0001 8180 0001 0001 0000 0000 0161 c006 0001 0001 c00c 0001 0001 00000000 0004 "
			"c6336407" },
		{ "a question in another class", true, false,
			"0001 8180 0001 0001 0000 0000 0161 00 0001 0003 c00c 0001 0003 00000000 0004 "
			"c6336407" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct message m;
		m.len = fake_hex(rows[i].hex, m.b, LONGEST);
		if ((rows[i].answer ? answer_taken(&m) : query_taken(&m)) != rows[i].taken)
			fail_msg("%s", rows[i].id);
		compare(&m, rows[i].answer);
	}
	for (size_t i = 0; i < ARRAY_LEN(exceptions); i++) /* none is there for nothing */
		if (!exceptions[i].n)
			fail_msg("nothing has %s", exceptions[i].what);
}

static void test_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_seeds; i++)
		for (unsigned made = 0; made <= MADE_OF_EACH; made++) {
			struct message m = seeds[i];
			dice_state = (uint32_t)(i * 1000 + made);
			for (unsigned n = made ? 1 + dice(3) : 0; n; n--)
				change(&m);
			compare(&m, false);
			compare(&m, true);
		}
	print_message("taken by both: %u, by ldns too: %u; refused by both: %u\n", taken_by_both,
		taken_by_ldns, refused_by_both);
	for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
		print_message("%4u x %s\n", exceptions[i].n, exceptions[i].what);
	assert_true(taken_by_both > 2000 && taken_by_ldns > 2000 &&
		    refused_by_both > 5000); /* it was about something */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_same) };
	return cmocka_run_group_tests(tests, seeds_read, NULL);
}
