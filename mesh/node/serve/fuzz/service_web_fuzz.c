/* What programs of this machine, and pages in its browsers, may send to http://100.100.100.100: any bytes, as one connection after
 * the other (a byte 0x1e between them). The first byte says what else happens (below). Nobody reads the counters who does not
 * name that address, whoever says nothing keeps nobody out, and each connection ends. With memory short at one place or another. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/node/serve/service_web.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int __real_sock_tcp_listen(const struct endpoint *at, struct errbuf *eb);
int __wrap_sock_tcp_listen(const struct endpoint *at, struct errbuf *eb);

enum {
	TURNS_MAX = 10000,
	VISITS_MAX = 6,
	VISIT_END = 0x1e,
	CROWD_SIZE = 20, /* more than there are places */
	CROWD_TURNS = 8,
	AGAIN_MS = 2000,
	IDLE_MS = 60000,
	PORT = 25280
};
enum {		   /* bits of the first byte */
	CROWD = 1, /* each connection comes many times at once, and none ends before all have spoken */
	SHORT = 2, /* there is no memory for the counters */
	DOWN = 4,  /* meanwhile the node goes down, and comes up again */
	IDLE = 8   /* they stay until they are sent away */
};

static const char counters[] = "# HELP asked\nasked 1\n";

/* What outlives an input. */
struct world {
	struct awake awake;
	struct service_web *web;
	struct sockaddr_storage at; /* where it listens */
	socklen_t at_len;
	size_t named; /* how often what was sent names the address */
	size_t asked;
	bool is_short;
};
static struct world only;

/* This machine has not that address: loopback, which is as near. */
int __wrap_sock_tcp_listen(const struct endpoint *at, struct errbuf *eb)
{
	const struct endpoint here = { .ip = addr_v4(0x7f000001) };
	must(addr_equal(&at->ip, &addr_service_v4) && at->port == PORT);
	int fd = __real_sock_tcp_listen(&here, eb);
	only.at_len = sizeof(only.at);
	must(fd < 0 || getsockname(fd, (struct sockaddr *)&only.at, &only.at_len) == 0);
	return fd;
}

static bool say_metrics(void *arg, struct buf *out)
{
	struct world *w = arg;
	must(++w->asked <= w->named);
	return !w->is_short && buf_append(out, counters, strlen(counters));
}

static void turn(struct world *w, int n)
{
	loop_fd_set(w->awake.watch, LOOP_READ);
	while (n--)
		loop_run_once(w->awake.loop);
	loop_fd_set(w->awake.watch, 0);
}

static size_t count(const uint8_t *data, size_t len, const char *word)
{
	const uint8_t *const end = data + len, *at;
	size_t n = 0;
	while ((at = memmem(data, (size_t)(end - data), word, strlen(word)))) {
		data = at + strlen(word);
		n++;
	}
	return n;
}

static int come(const struct world *w)
{
	const struct linger at_once = { .l_onoff = 1 }; /* no port waits out a closed connection */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0 &&
		trouble_connect(fd, (const struct sockaddr *)&w->at, w->at_len) == 0);
	return fd;
}

static void say(struct world *w, int fd, const void *data, size_t len)
{
	w->named += count(data, len, "100.100.100.100");
	(void)!send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What was said up to the end, which comes; how much of it fits. A connection that stays open is a leak. */
static size_t hear_end(struct world *w, int fd, char *out, size_t cap)
{
	size_t had = 0;
	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t n = recv(fd, out + had, cap - had, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN)) {
			close(fd);
			return had;
		}
		if (n < 0)
			turn(w, 1);
		else
			had = (had + (size_t)n) % (cap - 1); /* what is longer is not looked at */
	}
	abort();
}

static void visit(struct world *w, uint8_t how, const uint8_t *data, size_t len)
{
	int fds[CROWD_SIZE], n = how & CROWD ? CROWD_SIZE : 1;
	char sink[4096];
	for (int i = 0; i < n; i++) {
		fds[i] = come(w);
		say(w, fds[i], data, len);
	}
	turn(w, how & (CROWD | DOWN) ? CROWD_TURNS : 1);
	if (how & DOWN) {
		service_web_apply(w->web, false, PORT);
		turn(w, 1);
		service_web_apply(w->web, true, PORT);
		trouble_pass_ms(AGAIN_MS);
		turn(w, 1);
	}
	if (how & IDLE)
		trouble_pass_ms(IDLE_MS + 1);
	for (int i = 0; i < n; i++) {
		if (!(how & IDLE))
			shutdown(fds[i], SHUT_WR);
		(void)hear_end(w, fds[i], sink, sizeof(sink));
	}
}

/* Somebody who asks as a collector does, while others hold all places, is answered. */
static void check_answered(struct world *w)
{
	static const char ask[] =
		"GET /metrics HTTP/1.1\r\nHost: 100.100.100.100\r\nConnection: close\r\n\r\n";
	static const char ok[] = "HTTP/1.1 200 ";
	char heard[1024];
	int silent[CROWD_SIZE];
	for (int i = 0; i < CROWD_SIZE; i++)
		silent[i] = come(w);
	turn(w, CROWD_TURNS);
	int fd = come(w);
	say(w, fd, ask, strlen(ask));
	size_t n = hear_end(w, fd, heard, sizeof(heard)), end = strlen(counters);
	must(n > strlen(ok) + end && !memcmp(heard, ok, strlen(ok)) &&
		!memcmp(heard + n - end, counters, end));
	for (int i = 0; i < CROWD_SIZE; i++)
		close(silent[i]);
	turn(w, CROWD_TURNS);
}

static void world_end(void)
{
	service_web_close(only.web);
	awake_free(&only.awake);
}

static struct world *world(void)
{
	struct world *w = &only;
	if (!w->awake.loop) {
		log_setup(LOG_ERROR, false);
		w->awake = awake_loop(loop_new());
		must(atexit(world_end) == 0);
	}
	return w;
}

static void up(struct world *w)
{
	const struct service_web_ops ops = { .metrics = say_metrics, .arg = w };
	w->web = service_web_open(w->awake.loop, &ops);
	service_web_apply(w->web, true, PORT);
	trouble_pass_ms(AGAIN_MS); /* where memory was short it tries again by itself */
	turn(w, 2);
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = world();
	if (!len)
		return;
	const uint8_t how = *data++;
	len--;
	w->is_short = how & SHORT;
	w->named = w->asked = 0;
	trouble_begin();
	up(w);
	for (int i = 0; i < VISITS_MAX && len && w->web; i++) {
		const uint8_t *end = memchr(data, VISIT_END, len);
		size_t n = end ? (size_t)(end - data) : len;
		visit(w, how, data, n);
		data += end ? n + 1 : n;
		len -= end ? n + 1 : n;
	}
	trouble_end();
	w->is_short = false;
	if (w->web)
		check_answered(w);
	service_web_close(w->web);
	w->web = NULL;
	turn(w, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
