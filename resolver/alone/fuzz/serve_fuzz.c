/* The whole program over time, and what is around it: a configuration that is read again or started with, files of names, a
 * list in a file and one that a site publishes, a nameserver, a client, and days that pass. An input is a line of steps, of two
 * bytes and sometimes a text. Nothing leaves the machine: whom a configuration names is here. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/os/work.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/stream.h"
#include "resolver/alone/own_lists.h"
#include "resolver/alone/serve.h"
#include "resolver/keeper.h"
#include "resolver/message.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	STEPS_MAX = 40,
	INPUT_MAX = 2000,
	QUIET_TURNS = 8,     /* in which no thread works */
	TURNS_MAX = 2000000, /* of a thread that does not get its turn */
	GUESTS_MAX = 8,
	TEXT_MAX = 512,
	SECOND_MS = 1000,
	MOMENTS = 8
};

/* What the configuration of a step is made of: a bit each. */
static const char *const rows[] = {
	"state: %1$s/state\nquery-log: true\n",
	"names-from: [ { hosts: %1$s/hosts }, { hosts: %1$s/hosts.d }, { leases: %1$s/leases, domain: lan } "
	"]\n",
	"blocking:\n  store: %1$s/store\n  refresh: 10m\n  lists:\n    - { name: site, url: "
	"\"http://127.0.0.1:%2$u/a\" }\n"
	"    - { name: own, file: %1$s/list }\n    - { name: words, names: [ ads.example, /^x/ ], when: "
	"[ mon-fri "
	"08:00-16:00 ] }\n"
	"  groups: [ { name: kids, clients: [ 127.0.0.0/8 ], lists: [ site ] } ]\n",
	"local-zones: { lan: static, x.test: redirect, y.test: always-null }\nrebinding: { refuse: true, "
	"except: [ in.example ] }\n"
	"dns64: discover\nrecords: [ { name: c.example, value: 192.0.2.1 } ]\n",
	"page: { listen: 127.0.0.1:0, metrics: true }\n",
	"secure: { tls: 127.0.0.1:0, https: 127.0.0.1:0, certificate: %1$s/c, key: %1$s/k }\n",
	"dnssec: { validate: true, anchors: %1$s/anchors, insecure: [ test ] }\n",
	"keep-cache: true\n",
	"upstream-authorities: %1$s/c\nmixed-case: false\nserve-stale: 0\nrate-limit: 100\n",
	"blocking:\n  store: %1$s/store\n  lists: [ { name: site, url: \"https://127.0.0.1:%2$u/a\" } ]\n",
	"listen: nowhere\n",
	"upstream-authorities: %1$s/nothing\n",
};

static const char *const names[] = { "a.example", "x.lan", "ads.example", "q.example", "b.in.example", "z",
	"x.test", "h.example" };

static struct {
	struct running s;
	bool open;
	struct loop *loop;
	struct awake awake;
	char dir[64], config[128];
	int nameserver, site, guests[GUESTS_MAX];
	struct endpoint nameserver_at, site_at;
	unsigned n_guests, answers; /* how the nameserver does */
	struct buf says;	    /* the site, to everybody */
} world;

/* ---- around the program ---- */

/* An address for whatever is asked, or an error of it; 0: no word. */
static void nameserver_answer(void)
{
	static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 7 };
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t msg[1024];
	ssize_t n = recvfrom(world.nameserver, msg, sizeof(msg) - sizeof(record), MSG_DONTWAIT,
		(struct sockaddr *)&from, &len);
	size_t end = n > DNS_HEADER ? dns_name_skip(msg, (size_t)n, DNS_HEADER) + 4 : 0;
	if (!world.answers || end <= DNS_HEADER + 4)
		return;
	msg[2] |= 0x80;
	memset(msg + 6, 0, 6);
	if (world.answers & 1) {
		msg[7] = 1;
		memcpy(msg + end, record, sizeof(record));
		end += sizeof(record);
	} else {
		msg[3] = (uint8_t)(0x80 | (world.answers >> 1 & 15));
	}
	(void)!sendto(world.nameserver, msg, end, MSG_DONTWAIT, (struct sockaddr *)&from, len);
}

