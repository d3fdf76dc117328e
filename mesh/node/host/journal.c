/* A line for each change, oldest first: "rule 4 5252 52007", "routes 1052007", "nft ropewalk-rope0",
 * "resolv.conf PATH". Text,
 * so that a person can undo by hand what a lost program left. */
#include "mesh/node/host/journal.h"
#include "mesh/base/buf.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/nft.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_MAX = 64, LINE_MAX_LEN = PATH_MAX, JOURNAL_BYTES_MAX = LINES_MAX * LINE_MAX_LEN };

struct journal {
	char path[PATH_MAX];
	bool unwritten; /* told: the file is older than what is here */
	char *line[LINES_MAX];
	size_t n;
};

static const char rule_format[] = "rule %d %" PRIu32 " %" PRIu32, table_format[] = "routes %" PRIu32;

static int journal_write(const struct journal *j, struct errbuf *eb)
{
	struct buf b = { 0 };
	bool ok = true;
	if (!j->n)
		return unlink(j->path) == 0 || errno == ENOENT ? 0
							       : err_set(eb, -errno, "remove %s", j->path);
	for (size_t i = 0; i < j->n; i++)
		ok = ok && buf_printf(&b, "%s\n", j->line[i]);
	int err = ok ? file_write_atomic(j->path, 0600, buf_data(&b), b.len, eb)
		     : err_set(eb, -ENOMEM, "write %s", j->path);
	buf_free(&b);
	return err;
}

static void journal_parse(struct journal *j, char *text)
{
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *copy = *line && j->n < LINES_MAX ? strdup(line) : NULL;
		if (copy)
			j->line[j->n++] = copy;
	}
}

struct journal *journal_open(const char *dir, struct errbuf *eb)
{
	struct buf b = { 0 };
	struct journal *j = calloc(1, sizeof(*j));
	if (!j) {
		err_set(eb, -ENOMEM, "open the journal of changes");
		return NULL;
	}
	snprintf(j->path, sizeof(j->path), "%s/changes", dir);
	int err = file_read_own(j->path, JOURNAL_BYTES_MAX, FILE_SHOWN, &b, eb);
	if (!err && b.len && !buf_cstr(&b))
		err = err_set(eb, -ENOMEM, "read %s", j->path);
	if (!err && b.len)
		journal_parse(j, (char *)buf_data(&b));
	buf_free(&b);
	if (err && err != -ENOENT) {
		journal_close(j);
		return NULL;
	}
	return j;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->n; i++)
		free(j->line[i]);
	free(j);
}

static void journal_keep(struct journal *j)
{
	struct errbuf eb = { 0 };
	bool failed = journal_write(j, &eb) != 0;
	if (failed && !j->unwritten)
		log_warn("%s; what this program changes of the machine stays after a crash", eb.text);
	j->unwritten = failed;
}

static void journal_add(struct journal *j, const char *line)
{
	for (size_t i = 0; i < j->n; i++)
		if (strcmp(j->line[i], line) == 0) {
			if (j->unwritten)
				journal_keep(j);
			return;
		}
	char *copy = j->n < LINES_MAX && !strchr(line, '\n') ? strdup(line) : NULL;
	if (copy)
		j->line[j->n++] = copy;
	else
		log_warn("%s cannot note \"%s\"", j->path, line);
	journal_keep(j);
}

static void journal_drop(struct journal *j, size_t i)
{
	free(j->line[i]);
	memmove(&j->line[i], &j->line[i + 1], (--j->n - i) * sizeof(j->line[0]));
}

static void journal_remove(struct journal *j, const char *line)
{
	for (size_t i = j->n; i > 0; i--)
		if (strcmp(j->line[i - 1], line) == 0)
			journal_drop(j, i - 1);
	journal_keep(j);
}

static void rule_line(const struct nl_rule *r, char *out, size_t cap)
{
	snprintf(out, cap, rule_format, r->v6 ? 6 : 4, r->priority, r->table);
}

