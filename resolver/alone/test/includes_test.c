/* Files that include files: which are taken, in what order, and which are refused at which line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "resolver/alone/includes.h"
#include "resolver/alone/test/program.h"
#include "resolver/convert/convert.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char dir[64];
	struct target t;
	struct includes *in;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	strcpy(p->dir, "/tmp/includes_test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->in = calloc(1, sizeof(*p->in));
	target_init(&p->t);
	p->t.include = includes_take;
	p->t.include_arg = p->in;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", p->dir);
	assert_int_equal(system(command), 0);
	target_fini(&p->t);
	free(p->in);
	free(p);
	return 0;
}

/* format: %1$s is the folder. */
static void put(const struct place *p, const char *name, const char *format)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	FILE *to = fopen(path, "we");
	assert_non_null(to);
	fprintf(to, format, p->dir);
	fclose(to);
}

static void folder(const struct place *p, const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* As migrate.c reads a file. */
static void take(struct place *p, const char *name,
	void (*read)(struct target *t, const char *file, const char *text, size_t len))
{
	struct buf text = { 0 };
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	assert_int_equal(includes_begin(p->in, path, &text, NULL), INCLUDES_NEW);
	read(&p->t, path, buf_cstr(&text), text.len);
	includes_leave(p->in);
	buf_free(&text);
}

static void said(const struct place *p, const char *format)
{
	char want[512];
	const char *got = p->t.said.len ? (const char *)buf_data(&p->t.said) : "";
	snprintf(want, sizeof(want), format, p->dir);
	if (p->t.said.len != strlen(want) || memcmp(got, want, strlen(want)) != 0)
		fail_msg("said %.*s, not %s", (int)p->t.said.len, got, want);
}

static void zones(const struct place *p, const char *names)
{
	char all[512] = "";
	for (size_t i = 0; i < p->t.zones.n; i++) {
		strcat(all, *all ? " " : "");
		strcat(all, p->t.zones.v[i].name);
	}
	assert_string_equal(all, names);
}

static void test_dnsmasq(void **state)
{
	struct place *p = *state;
	folder(p, "d");
	folder(p, "d/more.conf");
	put(p, "d/b.conf", "address=/b.example/\n");
	put(p, "d/a.conf", "address=/a.example/\nconf-file=../rest\nno-hosts\n");
	put(p, "d/c.conf.bak", "address=/bak.example/\n");
	put(p, "d/.hidden.conf", "address=/hidden.example/\n");
	put(p, "d/e.conf~", "address=/editor.example/\n");
	put(p, "d/#f.conf#", "address=/editor.example/\n");
	put(p, "d/plain", "address=/plain.example/\nnonsense\n");
	put(p, "rest", "address=/rest.example/\nnonsense\n");
	put(p, "servers", "server=192.0.2.1\n");
	put(p, "main",
		"address=/1.example/\nconf-dir=%1$s/d,*.conf\naddress=/2.example/\nservers-file=servers\n"
		"conf-dir=%1$s/d/,.conf, .bak\nconf-file=%1$s/none\nconf-dir=%1$s/nowhere\nnonsense\n");
	take(p, "main", convert_dnsmasq);
	zones(p, "1.example a.example rest.example b.example 2.example plain.example");
	assert_int_equal(p->t.upstreams.n, 1);
	assert_true(p->t.no_hosts);
	said(p, "%1$s/d/../rest:2: nonsense: no counterpart\n"
		"%1$s/d/plain:2: nonsense: no counterpart\n"
		"%1$s/main:6: conf-file: not read: open %1$s/none: No such file or directory\n"
		"%1$s/main:7: conf-dir: not read: open %1$s/nowhere: No such file or directory\n"
		"%1$s/main:8: nonsense: no counterpart\n");
}

/* In a clause it is the clause's; at the top level it is not. */
static void test_unbound(void **state)
{
	struct place *p = *state;
	folder(p, "d");
	put(p, "d/2.conf", "server:\n local-zone: two.example always_nxdomain\n");
	put(p, "d/1.conf", "local-zone: one.example always_nxdomain\n");
	put(p, "zone", "forward-addr: 192.0.2.1\nodd: 1\n");
	put(p, "top", "local-zone: top.example always_nxdomain\nforward-zone:\n name: x.example\n stub: x\n");
	put(p, "main",
		"server:\n local-zone: 1.example always_nxdomain\n include: \"%1$s/d/*.conf\"\n"
		"forward-zone:\n name: .\n include: zone\ninclude-toplevel: top\n"
		"local-zone: 2.example always_nxdomain\ninclude: %1$s/*.none\n");
	take(p, "main", convert_unbound);
	zones(p, "1.example one.example two.example top.example 2.example");
	assert_int_equal(p->t.upstreams.n, 1);
	said(p, "%1$s/zone:2: odd: no counterpart\n%1$s/top:4: stub: no counterpart\n"
		"%1$s/main:9: include: there is no file like %1$s/*.none\n");
}

static void test_pihole(void **state)
{
	struct place *p = *state;
	put(p, "more", "address=/a.example/\n");
	put(p, "main", "[misc]\ndnsmasq_lines = [ \"conf-file=more\" ]\n");
	take(p, "main", convert_pihole);
	zones(p, "a.example");
	said(p, "");
}

/* Itself, or one that includes it, under any name. */
static void test_loop(void **state)
{
	struct place *p = *state;
	char link[128], to[128];
	put(p, "a", "address=/a.example/\nconf-file=b\n");
	put(p, "b", "address=/b.example/\n\nconf-file=c\nconf-file=b\n");
	snprintf(to, sizeof(to), "%s/a", p->dir);
	snprintf(link, sizeof(link), "%s/c", p->dir);
	assert_int_equal(symlink(to, link), 0);
	take(p, "a", convert_dnsmasq);
	zones(p, "a.example b.example");
	said(p, "%1$s/b:3: conf-file: not read: %1$s/c would include itself\n"
		"%1$s/b:4: conf-file: not read: %1$s/b would include itself\n");
}

/* Given by a person as well, or included twice: as dnsmasq does. */
static void test_once(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 };
	char path[128];
	put(p, "a", "conf-file=b\nconf-file=b\n");
	put(p, "b", "nonsense\n");
	take(p, "a", convert_dnsmasq);
	snprintf(path, sizeof(path), "%s/b", p->dir);
	assert_int_equal(includes_begin(p->in, path, &text, NULL), INCLUDES_READ_BEFORE);
	said(p, "%1$s/b:1: nonsense: no counterpart\n");
}

