#include "resolver/present.h"

#include "mesh/base/text.h"
#include "resolver/answer.h"
#include "resolver/rdata_text.h"
#include <ldns/ldns.h>

enum { OPTION_EDE = 15, REASON_MAX = 200 };

const char *present_rcode(unsigned rcode)
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
		"REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE" };
	if (rcode == DNS_BADVERS)
		return "BADVERS";
	return rcode < ARRAY_LEN(names) ? names[rcode] : "unknown";
}

/* What our reader of answers would take, without asking that it answers a question of ours. TSIG makes ldns
 * leak. */
static bool is_sound(const uint8_t *msg, size_t len, unsigned *rcode)
{
	size_t at = DNS_HEADER, next;
	struct dns_name n;
	struct dns_rr rr;
	if (len < DNS_HEADER || be_get(msg + 4, 2) > 1)
		return false;
	*rcode = msg[3] & 15;
	if (be_get(msg + 4, 2)) {
		if (!dns_name_expand(msg, len, at, &n, &at) || len - at < 4)
			return false;
		at += 4;
	}
	unsigned total = (unsigned)(be_get(msg + 6, 2) + be_get(msg + 8, 2) + be_get(msg + 10, 2)), opts = 0;
	for (unsigned i = 0; i < total; i++) {
		size_t from = at;
		if (!dns_rr_next(msg, len, &at, &rr) || !dns_name_expand(msg, len, from, &n, &next))
			return false;
		if (!dns_rdata_fits(msg, &rr) || rr.type == DNS_TSIG)
			return false;
		if (rr.type == DNS_OPT) {
			if (opts++ || n.len != 1)
				return false;
			*rcode |= rr.ttl_s >> 24 << 4;
		}
	}
	return at == len;
}

static bool section_write(const ldns_rr_list *list, struct buf *out)
{
	bool ok = true;
	for (size_t i = 0; ok && i < ldns_rr_list_rr_count(list); i++) {
		char *text = ldns_rr2str(ldns_rr_list_rr(list, i));
		ok = text && buf_printf(out, "%s", text);
		free(text);
	}
	return ok;
}

bool present_message(const uint8_t *msg, size_t len, struct buf *out)
{
	ldns_pkt *pkt;
	unsigned rcode;
	if (!is_sound(msg, len, &rcode) || ldns_wire2pkt(&pkt, msg, len) != LDNS_STATUS_OK)
		return false;
	bool ok = buf_printf(out, "%s\n", present_rcode(rcode)) && section_write(ldns_pkt_answer(pkt), out) &&
		  section_write(ldns_pkt_authority(pkt), out) && section_write(ldns_pkt_additional(pkt), out);
	ldns_pkt_free(pkt);
	return ok;
}

/* RFC 8914 4. */
static const char *reason_text(unsigned code)
{
	static const char *const texts[] = { "another error", "unsupported DNSKEY algorithm",
		"unsupported DS digest type", "an answer that is past its time", "a forged answer",
		"DNSSEC: it cannot be told", "DNSSEC: it is bogus", "DNSSEC: a signature has expired",
		"DNSSEC: a signature is not yet valid", "DNSSEC: a DNSKEY is missing",
		"DNSSEC: signatures are missing", "DNSSEC: no key of the zone", "DNSSEC: an NSEC is missing",
		"an error that was kept", "not ready", "blocked", "censored", "filtered", "prohibited",
		"an NXDOMAIN that is past its time", "not an authority", "not supported",
		"no reachable authority", "network error", "invalid data" };
	return code < ARRAY_LEN(texts) ? texts[code] : "an error without a name";
}

/* Of the answer's OPT, the first extended error: text NULL = there is none. */
static const uint8_t *reason_find(const uint8_t *msg, const struct dns_rr *opt, unsigned *code, size_t *len)
{
	struct rd r = { .p = msg + opt->rdata_at, .left = opt->rdata_len };
	while (!r.bad && r.left) {
		uint16_t option = rd_u16(&r);
		struct rd value = rd_sub(&r, rd_u16(&r));
		*code = option == OPTION_EDE ? rd_u16(&value) : 0;
		if (option == OPTION_EDE && !r.bad && !value.bad) {
			*len = value.left;
			return value.p;
		}
	}
	return NULL;
}

bool present_reason(const uint8_t *msg, size_t len, struct buf *out)
{
	char said[REASON_MAX + 1];
	unsigned rcode, code = 0;
	size_t at = DNS_HEADER, said_len = 0;
	const uint8_t *text = NULL;
	struct dns_rr rr;
	if (!is_sound(msg, len, &rcode))
		return false;
	if (be_get(msg + 4, 2))
		at = dns_name_skip(msg, len, at) + 4;
	while (!text && at < len && dns_rr_next(msg, len, &at, &rr))
		if (rr.type == DNS_OPT)
			text = reason_find(msg, &rr, &code, &said_len);
	if (!text)
		return true;
	said_len = said_len < REASON_MAX ? said_len : REASON_MAX;
	memcpy(said, text, said_len);
	said[strnlen(said, said_len)] = 0;
	text_clean(said);
	return buf_printf(out, "%s%s%s", reason_text(code), *said ? ": " : "", said);
}

int present_rdata_parse(const char *type, const char *value, uint8_t *rdata, size_t cap, size_t *len,
	uint16_t *type_out, struct errbuf *eb)
{
	struct buf line = { .cap = 4096 };
	ldns_rr *rr = NULL;
	uint8_t *wire = NULL;
	size_t wire_len = 0;
	if (!dns_type_parse(type, type_out))
		return err_say(eb, ERR_MALFORMED,
			"\"%s\" is not a record type; write A, AAAA, CNAME, TXT, MX, SRV, ...", type);
	enum rdata_text read = rdata_text_read(*type_out, value, rdata, cap, len);
	if (read == RDATA_TEXT_READ)
		return 0;
	if (read == RDATA_TEXT_WRONG && (*type_out == DNS_TXT || *type_out == DNS_SPF))
		return err_say(eb, ERR_MALFORMED,
			"the text is longer than %zu bytes, or a quote or escape of it has no end", cap);
	if (read == RDATA_TEXT_WRONG)
		return err_say(
			eb, ERR_MALFORMED, "\"%s\" is not the value of a record of type %s", value, type);
	bool ok = buf_printf(&line, ". 0 IN %s %s", type, value) && !strpbrk(value, "\n\r") &&
		  buf_cstr(&line) &&
		  ldns_rr_new_frm_str(&rr, buf_cstr(&line), 0, NULL, NULL) == LDNS_STATUS_OK &&
		  ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &wire_len) == LDNS_STATUS_OK;
	/* owner "." is one byte, then type, class, ttl, length */
	ok = ok && wire_len >= 11 && wire_len - 11 <= cap;
	if (ok) {
		*len = wire_len - 11;
		memcpy(rdata, wire + 11, *len);
	}
	free(wire);
	ldns_rr_free(rr);
	buf_free(&line);
	if (!ok)
		return err_say(
			eb, ERR_MALFORMED, "\"%s\" is not the value of a record of type %s", value, type);
	return 0;
}
