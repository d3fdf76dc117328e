#include "mesh/node/serve/inbox.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { ALICE = 4, BOB = 5 };

struct place {
	char dir[64];
	struct inbox *in;
	char list[512]; /* "name=size " of what waits */
};

static void add(void *arg, const struct inbox_file *f)
{
	struct place *p = arg;
	size_t n = strlen(p->list);
	snprintf(p->list + n, sizeof(p->list) - n, "%s=%d ", f->name, (int)f->size);
}

static const char *waiting(struct place *p)
{
	p->list[0] = 0;
	inbox_files(p->in, add, p);
	return p->list;
}

static void place_open(struct place *p)
{
	struct errbuf eb = { 0 };
	*p = (struct place) { .dir = "/tmp/rw-inbox-XXXXXX" };
	assert_non_null(mkdtemp(p->dir));
	p->in = inbox_open(p->dir, &eb);
	if (!p->in)
		fail_msg("%s", eb.text);
}

static void place_close(struct place *p)
{
	inbox_close(p->in);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
}

static int begin(struct place *p, int64_t peer, const char *name, uint64_t at, const char *text)
{
	struct errbuf eb = { 0 };
	int fd = inbox_partial_write(p->in, peer, name, at, &eb);
	if (fd < 0)
		return fd;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return 0;
}

/* Under which name; "" when it is there already. */
static const char *finish(struct place *p, int64_t peer, const char *name)
{
	static struct inbox_file out;
	struct errbuf eb = { 0 };
	bool fresh;
	if (inbox_finish(p->in, peer, name, &out, &fresh, &eb) != 0)
		fail_msg("%s", eb.text);
	return fresh ? out.name : "";
}

static void path_in(const struct place *p, const char *name, char out[static 128])
{
	snprintf(out, 128, "%s/files/%s", p->dir, name);
}

