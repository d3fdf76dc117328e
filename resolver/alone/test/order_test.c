/* In which order servers are asked, and whose answer counts: ours in each order, dnsmasq's and unbound's beside it, before the
 * same two servers. Without those programs ours is looked at alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/base/wire.h"
#include "resolver/alone/test/other.h"
#include "resolver/alone/test/program.h"
#include "resolver/message.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOW_MS = 600, NAME_TEXT = 64 };
enum mode { WELL, SILENT, FAILS, KNOWS_NOT, SLOW };

/* A server in a process of its own: www.example.com, and what the mode says of all other names. */
struct upstream {
	pid_t pid;
	unsigned port;
	uint8_t last; /* of the address that it gives */
	struct {
		volatile int mode;
		volatile unsigned asked; /* of all other names */
	} * shared;
};

static size_t answer_write(uint8_t *m, size_t len, enum mode mode, uint8_t last)
{
	static const uint8_t head[] = { 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 1, 2, 3 };
	size_t end = dns_name_skip(m, len, DNS_HEADER) + 4;
	bool address = mode != FAILS && mode != KNOWS_NOT && be_get(m + end - 4, 2) == DNS_A;
	m[2] = (uint8_t)(0x80 | (m[2] & 1));
	m[3] = (uint8_t)(0x80 | (mode == FAILS ? DNS_SERVFAIL : mode == KNOWS_NOT ? DNS_NXDOMAIN : 0));
	memset(m + 6, 0, 6);
	m[7] = address;
	if (!address)
		return end;
	memcpy(m + end, head, sizeof(head));
	m[end + sizeof(head)] = last;
	return end + sizeof(head) + 1;
}

static _Noreturn void upstream_serve(const struct upstream *u, int fd)
{
	static const uint8_t known[] = "\3www\7example\3com";
	uint8_t m[2048];
	struct sockaddr_in from;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		socklen_t n = sizeof(from);
		ssize_t len = recvfrom(fd, m, 512, 0, (struct sockaddr *)&from, &n);
		if (len < DNS_HEADER + 5)
			continue;
		bool probe = m[DNS_HEADER] != 1; /* names of the test are q.N.example */
		enum mode mode = probe ? WELL : (enum mode)u->shared->mode;
		if (!probe)
			u->shared->asked++;
		if (probe && !dns_bytes_equal(m + DNS_HEADER, known, sizeof(known)) &&
			u->shared->mode == SILENT)
			continue; /* is it there? it is not */
		if (mode == SILENT)
			continue;
		if (mode == SLOW)
			usleep(SLOW_MS * 1000);
		size_t out = answer_write(m, (size_t)len, mode, u->last);
		(void)sendto(fd, m, out, 0, (struct sockaddr *)&from, n);
	}
}

static void upstream_start(struct upstream *u, uint8_t last)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	getsockname(fd, (struct sockaddr *)&at, &len);
	u->last = last;
	u->port = ntohs(at.sin_port);
	u->shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(u->shared != MAP_FAILED);
	u->pid = fork();
	assert_true(u->pid >= 0);
	if (!u->pid)
		upstream_serve(u, fd);
	close(fd);
}

static void upstream_stop(struct upstream *u)
{
	other_stop(u->pid);
	munmap(u->shared, 4096);
}

/* ---- who is looked at ---- */

enum who { STRICT, PREFERRED, RACE, DNSMASQ_STRICT, DNSMASQ_ALL, UNBOUND, WHO };
static const char *const names[WHO] = { "strict", "preferred", "race", "dnsmasq strict-order",
	"dnsmasq all-servers", "unbound" };

/* The first server does what the mode says, the second is well. '1' and '2': whose answer; 'n' NXDOMAIN, 's' SERVFAIL; several:
 * any of them. */
static const struct {
	enum mode first;
	const char *answer[WHO];
	int second_asked[WHO]; /* 1: yes, 0: no, -1: either */
} rows[] = {
	{ WELL, { "1", "1", "12", "1", "12", "12" }, { 0, 0, 1, 0, 1, -1 } },
	{ KNOWS_NOT, { "n", "n", "n2", "n", "n2", "n2" }, { 0, 0, 1, 0, 1, -1 } },
	{ FAILS, { "2", "2", "2", "2", "2s", "2s" }, { 1, 1, 1, 1, 1, -1 } },
	{ SLOW, { "1", "2", "2", "12", "2", "12" }, { -1, 1, 1, -1, 1, -1 } },
	{ SILENT, { "2", "2", "2", "2", "2", "2" }, { 1, 1, 1, 1, 1, -1 } },
};

