#include "simnet/test/wrong_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/runner.h"
#include <string.h>

const char *wrong_errors_of(const char *text, size_t len, struct scn_errors *all)
{
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };

	if (!scenario_parse_all("w.yaml", text, len, 0, &s, all, &eb))
		(void)runner_check(&s, all, &eb);
	scenario_free(&s);
	if (!all->text.len)
		return "";
	all->text.len--;
	const char *said = buf_cstr(&all->text);
	assert_int_equal(strncmp(said, eb.text, strlen(eb.text)), 0); /* the first is the one in eb */
	return said;
}

void wrong_rows_check(const struct wrong_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct scn_errors all = { 0 };
		const char *got = wrong_errors_of(rows[i].text, strlen(rows[i].text), &all),
			   *want = rows[i].want ? rows[i].want : "";
		/* Where adapters are looked for depends on the installation. */
		bool same =
			strstr(want, "no adapter") ? !strncmp(got, want, strlen(want)) : !strcmp(got, want);
		if (!same)
			fail_msg("row %zu\n%s\n got %s\nwant %s", i, rows[i].text, got, want);
		buf_free(&all.text);
	}
}
