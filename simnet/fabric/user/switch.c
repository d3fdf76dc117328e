#include "simnet/fabric/user/switch.h"

#include "simnet/fabric/user/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One epoll loop over the devices, one timer at the board's next deadline, and the socket of orders. An order is a message,
 * answered by one. The board is made before the fork, so that names and reasons in an answer are at the same address on
 * both sides. */

enum {
	FRAMES_PER_WAKEUP = 64,
	EVENTS = 32,
	DROPS_AT_ONCE = 64,
	DIR_BYTES = 512,
	LOG_BYTES = 64 << 20,
	TEXT_BYTES = 16384
};
enum order_kind {
	ORDER_LINK,
	ORDER_UDP,
	ORDER_RESET,
	ORDER_NAT,
	ORDER_MOVE,
	ORDER_WAYS,
	ORDER_FORGET,
	ORDER_BYPASS,
	ORDER_LIFT,
	ORDER_DROPS,
	ORDER_LOG,
	ORDER_TABLE,
	ORDER_NEIGHBOUR,
	ORDER_CARRIER,
	ORDER_PULL,
	ORDER_PREFIX,
	ORDER_FIREWALL,
	ORDER_IDLE
};

struct order {
	enum order_kind kind;
	int port;
	bool on;
	size_t cap;
	const char *why;
	const struct firewall_lines *lines; /* shared */
	struct link_model model;
	struct nat_model nat;
	enum router_side side;
	struct addr who;
	struct mac mac;
	char dir[DIR_BYTES];
	struct router_foot foot;
	struct nptv6 nptv6;
	size_t n_ways;
	struct router_way ways[ROUTER_WAYS_MAX]; /* n_ways of them are sent */
};
struct answer {
	int err;
	size_t n;
	union {
		struct board_drop drops[DROPS_AT_ONCE];
		char text[TEXT_BYTES]; /* n bytes of it */
	};
};

#define RULES_BYTES (SWITCH_FIREWALLS_MAX * sizeof(struct firewall_lines))

