/* `ropewalk file` against a LocalAPI that says what a row tells it to. What needs a real daemon is in scenarios/files.yaml. */
#include "mesh/cli/cli.h"
#include "mesh/cli/progress.h"
#include "mesh/cli/test/fake_api.h"
#include "mesh/os/file.h"
#include "mesh/os/tied.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define API "/localapi/v0/"
static const char status[] =
	"{\"BackendState\":\"Running\",\"Self\":{\"HostName\":\"alice\",\"DNSName\":\"alice.mesh.test.\","
	"\"TailscaleIPs\":[\"100.64.0.1\"]},\"Peer\":{\"nodekey:"
	"2222222222222222222222222222222222222222222222222222222222222222\":{\"ID\":\"n2\",\"HostName\":"
	"\"bob\","
	"\"DNSName\":\"bob.mesh.test.\",\"TailscaleIPs\":[\"100.64.0.2\",\"fd7a:115c:a1e0::2\"],\"Online\":"
	"true}}}";

struct place {
	char dir[64];
	struct fake_api *api;
};

static void place_open(struct place *p, const struct fake_route *routes)
{
	*p = (struct place) { .dir = "/tmp/rw-file-XXXXXX" };
	assert_non_null(mkdtemp(p->dir));
	p->api = fake_api_start(routes);
}

static void place_close(struct place *p)
{
	fake_api_stop(p->api);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
}

static void put_text(const struct place *p, const char *name, const char *text)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	assert_int_equal(file_write_atomic(path, 0644, text, strlen(text), NULL), 0);
}

/* "" when there is none. */
static const char *text_of(const struct place *p, const char *name)
{
	static char text[256];
	char path[200];
	struct buf b = { 0 };
	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	text[0] = 0;
	if (file_read(path, sizeof(text) - 1, &b, NULL) == 0)
		snprintf(text, sizeof(text), "%.*s", (int)b.len, b.len ? (const char *)buf_data(&b) : "");
	buf_free(&b);
	return text;
}

/* "ropewalk file A B C D" (NULLs at the end); *said: what it printed on both. */
static int run(
	struct place *p, char *said, size_t cap, const char *a, const char *b, const char *c, const char *d)
{
	char prog[] = "ropewalk", verb[] = "file", words[4][256];
	const char *in[] = { a, b, c, d };
	char *argv[7] = { prog, verb, NULL };
	int argc = 2;
	for (int i = 0; i < 4 && in[i]; i++) {
		snprintf(words[i], sizeof(words[i]), "%s", in[i]);
		argv[argc++] = words[i];
	}
	struct cli cl = { .loop = loop_new(), .socket = fake_api_socket(p->api) };
	memset(said, 0, cap);
	cl.out = cl.err = fmemopen(said, cap, "w");
	int code = cli_run(&cl, argc, argv);
	fclose(cl.out);
	loop_free(cl.loop);
	return code;
}

