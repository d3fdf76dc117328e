#include "simnet/service/dns_reply.h"

#include "mesh/base/text.h"
#include "mesh/base/wire.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	TYPE_A = 1,
	TYPE_CNAME = 5,
	TYPE_TXT = 16,
	TYPE_AAAA = 28,
	TYPE_OPT = 41,
	TYPE_ANY = 255,
	CLASS_IN = 1
};
enum { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };
enum {
	FLAG_QR = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080
};
enum { NAME_TEXT = 256, CHAIN_MAX = 8, PLAIN_UDP = 512, TTL_S = 30 };

/* ---- records ---- */

static bool write_name(struct wr *w, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");
		if (!len || len > 63)
			return false;
		wr_u8(w, (uint8_t)len);
		wr_bytes(w, name, len);
		name += len + (name[len] == '.');
	}
	wr_u8(w, 0);
	return !w->bad;
}

static bool write_data(struct wr *w, uint16_t type, const char *value)
{
	struct addr ip;

	if (type == TYPE_A || type == TYPE_AAAA) {
		if (!addr_parse(value, &ip) || addr_is_v4(&ip) != (type == TYPE_A))
			return false;
		wr_bytes(w, ip.b + (type == TYPE_A ? 12 : 0), type == TYPE_A ? 4 : 16);
		return true;
	}
	if (type == TYPE_CNAME)
		return write_name(w, value);
	size_t len = strlen(value);
	if (len > 255)
		return false;
	wr_u8(w, (uint8_t)len);
	wr_bytes(w, value, len);
	return !w->bad;
}

static uint16_t type_of(const char *word)
{
	static const struct {
		const char *word;
		uint16_t type;
	} types[] = { { "A", TYPE_A }, { "AAAA", TYPE_AAAA }, { "CNAME", TYPE_CNAME }, { "TXT", TYPE_TXT } };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strcasecmp(types[i].word, word))
			return types[i].type;
	return 0;
}

static int add_record(struct dns_records *r, const char *line, struct errbuf *eb)
{
	char name[NAME_TEXT], type[8], lower[NAME_TEXT];
	int at = 0;
	uint8_t data[NAME_TEXT + 2];
	struct wr w = wr_of(data, sizeof(data));

	if (sscanf(line, " %255s %7s %n", name, type, &at) < 2 || !at || !line[at])
		return err_say(eb, -EINVAL, "'%.100s' is no record; write NAME TYPE VALUE", line);
	if (!type_of(type))
		return err_say(eb, -EINVAL, "'%s' in '%.100s' is none of A AAAA CNAME TXT", type, line);
	size_t len = strlen(name);
	if (len && name[len - 1] == '.')
		name[len - 1] = '\0';
	if (!text_lower(name, lower, sizeof(lower)) || !write_data(&w, type_of(type), line + at))
		return err_say(eb, -EINVAL, "'%.100s' in '%.100s' is no value of that type", line + at, line);
	if (r->n == DNS_RECORDS_MAX)
		return err_say(eb, -EINVAL, "more than %d records", DNS_RECORDS_MAX);
	struct dns_record *to = &r->v[r->n];
	uint8_t *kept = arena_alloc(&r->arena, w.len);
	*to = (struct dns_record) {
		.name = arena_strdup(&r->arena, lower), .type = type_of(type), .data = kept, .len = w.len
	};
	if (!to->name || !kept)
		return err_say(eb, -ENOMEM, "out of memory");
	memcpy(kept, data, w.len);
	r->n++;
	return 0;
}

int dns_records_parse(const char *text, struct dns_records *out, struct errbuf *eb)
{
	int err = 0;

	*out = (struct dns_records) { 0 };
	while (*text && !err) {
		char line[2 * NAME_TEXT];
		size_t len = strcspn(text, ";"), used = len;
		while (used && (text[used - 1] == ' ' || text[used - 1] == '\n'))
			used--;
		if (used >= sizeof(line)) {
			err = err_say(eb, -EINVAL, "a record is at most %zu letters", sizeof(line));
		} else if (strspn(text, " \n") < used) {
			snprintf(line, sizeof(line), "%.*s", (int)used, text);
			err = add_record(out, line, eb);
		}
		text += len + (text[len] == ';');
	}
	if (err)
		dns_records_free(out);
	return err;
}