struct switch_box {
	struct board *board;
	int *fds; /* by port */
	size_t n;
	pid_t pid; /* 0: not started */
	int ctl;   /* -1: not started */
	/* Rules that were set while it ran, shared with its process: what it says of a drop points there. */
	struct firewall_lines *rules;
	size_t n_rules;
	struct mapper {
		int fd, port; /* where it is told; of the router */
	} * mappers;
	size_t n_mappers;
	/* in its own process */
	int epoll, timer;
	uint64_t armed_ns;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- before the start ---- */

static void send_frame(void *owner, int port, const uint8_t *frame, size_t len)
{
	struct switch_box *x = owner;
	(void)!write(x->fds[port], frame, len); /* an interface that is down takes nothing */
}

int switch_new(uint64_t seed, struct switch_box **out, struct errbuf *eb)
{
	static const struct board_ops ops = { .send = send_frame };
	struct switch_box *x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(eb, -ENOMEM, "open the userspace engine");
	x->ctl = x->epoll = x->timer = -1;
	x->board = board_new(seed, &ops, x);
	x->rules = mmap(NULL, RULES_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!x->board || x->rules == MAP_FAILED) {
		switch_close(x);
		return err_set(eb, -ENOMEM, "open the userspace engine");
	}
	*out = x;
	return 0;
}

/* As many as the board has ports; the new ones are at its end. */
static int keep_fds(struct switch_box *x, int port, const int fds[2], struct errbuf *eb)
{
	int *more = port < 0 ? NULL : reallocarray(x->fds, board_ports(x->board), sizeof(int));
	if (!more) {
		close(fds[0]);
		if (fds[1] >= 0)
			close(fds[1]);
		return err_set(eb, -ENOMEM, "add a link to the userspace engine");
	}
	x->fds = more;
	x->fds[port] = fds[0];
	x->fds[port + 1] = fds[1];
	x->n = board_ports(x->board);
	return port;
}

int switch_add_wire(struct switch_box *x, const struct board_wire *w, const int fds[2], struct errbuf *eb)
{
	return keep_fds(x, board_add_wire(x->board, w), fds, eb);
}

int switch_add_router(struct switch_box *x, const struct router_config *c, const struct board_wire *wan,
	const int fds[2], struct errbuf *eb)
{
	return keep_fds(x, board_add_router(x->board, c, wan), fds, eb);
}

int switch_add_way_out(struct switch_box *x, const struct router_config *c, const struct board_wire *wan,
	int fd, int lead, struct errbuf *eb)
{
	int port = keep_fds(x, board_add_router(x->board, c, wan), (const int[2]) { fd, -1 }, eb);
	if (port >= 0)
		board_join(x->board, port, lead);
	return port;
}

int switch_add_host(struct switch_box *x, int port, int fd, int rules, struct errbuf *eb)
{
	struct mapper *more = reallocarray(x->mappers, x->n_mappers + 1, sizeof(*more));
	if (more)
		x->mappers = more;
	if (!more) {
		close(rules);
		close(fd);
		return err_set(eb, -ENOMEM, "add a host to the userspace engine");
	}
	x->mappers[x->n_mappers++] = (struct mapper) { rules, port };
	return keep_fds(x, board_add_host(x->board, port), (const int[2]) { fd, -1 }, eb);
}

/* ---- its own process ---- */

static int write_log(struct switch_box *x, const char *dir)
{
	char path[DIR_BYTES + 32];
	struct buf text = { .cap = LOG_BYTES };
	snprintf(path, sizeof(path), "%s/decisions.jsonl", dir);
	int err = decision_write(board_log(x->board), &text) ? 0 : -ENOMEM;
	FILE *f = err ? NULL : fopen(path, "we");
	if (!err && !f)
		err = -errno;
	if (f && text.len && fwrite(buf_data(&text), text.len, 1, f) != 1)
		err = -EIO;
	if (f && fclose(f) != 0)
		err = err ? err : -errno;
	buf_free(&text);
	return err;
}

static size_t take_drops(struct switch_box *x, struct board_drop *out, size_t cap)
{
	return board_drops(x->board, out, cap < DROPS_AT_ONCE ? cap : DROPS_AT_ONCE);
}

static void take_table(struct switch_box *x, int port, uint64_t now_ns, struct answer *a)
{
	struct buf text = { .cap = TEXT_BYTES };
	struct router *r = board_router(x->board, port);
	if (r && router_nat(r))
		(void)nat_format(router_nat(r), now_ns, &text);
	a->n = text.len;
	if (text.len)
		memcpy(a->text, buf_data(&text), text.len);
	buf_free(&text);
}

/* With what its devices have not told yet. */
static void pull(struct switch_box *x, int port)
{
	enum { WAITING_MAX = 2 * TAP_QUEUE }; /* more than a device keeps */
	uint8_t frame[ETH_FRAME_MAX + 64];
	bool wire = !board_router(x->board, port);
	for (int end = port; end <= port + wire; end++)
		for (int i = 0; i < WAITING_MAX && read(x->fds[end], frame, sizeof(frame)) > 0; i++) {
		}
	board_pull(x->board, port);
}

static void obey(struct switch_box *x, const struct order *o, struct answer *a)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct router *r;
	switch (o->kind) {
	case ORDER_LINK: a->err = board_set_link(x->board, o->port, &o->model) ? 0 : -ENOENT; break;
	case ORDER_UDP: router_block_udp(board_router(x->board, o->port), o->why); break;
	case ORDER_RESET:
		if ((r = board_router(x->board, o->port)) && router_nat(r))
			router_forget(r, true, now);
		break;
	case ORDER_NAT:
		if ((r = board_router(x->board, o->port)) && router_nat(r))
			router_become(r, &o->nat, now);
		break;
	case ORDER_FIREWALL:
		if (!(r = board_router(x->board, o->port)) || !router_set_firewall(r, o->lines))
			a->err = ERR_UNSUPPORTED;
		break;
	case ORDER_MOVE:
		if ((r = board_router(x->board, o->port)) &&
			!router_move(r, &o->foot, o->ways, o->n_ways, now))
			a->err = -ENOMEM;
		break;
	case ORDER_WAYS:
		if ((r = board_router(x->board, o->port)) && !router_set_ways(r, o->ways, o->n_ways))
			a->err = -ENOMEM;
		break;
	case ORDER_FORGET: board_forget(x->board, now); break;
	case ORDER_BYPASS: board_bypass(x->board, o->on); break;
	case ORDER_LIFT: board_lift_firewalls(x->board, o->on); break;
	case ORDER_DROPS: a->n = take_drops(x, a->drops, o->cap); break;
	case ORDER_NEIGHBOUR:
		if ((r = board_router(x->board, o->port)))
			(void)router_add_neighbour(r, o->side, &o->who, &o->mac);
		break;
	case ORDER_CARRIER: a->err = tap_carrier(x->fds[o->port], o->on); break;
	case ORDER_IDLE: board_set_idle(x->board, o->port, o->on, now); break;
	case ORDER_PULL: pull(x, o->port); break;
	case ORDER_PREFIX:
		if ((r = board_router(x->board, o->port)))
			router_set_nptv6(r, &o->nptv6);
		break;
	case ORDER_TABLE: take_table(x, o->port, now, a); break;
	case ORDER_LOG: a->err = write_log(x, o->dir); break;
	}
}