static void test_words(void **state)
{
	static const struct fake_route routes[] = { { "GET " API "status", 200, status, false },
		{ "PUT " API "file-put/n2/", 404, "cannot send files to bob.mesh.test.: off\n", false },
		{ "GET " API "file-targets", 200,
			"[{\"Node\":{\"Addresses\":[\"100.64.0.2/"
			"32\"],\"ComputedName\":\"bob\",\"Online\":true}},"
			"{\"Node\":{\"Addresses\":[\"100.64.0.3/"
			"32\"],\"ComputedName\":\"carol\",\"Online\":false}}]",
			false },
		{ NULL, 0, NULL, false } };
	static const struct {
		const char *word[4];
		int code;
		const char *said;
	} rows[] = {
		{ { "cp", NULL, NULL, NULL }, CLI_USAGE, "cp needs files and a machine" },
		{ { "cp", "/dev/null", NULL, NULL }, CLI_USAGE, "cp needs files and a machine" },
		{ { "cp", "/dev/null", "bob", NULL }, CLI_USAGE, "\"bob\" is not a machine" },
		{ { "cp", "/dev/null", "fd7a:115c:a1e0::2:", NULL }, CLI_USAGE, "is written as [ADDRESS]:" },
		{ { "cp", "/dev/null", "[bob]:", NULL }, CLI_USAGE, "is not a machine" },
		{ { "cp", "/dev/null", "[100.64.0.2]:", NULL }, CLI_USAGE, "is not a machine" },
		{ { "cp", "/dev/null", ":", NULL }, CLI_USAGE, "is not a machine" },
		{ { "cp", "/dev/null", "zed:", NULL }, CLI_FAILED, "no machine \"zed\"" },
		{ { "cp", "/dev/null", "alice:", NULL }, CLI_FAILED, "alice is this machine" },
		{ { "cp", "/nowhere/x", "bob:", NULL }, CLI_FAILED, "cannot read /nowhere/x: No such file" },
		{ { "cp", "/tmp", "bob:", NULL }, CLI_FAILED, "/tmp is a folder" },
		{ { "cp", "-", "/dev/null", "bob:" }, CLI_USAGE, "standard input (-) goes alone" },
		{ { "cp", "--name=x", "/dev/null", "bob:" }, CLI_FAILED,
			"cannot send files to bob.mesh.test.: off" },
		{ { "cp", "/dev/null", "[fd7a:115c:a1e0::2]:", NULL }, CLI_FAILED, "bob.mesh.test.: off" },
		{ { "cp", "--wait", "/dev/null", "bob:" }, CLI_USAGE, "--wait and --loop are for get" },
		{ { "cp", "--targets", NULL, NULL }, CLI_OK,
			"100.64.0.2\tbob\n100.64.0.3\tcarol\toffline\n" },
		{ { "cp", "--targets", "x", NULL }, CLI_USAGE, "--targets takes no files" },
		{ { "get", NULL, NULL, NULL }, CLI_USAGE, "get needs one folder" },
		{ { "get", "--name=x", "/tmp", NULL }, CLI_USAGE, "are for cp" },
		{ { "get", "/nowhere", NULL, NULL }, CLI_FAILED, "cannot use /nowhere" },
		{ { "get", "--conflict=ask", "/tmp", NULL }, CLI_USAGE, "skip, overwrite or rename" },
		{ { "get", "--wait", "/dev/null", NULL }, CLI_USAGE, "/dev/null waits for nothing" },
		{ { "mv", NULL, NULL, NULL }, CLI_USAGE, "neither cp nor get" },
	};
	struct place p;
	char said[2048];
	(void)state;
	place_open(&p, routes);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int code = run(&p, said, sizeof(said), rows[i].word[0], rows[i].word[1], rows[i].word[2],
			rows[i].word[3]);
		if (code != rows[i].code || !strstr(said, rows[i].said))
			fail_msg("row %zu: %d %s", i, code, said);
	}
	place_close(&p);
}

#define ONE_WAITS(name) \
	{ \
		"GET " API "files/?waitsec=0", 200, "[{\"Name\":\"" name "\",\"Size\":3}]", false \
	}
#define THERE \
	{ \
		"GET " API "files/", 200, "new", false \
	}
#define GOES \
	{ \
		"DELETE " API "files/", 204, "", false \
	}
#define END \
	{ \
		NULL, 0, NULL, false \
	}

static void test_conflicts(void **state)
{
	static const struct fake_route routes[] = { ONE_WAITS("a.txt"), THERE, GOES, END };
	struct place p;
	char said[2048];
	(void)state;
	place_open(&p, routes);
	assert_int_equal(run(&p, said, sizeof(said), "get", p.dir, NULL, NULL), CLI_OK);
	assert_string_equal(text_of(&p, "a.txt"), "new");
	assert_non_null(strstr(fake_api_requests(p.api), "DELETE " API "files/a.txt"));
	put_text(&p, "a.txt", "old");
	assert_int_equal(run(&p, said, sizeof(said), "get", p.dir, NULL, NULL), CLI_FAILED);
	assert_non_null(strstr(said, "a.txt is in /tmp/rw-file-"));
	assert_null(
		strstr(strstr(fake_api_requests(p.api), "DELETE"), "GET " API "files/a.txt")); /* in vain */
	assert_string_equal(text_of(&p, "a.txt"), "old");
	assert_int_equal(run(&p, said, sizeof(said), "get", "--conflict=rename", "--verbose", p.dir), CLI_OK);
	assert_non_null(strstr(said, "a (1).txt\nmoved 1 of 1 files\n"));
	assert_string_equal(text_of(&p, "a.txt"), "old");
	assert_string_equal(text_of(&p, "a (1).txt"), "new");
	assert_int_equal(run(&p, said, sizeof(said), "get", "--conflict=overwrite", p.dir, NULL), CLI_OK);
	assert_string_equal(text_of(&p, "a.txt"), "new");
	/* A link is replaced, and what it led to is as it was. */
	char path[200], to[200];
	put_text(&p, "precious", "kept");
	snprintf(path, sizeof(path), "%s/a.txt", p.dir);
	snprintf(to, sizeof(to), "%s/precious", p.dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(to, path), 0);
	assert_int_equal(run(&p, said, sizeof(said), "get", "--conflict=overwrite", p.dir, NULL), CLI_OK);
	assert_string_equal(text_of(&p, "precious"), "kept");
	assert_string_equal(text_of(&p, "a.txt"), "new");
	place_close(&p);
}

