#include "simnet/host/capture.h"

#include "mesh/base/heap.h"
#include "mesh/base/wire.h"
#include "simnet/pcap/pcapng.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SNAP_BYTES = CAPTURE_SNAP, /* headers of every layer we speak, and the first bytes of the payload */
	BLOCK_BYTES = 128 * 1024,
	BLOCKS = 16,
	RETIRE_MS = 20, /* how long the kernel may sit on a block that is not full */
	LINK_BYTES = 1 << 20,
	PATH_BYTES = 512,
	RECORD_BYTES = 16, /* stamp, length kept, length on the wire */
	WRITE_BYTES = 64 * 1024,
};

/* Records in a ring: the oldest make room. */
struct link_ring {
	struct capture_link link;
	uint8_t *p; /* LINK_BYTES, touched only as far as it fills */
	size_t head, tail, len;
	size_t told;		 /* bytes from tail that are in the file being written */
	struct heap_item oldest; /* of what is not: its stamp */
};

/* What is said to the capturing process: the name of a folder, which it answers with an int; or LOOK_ON, which has no answer. */
static const char LOOK_ON[] = "";

struct capture {
	pid_t pid;
	int ctl, news; /* news: a message for each packet, after LOOK_ON */
	bool looks_on;
};

struct tap { /* the capturing process */
	int fd, ctl, news;
	bool tells;
	uint32_t missed; /* that nobody has taken, since the last that was told */
	uint8_t *map;
	unsigned block;
	struct link_ring *links;
	size_t n;
};

/* ---- rings ---- */

static void ring_put(struct link_ring *r, const void *src, size_t n)
{
	size_t first = LINK_BYTES - r->head < n ? LINK_BYTES - r->head : n;
	memcpy(r->p + r->head, src, first);
	memcpy(r->p, (const uint8_t *)src + first, n - first);
	r->head = (r->head + n) % LINK_BYTES;
	r->len += n;
}

static void ring_peek(const struct link_ring *r, size_t at, void *dst, size_t n)
{
	at %= LINK_BYTES;
	size_t first = LINK_BYTES - at < n ? LINK_BYTES - at : n;
	memcpy(dst, r->p + at, first);
	memcpy((uint8_t *)dst + first, r->p, n - first);
}

static void ring_drop_oldest(struct link_ring *r)
{
	uint8_t head[RECORD_BYTES];
	ring_peek(r, r->tail, head, sizeof(head));
	size_t n = RECORD_BYTES + (size_t)le_get(head + 8, 4);
	r->tail = (r->tail + n) % LINK_BYTES;
	r->len -= n;
}

static void packet_seen(struct link_ring *r, const struct tpacket3_hdr *h)
{
	uint8_t head[RECORD_BYTES];
	size_t n = h->tp_snaplen > SNAP_BYTES ? SNAP_BYTES : h->tp_snaplen;
	if (!r->p && !(r->p = malloc(LINK_BYTES)))
		return;
	le_put(head, 8, (uint64_t)h->tp_sec * 1000000000 + h->tp_nsec);
	le_put(head + 8, 4, n);
	le_put(head + 12, 4, h->tp_len);
	while (r->len + RECORD_BYTES + n > LINK_BYTES)
		ring_drop_oldest(r);
	ring_put(r, head, sizeof(head));
	ring_put(r, (const uint8_t *)h + h->tp_mac, n);
}

/* ---- the capturing process ---- */

static void tell_packet(struct tap *t, const struct link_ring *r, const struct tpacket3_hdr *h)
{
	struct capture_glimpse g = { .at_ns = (uint64_t)h->tp_sec * 1000000000 + h->tp_nsec,
		.wire_len = h->tp_len,
		.missed = t->missed,
		.len = (uint16_t)(h->tp_snaplen > SNAP_BYTES ? SNAP_BYTES : h->tp_snaplen) };
	memcpy(g.link, r->link.name, sizeof(g.link));
	memcpy(g.data, (const uint8_t *)h + h->tp_mac, g.len);
	bool taken = send(t->news, &g, sizeof(g), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(g);
	t->missed = taken ? 0 : t->missed + 1;
}

static struct link_ring *link_of(struct tap *t, int ifindex)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->links[i].link.ifindex == ifindex)
			return &t->links[i];
	return NULL;
}

