#include "resolver/alone/test/other.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/wire.h"
#include "resolver/answer.h"
#include "resolver/message.h"
#include "resolver/present.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

enum { TRIES = 100, WAIT_MS = 100, LINES = 32 };

/* ---- one question ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The rcode and the records of the answer without their times, in one order. */
static void answer_text(const uint8_t *msg, size_t len, char out[static OTHER_TEXT])
{
	struct buf b = { 0 };
	char *lines[LINES], *save = NULL;
	size_t n = 0, at = 0;
	assert_true(present_message(msg, len, &b));
	(void)buf_cstr(&b);
	for (char *l = strtok_r((char *)buf_data(&b), "\n", &save); l && n < LINES;
		l = strtok_r(NULL, "\n", &save))
		lines[n++] = l;
	if (n > 2)
		qsort(lines + 1, n - 1, sizeof(*lines), by_text);
	out[0] = 0;
	for (size_t i = 0; i < n; i++) {
		char *ttl = i ? strchr(lines[i], '\t') : NULL, *rest = ttl ? strchr(ttl + 1, '\t') : NULL;
		if (rest)
			*ttl = 0;
		at += (size_t)snprintf(out + at, OTHER_TEXT - at, "%s%s\n", lines[i], rest ? rest : "");
		assert_true(at < OTHER_TEXT);
	}
	buf_free(&b);
}

static size_t answers_end(const uint8_t *msg, size_t len)
{
	size_t at = dns_name_skip(msg, len, DNS_HEADER) + 4;
	struct dns_rr rr;
	for (unsigned n = (unsigned)be_get(msg + 6, 2); n && dns_rr_next(msg, len, &at, &rr); n--)
		;
	return at;
}

/* What goes with an answer, and the SOA of what does not exist, is each program's own affair. false: no answer. */
bool other_ask(unsigned port, const char *name, const char *type, char out[static OTHER_TEXT])
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval patience = { .tv_sec = 4 };
	uint8_t q[512], a[4096];
	struct dns_name wire;
	struct dns_ask m = { .id = 7, .name = &wire };
	assert_true(dns_name_parse(name, &wire) && dns_type_parse(type, &m.type));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	size_t len = dns_ask_write(q, &m);
	ssize_t got = -1;
	if (send(fd, q, len, 0) == (ssize_t)len)
		do
			got = recv(fd, a, sizeof(a), 0);
		while (got < 0 && errno == EINTR); /* it was stopped for a moment */
	close(fd);
	if (got >= DNS_HEADER) {
		memset(a + 8, 0, 4);
		answer_text(a, answers_end(a, (size_t)got), out);
	}
	return got >= DNS_HEADER;
}

bool other_answer(unsigned port, const char *name, const char *type, char out[static OTHER_TEXT])
{
	enum { ASKED = 15 };
	bool got = false;
	for (int i = 0; i < ASKED && !got; i++)
		got = other_ask(port, name, type, out);
	return got;
}

/* ---- the other program ---- */

static bool is_free(int type, unsigned port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	bool is = bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
	close(fd);
	return is;
}

/* Below those that the kernel gives to whoever asks meanwhile, and another one in each process. */
unsigned other_port(void)
{
	enum { FIRST = 12000, PORTS = 20000, STEP = 16 };
	static unsigned n;
	for (;;) {
		unsigned port = FIRST + ((unsigned)getpid() * STEP + n++) % PORTS;
		assert_true(n < PORTS);
		if (is_free(SOCK_DGRAM, port) && is_free(SOCK_STREAM, port))
			return port;
	}
}

pid_t other_start(const char *const *argv, unsigned port)
{
	char text[OTHER_TEXT];
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int quiet = open("/dev/null", O_WRONLY);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(quiet, 1);
		dup2(quiet, 2);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	for (int i = 0; i < TRIES; i++) {
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		if (other_ask(port, "www.example.com", "A", text))
			return pid;
		usleep(WAIT_MS * 1000);
	}
	fail_msg("%s does not answer", argv[0]);
	return -1;
}

void other_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