/* Where no call moves a file to a name only if nobody has it (NFS). */
static bool is_old;
int __real_renameat2(int from, const char *a, int to, const char *b, unsigned flags);
int __wrap_renameat2(int from, const char *a, int to, const char *b, unsigned flags);

int __wrap_renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
	if (!is_old)
		return __real_renameat2(from, a, to, b, flags);
	errno = EINVAL;
	return -1;
}

static void test_old_file_system(void **state)
{
	is_old = true;
	test_conflicts(state);
	is_old = false;
}

/* A daemon that lies does not make us write elsewhere. */
static void test_names(void **state)
{
	static const struct fake_route lies[][4] = {
		{ ONE_WAITS("../out"), THERE, GOES, END },
		{ ONE_WAITS("/tmp/rw-file-out"), THERE, GOES, END },
		{ ONE_WAITS(".."), THERE, GOES, END },
		{ ONE_WAITS(""), THERE, GOES, END },
	};
	char said[2048];
	struct stat st;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct place p;
		char path[200];
		place_open(&p, lies[i]);
		snprintf(path, sizeof(path), "%s/in", p.dir);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(run(&p, said, sizeof(said), "get", path, NULL, NULL), CLI_FAILED);
		assert_string_equal(text_of(&p, "out"), "");
		assert_true(stat("/tmp/rw-file-out", &st) != 0);
		assert_null(strstr(fake_api_requests(p.api), "DELETE"));
		place_close(&p);
	}
}

/* What does not come whole leaves nothing, and waits on. */
static void test_broken(void **state)
{
	static const struct fake_route routes[] = { ONE_WAITS("a.txt"),
		{ "GET " API "files/a.txt", 500, "disk", false }, GOES, END };
	struct place p;
	char said[2048];
	(void)state;
	place_open(&p, routes);
	assert_int_equal(run(&p, said, sizeof(said), "get", p.dir, NULL, NULL), CLI_FAILED);
	assert_non_null(strstr(said, "does not hand out a.txt (500)"));
	assert_int_equal(rmdir(p.dir), 0); /* it is empty */
	assert_int_equal(mkdir(p.dir, 0700), 0);
	put_text(&p, "a.txt", "old");
	assert_int_equal(run(&p, said, sizeof(said), "get", "--conflict=overwrite", p.dir, NULL), CLI_FAILED);
	assert_string_equal(text_of(&p, "a.txt"), "old");
	assert_null(strstr(fake_api_requests(p.api), "DELETE"));
	place_close(&p);
}

