/* Scenario files as strangers would write them, with their matrix, counts, templates and the part that they use: it stands
 * behind a line with %% alone. */
#include "simnet/scenario/oracle.h"

#include <string.h>

struct halves {
	const char *part;
	size_t len;
};

static int read_half(void *owner, const char *path, struct buf *out, struct errbuf *eb)
{
	const struct halves *h = owner;
	(void)path;

	return buf_append(out, h->part, h->len) ? 0 : err_say(eb, ERR_TOO_LARGE, "too large");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char mark[] = "\n%%\n";
	const char *text = (const char *)data, *cut = memmem(data, len, mark, sizeof(mark) - 1);
	size_t own = cut ? (size_t)(cut - text) + 1 : len;
	struct halves h = { .part = cut ? cut + sizeof(mark) - 1 : "", .len = cut ? len - own - 3 : 0 };
	struct scn_text in = { .file = "f.yaml", .text = text, .len = own, .read = read_half, .owner = &h };
	struct scn_errors all = { 0 };
	struct scenario s = { 0 };
	struct oracle_verdict v;
	struct errbuf eb;

	if (!scenario_read(&in, &s, &all, &eb)) {
		static const char step[] = "[{ping: {from: a, to: b}}, {cut: a.link}]",
				  change[] = "[{move: {at: a, to: internet}}, {lease: a}, {lease: b}]";
		for (int a = 0; a < (int)s.n_nodes && a < 8; a++)
			for (int b = 0; b < (int)s.n_nodes && b < 8; b++)
				oracle_ask(&s, s.n_steps, a, b, &v);
		(void)scenario_add_steps(&s, "inject", step, sizeof(step) - 1, &all, &eb);
		(void)scenario_add_steps(&s, "inject", change, sizeof(change) - 1, &all, &eb);
	}
	scenario_free(&s);
	buf_free(&all.text);
	return 0;
}