static void guests_leave(void)
{
	static const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	while (world.n_guests) {
		int fd = world.guests[--world.n_guests];
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
}

static void site_answer(void)
{
	int fd = sock_accept(world.site, NULL);
	if (fd < 0)
		return;
	if (world.n_guests == GUESTS_MAX)
		guests_leave();
	world.guests[world.n_guests++] = fd;
	(void)!send(fd, buf_data(&world.says), world.says.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
}

/* Until no thread works and nothing is left to be heard. */
static void settle(void)
{
	unsigned quiet = 0;
	for (unsigned i = 0; quiet < QUIET_TURNS; i++) {
		if (i == TURNS_MAX)
			abort();
		bool busy = loop_has_work(world.loop);
		quiet = busy ? 0 : quiet + 1;
		if (busy)
			sched_yield();
		loop_run_once(world.loop);
		nameserver_answer();
		site_answer();
	}
	guests_leave();
}

/* ---- steps ---- */

static void path_of(const char *name, char out[static 128])
{
	snprintf(out, 128, "%s/%s", world.dir, name);
}

/* The text of a step: its length, then so many bytes. */
static const uint8_t *text_take(struct rd *r, size_t *len)
{
	*len = rd_u8(r);
	return rd_take(r, *len);
}

static void file_change(unsigned which, struct rd *r)
{
	static const char *const files[] = { "hosts", "hosts.d/one", "leases", "list", "store/site.list",
		"state/answers.cache", "anchors", "hosts.d/.no" };
	char path[128];
	size_t len;
	const uint8_t *text = text_take(r, &len);
	path_of(files[which & 7], path);
	if (which & 8)
		unlink(path);
	else if (text)
		(void)file_write_atomic(path, 0600, text, len, NULL);
}

/* A site's answer: a head that is one of these, and a body. */
static void site_change(unsigned which, struct rd *r)
{
	static const char *const heads[] = { "200 OK\r\nETag: \"one\"", "304 Not Modified",
		"302 Found\r\nLocation: /b", "302 Found\r\nLocation: https://127.0.0.1:%u/", "500 No",
		"301 Moved\r\nLocation: http://127.0.0.1:%u/c", "302 Found\r\nLocation: ftp:x",
		"200 OK\r\nETag: two" };
	char head[128];
	size_t len;
	const uint8_t *text = text_take(r, &len);
	buf_free(&world.says);
	snprintf(head, sizeof(head), heads[which & 7], world.site_at.port);
	buf_printf(&world.says, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, text ? len : 0);
	if (text)
		(void)buf_append(&world.says, text, len);
}

static void config_write(unsigned bits)
{
	char upstream[ENDPOINT_TEXT];
	FILE *to = fopen(world.config, "we");
	if (!to)
		abort();
	fprintf(to, "listen: 127.0.0.1:0\ncache-bytes: 1000\nupstreams: \"%s\"\n",
		endpoint_format(&world.nameserver_at, upstream));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (bits >> i & 1)
			fprintf(to, rows[i], world.dir, world.site_at.port);
	fclose(to);
}

static void start(void)
{
	struct conf c;
	struct zone *z;
	struct errbuf eb = { 0 };
	world.s = (struct running) { .config = world.config, .loop = world.loop };
	if (running_config_read(world.config, &c, &z, NULL, &eb))
		return;
	world.open = !serve_open(&world.s, &c, z, &eb);
	if (!world.open)
		serve_close(&world.s);
	zone_put(z);
	conf_free(&c);
}

static void stop(void)
{
	if (world.open)
		serve_close(&world.s);
	proxies_free(world.s.proxies);
	world.s.proxies = NULL;
	world.open = false;
	settle();
}

static void told(void *arg, int err, const struct errbuf *eb)
{
	(void)arg;
	if (err && !eb->text[0])
		abort();
}

static void reload(bool twice)
{
	static struct reload_waiter first, second;
	first = second = (struct reload_waiter) { .told = told };
	running_reload(&world.s, &first);
	if (twice)
		running_reload(&world.s, &second);
	settle();
	if (world.s.reload.begun || world.s.reload.now || world.s.reload.later)
		abort();
}

static void ask(unsigned what)
{
	struct endpoint at = resolver_server_endpoint(world.s.server, 0);
	uint8_t msg[DNS_ASK_MAX];
	char sink[4096];
	struct sockaddr_storage to;
	struct dns_name name;
	struct dns_ask q = { .id = 1, .type = what & 8 ? DNS_AAAA : DNS_A, .edns = what & 16, .name = &name };
	socklen_t len = endpoint_to_sockaddr(&at, false, &to);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || !dns_name_parse(names[what & 7], &name))
		abort();
	(void)!sendto(fd, msg, dns_ask_write(msg, &q), 0, (struct sockaddr *)&to, len);
	settle();
	(void)!recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
	close(fd);
}

static void list_told(void *arg, int code, const char *why)
{
	(void)arg, (void)code, (void)why;
}

static void search_told(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb)
{
	(void)arg, (void)w;
	if (err && !eb->text[0])
		abort();
}

/* What a node does, and who looks at the files. */
static void order_rare(unsigned what)
{
	static const uint8_t about[KEEP_ABOUT];
	const struct addr from = addr_v4(0x7f000001);
	struct resolver *core = resolver_server_core(world.s.server);
	const struct conf_block *c = blocker_conf(world.s.blocker);
	struct lists_found found;
	struct dns_name name;
	struct errbuf eb;
	struct buf out = { 0 };
	const char *group;
	(void)dns_name_parse(names[what & 7], &name);
	if (what & 8)
		resolver_server_network_changed(world.s.server);
	if (what & 16)
		keeper_forget(world.s.keeper);
	else
		keeper_move(world.s.keeper);
	keeper_serve(world.s.keeper, core, about);
	blocker_move(world.s.blocker, core);
	if (c) {
		(void)blocker_group(c, &from, &group);
		(void)blocker_check(c, &out, &eb);
		(void)blocker_explain(c, UINT32_MAX, &name, &out, &found, &eb);
	}
	buf_free(&out);
}

/* What the control socket and the page would order. */
static void order(unsigned what)
{
	const struct addr from = addr_v4(0x7f000001);
	const struct blocker_client client = { .from = &from };
	struct blocker_state state;
	struct errbuf eb;
	struct dns_name name;
	size_t n;
	(void)dns_name_parse(names[what >> 3 & 7], &name);
	switch (what & 7) {
	case 0: blocker_pause(world.s.blocker); break;
	case 1: blocker_pause_for(world.s.blocker, (what >> 3) * SECOND_MS); break;
	case 2:
		(void)resolver_flush(resolver_server_core(world.s.server), names[what >> 3 & 7], true, &n);
		break;
	case 3:
	case 4:
		if (world.s.own)
			(void)own_lists_change(world.s.own, (what & 7) == 3 ? OWN_DENY : OWN_ALLOW,
				names[what >> 3 & 7], list_told, NULL, &eb);
		break;
	case 5:
		blocker_reread(world.s.blocker);
		if (what & 8)
			blocker_reread(world.s.blocker);
		break;
	case 6: (void)blocker_search_start(world.s.blocker, &client, &name, search_told, NULL); break;
	case 7: order_rare(what >> 3); break;
	}
	blocker_state(world.s.blocker, &state);
	settle();
}

static void step(struct rd *r)
{
	static const unsigned seconds[] = { 3, 20, 61, 301, 601, 3600, 86400, 3 * 86400 };
	unsigned op = rd_u8(r), what = rd_u8(r);
	switch (op & 7) {
	case 0:
		trouble_pass_ms((uint64_t)seconds[what & 7] * SECOND_MS);
		for (unsigned i = 0; i < MOMENTS; i++) { /* what is done a part at a time */
			settle();
			trouble_pass_ms(1);
		}
		break;
	case 1: file_change(what, r); break;
	case 2: site_change(what, r); break;
	case 3:
		config_write(what | (unsigned)rd_u8(r) << 8);
		if (world.open)
			reload(op & 8);
		break;
	case 4:
		if (world.open)
			ask(what);
		break;
	case 5: world.answers = what; break;
	case 6:
		if (world.open)
			order(what);
		break;
	case 7:
		stop();
		start();
		break;
	}
}

/* ---- all of it ---- */

static void folder_make(const char *name)
{
	char path[128];
	path_of(name, path);
	if (dir_make(path, 0700, NULL))
		abort();
}

/* As at the beginning. */
static void folder_empty(void)
{
	static const char *const files[] = { "hosts", "hosts.d/one", "hosts.d/.no", "leases", "list",
		"store/site.list", "store/site.list.etag", "store/site.list.url", "anchors" };
	char path[128];
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		path_of(files[i], path);
		unlink(path);
	}
	path_of("state", path);
	(void)dir_remove(path, NULL);
	folder_make("state");
}

