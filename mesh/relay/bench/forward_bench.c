/* One flow of WireGuard-sized packets through the relay: forward_bench [MEGABYTES]. Both ends are in this
 * process, the relay in another. Prints one JSON line, with the relay's processor time; exit 1 below the floor. */
#include "mesh/relay/bench/child.h"
#include "mesh/relay/test/derp_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { PACKET = 1312, WINDOW = 512 * 1024, JOINED = 32 };
static const double floor_gbit = 0.3;

/* A window instead of TCP inside: no more on the way than a tunnel's congestion control would have. */
static void run(struct loop *l, struct derp_peer *a, struct derp_peer *b, uint64_t total)
{
	struct buf out = { 0 };
	uint8_t head[DERP_HEADER + KEY_LEN], data[PACKET];
	memset(data, 7, sizeof(data));
	for (int i = 0; i < JOINED; i++) {
		struct wr w = wr_of(head, sizeof(head));
		derp_packet_header_write(&w, DERP_SEND_PACKET, &b->pub, PACKET);
		buf_append(&out, head, w.len);
		buf_append(&out, data, PACKET);
	}
	uint64_t sent = 0, at_ms = loop_now_ms(l), heard = 0;
	while (b->bytes < total) {
		while (sent < total + WINDOW && sent - b->bytes < WINDOW) {
			(void)stream_write(a->stream, buf_data(&out), out.len);
			sent += (uint64_t)JOINED * PACKET;
		}
		loop_run_once(l);
		b->n_frames = 0;
		if (b->bytes != heard) {
			heard = b->bytes;
			at_ms = loop_now_ms(l);
		} else if (loop_now_ms(l) - at_ms > 100) {
			sent = b->bytes; /* lost in a full queue */
		}
	}
	buf_free(&out);
}

/* Of children that have ended. */
static double children_cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	uint64_t total = (argc > 1 ? strtoull(argv[1], NULL, 10) : 400) * 1000000;
	struct child c = { 0 };
	if (!key_setup() || !child_start(&c))
		return 1;
	struct loop *l = loop_new();
	struct derp_peer *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	if (!a || !b)
		return 1;
	derp_peer_dial(a, l, &c.at, c.pin);
	derp_peer_dial(b, l, &c.at, c.pin);
	(void)derp_peer_wait(a, DERP_SERVER_INFO, 1);
	(void)derp_peer_wait(b, DERP_SERVER_INFO, 1);
	uint64_t t0 = clock_now_ns();
	run(l, a, b, total);
	double seconds = (double)(clock_now_ns() - t0) / 1e9, gbit = (double)b->bytes * 8 / seconds / 1e9;
	double gbytes = (double)b->bytes / 1e9;
	bool ok = gbit >= floor_gbit;
	derp_peer_stop(a);
	derp_peer_stop(b);
	free(a);
	free(b);
	loop_free(l);
	child_stop(&c);
	printf("{\"bench\":\"relay_forward\",\"gbit_s\":%.2f,\"floor\":%.2f,\"cpu_s_gb\":%.3f,\"ok\":%s}\n",
		gbit, floor_gbit, children_cpu_s() / gbytes, ok ? "true" : "false");
	return ok ? 0 : 1;
}