static void test_comes_and_goes(void **state)
{
	struct place p;
	char path[128], text[16] = "";
	struct errbuf eb = { 0 };
	struct stat st;
	uint64_t size = 0;
	(void)state;
	place_open(&p);
	assert_int_equal(begin(&p, ALICE, "b.txt", 0, "hello"), 0);
	assert_string_equal(waiting(&p), ""); /* not whole yet */
	assert_string_equal(finish(&p, ALICE, "b.txt"), "b.txt");
	assert_int_equal(begin(&p, ALICE, "a.txt", 0, ""), 0);
	assert_string_equal(finish(&p, ALICE, "a.txt"), "a.txt");
	assert_string_equal(waiting(&p), "a.txt=0 b.txt=5 ");
	path_in(&p, "b.txt", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	path_in(&p, "", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);

	int fd = inbox_read(p.in, "b.txt", &size, &eb);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	close(fd);
	assert_int_equal(inbox_remove(p.in, "b.txt", &eb), 0);
	assert_int_equal(inbox_remove(p.in, "b.txt", &eb), 0);
	assert_int_equal(inbox_read(p.in, "b.txt", &size, &eb), -ENOENT);
	assert_string_equal(eb.text, "no file b.txt waits here");
	assert_string_equal(waiting(&p), "a.txt=0 ");

	/* By another's hand: it is noticed when it is wanted, and at the next start. */
	path_in(&p, "a.txt", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(inbox_read(p.in, "a.txt", &size, &eb), -ENOENT);
	assert_string_equal(waiting(&p), "");
	place_close(&p);
}

static void test_start_finds(void **state)
{
	struct place p;
	char path[128];
	struct errbuf eb = { 0 };
	uint64_t size;
	(void)state;
	place_open(&p);
	assert_int_equal(begin(&p, ALICE, "left", 0, "xyz"), 0);
	assert_string_equal(finish(&p, ALICE, "left"), "left");
	assert_int_equal(begin(&p, ALICE, "half", 0, "x"), 0);
	path_in(&p, "link", path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	path_in(&p, "folder", path);
	assert_int_equal(mkdir(path, 0700), 0);
	inbox_close(p.in);
	p.in = inbox_open(p.dir, &eb);
	assert_non_null(p.in);
	assert_string_equal(waiting(&p), "left=3 ");
	/* What is no file of ours is not handed out by its name either. */
	assert_true(inbox_read(p.in, "link", &size, &eb) < 0);
	assert_int_equal(inbox_read(p.in, "folder", &size, &eb), -ENOENT);
	place_close(&p);
}

static void test_same_name(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	static const struct {
		int64_t peer;
		const char *text, *name;
	} rows[] = {
		{ ALICE, "one", "x.tar.gz" },
		{ ALICE, "two", "x.tar (1).gz" },
		{ BOB, "one", "" },
		{ BOB, "two", "" },
		{ BOB, "six", "x.tar (2).gz" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(begin(&p, rows[i].peer, "x.tar.gz", 0, rows[i].text), 0);
		assert_string_equal(finish(&p, rows[i].peer, "x.tar.gz"), rows[i].name);
		assert_int_equal(inbox_partial_read(p.in, rows[i].peer, "x.tar.gz"), -ENOENT);
	}
	assert_string_equal(waiting(&p), "x.tar (1).gz=3 x.tar (2).gz=3 x.tar.gz=3 ");
	place_close(&p);
}

static void test_goes_on(void **state)
{
	struct place p;
	char text[16] = "";
	(void)state;
	place_open(&p);
	assert_int_equal(begin(&p, ALICE, "f", 1, "x"), -ERANGE);
	assert_int_equal(begin(&p, ALICE, "f", 0, "0123456789"), 0);
	assert_int_equal(begin(&p, ALICE, "f", 4, "abc"), 0);
	assert_int_equal(begin(&p, ALICE, "f", 8, "x"), -ERANGE);
	/* Another peer's is another file. */
	assert_int_equal(inbox_partial_read(p.in, BOB, "f"), -ENOENT);
	int fd = inbox_partial_read(p.in, ALICE, "f");
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "0123abc");
	close(fd);
	/* From the start again, nothing of what was there stays behind it. */
	assert_int_equal(begin(&p, ALICE, "f", 0, "new"), 0);
	assert_string_equal(finish(&p, ALICE, "f"), "f");
	assert_string_equal(waiting(&p), "f=3 ");
	place_close(&p);
}

static void count_name(void *arg, const char *name)
{
	(void)name;
	++*(int *)arg;
}

static void test_bounds(void **state)
{
	struct place p;
	char name[32];
	int n = 0;
	struct errbuf eb = { 0 };
	(void)state;
	place_open(&p);
	for (int i = 0; i < INBOX_PARTIALS_MAX; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(begin(&p, ALICE, name, 0, "x"), 0);
	}
	assert_int_equal(begin(&p, ALICE, "more", 0, "x"), -EMFILE);
	assert_int_equal(begin(&p, ALICE, "f3", 1, "x"), 0);
	assert_int_equal(begin(&p, BOB, "more", 0, "x"), 0);
	inbox_partials(p.in, ALICE, count_name, &n);
	assert_int_equal(n, INBOX_PARTIALS_MAX);
	assert_int_equal(inbox_room(p.in, 1, &eb), 0);
	assert_int_equal(inbox_room(p.in, UINT64_C(1) << 62, &eb), -ENOSPC);
	assert_non_null(strstr(eb.text, "no room on the receiving machine: "));
	assert_non_null(strstr(eb.text, "ropewalk file get"));
	place_close(&p);
}

static void test_sweep(void **state)
{
	struct place p;
	int fd;
	(void)state;
	place_open(&p);
	assert_int_equal(begin(&p, ALICE, "old", 0, "x"), 0);
	assert_int_equal(begin(&p, ALICE, "whole", 0, "x"), 0);
	assert_string_equal(finish(&p, ALICE, "whole"), "whole");
	inbox_sweep(p.in, time(NULL) + 3500);
	fd = inbox_partial_read(p.in, ALICE, "old");
	assert_true(fd >= 0);
	close(fd);
	inbox_sweep(p.in, time(NULL) + 3700);
	assert_int_equal(inbox_partial_read(p.in, ALICE, "old"), -ENOENT);
	assert_string_equal(waiting(&p), "whole=1 ");
	assert_int_equal(begin(&p, ALICE, "old", 0, "x"), 0); /* its folder may be used again */
	place_close(&p);
}

/* A name that was a link or a folder in the way is not followed. */
static void test_links(void **state)
{
	struct place p;
	char path[128];
	(void)state;
	place_open(&p);
	assert_int_equal(begin(&p, ALICE, "f", 0, "x"), 0);
	snprintf(path, sizeof(path), "%s/files/partial/%d/f", p.dir, ALICE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/tmp/rw-inbox-nowhere", path), 0);
	assert_int_equal(begin(&p, ALICE, "f", 0, "x"), -ELOOP);
	place_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_and_goes),
		cmocka_unit_test(test_start_finds),
		cmocka_unit_test(test_same_name),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
