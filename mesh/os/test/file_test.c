#include "mesh/os/file.h"
#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];

static const char *in(const char *name)
{
	static char path[2][PATH_MAX];
	static int turn;
	turn ^= 1;
	snprintf(path[turn], PATH_MAX, "%s/%s", dir, name);
	return path[turn];
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/rw-file-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return dir_remove(dir, NULL);
}

static int read_own(const char *name, enum file_own how, struct errbuf *eb)
{
	struct buf b = { 0 };
	int err = file_read_own(in(name), 100, how, &b, eb);
	assert_true(err || (b.len == 3 && memcmp(buf_data(&b), "key", 3) == 0));
	buf_free(&b);
	return err;
}

static unsigned mode_of(const char *name)
{
	struct stat st;
	assert_int_equal(stat(in(name), &st), 0);
	return st.st_mode & 07777;
}

static char warned[256];

static void keep_warning(void *arg, enum log_level level, const char *text)
{
	(void)arg;
	if (level == LOG_WARN)
		snprintf(warned, sizeof(warned), "%s", text);
}

/* What an admin wrote is read whoever else may, and said where that is everybody. */
static void test_given(void **state)
{
	static const struct {
		mode_t mode;
		bool secret;
		const char *says; /* behind the name; NULL: nothing */
	} rows[] = { { 0600, true, NULL }, { 0640, true, NULL }, { 0660, true, NULL }, { 0644, false, NULL },
		{ 0644, true, "can be read by every user of this machine: chmod o-r it" },
		{ 0666, false, "can be written by every user of this machine: chmod o-w it" },
		{ 0602, true, "can be written by every user of this machine: chmod o-w it" } };
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(file_write_atomic(in("given"), 0600, "key", 3, &eb), 0);
	log_tell(keep_warning, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = { 0 };
		assert_int_equal(chmod(in("given"), rows[i].mode), 0);
		warned[0] = 0;
		assert_int_equal(file_read_given(in("given"), 100, rows[i].secret, &b, &eb), 0);
		assert_int_equal(b.len, 3);
		buf_free(&b);
		const char *flaw = file_open_to_all(in("given"), rows[i].secret);
		bool told = rows[i].says ? strstr(warned, rows[i].says) && flaw && !strcmp(flaw, rows[i].says)
					 : !warned[0] && !flaw;
		if (!told)
			fail_msg("row %zu: \"%s\"", i, warned);
	}
	log_tell(NULL, NULL);
	assert_null(file_open_to_all(in("none"), true));
	assert_null(file_open_to_all(in("."), true));
}

/* What is not read whole is not there in part: what stood in the buffer stays, and an empty one holds no memory. */
static void test_not_whole(void **state)
{
	struct buf b = { 0 };
	struct errbuf eb;
	(void)state;
	assert_int_equal(file_write_atomic(in("long"), 0600, "0123456789", 10, NULL), 0);
	assert_int_equal(file_read(in("long"), 9, &b, &eb), ERR_TOO_LARGE);
	assert_true(!b.p && !b.len);
	assert_int_equal(file_read_own(in("long"), 9, FILE_PRIVATE, &b, &eb), ERR_TOO_LARGE);
	assert_true(!b.p && !b.len);
	assert_true(buf_append(&b, "before", 6));
	assert_int_equal(file_read(in("long"), 9, &b, &eb), ERR_TOO_LARGE);
	assert_string_equal(buf_cstr(&b), "before");
	assert_int_equal(file_read(in("long"), 10, &b, &eb), 0);
	assert_string_equal(buf_cstr(&b), "before0123456789");
	buf_free(&b);
	assert_int_equal(unlink(in("long")), 0);
}

