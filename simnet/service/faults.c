#include "simnet/service/faults.h"

#include "mesh/base/text.h"
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const kind_names[] = { [SERVICE_DNS] = "dns",
	[SERVICE_HTTP] = "http",
	[SERVICE_PROXY] = "proxy",
	[SERVICE_ECHO] = "echo",
	[SERVICE_STUN] = "stun",
	[SERVICE_PORTMAP] = "portmap" };
static_assert(ARRAY_LEN(kind_names) == SERVICE_KINDS, "kind_names misses a kind");

enum fault_type { FAULT_SWITCH, FAULT_DURATION, FAULT_WORDS, FAULT_ADDRESS, FAULT_NUMBER };
enum {
	OF_ALL = (1 << SERVICE_KINDS) - 1,
	OF_DNS = 1 << SERVICE_DNS,
	OF_HTTP = 1 << SERVICE_HTTP,
	OF_PROXY = 1 << SERVICE_PROXY,
	OF_PORTMAP = 1 << SERVICE_PORTMAP
};
#define AT(field) offsetof(struct faults, field)
static const struct fault_row {
	const char *word, *value;
	enum fault_type type;
	unsigned of;
	size_t at, flag; /* flag: a bool that says "given"; same as at = none */
	const char *doc;
} fault_rows[] = {
	{ "dead", NULL, FAULT_SWITCH, OF_ALL, AT(dead), 0, "hears everything and says nothing" },
	{ "slow", "TIME", FAULT_DURATION, OF_ALL, AT(slow_ms), 0, "waits before each answer" },
	{ "silent", "NAMES", FAULT_WORDS, OF_DNS, AT(silent), 0,
		"these names, and what is below, get no answer" },
	{ "servfail", "NAMES", FAULT_WORDS, OF_DNS, AT(servfail), 0, "these get SERVFAIL" },
	{ "nxdomain", "NAMES", FAULT_WORDS, OF_DNS, AT(nxdomain), 0, "these get NXDOMAIN" },
	{ "all-servfail", NULL, FAULT_SWITCH, OF_DNS, AT(all_servfail), 0, "everything gets SERVFAIL" },
	{ "refused", NULL, FAULT_SWITCH, OF_DNS, AT(refused), 0, "everything gets REFUSED" },
	{ "truncate", NULL, FAULT_SWITCH, OF_DNS, AT(truncate), 0, "answers by UDP are cut: ask by TCP" },
	{ "no-tcp", NULL, FAULT_SWITCH, OF_DNS, AT(no_tcp), 0, "nothing is answered by TCP" },
	{ "lie", "ADDRESS", FAULT_ADDRESS, OF_DNS, AT(lie), AT(lies),
		"every question for A gets this address" },
	{ "scope", "NAMES", FAULT_WORDS, OF_DNS, AT(scope), 0, "names outside these are refused" },
	{ "redirect", "URL", FAULT_WORDS, OF_HTTP, AT(redirect), 0, "every answer is a 302 to there" },
	{ "status", "N", FAULT_NUMBER, OF_HTTP, AT(status), 0, "of every answer" },
	{ "cut", "BYTES", FAULT_NUMBER, OF_HTTP | OF_PROXY, AT(cut_bytes), 0,
		"a connection ends after so many bytes of answer" },
	{ "refuse", NULL, FAULT_SWITCH, OF_PORTMAP, AT(refuse), 0, "nobody is authorized" },
	{ "other-port", NULL, FAULT_SWITCH, OF_PORTMAP, AT(other_port), 0,
		"never gives the port that is asked for" },
	{ "no-pmp", NULL, FAULT_SWITCH, OF_PORTMAP, AT(no_pmp), 0, "does not speak NAT-PMP" },
	{ "no-pcp", NULL, FAULT_SWITCH, OF_PORTMAP, AT(no_pcp), 0, "does not speak PCP" },
	{ "outer", "ADDRESS", FAULT_ADDRESS, OF_PORTMAP, AT(outer), AT(claims),
		"says that this is its outer address" },
	{ "auth", "USER:PASSWORD", FAULT_WORDS, OF_PROXY, AT(auth), 0, "who does not say this gets 407" },
	{ "only", "HOSTS", FAULT_WORDS, OF_PROXY, AT(only), 0, "connects to these alone; others get 403" },
};
#undef AT