static size_t order_size(const struct order *o)
{
	return offsetof(struct order, ways) + o->n_ways * sizeof(o->ways[0]);
}

static void orders_readable(struct switch_box *x)
{
	struct order o;
	struct answer a = { 0 };
	ssize_t n = read(x->ctl, &o, sizeof(o));
	if (n <= 0)
		_exit(0);
	if (n < (ssize_t)offsetof(struct order, ways) || (size_t)n != order_size(&o))
		return;
	obey(x, &o, &a);
	size_t len = a.n * (o.kind == ORDER_TABLE ? 1 : sizeof(a.drops[0]));
	(void)!write(x->ctl, &a, offsetof(struct answer, drops) + len);
}

static void mapper_readable(struct switch_box *x, const struct mapper *m)
{
	struct router_maps maps = { 0 };
	if (recv(m->fd, &maps, sizeof(maps), 0) < (ssize_t)offsetof(struct router_maps, v))
		return;
	router_set_maps(board_router(x->board, m->port), &maps);
	(void)!send(m->fd, "", 1, MSG_NOSIGNAL);
}

static void device_readable(struct switch_box *x, int port)
{
	uint8_t frame[ETH_FRAME_MAX + 64];
	for (int i = 0; i < FRAMES_PER_WAKEUP; i++) {
		ssize_t n = read(x->fds[port], frame, sizeof(frame));
		if (n <= 0)
			return;
		board_received(x->board, port, frame, (size_t)n, clock_ns(CLOCK_MONOTONIC));
	}
}

static void arm(struct switch_box *x)
{
	uint64_t at = board_deadline_ns(x->board);
	struct itimerspec when = { 0 };
	if (at == x->armed_ns)
		return;
	x->armed_ns = at;
	if (at != UINT64_MAX) {
		at = at ? at : 1;
		when.it_value.tv_sec = (time_t)(at / 1000000000);
		when.it_value.tv_nsec = (long)(at % 1000000000);
	}
	(void)timerfd_settime(x->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void watch(struct switch_box *x, int fd, uint64_t tag)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = tag };
	if (epoll_ctl(x->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		_exit(1);
}

__attribute__((noreturn)) static void run_switch(struct switch_box *x)
{
	enum { TAG_ORDERS = 1 << 24, TAG_TIMER, TAG_MAPPERS };
	struct epoll_event events[EVENTS];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "simnet-switch");
	prctl(PR_SET_TIMERSLACK, 1UL);
	signal(SIGINT, SIG_IGN); /* packets flow until the run is over */
	signal(SIGTERM, SIG_IGN);
	x->epoll = epoll_create1(EPOLL_CLOEXEC);
	x->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	x->armed_ns = UINT64_MAX;
	if (x->epoll < 0 || x->timer < 0)
		_exit(1);
	for (size_t i = 0; i < x->n; i++)
		if (x->fds[i] >= 0)
			watch(x, x->fds[i], i);
	for (size_t i = 0; i < x->n_mappers; i++)
		watch(x, x->mappers[i].fd, TAG_MAPPERS + i);
	watch(x, x->ctl, TAG_ORDERS);
	watch(x, x->timer, TAG_TIMER);
	for (;;) {
		arm(x);
		int n = epoll_wait(x->epoll, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			_exit(1);
		for (int i = 0; i < n; i++) {
			uint64_t ticks;
			if (events[i].data.u64 == TAG_ORDERS)
				orders_readable(x);
			else if (events[i].data.u64 == TAG_TIMER)
				(void)!read(x->timer, &ticks, sizeof(ticks)), x->armed_ns = UINT64_MAX;
			else if (events[i].data.u64 >= TAG_MAPPERS)
				mapper_readable(x, &x->mappers[events[i].data.u64 - TAG_MAPPERS]);
			else
				device_readable(x, (int)events[i].data.u64);
			board_tick(x->board, clock_ns(CLOCK_MONOTONIC));
		}
	}
}

/* ---- start and close ---- */

int switch_start(struct switch_box *x, struct errbuf *eb)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(eb, -errno, "start the userspace engine");
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		x->ctl = pair[1];
		run_switch(x);
	}
	int err = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err_set(eb, err, "start the userspace engine");
	}
	x->ctl = pair[0];
	x->pid = pid;
	for (size_t i = 0; i < x->n; i++) { /* they end with that process */
		if (x->fds[i] >= 0)
			close(x->fds[i]);
		x->fds[i] = -1;
	}
	for (size_t i = 0; i < x->n_mappers; i++) {
		close(x->mappers[i].fd);
		x->mappers[i].fd = -1;
	}
	return 0;
}

