#include "simnet/lab/probe.h"

#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Every kind carries the same record: magic, the probe's id, the sequence number. On TCP the records follow
 * each other on one connection; what is lost there is lost with the connection, and a new one is tried with
 * the next probe after RECONNECT_MS. A failed send is a lost probe: the interface may be gone with its
 * program. */
enum { ECHO4 = 8, REPLY4 = 0, ECHO6 = 128, REPLY6 = 129, UNREACHABLE4 = 3 };
enum { RECORD_BYTES = 12, READS_PER_WAKEUP = 32, RECONNECT_MS = 100 };
static const uint8_t magic[4] = { 's', 'i', 'm', 'n' };

struct probe {
	struct proc_place from;
	struct probe_spec spec;
	int fd; /* -1: a TCP connection that is not there */
	struct loop_fd *watch;
	struct buf in, out; /* TCP: a record that has not arrived whole; those that wait for the connection */
	bool connected;
	uint64_t tried_ms; /* TCP: the last try */
	int send_errno;	   /* of the last probe; 0 = it left */
	int told_errno;	   /* what the kernel was told of earlier ones since an answer; 0 = nothing */
	struct addr
		refused_by;   /* who said last, since an answer, that probes do not arrive; unset = nobody */
	uint8_t refused_code; /* of its ICMP message (RFC 792) */
};

static void put_record(struct wr *w, const struct probe *p, uint32_t seq)
{
	wr_bytes(w, magic, sizeof(magic));
	wr_u32(w, p->spec.id);
	wr_u32(w, seq);
}

static bool read_record(const struct probe *p, struct rd *r, uint32_t *seq)
{
	const uint8_t *mark = rd_take(r, sizeof(magic));
	uint32_t id = rd_u32(r);
	*seq = rd_u32(r);
	return !r->bad && id == p->spec.id && !memcmp(mark, magic, sizeof(magic));
}

static void probe_answered(struct probe *p, uint32_t seq)
{
	p->refused_by = (struct addr) { 0 };
	p->told_errno = 0;
	p->spec.answered(p->spec.owner, seq);
}

/* ---- ICMP ---- */

static size_t write_echo(const struct probe *p, uint32_t seq, uint8_t *msg, size_t cap)
{
	bool v4 = addr_is_v4(&p->spec.to.ip);
	struct wr w = wr_of(msg, cap);

	wr_u8(&w, v4 ? ECHO4 : ECHO6);
	wr_u8(&w, 0);
	wr_u16(&w, 0); /* checksum; for ICMPv6 the kernel's work */
	wr_u16(&w, p->spec.id);
	wr_u16(&w, (uint16_t)seq);
	put_record(&w, p, seq);
	wr_zero(&w, 12);
	if (v4)
		be_put(msg + 2, 2, ip_checksum(msg, w.len, 0));
	return w.len;
}

static bool read_echo(const struct probe *p, struct rd r, uint32_t *seq)
{
	bool v4 = addr_is_v4(&p->spec.to.ip);

	if (v4) { /* raw IPv4 sockets deliver the header too */
		uint8_t first = r.left ? r.p[0] : 0;
		rd_take(&r, (size_t)(first & 15) * 4);
	}
	uint8_t type = rd_u8(&r);
	rd_take(&r, 3);
	uint16_t id = rd_u16(&r);
	rd_u16(&r);
	return type == (v4 ? REPLY4 : REPLY6) && id == p->spec.id && read_record(p, &r, seq);
}

/* An ICMP error about a probe of ours: who sent it, and why. Raw IPv4 sockets hear them as well. */
static void read_refusal(struct probe *p, struct rd r)
{
	const struct addr *dest = &p->spec.to.ip;
	struct ip_view outer;

	if (!addr_is_v4(dest) || !ip_parse(r.p, r.left, &outer) || outer.icmp_type != UNREACHABLE4)
		return;
	rd_take(&r, (size_t)outer.l4_at + 8);
	const uint8_t *cited = rd_take(&r, 20);
	size_t options = cited ? (size_t)(cited[0] & 15) * 4 - 20 : 0;
	rd_take(&r, options + 4);
	uint16_t id = rd_u16(&r);
	if (r.bad || id != p->spec.id || memcmp(cited + 16, dest->b + 12, 4) != 0)
		return;
	p->refused_by = outer.src;
	p->refused_code = outer.icmp_code;
}

/* ---- all kinds ---- */

static void datagram_received(struct probe *p, const uint8_t *msg, size_t len)
{
	struct rd r = rd_of(msg, len);
	uint32_t seq;

	if (p->spec.kind == PROBE_ICMP ? read_echo(p, r, &seq) : read_record(p, &r, &seq))
		probe_answered(p, seq);
	else if (p->spec.kind == PROBE_ICMP)
		read_refusal(p, r);
}

static void disconnect(struct probe *p)
{
	loop_fd_free(p->watch);
	p->watch = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->connected = false;
	buf_free(&p->in);
	buf_free(&p->out);
}

static void stream_received(struct probe *p, const uint8_t *msg, size_t len)
{
	uint32_t seq;

	if (!buf_append(&p->in, msg, len)) {
		disconnect(p);
		return;
	}
	while (p->in.len >= RECORD_BYTES) {
		struct rd r = rd_of(buf_data(&p->in), RECORD_BYTES);
		bool ours = read_record(p, &r, &seq);
		buf_consume(&p->in, RECORD_BYTES);
		if (!ours) { /* not an echo */
			disconnect(p);
			return;
		}
		probe_answered(p, seq);
	}
}

static void probe_refused(struct probe *p, int err)
{
	p->told_errno = err;
	if (p->spec.kind == PROBE_TCP)
		disconnect(p);
}