bool service_kind_parse(const char *word, enum service_kind *out)
{
	for (int i = 0; i < SERVICE_KINDS; i++)
		if (!strcmp(kind_names[i], word)) {
			*out = (enum service_kind)i;
			return true;
		}
	return false;
}

const char *service_kind_name(enum service_kind kind)
{
	return kind_names[kind];
}

static bool read_fault(const struct fault_row *row, const char *value, struct faults *f)
{
	char *at = (char *)f + row->at;
	uint64_t n;

	switch (row->type) {
	case FAULT_SWITCH: *(bool *)at = true; return !value;
	case FAULT_DURATION: return value && text_duration_ms(value, (uint64_t *)(void *)at);
	case FAULT_WORDS:
		if (!value || !*value || strlen(value) >= FAULT_TEXT)
			return false;
		memcpy(at, value, strlen(value) + 1);
		return true;
	case FAULT_ADDRESS:
		*(bool *)((char *)f + row->flag) = true;
		return value && addr_parse(value, (struct addr *)(void *)at);
	case FAULT_NUMBER:
		if (!value ||
			!text_u64(value, 1, row->at == offsetof(struct faults, status) ? 999 : 1u << 30, &n))
			return false;
		if (row->at == offsetof(struct faults, status))
			f->status = (uint32_t)n;
		else
			f->cut_bytes = n;
		return true;
	}
	return false;
}

static const struct fault_row *find_fault(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(fault_rows); i++)
		if (!strcmp(fault_rows[i].word, word))
			return &fault_rows[i];
	return NULL;
}

static int refuse_word(enum service_kind kind, const char *word, struct errbuf *eb)
{
	const char *names[ARRAY_LEN(fault_rows) + 1] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(fault_rows); i++)
		if (fault_rows[i].of & 1u << kind)
			names[n++] = fault_rows[i].word;
	const char *near = text_nearest(word, names);
	return err_say(eb, -EINVAL, "'%s' is no fault of %s%s%s%s; 'simnet service faults' lists them", word,
		kind_names[kind], near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int faults_parse(enum service_kind kind, const char *text, struct faults *out, struct errbuf *eb)
{
	struct faults f = { 0 };

	while (*text) {
		char one[FAULT_TEXT + 32];
		size_t len = strcspn(text, ",");
		if (len >= sizeof(one))
			return err_say(eb, -EINVAL, "a fault is at most %d letters", FAULT_TEXT);
		memcpy(one, text, len);
		one[len] = '\0';
		text += len + (text[len] == ',');
		char *value = strchr(one, '=');
		if (value)
			*value++ = '\0';
		const struct fault_row *row = find_fault(one);
		if (!row || !(row->of & 1u << kind))
			return refuse_word(kind, one, eb);
		if (!read_fault(row, value, &f))
			return err_say(eb, -EINVAL, row->value ? "'%s' wants %s=%s" : "'%s' takes no value",
				one, one, row->value);
	}
	*out = f;
	return 0;
}

bool faults_name_in(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		size_t len = strcspn(list, "+");
		if (len && n >= len && !strncasecmp(name + n - len, list, len) &&
			(n == len || name[n - len - 1] == '.'))
			return true;
		list += len + (list[len] == '+');
	}
	return false;
}

void faults_print_help(FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(fault_rows); i++) {
		const struct fault_row *r = &fault_rows[i];
		char word[64];
		snprintf(
			word, sizeof(word), "%s%s%s", r->word, r->value ? "=" : "", r->value ? r->value : "");
		fprintf(out, "  %-22s %s:", word, r->doc);
		for (int k = 0; k < SERVICE_KINDS; k++)
			if (r->of & 1u << k)
				fprintf(out, " %s", kind_names[k]);
		fprintf(out, "\n");
	}
}
