/* What was heard before a restart (keep-cache), with the real program and an upstream that is gone by then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "resolver/alone/test/other.h"
#include "resolver/alone/test/program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char up_conf[] = "listen: 127.0.0.1:0\nauthority: [ . ]\nttl: 3600\nrecords:\n"
			      "  - { name: www.example.com, value: 1.2.3.7 }\n"
			      "  - { name: mx.example.com, type: MX, value: \"10 www.example.com.\" }\n";

struct place { /* a state folder that outlives programs, and its configuration */
	char state[64], file[128], conf[512];
};

static void place_open(struct place *p, unsigned port, const char *more)
{
	*p = (struct place) { .state = "/tmp/restart_test.XXXXXX" };
	assert_non_null(mkdtemp(p->state));
	snprintf(p->file, sizeof(p->file), "%s/answers.cache", p->state);
	snprintf(p->conf, sizeof(p->conf), "listen: 127.0.0.1:0\nupstreams: 127.0.0.1:%u\nstate: %s\n%s",
		port, p->state, more);
}

static void place_close(struct place *p)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", p->state);
	assert_int_equal(system(command), 0);
}

static void tell(const struct program *p, const char *const *words, const char *has)
{
	char out[32768];
	assert_int_equal(program_tell(p, out, sizeof(out), words), 0);
	if (!strstr(out, has))
		fail_msg("%s: no \"%s\" in %s", words[0], has, out);
}

static void counted(const struct program *p, const char *name, unsigned n)
{
	char line[64];
	snprintf(line, sizeof(line), "\nropewalk_resolver_%s_total %u\n", name, n);
	tell(p, (const char *const[]) { "metrics", NULL }, line);
}

static void query(const struct program *p, const char *name, const char *type, const char *has)
{
	tell(p, (const char *const[]) { "query", name, type, NULL }, has);
}

/* A program that has heard two answers of one that then ends. */
static void learn(struct place *at, struct program *p, const char *more)
{
	struct program up;
	program_start(&up, up_conf);
	place_open(at, up.dns.port, more);
	program_start(p, at->conf);
	query(p, "www.example.com", "A", "From: upstream");
	query(p, "mx.example.com", "MX", "From: upstream");
	query(p, "no.example.com", "A", "NXDOMAIN");
	program_stop(&up);
}

static void test_kept(void **state)
{
	struct program p;
	struct place at;
	struct stat st;
	(void)state;
	learn(&at, &p, "keep-cache: true\n");
	program_stop(&p);
	assert_int_equal(stat(at.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	for (int i = 0; i < 2; i++) { /* and over one more */
		program_start(&p, at.conf);
		counted(&p, "kept", 3);
		query(&p, "www.example.com", "A", "From: cache");
		query(&p, "www.example.com", "A", "1.2.3.7");
		query(&p, "mx.example.com", "MX", "10 www.example.com.");
		counted(&p, "forwarded", 0);
		/* It lives for 10 s: where that is over it is asked for again, and nobody but the file can say so. */
		query(&p, "no.example.com", "A", "NXDOMAIN");
		program_stop(&p);
	}
	place_close(&at);
}

/* What was forgotten by order is in no file from then on, whatever happens. */
static void test_flushed(void **state)
{
	struct program p;
	struct place at;
	(void)state;
	for (int i = 0; i < 2; i++) { /* at once, and after it is written anew */
		learn(&at, &p, "keep-cache: true\n");
		program_stop(&p);
		assert_int_equal(access(at.file, F_OK), 0);
		program_start(&p, at.conf);
		tell(&p, (const char *const[]) { "flush", "www.example.com", NULL }, "1 ");
		for (int turns = 0; i && turns < 1000 && access(at.file, F_OK) != 0; turns++)
			usleep(10000);
		assert_true(!i || !access(at.file, F_OK));
		program_kill(&p);
		program_start(&p, at.conf);
		query(&p, "www.example.com", "A", "SERVFAIL");
		if (i)
			query(&p, "mx.example.com", "MX", "From: cache");
		program_stop(&p);
		place_close(&at);
	}
}

static void damage(const char *file)
{
	FILE *to = fopen(file, "r+e");
	assert_non_null(to);
	assert_int_equal(fseek(to, 150, SEEK_SET), 0);
	assert_true(fputs("?????", to) >= 0);
	fclose(to);
}

/* A file that is damaged, or that others could have written, is not used, which counts and is said. */
static void test_not_used(void **state)
{
	struct program p;
	struct place at;
	(void)state;
	learn(&at, &p, "keep-cache: true\n");
	program_stop(&p);
	damage(at.file);
	program_start(&p, at.conf);
	counted(&p, "kept", 0);
	counted(&p, "kept_bad", 1);
	query(&p, "www.example.com", "A", "SERVFAIL");
	program_stop(&p);
	program_start(&p, at.conf); /* written anew */
	counted(&p, "kept_bad", 0);
	program_stop(&p);
	place_close(&at);
}

/* Off it leaves no file, and takes away that of the time when it was on. */
static void test_off(void **state)
{
	struct program p;
	struct place at;
	char conf[600];
	(void)state;
	learn(&at, &p, "");
	program_stop(&p);
	assert_int_not_equal(access(at.file, F_OK), 0);
	snprintf(conf, sizeof(conf), "%skeep-cache: true\n", at.conf);
	program_start(&p, conf);
	program_stop(&p);
	assert_int_equal(access(at.file, F_OK), 0);
	program_start(&p, at.conf);
	program_stop(&p);
	assert_int_not_equal(access(at.file, F_OK), 0);
	place_close(&at);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kept), cmocka_unit_test(test_flushed),
		cmocka_unit_test(test_not_used), cmocka_unit_test(test_off) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