static void test_own(void **state)
{
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(read_own("none", FILE_PRIVATE, &eb), -ENOENT);
	assert_int_equal(file_write_atomic(in("key"), 0600, "key", 3, &eb), 0);
	assert_int_equal(read_own("key", FILE_PRIVATE, &eb), 0);

	static const struct {
		mode_t mode;
		enum file_own how;
		int err;
		mode_t after;
		const char *says;
	} rows[] = {
		{ 0644, FILE_PRIVATE, -EPERM, 0644, "(mode 0644), and holds a private key" },
		{ 0640, FILE_PRIVATE, -EPERM, 0640, "chmod 600" },
		{ 0400, FILE_PRIVATE, 0, 0400, "" },
		{ 0644, FILE_HIDE, 0, 0600, "" },
		{ 0620, FILE_HIDE, -EPERM, 0620, "can be written by others" },
		{ 0644, FILE_SHOWN, 0, 0644, "" },
		{ 0666, FILE_SHOWN, -EPERM, 0666, "can be written by others" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(chmod(in("key"), rows[i].mode), 0);
		eb.text[0] = 0;
		if (read_own("key", rows[i].how, &eb) != rows[i].err || mode_of("key") != rows[i].after ||
			!strstr(eb.text, rows[i].says))
			fail_msg("row %zu: %s", i, eb.text);
	}
}

/* Whoever can write to the folder cannot make us read, or change the mode of, another file. */
static void test_not_ours(void **state)
{
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(file_write_atomic(in("system"), 0644, "key", 3, &eb), 0);
	assert_int_equal(symlink(in("system"), in("link")), 0);
	assert_int_equal(read_own("link", FILE_HIDE, &eb), -ELOOP);
	assert_non_null(strstr(eb.text, "symbolic link"));
	assert_int_equal(mode_of("system"), 0644);
	assert_int_equal(mkfifo(in("pipe"), 0600), 0);
	assert_int_equal(read_own("pipe", FILE_HIDE, &eb), -EINVAL);
	assert_int_equal(mkdir(in("folder"), 0700), 0);
	assert_int_equal(read_own("folder", FILE_SHOWN, &eb), -EINVAL);
	assert_int_equal(file_write_atomic(in("foreign"), 0600, "key", 3, &eb), 0);
	if (geteuid() != 0 || chown(in("foreign"), 4711, 4711) != 0)
		return; /* only root can make it so */
	assert_int_equal(read_own("foreign", FILE_HIDE, &eb), -EPERM);
	assert_non_null(strstr(eb.text, "belongs to user 4711, and user"));
}

/* What is no socket, or not ours, is not deleted for one. */
static void test_socket_file(void **state)
{
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(file_write_atomic(in("notes"), 0600, "key", 3, &eb), 0);
	assert_int_equal(sock_unix_listen(in("notes"), 0600, &eb), -EEXIST);
	assert_non_null(strstr(eb.text, "is no socket"));
	assert_int_equal(read_own("notes", FILE_PRIVATE, &eb), 0);
	assert_int_equal(symlink(in("notes"), in("alias")), 0);
	assert_int_equal(sock_unix_listen(in("alias"), 0666, &eb), -EEXIST);
	assert_int_equal(mode_of("notes"), 0600);

	mode_t before = umask(077);
	int fd = sock_unix_listen(in("sock"), 0666, &eb);
	umask(before);
	assert_true(fd >= 0);
	assert_int_equal(mode_of("sock"), 0666);
	assert_int_equal(sock_unix_listen(in("sock"), 0666, &eb), -EADDRINUSE);
	close(fd);
	fd = sock_unix_listen(in("sock"), 0600, &eb); /* a stale one of ours is replaced */
	assert_true(fd >= 0);
	assert_int_equal(mode_of("sock"), 0600);
	/* A link to a stale socket stays, and so does the socket. */
	close(fd);
	assert_int_equal(symlink(in("sock"), in("alias2")), 0);
	assert_int_equal(sock_unix_listen(in("alias2"), 0600, &eb), -EEXIST);
	assert_int_equal(access(in("sock"), F_OK), 0);
	sock_unix_unlink(in("notes"));
	assert_int_equal(access(in("notes"), F_OK), 0);
	sock_unix_unlink(in("sock"));
	assert_int_not_equal(access(in("sock"), F_OK), 0);
}

/* The folder of a file to come is made, with those around it; where it stands already, it stays as it is. */
static void test_around(void **state)
{
	struct errbuf eb = { 0 };
	char longest[PATH_MAX + 3];
	(void)state;
	assert_int_equal(dir_make_of(in("a/b/file"), 0700, &eb), 0);
	assert_int_equal(mode_of("a"), 0755);
	assert_int_equal(mode_of("a/b"), 0700);
	assert_int_not_equal(access(in("a/b/file"), F_OK), 0);
	assert_int_equal(dir_make_of(in("a/b/file"), 0755, &eb), 0);
	assert_int_equal(mode_of("a/b"), 0700);
	assert_int_equal(dir_make_of("file", 0700, &eb), 0);
	assert_int_equal(dir_make_of("/file", 0700, &eb), 0);
	assert_int_equal(file_write_atomic(in("notes"), 0600, "key", 3, &eb), 0);
	assert_int_equal(dir_make_of(in("notes/b/file"), 0700, &eb), -ENOTDIR);
	memset(longest, 'a', sizeof(longest));
	strcpy(longest + PATH_MAX, "/f");
	assert_int_equal(dir_make_of(longest, 0700, &eb), -ENAMETOOLONG);
	assert_non_null(strstr(eb.text, "make the folder of aaa"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_around, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