/* unbound's stands for its lines wherever it is, so one file is a part of several clauses; each time counts. */
static void test_several_clauses(void **state)
{
	struct place *p = *state;
	put(p, "forward", "forward-addr: 192.0.2.1\nforward-addr: 192.0.2.2\n");
	put(p, "stub", "stub-addr: 192.0.2.3\n");
	put(p, "main",
		"forward-zone:\n name: a.example\n include: forward\n"
		"stub-zone:\n name: b.example\n include: stub\n"
		"forward-zone:\n name: c.example\n include: forward\n"
		"stub-zone:\n name: d.example\n include: stub\n");
	take(p, "main", convert_unbound);
	static const struct {
		const char *name;
		size_t n;
		const char *first;
	} rows[] = { { "a.example", 2, "192.0.2.1:53" }, { "b.example", 1, "192.0.2.3:53" },
		{ "c.example", 2, "192.0.2.1:53" }, { "d.example", 1, "192.0.2.3:53" } };
	assert_int_equal(p->t.routes.n, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(p->t.routes.v[i].name, rows[i].name);
		assert_int_equal(p->t.routes.v[i].items.n, rows[i].n);
		assert_string_equal(p->t.routes.v[i].items.v[0], rows[i].first);
	}
	assert_int_equal(p->in->n_read, 5);
}

/* Files that each include the next twice: the last one would be read 32768 times. */
static void test_doubled(void **state)
{
	struct place *p = *state;
	char name[32], text[64];
	for (int i = 0; i < INCLUDES_DEPTH - 1; i++) {
		snprintf(name, sizeof(name), "%d", i);
		snprintf(text, sizeof(text), "server:\ninclude: %d\ninclude: %d\n", i + 1, i + 1);
		put(p, name, text);
	}
	snprintf(name, sizeof(name), "%d", INCLUDES_DEPTH - 1);
	put(p, name, "local-zone: end.example always_nxdomain\n");
	take(p, "0", convert_unbound);
	zones(p, "end.example");
	assert_int_equal(p->in->n_read, INCLUDES_FILES);
	assert_int_equal(p->in->n_open, 0);
	assert_non_null(strstr(buf_cstr(&p->t.said), "one file too many"));
}