static bool read_block(struct tap *t)
{
	struct tpacket_block_desc *b = (void *)(t->map + (size_t)t->block * BLOCK_BYTES);
	if (!(__atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return false;
	uint8_t *at = (uint8_t *)b + b->hdr.bh1.offset_to_first_pkt;
	for (uint32_t i = 0; i < b->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *h = (const void *)at;
		const struct sockaddr_ll *ll = (const void *)(at + TPACKET_ALIGN(sizeof(*h)));
		struct link_ring *r = link_of(t, ll->sll_ifindex);
		if (r)
			packet_seen(r, h);
		if (r && t->tells)
			tell_packet(t, r, h);
		at += h->tp_next_offset;
	}
	__atomic_store_n(&b->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	t->block = (t->block + 1) % BLOCKS;
	return true;
}

/* The next record of this link has its place among those of all links. */
static void queue_link(struct heap *h, struct link_ring *r)
{
	uint8_t stamp[8];
	if (r->told == r->len)
		return;
	ring_peek(r, r->tail + r->told, stamp, sizeof(stamp));
	heap_set(h, &r->oldest, le_get(stamp, sizeof(stamp)));
}

static bool put_record(struct buf *out, const struct link_ring *r, uint32_t link)
{
	uint8_t record[RECORD_BYTES + SNAP_BYTES];
	ring_peek(r, r->tail + r->told, record, RECORD_BYTES);
	struct pcapng_packet p = { .link = link,
		.at_ns = le_get(record, 8),
		.data = record + RECORD_BYTES,
		.len = (size_t)le_get(record + 8, 4),
		.wire_len = (size_t)le_get(record + 12, 4) };
	ring_peek(r, r->tail + r->told, record, RECORD_BYTES + p.len);
	return pcapng_write_packet(out, &p);
}

static bool flush_to(FILE *f, struct buf *out, size_t above)
{
	bool ok = out->len <= above || fwrite(buf_data(out), out->len, 1, f) == 1;
	if (out->len > above)
		buf_consume(out, out->len);
	return ok;
}

/* All links in order of time. */
static bool write_packets(struct tap *t, struct heap *h, FILE *f)
{
	struct buf out = { 0 };
	bool ok = pcapng_write_head(&out, "simnet");
	for (size_t i = 0; ok && i < t->n; i++) {
		ok = pcapng_write_link(&out, t->links[i].link.name, SNAP_BYTES);
		t->links[i].told = 0;
		queue_link(h, &t->links[i]);
	}
	while (ok && h->n) {
		struct link_ring *r = heap_owner(h->v[0], struct link_ring, oldest);
		uint8_t head[RECORD_BYTES];
		ok = put_record(&out, r, (uint32_t)(r - t->links)) && flush_to(f, &out, WRITE_BYTES);
		ring_peek(r, r->tail + r->told, head, sizeof(head));
		r->told += RECORD_BYTES + (size_t)le_get(head + 8, 4);
		heap_remove(h, &r->oldest);
		queue_link(h, r);
	}
	ok = ok && flush_to(f, &out, 0);
	buf_free(&out);
	return ok;
}

static int write_file(struct tap *t, const char *dir)
{
	char path[PATH_BYTES + 16];
	struct heap h = { .v = calloc(t->n + 1, sizeof(struct heap_item *)) };
	snprintf(path, sizeof(path), "%s/%s", dir, CAPTURE_FILE);
	FILE *f = h.v ? fopen(path, "we") : NULL;
	int err = f ? 0 : h.v ? -errno : -ENOMEM;
	if (f && !write_packets(t, &h, f))
		err = -EIO;
	if (f && fclose(f) != 0)
		err = -errno;
	for (size_t i = 0; i < t->n; i++)
		t->links[i].oldest = (struct heap_item) { 0 };
	free(h.v);
	return err;
}

static void answer(struct tap *t, const char *dir)
{
	/* The open block is handed over after RETIRE_MS at the latest. */
	struct pollfd pf = { .fd = t->fd, .events = POLLIN };
	(void)poll(&pf, 1, 2 * RETIRE_MS);
	while (read_block(t))
		;
	int err = write_file(t, dir);
	(void)!write(t->ctl, &err, sizeof(err));
}

static void run_tap(struct tap *t)
{
	char dir[PATH_BYTES];
	struct pollfd pf[] = { { .fd = t->fd, .events = POLLIN }, { .fd = t->ctl, .events = POLLIN } };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "simnet-capture");
	signal(SIGINT, SIG_IGN); /* the packets before an interrupt are wanted too */
	signal(SIGTERM, SIG_IGN);
	for (;;) {
		if (poll(pf, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		while (read_block(t))
			;
		if (!pf[1].revents)
			continue;
		ssize_t n = read(t->ctl, dir, sizeof(dir) - 1);
		if (n <= 0)
			_exit(0);
		dir[n] = '\0';
		if (strcmp(dir, LOOK_ON) != 0)
			answer(t, dir);
		else
			t->tells = true;
	}
}

/* ---- the engine's side ---- */

static int open_tap(struct tap *t)
{
	struct sock_filter snap = BPF_STMT(BPF_RET | BPF_K, SNAP_BYTES);
	struct sock_fprog prog = { .len = 1, .filter = &snap };
	struct tpacket_req3 req = { .tp_block_size = BLOCK_BYTES,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = TPACKET_ALIGNMENT << 7,
		.tp_frame_nr = BLOCK_BYTES / (TPACKET_ALIGNMENT << 7) * BLOCKS,
		.tp_retire_blk_tov = RETIRE_MS };
	int version = TPACKET_V3;
	t->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* deaf until bound */
	if (t->fd < 0 || setsockopt(t->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
		setsockopt(t->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ||
		setsockopt(t->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
		return -errno;
	void *map = mmap(NULL, (size_t)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	t->map = map;
	struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL) };
	return bind(t->fd, (struct sockaddr *)&all, sizeof(all)) < 0 ? -errno : 0;
}

static void close_tap(struct tap *t)
{
	if (t->map)
		munmap(t->map, (size_t)BLOCK_BYTES * BLOCKS);
	if (t->fd >= 0)
		close(t->fd);
	free(t->links);
}

static void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static int capture_start(struct tap *t, struct capture *c)
{
	int ctl[2], news[2];
	int err = t->links ? open_tap(t) : -ENOMEM;
	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl) < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, news) < 0) {
		err = -errno;
		close_pair(ctl);
		return err;
	}
	t->ctl = ctl[1];
	t->news = news[1];
	*c = (struct capture) { .ctl = ctl[0], .news = news[0], .pid = fork() };
	if (c->pid == 0) {
		close(ctl[0]);
		close(news[0]);
		run_tap(t);
	}
	err = c->pid < 0 ? -errno : 0;
	close(ctl[1]);
	close(news[1]);
	if (err) {
		close(ctl[0]);
		close(news[0]);
	}
	return err;
}

int capture_open(const struct capture_link *links, size_t n, struct capture **out, struct errbuf *eb)
{
	struct tap t = { .fd = -1, .n = n, .links = calloc(n + 1, sizeof(*t.links)) };
	struct capture *c = calloc(1, sizeof(*c));
	for (size_t i = 0; t.links && i < n; i++)
		t.links[i].link = links[i];
	int err = c ? capture_start(&t, c) : -ENOMEM;
	close_tap(&t);
	if (err) {
		free(c);
		return err_set(eb, err, "capture the links");
	}
	*out = c;
	return 0;
}

int capture_write(struct capture *c, const char *dir, struct errbuf *eb)
{
	int said = 0;
	size_t len = strlen(dir);
	if (len >= PATH_BYTES)
		return err_set(eb, -ENAMETOOLONG, "write captures to %s", dir);
	if (write(c->ctl, dir, len) != (ssize_t)len ||
		read(c->ctl, &said, sizeof(said)) != (ssize_t)sizeof(said))
		return err_say(
			eb, ERR_CLOSED, "the capturing process has died: no packets to write to %s", dir);
	return said ? err_set(eb, said, "write captures to %s", dir) : 0;
}

size_t capture_glimpses(struct capture *c, struct capture_glimpse *out, size_t cap)
{
	size_t n = 0;
	if (!c->looks_on)
		c->looks_on = write(c->ctl, LOOK_ON, sizeof(LOOK_ON)) == (ssize_t)sizeof(LOOK_ON);
	while (n < cap && recv(c->news, &out[n], sizeof(out[n]), MSG_DONTWAIT) == (ssize_t)sizeof(out[n]))
		n++;
	return n;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	close(c->ctl);
	close(c->news);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	free(c);
}
