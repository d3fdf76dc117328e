/* Questions by UDP, and what comes back: an input is a line of steps of two bytes, as which servers are asked, given up on, say
 * something or nothing, and are gone, so that the kernel says that. Each question ends once. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "resolver/exchange/exchange.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { SERVERS = 2, IDS = 256, STEPS_MAX = 200, QUESTION = 40, LONG = 5000, TURNS = 2 };

struct world {
	struct exchange *x;
	bool out[IDS];
	bool refuses;  /* the owner, sockets */
	unsigned told; /* what the owner does when it is told: 1 gives up another one, 2 asks again */
};

/* What outlives an input: the last server is nobody's port, the others answer. */
static struct place {
	struct loop *loop;
	struct endpoint at[SERVERS + 1];
	int fds[SERVERS];
} place;

static void place_make(void)
{
	must(key_setup());
	place.loop = awake_loop(loop_new()).loop;
	for (size_t i = 0; i <= SERVERS; i++) {
		place.at[i] = (struct endpoint) { .ip = addr_v4(0x7f000001) };
		int fd = sock_udp(&place.at[i], NULL);
		if (fd < 0 || sock_local(fd, &place.at[i]))
			abort();
		if (i < SERVERS)
			place.fds[i] = fd;
		else
			close(fd);
	}
}

static void turn(int n)
{
	while (n--)
		loop_run_once(place.loop);
}

static void ask(struct world *w, unsigned id, unsigned server, bool fresh)
{
	uint8_t msg[QUESTION] = { (uint8_t)(id >> 4), (uint8_t)(id * 7), 1 };
	struct exchange_to to = {
		.at = place.at[server % (SERVERS + 1)], .by = EXCHANGE_UDP, .fresh = fresh
	};
	if (w->out[id])
		return;
	w->out[id] = true;
	exchange_send(w->x, id, &to, msg, sizeof(msg));
}

static void give_up(struct world *w, unsigned id)
{
	if (!w->out[id])
		return;
	w->out[id] = false;
	exchange_done(w->x, id);
}

static void react(struct world *w, uint64_t id)
{
	if (w->told & 1)
		give_up(w, (unsigned)(id + 1) % IDS);
	if (w->told & 2)
		ask(w, (unsigned)(id + 2) % IDS, (unsigned)id, false);
}

static void received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	uint8_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum ^= msg[i];
	if (id >= IDS || !w->out[id])
		abort();
	if (sum & 1)
		give_up(w, (unsigned)id);
	react(w, id);
}

static void failed(void *arg, uint64_t id, int code)
{
	struct world *w = arg;
	if (id >= IDS || !w->out[id] || !code)
		abort();
	w->out[id] = false;
	react(w, id);
}

static int socket_hook(void *arg, int fd, const struct endpoint *to)
{
	must(fd >= 0 && addr_is_loopback(&to->ip));
	return ((struct world *)arg)->refuses;
}

static void settle(struct world *w)
{
	for (int i = 0; i < IDS && !exchange_is_settled(w->x); i++)
		exchange_settle(w->x);
}

static void woken(void *arg)
{
	settle(arg);
}

/* The oldest question that a server has, answered: as it came, cut, longer, with another id, twice, or not at all. */
static void answer(unsigned server, unsigned how)
{
	static uint8_t msg[LONG];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	int fd = place.fds[server % SERVERS];
	ssize_t n = recvfrom(fd, msg, QUESTION, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	if (n < QUESTION || how & 1)
		return;
	size_t len = how & 2 ? LONG : how & 4 ? how >> 4 : QUESTION;
	msg[2] |= 0x80;
	msg[QUESTION - 1] = (uint8_t)(how >> 4);
	msg[1] ^= how & 8 ? 0x55 : 0;
	(void)!sendto(fd, msg, len, MSG_DONTWAIT, (struct sockaddr *)&from, from_len);
	if (how & 16)
		(void)!sendto(fd, msg, len, MSG_DONTWAIT, (struct sockaddr *)&from, from_len);
}

static void step(struct world *w, struct rd *r)
{
	unsigned op = rd_u8(r), what = rd_u8(r);
	switch (op & 7) {
	case 0: ask(w, what, op >> 4, op & 8); break;
	case 1:
		for (unsigned i = 0; i < 40; i++) /* more than go at once, and than one port takes */
			ask(w, (what + i) % IDS, op >> 4, op & 8);
		break;
	case 2: answer(op >> 3, what); break;
	case 3: give_up(w, what); break;
	case 4: trouble_pass_ms(what); break;
	case 5: settle(w); break;
	case 6:
		if (op & 8)
			exchange_forget(w->x);
		w->told = what & 3;
		w->refuses = what & 4;
		break;
	case 7: turn(TURNS); break;
	}
}

static void udp_target(const uint8_t *data, size_t len)
{
	static const struct random *const rnd = &random_system;
	struct world w = { 0 };
	struct exchange_options o = { .loop = place.loop,
		.rnd = rnd,
		.socket = socket_hook,
		.socket_arg = &w,
		.received = received,
		.failed = failed,
		.woken = woken,
		.arg = &w };
	struct rd r = rd_of(data, len);
	trouble_begin();
	w.x = exchange_open(&o, NULL);
	if (!w.x && !trouble_happened())
		abort();
	for (unsigned i = 0; w.x && i < STEPS_MAX && r.left && !r.bad; i++)
		step(&w, &r);
	if (w.x) {
		settle(&w);
		turn(TURNS);
	}
	trouble_end();
	exchange_close(w.x);
	for (size_t i = 0; i < SERVERS; i++)
		for (char c; recv(place.fds[i], &c, 1, MSG_DONTWAIT) >= 0;)
			;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!place.loop)
		place_make();
	return trouble_twice(udp_target, data, len);
}