/* As the shell's <(...), and /dev/stdin. */
static void test_pipe(void **state)
{
	static const char conf[] = "server=192.0.2.1\n";
	struct program none = { 0 };
	char path[32], out[4096];
	int fds[2];
	(void)state;
	assert_int_equal(pipe2(fds, 0), 0);
	assert_int_equal(write(fds[1], conf, strlen(conf)), strlen(conf));
	close(fds[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	int status = program_tell(&none, out, sizeof(out), (const char *const[]) { "convert", path, NULL });
	close(fds[0]);
	if (status != 0 || !strstr(out, "192.0.2.1"))
		fail_msg("status %d: %s", status, out);
}

static void test_bounds(void **state)
{
	struct place *p = *state;
	char name[32], text[64], path[128];
	struct buf none = { 0 };
	for (int i = 0; i <= INCLUDES_DEPTH; i++) {
		snprintf(name, sizeof(name), "%d", i);
		snprintf(text, sizeof(text), "address=/%d.example/\nconf-file=%d\n", i, i + 1);
		put(p, name, text);
	}
	take(p, "0", convert_dnsmasq);
	assert_int_equal(p->t.zones.n, INCLUDES_DEPTH);
	said(p, "%1$s/15:2: conf-file: not read: %1$s/16 is included too deep: 16 files are the most\n");
	/* no folder, no pipe that nobody writes into */
	struct errbuf eb = { 0 };
	snprintf(path, sizeof(path), "%s/pipe", p->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(includes_enter(p->in, path, false, &none, &eb), INCLUDES_REFUSED);
	assert_non_null(strstr(eb.text, "is not a file"));
	p->in->n_read = INCLUDES_FILES;
	snprintf(path, sizeof(path), "%s/16", p->dir);
	assert_int_equal(includes_enter(p->in, path, false, &none, &eb), INCLUDES_REFUSED);
	assert_non_null(strstr(eb.text, "one file too many"));
	buf_free(&none);
}

/* A file that is named and what it includes, together; the next that is named has the whole size again. */
static void test_bytes(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	char path[128];
	put(p, "a", "conf-file=b\nconf-file=b\n");
	put(p, "b", "no-hosts\n");
	take(p, "a", convert_dnsmasq);
	assert_int_equal(p->in->bytes, strlen("conf-file=b\nconf-file=b\nno-hosts\n"));
	put(p, "c", "four");
	snprintf(path, sizeof(path), "%s/c", p->dir);
	p->in->bytes = INCLUDES_BYTES - 3;
	assert_int_equal(includes_enter(p->in, path, false, &text, &eb), INCLUDES_REFUSED);
	assert_non_null(strstr(eb.text, "is larger than"));
	buf_free(&text);
	assert_int_equal(includes_begin(p->in, path, &text, &eb), INCLUDES_NEW);
	assert_int_equal(p->in->bytes, 4);
	buf_free(&text);
}

/* A pi-hole's lists are of any size; whose file it is, is told by its first bytes. */
static void test_database(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	char path[128];
	put(p, "gravity.db", "SQLite format 3");
	snprintf(path, sizeof(path), "%s/gravity.db", p->dir);
	assert_int_equal(truncate(path, (off_t)INCLUDES_BYTES + 1), 0);
	assert_int_equal(includes_begin(p->in, path, &text, &eb), INCLUDES_NEW);
	assert_int_equal(text.len, 16);
	assert_int_equal(convert_guess((const char *)buf_data(&text), text.len), CONVERT_GRAVITY);
	includes_leave(p->in);
	buf_free(&text);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_dnsmasq), ONE(test_unbound), ONE(test_pihole),
		ONE(test_loop), ONE(test_once), ONE(test_several_clauses), ONE(test_doubled), ONE(test_pipe),
		ONE(test_bounds), ONE(test_bytes), ONE(test_database) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
