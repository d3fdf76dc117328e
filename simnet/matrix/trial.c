#include "simnet/matrix/trial.h"

#include "mesh/os/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { READY_MS = 10000 };

static uint32_t ms_since(uint64_t t0_ns)
{
	return (uint32_t)((clock_now_ns() - t0_ns) / 1000000);
}

int trial_open(struct trial *t, const struct buf *text, const struct engine_ops *ops, uint64_t seed,
	struct errbuf *eb)
{
	uint64_t t0 = clock_now_ns();
	int err = scenario_parse("trial", (const char *)buf_data(text), text->len, 0, &t->s, eb);

	if (err)
		return err;
	t->s.seed = seed;
	t->ops = ops;
	err = topology_plan(&t->s, eb);
	if (!err)
		err = hosts_open(&t->s, "/run", &t->hosts, eb);
	if (!err)
		err = ops->open(&t->s, t->hosts, &t->engine, eb);
	t->build_ms = ms_since(t0);
	t0 = clock_now_ns();
	if (!err)
		err = ops->self_test(t->engine, eb);
	t->probe_ms = ms_since(t0);
	return err;
}

int trial_start(struct trial *t, const char *host, const char *const *argv, struct errbuf *eb)
{
	int ends[2], place = hosts_find(t->hosts, host);

	if (place < 0)
		return err_say(eb, -ENOENT, "no host '%s'", host);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(eb, -errno, "make a pipe");
	pid_t pid = hosts_spawn(t->hosts, place, argv, NULL, (const int[]) { ends[1], STDERR_FILENO }, eb);
	close(ends[1]);
	if (pid > 0)
		return ends[0];
	close(ends[0]);
	return pid;
}

int trial_start_server(struct trial *t, const char *host, const char *const *argv, struct errbuf *eb)
{
	int fd = trial_start(t, host, argv, eb);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char byte;

	if (fd < 0 || (poll(&ready, 1, READY_MS) == 1 && read(fd, &byte, 1) == 1))
		return fd;
	close(fd);
	return err_say(eb, -ETIMEDOUT, "the server on '%s' does not start", host);
}

void trial_close(struct trial *t)
{
	if (t->engine)
		t->ops->close(t->engine);
	hosts_close(t->hosts);
	scenario_free(&t->s);
}
