#include "resolver/rdata_text.h"
#include "mesh/base/text.h"
#include "mesh/base/wire.h"
#include "resolver/message.h"
#include "resolver/name.h"
#include "resolver/txt.h"
#include <string.h>

/* What stands one after the other: '4' and '6' an address, '2' a number of two bytes, 'n' a name. */
static const struct {
	uint16_t type;
	const char *fields;
} layouts[] = {
	{ DNS_A, "4" },
	{ DNS_AAAA, "6" },
	{ DNS_NS, "n" },
	{ DNS_CNAME, "n" },
	{ DNS_PTR, "n" },
	{ DNS_DNAME, "n" },
	{ DNS_MX, "2n" },
	{ DNS_SRV, "222n" },
};

/* The next word of *text into word; false: there is none, or it is too long. */
static bool take_word(const char **text, char *word, size_t cap)
{
	const char *p = *text + strspn(*text, " \t");
	size_t n = strcspn(p, " \t");
	*text = p + n;
	if (!n || n >= cap)
		return false;
	memcpy(word, p, n);
	word[n] = 0;
	return true;
}

static bool write_field(struct wr *w, char kind, const char *word)
{
	struct dns_name name;
	struct addr ip;
	uint64_t n;
	switch (kind) {
	case '2':
		if (!text_u64(word, 0, UINT16_MAX, &n))
			return false;
		wr_u16(w, (uint16_t)n);
		return true;
	case 'n':
		if (!dns_name_parse(word, &name))
			return false;
		wr_bytes(w, name.b, name.len);
		return true;
	default:
		if (!addr_parse(word, &ip) || addr_is_v4(&ip) != (kind == '4'))
			return false;
		wr_bytes(w, kind == '4' ? ip.b + 12 : ip.b, kind == '4' ? 4 : 16);
		return true;
	}
}

static bool write_fields(struct wr *w, const char *fields, const char *value)
{
	char word[DNS_NAME_TEXT];
	for (; *fields; fields++) {
		if (!take_word(&value, word, sizeof(word)) || !write_field(w, *fields, word))
			return false;
	}
	return !w->bad && !value[strspn(value, " \t")];
}

enum rdata_text rdata_text_read(uint16_t type, const char *value, uint8_t *rdata, size_t cap, size_t *len)
{
	if (type == DNS_TXT || type == DNS_SPF)
		return txt_parse(value, rdata, cap, len) ? RDATA_TEXT_READ : RDATA_TEXT_WRONG;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++) {
		struct wr w = wr_of(rdata, cap);
		if (layouts[i].type != type)
			continue;
		if (!write_fields(&w, layouts[i].fields, value))
			return RDATA_TEXT_WRONG;
		*len = w.len;
		return RDATA_TEXT_READ;
	}
	return RDATA_TEXT_OTHER;
}