void journal_add_rule(struct journal *j, const struct nl_rule *r)
{
	char line[64];
	rule_line(r, line, sizeof(line));
	journal_add(j, line);
}

void journal_remove_rule(struct journal *j, const struct nl_rule *r)
{
	char line[64];
	rule_line(r, line, sizeof(line));
	journal_remove(j, line);
}

void journal_add_nft(struct journal *j, const char *table)
{
	char line[64];
	snprintf(line, sizeof(line), "nft %s", table);
	journal_add(j, line);
}

void journal_remove_nft(struct journal *j, const char *table)
{
	char line[64];
	snprintf(line, sizeof(line), "nft %s", table);
	journal_remove(j, line);
}

void journal_add_resolv_conf(struct journal *j, const char *path)
{
	char line[LINE_MAX_LEN];
	snprintf(line, sizeof(line), "resolv.conf %s", path);
	journal_add(j, line);
}

void journal_remove_resolv_conf(struct journal *j, const char *path)
{
	char line[LINE_MAX_LEN];
	snprintf(line, sizeof(line), "resolv.conf %s", path);
	journal_remove(j, line);
}

void journal_add_table(struct journal *j, uint32_t table)
{
	char line[64];
	snprintf(line, sizeof(line), table_format, table);
	journal_add(j, line);
}

void journal_remove_table(struct journal *j, uint32_t table)
{
	char line[64];
	snprintf(line, sizeof(line), table_format, table);
	journal_remove(j, line);
}

static int undo_table(uint32_t table, struct errbuf *eb)
{
	struct nl *nl = nl_open(eb);
	int err = nl ? nl_table_flush(nl, table, eb) : eb->code;
	nl_close(nl);
	return err;
}

static int undo_rule(int family, const struct nl_rule *r, struct errbuf *eb)
{
	struct nl_rule rule = *r;
	struct nl *nl = nl_open(eb);
	if (!nl)
		return eb->code;
	rule.v6 = family == 6;
	int err = nl_rule_del(nl, &rule, eb);
	nl_close(nl);
	return err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
}

static int undo_line(
	const char *line, bool (*resolv_conf)(void *arg, const char *path), void *arg, struct errbuf *eb)
{
	static const char nft[] = "nft ", conf[] = "resolv.conf ";
	struct nl_rule r = { 0 };
	int family;
	if (sscanf(line, rule_format, &family, &r.priority, &r.table) == 3)
		return undo_rule(family, &r, eb);
	if (sscanf(line, table_format, &r.table) == 1)
		return undo_table(r.table, eb);
	if (strncmp(line, nft, strlen(nft)) == 0)
		return nft_table_del(line + strlen(nft), eb);
	if (strncmp(line, conf, strlen(conf)) == 0)
		return resolv_conf(arg, line + strlen(conf))
			       ? 0
			       : err_say(eb, ERR_REFUSED, "%s could not be put back", line + strlen(conf));
	return err_say(eb, ERR_MALFORMED, "\"%s\" is no change that this version knows", line);
}

static bool is_about(const char *line, uint32_t table)
{
	uint32_t of, priority;
	int family;
	return (sscanf(line, rule_format, &family, &priority, &of) == 3 ||
		       sscanf(line, table_format, &of) == 1) &&
	       of == table;
}

int journal_undo(struct journal *j, uint32_t keep, bool (*resolv_conf)(void *arg, const char *path),
	void *arg, struct errbuf *eb)
{
	struct errbuf why = { 0 };
	int first = 0;
	for (size_t i = j->n; i > 0; i--) {
		if (keep && is_about(j->line[i - 1], keep))
			continue;
		int err = undo_line(j->line[i - 1], resolv_conf, arg, &why);
		if (!err)
			journal_drop(j, i - 1);
		else if (!first)
			first = err_say(eb, err, "%s", why.text);
	}
	int err = journal_write(j, first ? NULL : eb);
	return first ? first : err;
}

bool journal_is_empty(const struct journal *j)
{
	return j->n == 0;
}
