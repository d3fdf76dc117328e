/* Names in random case, asked of real servers: dnsmasq, unbound, and some that give names back in another case, by TCP as well
 * or not at all. No name is lost, and only who changes the case is said to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/base/wire.h"
#include "mesh/os/loop.h"
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

enum { NAMES = 40, QUESTION_MAX = 512 };
enum tcp { TCP_ANSWERS, TCP_CLOSED, TCP_SILENT };

/* A server in a process of its own: all names have one address. */
struct upstream {
	pid_t pid;
	unsigned port;
	bool folds;
	enum tcp tcp;
	struct {
		volatile unsigned n;
		volatile uint16_t ports[2]; /* that the first questions by UDP came from */
	} * asked;
};

static size_t answer_write(const struct upstream *u, uint8_t *m, size_t len)
{
	static const uint8_t address[] = { 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 1, 2, 3, 4 };
	size_t end = dns_name_skip(m, len, DNS_HEADER) + 4;
	bool has = be_get(m + end - 4, 2) == DNS_A;
	if (u->folds)
		dns_fold(m + DNS_HEADER, m + DNS_HEADER, end - 4 - DNS_HEADER);
	m[2] = (uint8_t)(0x80 | (m[2] & 1));
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	m[7] = has;
	memcpy(m + end, address, sizeof(address));
	return has ? end + sizeof(address) : end;
}

static void tcp_serve(const struct upstream *u, int listener)
{
	uint8_t m[2 + QUESTION_MAX + 64];
	int fd = accept(listener, NULL, NULL);
	/* one question after the other: who asks two at once gets both */
	while (fd >= 0 && recv(fd, m, 2, MSG_WAITALL) == 2) {
		size_t len = be_get(m, 2);
		if (len > QUESTION_MAX || recv(fd, m + 2, len, MSG_WAITALL) != (ssize_t)len)
			break;
		len = answer_write(u, m + 2, len);
		be_put(m, 2, len);
		if (send(fd, m, 2 + len, MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
}

static void udp_serve(const struct upstream *u, int fd)
{
	uint8_t m[QUESTION_MAX + 64];
	struct sockaddr_in from = { 0 };
	for (;;) {
		socklen_t n = sizeof(from);
		ssize_t len = recvfrom(fd, m, QUESTION_MAX, 0, (struct sockaddr *)&from, &n);
		if (len < DNS_HEADER + 5)
			continue;
		if (u->asked->n < ARRAY_LEN(u->asked->ports))
			u->asked->ports[u->asked->n] = from.sin_port;
		u->asked->n++;
		(void)sendto(fd, m, answer_write(u, m, (size_t)len), 0, (struct sockaddr *)&from, n);
	}
}

static _Noreturn void upstream_serve(const struct upstream *u, int udp, int tcp)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tcp >= 0 && u->tcp == TCP_ANSWERS && fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			tcp_serve(u, tcp);
	}
	udp_serve(u, udp);
	_exit(0);
}

static void upstream_start(struct upstream *u)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	u->port = other_port();
	at.sin_port = htons((uint16_t)u->port);
	int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	assert_int_equal(bind(udp, (struct sockaddr *)&at, sizeof(at)), 0);
	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (u->tcp != TCP_CLOSED)
		assert_true(!bind(tcp, (struct sockaddr *)&at, sizeof(at)) && !listen(tcp, 64));
	u->asked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(u->asked != MAP_FAILED);
	u->pid = fork();
	assert_true(u->pid >= 0);
	if (!u->pid)
		upstream_serve(u, udp, u->tcp == TCP_CLOSED ? -1 : tcp);
	close(udp);
	close(tcp);
}

static void upstream_stop(struct upstream *u)
{
	other_stop(u->pid);
	munmap(u->asked, 4096);
}

/* What each name of the test has, and how long the slowest took. */
static uint64_t names_ask(const struct program *p, const char *who)
{
	uint64_t slowest = 0;
	for (unsigned i = 0; i < NAMES; i++) {
		char name[64], text[OTHER_TEXT];
		snprintf(name, sizeof(name), "some-Name-Of-The-Test-%u.example", i);
		uint64_t began = clock_now_ms();
		if (!other_ask(p->dns.port, name, "A", text) || !strstr(text, "1.2.3.4"))
			fail_msg("%s: %s is lost", who, name);
		uint64_t took = clock_now_ms() - began;
		slowest = took > slowest ? took : slowest;
	}
	return slowest;
}