static void send_waiting(struct probe *p)
{
	ssize_t n = p->out.len ? send(p->fd, buf_data(&p->out), p->out.len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN)
		probe_refused(p, errno);
	else if (n >= 0 && (size_t)n < p->out.len) /* half a record would shift all that follow */
		disconnect(p);
	else
		buf_free(&p->out);
}

static void probe_readable(void *arg, int events)
{
	struct probe *p = arg;
	uint8_t msg[512];
	(void)events;

	if (p->spec.kind == PROBE_TCP && !p->connected) {
		int err = sock_error(p->fd);
		if (err) {
			probe_refused(p, err < 0 ? -err : err);
			return;
		}
		p->connected = true;
		loop_fd_set(p->watch, LOOP_READ);
		send_waiting(p);
	}
	for (unsigned i = 0; i < READS_PER_WAKEUP && p->fd >= 0; i++) {
		ssize_t n = recv(p->fd, msg, sizeof(msg), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (n == 0 && p->spec.kind == PROBE_TCP))
			probe_refused(p, n < 0 ? errno : ECONNRESET);
		else if (p->spec.kind == PROBE_TCP)
			stream_received(p, msg, (size_t)n);
		else
			datagram_received(p, msg, (size_t)n);
		if (n < 0)
			return;
	}
}

static int open_socket(struct probe *p, struct errbuf *eb)
{
	bool v4 = addr_is_v4(&p->spec.to.ip), raw = p->spec.kind == PROBE_ICMP;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&p->spec.to, false, &sa);

	p->fd = hosts_socket(p->from.hosts, p->from.host, v4 ? AF_INET : AF_INET6,
		(raw				    ? SOCK_RAW
			: p->spec.kind == PROBE_UDP ? SOCK_DGRAM
						    : SOCK_STREAM) |
			SOCK_NONBLOCK,
		!raw ? 0
		: v4 ? IPPROTO_ICMP
		     : IPPROTO_ICMPV6,
		eb);
	if (p->fd < 0)
		return p->fd;
	p->watch = loop_fd_new(p->from.loop, p->fd, probe_readable, p);
	if (!p->watch)
		return err_say(eb, -ENOMEM, "out of memory");
	bool tcp = p->spec.kind == PROBE_TCP;
	/* A connected UDP socket hears of closed ports. A UDP connect that fails fails again, and is told, at
	 * every send. */
	int err = !raw && connect(p->fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS ? errno : 0;
	loop_fd_set(p->watch, tcp ? LOOP_WRITE : LOOP_READ);
	if (err && tcp)
		probe_refused(p, err);
	return 0;
}

static void send_datagram(struct probe *p, uint32_t seq)
{
	uint8_t msg[64];
	struct sockaddr_storage sa;
	struct wr w = wr_of(msg, sizeof(msg));
	size_t len;

	if (p->spec.kind == PROBE_ICMP) {
		len = write_echo(p, seq, msg, sizeof(msg));
	} else {
		put_record(&w, p, seq);
		len = w.len;
	}
	socklen_t sa_len = endpoint_to_sockaddr(&p->spec.to, false, &sa);
	ssize_t n = sendto(p->fd, msg, len, MSG_DONTWAIT, (struct sockaddr *)&sa, sa_len);
	p->send_errno = n < 0 ? errno : 0;
}

static void send_record(struct probe *p, uint32_t seq)
{
	uint8_t msg[RECORD_BYTES];
	struct wr w = wr_of(msg, sizeof(msg));
	struct errbuf eb;
	uint64_t now = loop_now_ms(p->from.loop);

	if (p->fd < 0 && now - p->tried_ms >= RECONNECT_MS) {
		p->tried_ms = now;
		if (open_socket(p, &eb))
			disconnect(p);
	}
	if (p->fd < 0)
		return;
	put_record(&w, p, seq);
	if (buf_append(&p->out, msg, w.len) && p->connected)
		send_waiting(p);
}

void probe_send(struct probe *p, uint32_t seq)
{
	if (p->spec.kind == PROBE_TCP)
		send_record(p, seq);
	else
		send_datagram(p, seq);
}

const char *probe_trouble(const struct probe *p, const char *from, char *buf, size_t cap)
{
	static const char *const words[] = { "the network cannot be reached", "the host cannot be reached",
		"the protocol is not known", "the port is closed" };
	char by[ADDR_TEXT];

	buf[0] = '\0';
	int err = p->send_errno ? p->send_errno : p->told_errno;
	if (err == ECONNREFUSED)
		snprintf(buf, cap, ", and the port is closed");
	else if (err == ECONNRESET)
		snprintf(buf, cap, ", and the connection was ended from there");
	else if (err)
		snprintf(buf, cap, ", and %s cannot send: %s", from, strerror(err));
	else if (!addr_is_unspecified(&p->refused_by))
		snprintf(buf, cap, ", and %s says that %s", addr_format(&p->refused_by, by),
			p->refused_code < ARRAY_LEN(words) ? words[p->refused_code] : "it is forbidden");
	return buf;
}

struct probe *probe_open(const struct proc_place *from, const struct probe_spec *spec, struct errbuf *eb)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (!p) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*p = (struct probe) {
		.from = *from, .spec = *spec, .fd = -1, .in = { .cap = 4096 }, .out = { .cap = 4096 }
	};
	p->tried_ms = loop_now_ms(from->loop);
	if (!open_socket(p, eb))
		return p;
	probe_close(p);
	return NULL;
}

void probe_close(struct probe *p)
{
	if (!p)
		return;
	disconnect(p);
	free(p);
}
