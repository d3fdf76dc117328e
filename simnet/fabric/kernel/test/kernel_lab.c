#include "simnet/fabric/kernel/test/kernel_lab.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SKIPPED = 77, NOBODY = 65534, AT_ONCE = 4 };

/* 0, SKIPPED with the reason printed, or another: it failed, and says how. */
static int run_in_sandbox(int (*body)(void *arg), void *arg)
{
	struct errbuf eb = { 0 };
	int r = sandbox_run(body, arg, &eb);

	if (r)
		fprintf(stderr, "sandbox: %d %s\n", r, eb.text);
	return r == SKIPPED || r == -EPERM || r == -ENOSPC || r == -EUSERS || r == -EACCES ? SKIPPED
	       : r									   ? 1
											   : 0;
}

void in_sandbox(int (*body)(void *arg), void *arg)
{
	int r = run_in_sandbox(body, arg);

	if (r == SKIPPED)
		skip();
	assert_int_equal(r, 0);
}

/* Each AT_ONCE-th row from first on, in a process of its own; its exit code is that of the first that did not pass. */
static pid_t begin_rows(int (*body)(void *arg), void *rows, size_t size, size_t n, size_t first)
{
	pid_t pid = fork();
	int r = 0;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (size_t i = first; i < n && !r; i += AT_ONCE)
		r = run_in_sandbox(body, (char *)rows + i * size);
	_exit(r);
}

void in_sandboxes(int (*body)(void *arg), void *rows, size_t size, size_t n)
{
	pid_t pids[AT_ONCE];
	bool skipped = false, failed = false;

	for (size_t i = 0; i < AT_ONCE; i++)
		pids[i] = begin_rows(body, rows, size, n, i);
	for (size_t i = 0; i < AT_ONCE; i++) {
		int status = 0;
		bool ended = pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status);
		skipped |= ended && WEXITSTATUS(status) == SKIPPED;
		failed |= !ended || (WEXITSTATUS(status) && WEXITSTATUS(status) != SKIPPED);
	}
	assert_false(failed);
	if (skipped)
		skip();
}

void in_rootless_sandbox(int (*body)(void *arg))
{
	if (geteuid() != 0) {
		print_message("already without root\n");
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct errbuf eb = { 0 };
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(SKIPPED);
		int r = sandbox_run(body, NULL, &eb);
		if (r)
			fprintf(stderr, "rootless: %d %s\n", r, eb.text);
		_exit(r == -EPERM || r == -ENOSPC ? SKIPPED : r ? 1 : 0);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		print_message("this machine has no unprivileged user namespaces\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* ---- topologies ---- */

struct scn_router *add_router(struct lab *l, const char *name, int behind)
{
	struct scn_router *r = &l->r[l->s.n_routers++];
	*r = (struct scn_router) { .name = name, .behind = behind, .nat = true, .model = nat_model_default };
	return r;
}

int add_node(struct lab *l, const char *name, int router)
{
	l->n[l->s.n_nodes] = (struct scn_node) { .name = name, .router = router, .is_service = router < 0 };
	return (int)l->s.n_nodes++;
}

int start_on(struct lab *l, const struct engine_ops *engine)
{
	l->s.file = "test.yaml";
	l->s.name = "test";
	l->s.seed = l->s.seed ? l->s.seed : 7;
	l->s.routers = l->r;
	l->s.nodes = l->n;
	CHECK(topology_plan(&l->s, &l->eb) == 0, "%s", l->eb.text);
	CHECK(hosts_open(&l->s, "/run", &l->h, &l->eb) == 0, "%s", l->eb.text);
	CHECK(engine->open(&l->s, l->h, &l->e, &l->eb) == 0, "%s", l->eb.text);
	return 0;
}

int start(struct lab *l)
{
	return start_on(l, &engine_kernel);
}

int self_test_on(struct lab *l, const struct engine_ops *engine)
{
	int err = engine->self_test(l->e, &l->eb);
	if (err != -ETIMEDOUT)
		return err;
	fprintf(stderr, "inconclusive: %s\n", l->eb.text);
	_exit(SKIPPED);
}

int self_test(struct lab *l)
{
	return self_test_on(l, &engine_kernel);
}

bool is_wrong(int err)
{
	return err == ERR_REFUSED || err == -ETIMEDOUT;
}

bool is_condemned_by(struct lab *l, const struct engine_ops *engine)
{
	return is_wrong(engine->self_test(l->e, &l->eb));
}

bool is_condemned(struct lab *l)
{
	return is_condemned_by(l, &engine_kernel);
}

void stop(struct lab *l)
{
	engine_kernel.close(l->e);
	hosts_close(l->h);
}

/* server, alice behind home, bob behind office */
int start_pair(struct lab *l)
{
	add_node(l, "server", -1);
	add_router(l, "home", -1);
	add_router(l, "office", -1);
	add_node(l, "alice", 0);
	add_node(l, "bob", 1);
	return start(l);
}

void set_classes(struct scn_router *r, enum nat_mapping m, enum nat_filtering f)
{
	r->model.udp = r->model.tcp = (struct nat_class) { m, f };
}

/* ---- packets ---- */

int udp_on(struct lab *l, int node, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = hosts_socket(l->h, node, AF_INET, SOCK_DGRAM, 0, &l->eb);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -1;
	return fd;
}

void send_to(int fd, const struct endpoint *to)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, false, &ss);
	(void)!sendto(fd, "x", 1, 0, (struct sockaddr *)&ss, len);
}

bool receive(int fd, struct endpoint *from, int wait_ms)
{
	char buf[16];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct pollfd pf = { .fd = fd, .events = POLLIN };
	if (poll(&pf, 1, wait_ms) != 1 || recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss, &len) < 0)
		return false;
	struct endpoint ignored;
	return endpoint_from_sockaddr((struct sockaddr *)&ss, from ? from : &ignored);
}

struct endpoint at(const struct lab *l, int node, uint16_t port)
{
	return (struct endpoint) { .ip = l->n[node].ip, .port = port };
}

/* What the server sees of a packet of fd; port 0: nothing came. */
struct endpoint seen_by_server(struct lab *l, int fd, int server_fd, uint16_t port)
{
	struct endpoint from = { 0 }, to = at(l, SERVER, port);
	send_to(fd, &to);
	(void)receive(server_fd, &from, ARRIVE_MS);
	return from;
}

int run_on(struct lab *l, int node, const char *script)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	int status = -1;
	pid_t pid = hosts_spawn(l->h, node, argv, NULL, (const int[]) { 2, 2 }, &l->eb);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
