#include "simnet/command.h"

#include "mesh/os/file.h"
#include "simnet/host/source.h"
#include "simnet/scenario/scenario_fix.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* `simnet lint`, and what --fix does before it: words of which one spelling is likely are put right in the files. */

enum { FILE_MAX = 1 << 20, ROUNDS_MAX = 20 };

/* A file that is a link stays one, and keeps its mode and, if we may say so, its owner. */
static int write_back(const char *path, struct buf *text, struct errbuf *eb)
{
	struct stat st;
	char *real = realpath(path, NULL);

	if (!real || stat(real, &st) < 0 || access(real, W_OK) < 0) {
		int err = err_set(eb, -errno, "%s", path);
		free(real);
		return err;
	}
	int err = file_write_atomic(real, st.st_mode & 07777, buf_data(text), text->len, eb);
	if (!err && geteuid() == 0)
		err = chown(real, st.st_uid, st.st_gid) < 0 ? err_set(eb, -errno, "%s", path) : 0;
	free(real);
	return err;
}

/* The fixes of one file, from list on; *n gets how many of list are its own, *done how many were made. */
static int fix_file(const char *path, struct scn_fix *list, unsigned *n, unsigned *done, struct errbuf *eb)
{
	struct buf text = { .cap = FILE_MAX };
	const char *name = *list->file ? list->file : path;
	unsigned left = *n;
	int err = file_read(name, FILE_MAX, &text, eb);

	*done = *n = 0;
	for (; *n < left && !strcmp(list[*n].file, list->file); (*n)++)
		*done += list[*n].made = !err && scenario_fix_apply(&list[*n], &text);
	if (!err && *done)
		err = write_back(name, &text, eb);
	for (unsigned i = *n; !err && i-- > 0;)
		if (list[i].made)
			printf("%s:%u:%u: '%s' is now '%s'\n", name, list[i].at.line, list[i].at.column,
				list[i].word, list[i].near);
	buf_free(&text);
	return err;
}

static int fix_all(const char *path, struct scn_errors *all, unsigned *done, struct errbuf *eb)
{
	int err = 0;

	scenario_fix_sort(all);
	*done = 0;
	for (unsigned i = 0, n, made; i < all->n_fixes && !err; i += n, *done += made) {
		n = all->n_fixes - i;
		err = fix_file(path, all->fixes + i, &n, &made, eb);
	}
	return err;
}

/* All that is misspelt in the first combination that is wrong. */
static void find_fixes(const char *path, enum source_kind kind, struct scn_errors *all)
{
	struct errbuf eb = { 0 };
	size_t n = 1;

	for (size_t i = 0; kind == SOURCE_SCENARIO && i < n && !all->n; i++) {
		struct scenario s = { 0 };
		if (!source_read_scenario(path, i, &s, all, &eb))
			(void)runner_check(&s, all, &eb);
		n = s.n_variants;
		scenario_free(&s);
	}
	if (kind == SOURCE_ADAPTER) {
		struct adapter a = { 0 };
		(void)source_read_adapter(path, &a, all, &eb);
		adapter_free(&a);
	}
}

/* What was put right may show what else is wrong. */
int lint_fix(const char *path)
{
	struct errbuf eb = { 0 };
	enum source_kind kind = source_kind_of(path);
	unsigned done = 1;
	int err = 0;

	for (int round = 0; round < ROUNDS_MAX && done && !err; round++) {
		struct scn_errors all = { 0 };
		find_fixes(path, kind, &all);
		err = fix_all(path, &all, &done, &eb);
		buf_free(&all.text);
	}
	if (err)
		fprintf(stderr, "simnet: %s\n", eb.text);
	return err ? EXIT_BROKEN : EXIT_PASS;
}

static int check_only(const struct command *c, struct scenario *s)
{
	(void)c, (void)s;
	return EXIT_PASS;
}

int lint_command(struct command *c)
{
	struct tally t = { .lints = true };
	int code = files_each(c, &t, check_only);

	if (code == EXIT_PASS) {
		printf("%u file%s", t.files, t.files == 1 ? "" : "s");
		if (t.run || !t.adapters)
			printf(", %u scenario%s", t.run, t.run == 1 ? "" : "s");
		if (t.adapters)
			printf(", %u adapter%s", t.adapters, t.adapters == 1 ? "" : "s");
		printf(": good\n");
	}
	return code;
}