void dns_records_free(struct dns_records *r)
{
	arena_free(&r->arena);
	r->n = 0;
}

/* ---- the question ---- */

struct dns_question {
	uint16_t id, flags, type, class;
	const uint8_t *name; /* on the wire, with type and class behind it */
	size_t name_len;     /* of all three */
	char text[NAME_TEXT];
	size_t room; /* that the asker has for an answer by UDP */
	bool edns;
};

/* No pointers: a question's name is the first in its message. */
static bool read_name(struct rd *r, char text[static NAME_TEXT])
{
	size_t at = 0;

	for (;;) {
		size_t len = rd_u8(r);
		const uint8_t *label = rd_take(r, len <= 63 ? len : SIZE_MAX);
		if (r->bad || at + len + 1 >= NAME_TEXT)
			return false;
		if (!len)
			break;
		if (at)
			text[at++] = '.';
		for (size_t i = 0; i < len; i++) {
			if (label[i] <= ' ' || label[i] >= 0x7f || label[i] == '.')
				return false;
			text[at++] =
				(char)(label[i] >= 'A' && label[i] <= 'Z' ? label[i] - 'A' + 'a' : label[i]);
		}
	}
	text[at] = '\0';
	return true;
}

static bool read_question(struct rd r, struct dns_question *q)
{
	*q = (struct dns_question) { .id = rd_u16(&r), .room = PLAIN_UDP };
	q->flags = rd_u16(&r);
	uint16_t questions = rd_u16(&r), answers = rd_u16(&r), authority = rd_u16(&r), more = rd_u16(&r);
	const uint8_t *start = r.p;

	if (r.bad || questions != 1 || answers || authority || (q->flags & (FLAG_QR | FLAG_OPCODE)) ||
		!read_name(&r, q->text))
		return false;
	q->type = rd_u16(&r);
	q->class = rd_u16(&r);
	if (r.bad)
		return false;
	q->name = start;
	q->name_len = (size_t)(r.p - start);
	/* Of what follows only an OPT record right behind it counts. */
	if (more && rd_u8(&r) == 0 && rd_u16(&r) == TYPE_OPT) {
		uint16_t room = rd_u16(&r);
		q->edns = !r.bad;
		q->room = room > PLAIN_UDP ? room : PLAIN_UDP;
	}
	return true;
}

/* ---- the answer ---- */

static void put_record(struct wr *w, const char *name, uint16_t type, const uint8_t *data, size_t len)
{
	if (!write_name(w, name))
		w->bad = true;
	wr_u16(w, type);
	wr_u16(w, CLASS_IN);
	wr_u32(w, TTL_S);
	wr_u16(w, (uint16_t)len);
	wr_bytes(w, data, len);
}

/* RFC 6147 5.1.7: what there is of A, behind the prefix. Of type A: what everybody knows. How many. */
static unsigned put_dns64(struct wr *w, const struct dns_records *records, const char *name, uint16_t type)
{
	static const uint8_t well_known[][4] = { { 192, 0, 0, 170 }, { 192, 0, 0, 171 } };
	bool only4 = !strcmp(name, NAT64_NAME);
	unsigned n = 0;

	for (size_t i = 0; i < records->n + (only4 ? ARRAY_LEN(well_known) : 0); i++) {
		const struct dns_record *r = i < records->n ? &records->v[i] : NULL;
		if (r && (r->type != TYPE_A || strcmp(r->name, name) != 0))
			continue;
		struct addr four = addr_v4_bytes(r ? r->data : well_known[i - records->n]);
		struct addr six = nat64_embed(&records->dns64, &four);
		put_record(w, name, type, type == TYPE_A ? four.b + 12 : six.b, type == TYPE_A ? 4 : 16);
		n++;
	}
	return n;
}