static void world_end(void)
{
	stop();
	awake_free(&world.awake);
	dir_remove(world.dir, NULL);
}

static void world_make(void)
{
	const char *hosts[] = { "fuzz.test" };
	char cert[128], key[128];
	log_setup(LOG_ERROR, false);
	if (!freopen("/dev/null", "w", stdout)) /* errors of strange files are said at length */
		abort();
	snprintf(world.dir, sizeof(world.dir), "/tmp/rw-fuzz-XXXXXX");
	world.nameserver_at = world.site_at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	world.awake = awake_loop(loop_new());
	world.loop = world.awake.loop;
	if (!mkdtemp(world.dir) || !key_setup() || !work_ready(world.loop))
		abort();
	world.nameserver = sock_udp(&world.nameserver_at, NULL);
	world.site = sock_tcp_listen(&world.site_at, NULL);
	path_of("conf.yaml", world.config);
	path_of("c", cert);
	path_of("k", key);
	folder_make("hosts.d");
	folder_make("store");
	if (world.nameserver < 0 || world.site < 0 || sock_local(world.nameserver, &world.nameserver_at) ||
		sock_local(world.site, &world.site_at) || tls_self_signed(cert, key, hosts, 1, NULL) ||
		atexit(world_end))
		abort();
}

static void serve_target(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len < INPUT_MAX ? len : INPUT_MAX);
	folder_empty();
	world.answers = 1;
	buf_free(&world.says);
	config_write(0);
	trouble_begin();
	start();
	for (unsigned i = 0; i < STEPS_MAX && r.left && !r.bad; i++)
		step(&r);
	trouble_end();
	stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!world.loop)
		world_make();
	return trouble_twice(serve_target, data, len);
}
