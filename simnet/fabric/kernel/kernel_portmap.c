#include "simnet/fabric/kernel/kernel.h"

#include "simnet/service/portmap.h"
#include "simnet/service/service.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A router that maps ports has simnet's own service for it as a process in its host, from the start of the network on. It
 * forgets what the router forgets: whenever that loses its mappings the process ends, and another one begins, with the
 * faults of the file and an epoch of its own.
 *
 * Its mappings are rules of nftables. A router in userspace has a device in that host for what is said to it at its inner
 * address (router.h), and is told of them over a socket, each time all of them; they hold when it has answered. */

struct kernel_portmap {
	pid_t pid; /* 0: none */
	int stop;  /* a byte there ends it */
	int rules; /* of a router in userspace: the process has it too; -1 = none */
};

static bool tell_box(void *arg, const struct portmap *p)
{
	const int *fd = arg;
	struct router_maps maps = { .n = p->n };
	const size_t len = offsetof(struct router_maps, v) + p->n * sizeof(maps.v[0]);
	uint8_t done;
	static_assert(
		(int)ROUTER_MAPS_MAX >= (int)PORTMAP_MAX, "a router has no place for what its service maps");

	for (size_t i = 0; i < p->n; i++)
		maps.v[i] = (struct router_map) { .proto = p->v[i].proto,
			.outer = p->v[i].outer,
			.inner = p->v[i].inner,
			.peer = p->v[i].peer };
	return send(*fd, &maps, len, MSG_NOSIGNAL) == (ssize_t)len &&
	       recv(*fd, &done, sizeof(done), 0) == sizeof(done);
}

struct start {
	int told, stop; /* its ends */
	bool anew;
};

__attribute__((noreturn)) static void serve(struct engine *e, int router, const struct start *st)
{
	const struct scn_router *r = &e->s->routers[router];
	struct kernel_portmap *m = &e->portmaps[router];
	struct portmap_taken taken[NAT_FORWARDS_MAX];
	char outer[ADDR_TEXT];
	struct errbuf eb = { 0 };
	sigset_t none;

	for (size_t i = 0; i < r->model.n_forwards; i++)
		taken[i] = (struct portmap_taken) { r->model.forwards[i].proto, r->model.forwards[i].port };
	const struct service_router own = { .apply = kernel_is_user(e, router) ? tell_box : NULL,
		.arg = &m->rules,
		.taken = taken,
		.n_taken = r->model.n_forwards,
		.stop_fd = st->stop,
		.anew = st->anew };
	const struct service_options o = { .listen = e->s->ipv6 ? "[::]:5351" : "0.0.0.0:5351",
		.outer = addr_format(&r->wan, outer),
		.faults = r->portmap,
		.socket = "/run/portmap.sock",
		.router = &own };
	prctl(PR_SET_NAME, "portmap");
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(service_serve("portmap", &o, st->told, &eb) ? 1 : 0);
}

/* *told: where it says what became of it. */
static int begin(struct engine *e, int router, bool anew, int *told, struct errbuf *eb)
{
	int up[2], down[2];

	if (pipe2(up, O_CLOEXEC) < 0)
		return err_set(eb, -errno, "make a pipe");
	if (pipe2(down, O_CLOEXEC) < 0) {
		close(up[0]);
		close(up[1]);
		return err_set(eb, -errno, "make a pipe");
	}
	pid_t pid = hosts_fork(e->hosts, hosts_place_of_router(e->hosts, router), eb);
	if (pid == 0) {
		close(up[0]);
		close(down[1]);
		serve(e, router, &(struct start) { .told = up[1], .stop = down[0], .anew = anew });
	}
	close(up[1]);
	close(down[0]);
	if (pid < 0) {
		close(up[0]);
		close(down[1]);
		return eb->code;
	}
	e->portmaps[router].pid = pid;
	e->portmaps[router].stop = down[1];
	*told = up[0];
	return 0;
}

static int await(const struct engine *e, int router, int told, struct errbuf *eb)
{
	struct errbuf said = { 0 };
	ssize_t n = read(told, &said, sizeof(said));

	close(told);
	if (n != (ssize_t)sizeof(said))
		return err_say(eb, ERR_CLOSED, "the port mapping of router '%s' ended before it served",
			e->s->routers[router].name);
	return said.code ? err_say(eb, said.code, "router '%s' cannot map ports: %s",
				   e->s->routers[router].name, said.text)
			 : 0;
}

static void end(struct kernel_portmap *m, bool killed)
{
	if (!m->pid)
		return;
	if (killed || write(m->stop, "", 1) != 1)
		kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
	close(m->stop);
	m->pid = 0;
}

int kernel_portmap_again(struct engine *e, int router, struct errbuf *eb)
{
	int told = -1;

	if (!e->s->routers[router].portmap)
		return 0;
	end(&e->portmaps[router], false);
	int err = begin(e, router, true, &told, eb);
	return err ? err : await(e, router, told, eb);
}

int kernel_portmap_start(struct engine *e, struct errbuf *eb)
{
	int n = (int)e->s->n_routers, err = 0;
	int *told = calloc((size_t)n + 1, sizeof(*told));
	struct errbuf later;

	if (!told)
		return err_set(eb, -ENOMEM, "map ports");
	for (int i = 0; i < n; i++) {
		told[i] = -1;
		if (e->s->routers[i].portmap && !err)
			err = begin(e, i, false, &told[i], eb);
	}
	for (int i = 0; i < n; i++)
		if (told[i] >= 0) {
			int one = await(e, i, told[i], err ? &later : eb);
			err = err ? err : one;
		}
	free(told);
	return err;
}

int kernel_portmap_open(struct engine *e, struct errbuf *eb)
{
	e->portmaps = calloc(e->s->n_routers + 1, sizeof(*e->portmaps));
	if (!e->portmaps)
		return err_set(eb, -ENOMEM, "map ports");
	for (size_t i = 0; i < e->s->n_routers; i++)
		e->portmaps[i].rules = -1;
	return 0;
}

void kernel_portmap_close(struct engine *e)
{
	for (size_t i = 0; e->portmaps && i < e->s->n_routers; i++) {
		end(&e->portmaps[i], true);
		if (e->portmaps[i].rules >= 0)
			close(e->portmaps[i].rules);
	}
	free(e->portmaps);
}

int kernel_portmap_rules(struct engine *e, int router, struct errbuf *eb)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set(eb, -errno, "map ports");
	e->portmaps[router].rules = ends[0];
	return ends[1];
}