/* How many were put, and whether the name, or one that it is an alias of, is there at all. */
static unsigned put_answers(
	struct wr *w, const struct dns_records *records, const struct dns_question *q, bool *exists)
{
	char name[NAME_TEXT];
	unsigned n = 0;

	snprintf(name, sizeof(name), "%s", q->text);
	for (int links = 0; links < CHAIN_MAX; links++) {
		const struct dns_record *alias = NULL;
		unsigned found = 0;
		for (size_t i = 0; i < records->n; i++) {
			const struct dns_record *r = &records->v[i];
			if (strcmp(r->name, name) != 0)
				continue;
			*exists = true;
			if (r->type == q->type || q->type == TYPE_ANY) {
				put_record(w, name, r->type, r->data, r->len);
				found++;
			} else if (r->type == TYPE_CNAME) {
				alias = r;
			}
		}
		if (!found && !alias && (q->type == TYPE_AAAA || q->type == TYPE_A) && records->dns64.bits)
			found = put_dns64(w, records, name, q->type);
		n += found;
		if (found || !alias)
			break;
		put_record(w, name, TYPE_CNAME, alias->data, alias->len);
		n++;
		struct rd target = rd_of(alias->data, alias->len);
		if (!read_name(&target, name))
			break;
	}
	return n;
}

/* What the faults say of it before the records are looked at; -1: nothing. */
static int rcode_of_faults(const struct faults *f, const struct dns_question *q)
{
	if (f->all_servfail || faults_name_in(f->servfail, q->text))
		return SERVFAIL;
	if (f->refused || (*f->scope && !faults_name_in(f->scope, q->text)))
		return REFUSED;
	if (faults_name_in(f->nxdomain, q->text))
		return NXDOMAIN;
	return -1;
}

size_t dns_reply_write(const struct dns_records *records, const struct faults *f, bool tcp,
	const uint8_t *question, size_t len, uint8_t out[static DNS_REPLY_MAX])
{
	struct dns_question q;
	struct wr w = wr_of(out, DNS_REPLY_MAX);
	bool exists = false, cut = false;
	unsigned n = 0;

	if (!read_question(rd_of(question, len), &q) || f->dead || (tcp && f->no_tcp) ||
		faults_name_in(f->silent, q.text))
		return 0;
	wr_zero(&w, 12);
	wr_bytes(&w, q.name, q.name_len);
	size_t head = w.len;
	int rcode = q.class == CLASS_IN ? rcode_of_faults(f, &q) : REFUSED;
	if (rcode < 0 && f->lies && q.type == TYPE_A) {
		put_record(&w, q.text, TYPE_A, f->lie.b + 12, 4);
		n = 1;
	} else if (rcode < 0) {
		n = put_answers(&w, records, &q, &exists);
		rcode = exists || n ? NOERROR : NXDOMAIN;
	}
	rcode = rcode < 0 ? NOERROR : rcode;
	if (w.bad || (!tcp && (f->truncate || w.len + 11 > q.room))) {
		w = (struct wr) { .p = out, .cap = DNS_REPLY_MAX, .len = head };
		cut = true;
		n = 0;
	}
	if (q.edns) {
		static const uint8_t opt[] = { 0, 0, TYPE_OPT, 4, 0xd0, 0, 0, 0, 0, 0,
			0 }; /* room for 1232 bytes */
		wr_bytes(&w, opt, sizeof(opt));
	}
	be_put(out, 2, q.id);
	be_put(out + 2, 2,
		(unsigned)(FLAG_QR | FLAG_AA | FLAG_RA | (q.flags & FLAG_RD) | (cut ? FLAG_TC : 0) | rcode));
	be_put(out + 4, 2, 1);
	be_put(out + 6, 2, n);
	be_put(out + 10, 2, q.edns);
	return w.bad ? 0 : w.len;
}
