/* Many clients at once, one of them reading nothing: load_bench [CLIENTS [ADDRESS:PORT PIN]]. Without an
 * address the relay runs in a child process. Everyone sends frames that no relay knows, then packets around a
 * ring; then all flood the one that does not read, while two others time their talk. Prints one JSON line;
 * exit 1 when a frame was lost or the talk suffered. */
#include "mesh/relay/bench/child.h"
#include "mesh/relay/test/derp_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
	ROUNDS = 4,
	TALKS = 1500,
	FLOOD_EACH = 50,
	FLOOD_BYTES = 1300,
	TALK_MAX_MS = 500,
	UNKNOWN_FRAME = 0x7e
};

struct load {
	struct loop *l;
	struct derp_peer *p;
	size_t n;
};

struct talk {
	double median_ms, max_ms;
};

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void join(struct load *w, const struct child *c)
{
	for (size_t i = 0; i < w->n; i++)
		derp_peer_dial(&w->p[i], w->l, &c->at, c->pin);
	for (size_t i = 0; i < w->n; i++)
		(void)derp_peer_wait(&w->p[i], DERP_SERVER_INFO, 1);
}

/* A relay skips what it does not know: the ping behind it is answered. */
static void send_unknown(struct load *w)
{
	for (size_t i = 0; i < w->n; i++) {
		derp_peer_frame(&w->p[i], UNKNOWN_FRAME, "what is this", 12);
		derp_peer_frame(&w->p[i], DERP_PING, "12345678", 8);
	}
	for (size_t i = 0; i < w->n; i++)
		(void)derp_peer_wait(&w->p[i], DERP_PONG, 1);
}

static void send_ring(struct load *w)
{
	uint8_t data[1000] = { 0 };
	for (size_t round = 1; round <= ROUNDS; round++) {
		for (size_t i = 0; i < w->n; i++)
			derp_peer_send(&w->p[i], &w->p[(i + 1) % w->n].pub, data, sizeof(data));
		for (size_t i = 0; i < w->n; i++)
			(void)derp_peer_wait(&w->p[i], DERP_RECV_PACKET, round);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* There and back between the first two. */
static struct talk talk(struct load *w)
{
	static double took[TALKS];
	struct derp_peer *a = &w->p[0], *b = &w->p[1];
	size_t at_a = derp_peer_count(a, DERP_RECV_PACKET), at_b = derp_peer_count(b, DERP_RECV_PACKET);
	for (size_t i = 0; i < TALKS; i++) {
		double start = now_ms();
		derp_peer_send(a, &b->pub, "there", 5);
		(void)derp_peer_wait(b, DERP_RECV_PACKET, ++at_b);
		derp_peer_send(b, &a->pub, "back", 4);
		(void)derp_peer_wait(a, DERP_RECV_PACKET, ++at_a);
		took[i] = now_ms() - start;
	}
	qsort(took, TALKS, sizeof(took[0]), by_size);
	return (struct talk) { .median_ms = took[TALKS / 2], .max_ms = took[TALKS - 1] };
}

static void flood(struct load *w, struct derp_peer *slow)
{
	uint8_t data[FLOOD_BYTES] = { 0 };
	stream_pause(slow->stream, true);
	for (size_t k = 0; k < FLOOD_EACH; k++)
		for (size_t i = 2; i + 1 < w->n; i++)
			derp_peer_send(&w->p[i], &slow->pub, data, sizeof(data));
}

int main(int argc, char **argv)
{
	struct load w = { .n = argc > 1 ? strtoul(argv[1], NULL, 10) : 500 };
	struct child c = { 0 };
	struct rlimit lim;
	bool remote = argc > 3;
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	if (!key_setup() || w.n < 4 || argc == 3 ||
		(remote ? !endpoint_parse(argv[2], &c.at) : !child_start(&c)))
		return 2;
	if (remote)
		snprintf(c.pin, sizeof(c.pin), "%s", argv[3]);
	w.l = loop_new();
	w.p = calloc(w.n, sizeof(*w.p));
	if (!w.l || !w.p)
		return 2;
	double start = now_ms();
	join(&w, &c);
	double joined = now_ms();
	send_unknown(&w);
	send_ring(&w);
	double around = now_ms();
	struct talk quiet = talk(&w);
	flood(&w, &w.p[w.n - 1]);
	struct talk loud = talk(&w);
	bool ok = loud.max_ms < TALK_MAX_MS;
	printf("{\"bench\":\"relay_load\",\"clients\":%zu,\"join_ms\":%.0f,\"ring_ms\":%.0f,"
	       "\"talk_ms\":%.2f,\"talk_max_ms\":%.2f,\"beside_slow_reader_ms\":%.2f,"
	       "\"beside_slow_reader_max_ms\":%.2f,\"ok\":%s}\n",
		w.n, joined - start, around - joined, quiet.median_ms, quiet.max_ms, loud.median_ms,
		loud.max_ms, ok ? "true" : "false");
	for (size_t i = 0; i < w.n; i++)
		derp_peer_stop(&w.p[i]);
	free(w.p);
	loop_free(w.l);
	if (!remote)
		child_stop(&c);
	return ok ? 0 : 1;
}