void switch_close(struct switch_box *x)
{
	if (!x)
		return;
	if (x->ctl >= 0)
		close(x->ctl);
	if (x->pid > 0) {
		kill(x->pid, SIGKILL);
		waitpid(x->pid, NULL, 0);
	}
	for (size_t i = 0; i < x->n; i++)
		if (x->fds[i] >= 0)
			close(x->fds[i]);
	for (size_t i = 0; i < x->n_mappers; i++)
		if (x->mappers[i].fd >= 0)
			close(x->mappers[i].fd);
	free(x->mappers);
	free(x->fds);
	board_free(x->board);
	if (x->rules != MAP_FAILED)
		munmap(x->rules, RULES_BYTES);
	free(x);
}

/* ---- orders ---- */

static int ask(
	struct switch_box *x, const struct order *o, struct answer *a, const char *what, struct errbuf *eb)
{
	size_t head = offsetof(struct answer, drops);
	if (x->ctl < 0)
		return err_say(eb, ERR_CLOSED, "%s: the userspace engine does not run", what);
	if (write(x->ctl, o, order_size(o)) != (ssize_t)order_size(o) ||
		read(x->ctl, a, sizeof(*a)) < (ssize_t)head)
		return err_say(eb, ERR_CLOSED, "%s: the process of the userspace engine has died", what);
	return a->err ? err_set(eb, a->err, "%s", what) : 0;
}

int switch_set_link(struct switch_box *x, int port, const struct link_model *m, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_LINK, .port = port, .model = *m }, &a, "change a link",
		eb);
}

int switch_block_udp(struct switch_box *x, int port, const char *why, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_UDP, .port = port, .why = why }, &a, "cut UDP", eb);
}

int switch_set_idle(struct switch_box *x, int port, bool idle, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_IDLE, .port = port, .on = idle }, &a,
		"raise or pull an uplink", eb);
}

int switch_reset(struct switch_box *x, int port, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_RESET, .port = port }, &a, "reset a router", eb);
}

int switch_set_nat(struct switch_box *x, int port, const struct nat_model *m, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_NAT, .port = port, .nat = *m }, &a, "change a NAT", eb);
}

int switch_set_firewall(struct switch_box *x, int port, const struct scn_firewall *f, struct errbuf *eb)
{
	struct answer a = { 0 };
	struct firewall_lines *l = &x->rules[x->n_rules];
	if (x->n_rules == SWITCH_FIREWALLS_MAX)
		return err_say(eb, ERR_TOO_LARGE, "firewalls in userspace change at most %d times in a run",
			SWITCH_FIREWALLS_MAX);
	firewall_lines_of(f, l);
	x->n_rules++;
	return ask(x, &(struct order) { .kind = ORDER_FIREWALL, .port = port, .lines = l }, &a,
		"change a firewall", eb);
}

