#include "mesh/os/tied.h"
#include "mesh/relay/bench/child.h"
#include "mesh/relay/test/derp_peer.h"
#include "mesh/transport/tls_aes.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void ended(void *arg, int events)
{
	(void)events;
	loop_stop(arg);
}

static void serve(int ready, int ask)
{
	char dir[64];
	struct loop *l = loop_new();
	struct relay *r = derp_relay_start(l, dir);
	struct endpoint at = relay_listen_at(r);
	struct loop_fd *watch = loop_fd_new(l, ask, ended, l);
	loop_fd_set(watch, LOOP_READ);
	if (write(ready, &at, sizeof(at)) != sizeof(at) || write(ready, relay_pin(r), 80) != 80)
		exit(1);
	loop_run(l);
	loop_fd_free(watch);
	derp_relay_stop(r, dir);
	loop_free(l);
	exit(0);
}

bool child_start(struct child *c)
{
	int ready[2], ask[2];
	(void)tls_aes_use(); /* as the programs do */
	if (pipe(ready) != 0 || pipe(ask) != 0)
		return false;
	c->pid = fork_tied();
	if (c->pid == 0) {
		close(ask[1]);
		serve(ready[1], ask[0]);
	}
	close(ask[0]);
	close(ready[1]);
	c->ready = ready[0];
	c->ask = ask[1];
	return read(c->ready, &c->at, sizeof(c->at)) == sizeof(c->at) && read(c->ready, c->pin, 80) == 80;
}

void child_stop(struct child *c)
{
	close(c->ask);
	close(c->ready);
	waitpid(c->pid, NULL, 0);
}