static uint64_t counter(const struct program *p, const char *name)
{
	char out[32768], line[64];
	const char *const words[] = { "metrics", NULL };
	assert_int_equal(program_tell(p, out, sizeof(out), words), 0);
	snprintf(line, sizeof(line), "\nropewalk_resolver_%s_total ", name);
	const char *at = strstr(out, line);
	if (!at)
		fail_msg("no %s in %s", name, out);
	return at ? strtoull(at + strlen(line), NULL, 10) : 0;
}

static void look(const char *who, unsigned port, const char *more, bool mixed, bool folds)
{
	char conf[256], out[4096];
	const char *const words[] = { "servers", NULL };
	struct program p;
	snprintf(conf, sizeof(conf), "listen: 127.0.0.1:0\nupstreams: [ \"127.0.0.1:%u\" ]\n%s", port, more);
	program_start(&p, conf);
	uint64_t slowest = names_ask(&p, who), other = counter(&p, "upstream_case");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 0);
	bool said = strstr(out, "changes the case of names") != NULL;
	print_message("%s: %d names, the slowest took %u ms, %u answers in another case, %u by TCP\n", who,
		NAMES, (unsigned)slowest, (unsigned)other, (unsigned)counter(&p, "upstream_tcp"));
	if (said != (folds && mixed) || (other > 0) != (folds && mixed))
		fail_msg("%s: %d answers in another case, it %s said to change it: %s", who, (int)other,
			said ? "is" : "is not", out);
	if (other > 3)
		fail_msg("%s: it is still asked in random case", who);
	program_stop(&p);
}

static void test_own_servers(void **state)
{
	static const struct {
		const char *who;
		bool folds;
		enum tcp tcp;
	} rows[] = {
		{ "keeps the case", false, TCP_ANSWERS },
		{ "keeps the case, no TCP", false, TCP_CLOSED },
		{ "folds case", true, TCP_ANSWERS },
		{ "folds case, no TCP", true, TCP_CLOSED },
		{ "folds case, TCP is silent", true, TCP_SILENT },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct upstream u = { .folds = rows[i].folds, .tcp = rows[i].tcp };
		upstream_start(&u);
		look(rows[i].who, u.port, "", true, rows[i].folds);
		if (u.folds && u.tcp == TCP_CLOSED) /* at once, and yet not from the port that may be known */
			assert_int_not_equal(u.asked->ports[0], u.asked->ports[1]);
		look(rows[i].who, u.port, "mixed-case: false\n", false, rows[i].folds);
		upstream_stop(&u);
	}
}

static void file_write(const char *path, const char *format, unsigned port, unsigned to)
{
	FILE *out = fopen(path, "we");
	assert_non_null(out);
	fprintf(out, format, port, to);
	fclose(out);
}

/* dnsmasq and unbound before a server that keeps the case, and before one that does not: unbound does, dnsmasq passes on what it
 * gets. */
static void test_real_servers(void **state)
{
	static const char dnsmasq_conf[] = "port=%1$u\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\n"
					   "no-hosts\nserver=127.0.0.1#%2$u\n";
	static const char unbound_conf[] =
		"server:\n interface: 127.0.0.1@%1$u\n port: %1$u\n do-daemonize: no\n username: \"\"\n"
		" chroot: \"\"\n pidfile: \"\"\n use-syslog: no\n do-not-query-localhost: no\n"
		" module-config: \"iterator\"\n"
		"forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@%2$u\nremote-control:\n "
		"control-enable: no\n";
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool unbound = i & 1;
		const char *binary = unbound ? "/usr/sbin/unbound" : "/usr/sbin/dnsmasq";
		struct upstream u = { .folds = i >> 1, .tcp = TCP_ANSWERS };
		char path[] = "/tmp/mixed_case_test.XXXXXX", who[64];
		unsigned port = other_port();
		if (access(binary, X_OK) != 0)
			continue;
		upstream_start(&u);
		int fd = mkstemp(path);
		assert_true(fd >= 0);
		close(fd);
		file_write(path, unbound ? unbound_conf : dnsmasq_conf, port, u.port);
		const char *const dnsmasq[] = { binary, "-k", "--user=root", "--pid-file=", "-C", path,
			NULL };
		const char *const other[] = { binary, "-d", "-c", path, NULL };
		pid_t pid = other_start(unbound ? other : dnsmasq, port);
		unlink(path);
		snprintf(who, sizeof(who), "%s%s", binary, u.folds ? ", which asks one that folds" : "");
		look(who, port, "", true, u.folds && !unbound);
		other_stop(pid);
		upstream_stop(&u);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_own_servers),
		cmocka_unit_test(test_real_servers) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