int switch_forget(struct switch_box *x, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_FORGET }, &a, "forget mappings", eb);
}

int switch_bypass(struct switch_box *x, bool on, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_BYPASS, .on = on }, &a, "probe the routers", eb);
}

int switch_lift_firewalls(struct switch_box *x, bool lifted, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_LIFT, .on = lifted }, &a, "lift the firewalls", eb);
}

int switch_drops(struct switch_box *x, struct board_drop *out, size_t cap)
{
	struct answer a = { 0 };
	struct errbuf eb;
	if (ask(x, &(struct order) { .kind = ORDER_DROPS, .cap = cap }, &a, "ask for drops", &eb))
		return 0;
	memcpy(out, a.drops, a.n * sizeof(*out));
	return (int)a.n;
}

int switch_write_log(struct switch_box *x, const char *dir, struct errbuf *eb)
{
	struct answer a = { 0 };
	struct order o = { .kind = ORDER_LOG };
	if (strlen(dir) >= sizeof(o.dir))
		return err_set(eb, -ENAMETOOLONG, "write decisions to %s", dir);
	snprintf(o.dir, sizeof(o.dir), "%s", dir);
	return ask(x, &o, &a, "write the log of decisions", eb);
}

int switch_table(struct switch_box *x, int port, struct buf *out, struct errbuf *eb)
{
	struct answer a = { 0 };
	int err = ask(
		x, &(struct order) { .kind = ORDER_TABLE, .port = port }, &a, "read a router's mappings", eb);
	if (!err && !buf_append(out, a.text, a.n))
		err = err_set(eb, -ENOMEM, "read a router's mappings");
	return err;
}

int switch_add_neighbour(struct switch_box *x, int port, enum router_side side, const struct addr *who,
	const struct mac *mac, struct errbuf *eb)
{
	struct answer a = { 0 };
	const struct order o = {
		.kind = ORDER_NEIGHBOUR, .port = port, .side = side, .who = *who, .mac = *mac
	};
	if (x->ctl >= 0)
		return ask(x, &o, &a, "tell a router of a neighbour", eb);
	return router_add_neighbour(board_router(x->board, port), side, who, mac)
		       ? 0
		       : err_set(eb, -ENOMEM, "tell a router of a neighbour");
}

static int send_ways(struct switch_box *x, struct order *o, const struct router_way *ways, size_t n_ways,
	const char *what, struct errbuf *eb)
{
	struct answer a = { 0 };
	if (n_ways > ROUTER_WAYS_MAX)
		return err_say(eb, ERR_TOO_LARGE, "%s: more than %d ways", what, ROUTER_WAYS_MAX);
	o->n_ways = n_ways;
	memcpy(o->ways, ways, n_ways * sizeof(*ways));
	return ask(x, o, &a, what, eb);
}

int switch_move_router(struct switch_box *x, int port, const struct router_foot *wan,
	const struct router_way *ways, size_t n_ways, struct errbuf *eb)
{
	struct order o = { .kind = ORDER_MOVE, .port = port, .foot = *wan };
	return send_ways(x, &o, ways, n_ways, "move a router", eb);
}

int switch_set_ways(
	struct switch_box *x, int port, const struct router_way *ways, size_t n_ways, struct errbuf *eb)
{
	struct order o = { .kind = ORDER_WAYS, .port = port };
	return send_ways(x, &o, ways, n_ways, "change the routes of a router", eb);
}

int switch_set_nptv6(struct switch_box *x, int port, const struct nptv6 *n, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_PREFIX, .port = port, .nptv6 = *n }, &a,
		"change the prefix of a router", eb);
}

int switch_pull(struct switch_box *x, int port, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(x, &(struct order) { .kind = ORDER_PULL, .port = port }, &a, "pull a cable", eb);
}

int switch_carrier(struct switch_box *x, int port, bool up, struct errbuf *eb)
{
	struct answer a = { 0 };
	return ask(
		x, &(struct order) { .kind = ORDER_CARRIER, .port = port, .on = up }, &a, "pull a cable", eb);
}