/* Ended in the middle of a file: nobody holds its name, so it comes whole the next time. */
static void test_interrupted(void **state)
{
	static const struct fake_route stuck[] = { ONE_WAITS("a.txt"),
		{ "GET " API "files/a.txt", 200, NULL, true }, END };
	static const struct fake_route routes[] = { ONE_WAITS("a.txt"), THERE, GOES, END };
	struct place p;
	char said[2048], socket[128] = "";
	int to_child[2];
	(void)state;
	assert_int_equal(pipe(to_child), 0);
	pid_t child = fork_tied(); /* before there are threads */
	if (!child) {
		char words[][8] = { "ropewalk", "file", "get" }, dir[64];
		struct cli cl = { .loop = loop_new(), .socket = socket, .out = stdout, .err = stderr };
		signal(SIGINT, SIG_DFL); /* ignored in what a script starts beside it */
		if (read(to_child[0], dir, sizeof(dir)) == sizeof(dir) &&
			read(to_child[0], socket, sizeof(socket)) == sizeof(socket))
			(void)cli_run(&cl, 4, (char *[]) { words[0], words[1], words[2], dir, NULL });
		_exit(1);
	}
	assert_true(child > 0);
	place_open(&p, stuck);
	snprintf(socket, sizeof(socket), "%s", fake_api_socket(p.api));
	assert_int_equal(write(to_child[1], p.dir, sizeof(p.dir)), sizeof(p.dir));
	assert_int_equal(write(to_child[1], socket, sizeof(socket)), sizeof(socket));
	for (uint64_t began_ms = clock_now_ms(); !strstr(fake_api_requests(p.api), "GET " API "files/a.txt");
		usleep(1000))
		assert_true(clock_now_ms() - began_ms < 60000);
	int how;
	assert_int_equal(kill(child, SIGINT), 0);
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFSIGNALED(how));
	close(to_child[0]);
	close(to_child[1]);
	fake_api_stop(p.api);
	p.api = fake_api_start(routes);
	if (run(&p, said, sizeof(said), "get", p.dir, NULL, NULL) != CLI_OK)
		fail_msg("%s", said);
	assert_string_equal(text_of(&p, "a.txt"), "new");
	place_close(&p);
}

static void test_drop(void **state)
{
	static const struct fake_route routes[] = { ONE_WAITS("a b"), GOES, END };
	struct place p;
	char said[2048];
	(void)state;
	place_open(&p, routes);
	assert_int_equal(run(&p, said, sizeof(said), "get", "/dev/null", NULL, NULL), CLI_OK);
	assert_non_null(strstr(fake_api_requests(p.api), "DELETE " API "files/a%20b"));
	place_close(&p);
}

static void test_progress(void **state)
{
	char out[1024] = "";
	struct progress p;
	FILE *f = fmemopen(out, sizeof(out), "w");
	(void)state;
	progress_begin(&p, f, "film.mkv", 4 << 20, 250, 1000);
	progress_at(&p, 10, 1100); /* too soon */
	fflush(f);
	assert_string_equal(out, "");
	progress_at(&p, 1 << 20, 2000);
	progress_end(&p, 3000);
	progress_end(&p, 3000);
	fclose(f);
	assert_string_equal(out, "\r\033[Kfilm.mkv                                  1.00MiB      1.00MiB/s   "
				 "25.00%  ETA 00:00:03"
				 "\r\033[Kfilm.mkv                                  1.00MiB    512.00KiB/s   "
				 "25.00%  ETA 00:00:06\n");
	/* Not on a terminal, or not wanted: nothing. */
	progress_begin(&p, NULL, "x", 1, 250, 0);
	progress_at(&p, 1, 9999);
	progress_end(&p, 9999);
	progress_begin(&p, stderr, "x", 1, 0, 0);
	progress_at(&p, 1, 9999);
	assert_false(p.shown);
}

/* What a run that was killed has left goes with the next; what another run is at, and what others call so, stays. */
static void test_left_behind(void **state)
{
	static const struct fake_route routes[] = { ONE_WAITS("a.txt"), THERE, GOES, END };
	static const char *const others[] = { ".ropewalk-7.part.txt", ".ropewalk-x.part", ".ropewalk--7.part",
		"ropewalk-7.part" };
	struct place p;
	char said[2048], path[200];
	(void)state;
	place_open(&p, routes);
	put_text(&p, ".ropewalk-999999.part", "half");
	put_text(&p, ".ropewalk-7.part", "half");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		put_text(&p, others[i], "other");
	snprintf(path, sizeof(path), "%s/.ropewalk-7.part", p.dir);
	int held = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX), 0);
	assert_int_equal(run(&p, said, sizeof(said), "get", p.dir, NULL, NULL), CLI_OK);
	assert_string_equal(text_of(&p, "a.txt"), "new");
	assert_string_equal(text_of(&p, ".ropewalk-999999.part"), "");
	assert_string_equal(text_of(&p, ".ropewalk-7.part"), "half");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_string_equal(text_of(&p, others[i]), "other");
	close(held);
	assert_int_equal(run(&p, said, sizeof(said), "get", "--conflict=rename", p.dir, NULL), CLI_OK);
	assert_string_equal(text_of(&p, ".ropewalk-7.part"), "");
	place_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_old_file_system),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_progress),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