static char fate(unsigned port, const char *name)
{
	char text[OTHER_TEXT];
	bool got = other_ask(port, name, "A", text);
	if (!got) /* a client asks again */
		got = other_ask(port, name, "A", text);
	if (!got)
		return '-';
	return strstr(text, "1.2.3.1")		  ? '1'
	       : strstr(text, "1.2.3.2")	  ? '2'
	       : text[0] == 'N' && text[1] == 'X' ? 'n'
						  : 's';
}

/* The answer of the one may be here before the question to the other has arrived there. */
static bool was_asked(const struct upstream *u, unsigned before, bool expected)
{
	for (int i = 0; expected && i < 200 && u->shared->asked == before; i++)
		usleep(10000);
	return u->shared->asked > before;
}

/* What came to it before has been answered: an answer of one row is no sign of life in the next. It may be many that it answers
 * slowly, before ours. */
static void settle(const struct upstream *u)
{
	char text[OTHER_TEXT];
	u->shared->mode = WELL;
	assert_true(other_answer(u->port, "www.example.com", "A", text));
}

static void look(enum who who, unsigned port, struct upstream up[static 2])
{
	static unsigned number;
	char all[ARRAY_LEN(rows) + 1] = "";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[NAME_TEXT];
		snprintf(name, sizeof(name), "q.%u.example", ++number);
		settle(&up[0]);
		up[0].shared->mode = rows[i].first;
		unsigned before = up[1].shared->asked;
		char got = fate(port, name);
		bool asked = was_asked(&up[1], before, rows[i].second_asked[who] == 1);
		all[i] = got;
		if (!strchr(rows[i].answer[who], got) ||
			(rows[i].second_asked[who] >= 0 && rows[i].second_asked[who] != asked))
			fail_msg("%s, row %zu: %c, the second %s asked", names[who], i, got,
				asked ? "was" : "was not");
	}
	up[0].shared->mode = WELL;
	print_message("%s: %s\n", names[who], all);
}

static void ours_look(enum who who, struct upstream up[static 2])
{
	char conf[256];
	struct program p;
	snprintf(conf, sizeof(conf),
		"listen: 127.0.0.1:0\nupstreams: [ \"127.0.0.1:%u\", \"127.0.0.1:%u\" ]\norder: %s\n",
		up[0].port, up[1].port, names[who]);
	program_start(&p, conf);
	look(who, p.dns.port, up);
	program_stop(&p);
}

static void file_write(const char *path, const char *format, unsigned a, unsigned b, unsigned c)
{
	FILE *to = fopen(path, "we");
	assert_non_null(to);
	fprintf(to, format, a, b, c);
	fclose(to);
}

static void other_look(enum who who, struct upstream up[static 2])
{
	static const char *const confs[WHO] = {
		[DNSMASQ_STRICT] = "port=%1$u\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-"
				   "hosts\nno-negcache\n"
				   "server=127.0.0.1#%2$u\nserver=127.0.0.1#%3$u\nstrict-order\n",
		[DNSMASQ_ALL] = "port=%1$u\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-"
				"hosts\nno-negcache\n"
				"server=127.0.0.1#%2$u\nserver=127.0.0.1#%3$u\nall-servers\n",
		[UNBOUND] = "server:\n interface: 127.0.0.1@%1$u\n port: %1$u\n do-daemonize: no\n username: "
			    "\"\"\n chroot: \"\"\n"
			    " pidfile: \"\"\n use-syslog: no\n do-not-query-localhost: no\n module-config: "
			    "\"iterator\"\n"
			    "forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@%2$u\n forward-addr: "
			    "127.0.0.1@%3$u\n"
			    "remote-control:\n control-enable: no\n",
	};
	const char *binary = who == UNBOUND ? "/usr/sbin/unbound" : "/usr/sbin/dnsmasq";
	char path[] = "/tmp/order_test.XXXXXX";
	unsigned port = other_port();
	if (access(binary, X_OK) != 0)
		return;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	file_write(path, confs[who], port, up[0].port, up[1].port);
	const char *const dnsmasq[] = { binary, "-k", "--user=root", "--pid-file=", "-C", path, NULL };
	const char *const unbound[] = { binary, "-d", "-c", path, NULL };
	pid_t pid = other_start(who == UNBOUND ? unbound : dnsmasq, port);
	unlink(path);
	look(who, port, up);
	other_stop(pid);
}

static void test_orders(void **state)
{
	struct upstream up[2];
	(void)state;
	upstream_start(&up[0], 1);
	upstream_start(&up[1], 2);
	for (unsigned who = 0; who < WHO; who++) {
		if (who < DNSMASQ_STRICT)
			ours_look((enum who)who, up);
		else
			other_look((enum who)who, up);
	}
	upstream_stop(&up[0]);
	upstream_stop(&up[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_orders) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
