/* A control server that says whatever it likes, and the node's link to it, as text: an input is a line of steps with a byte 0x1e
 * between them, each a letter and what belongs to it.
 * `K` STATUS newline text is the answer to /key from now on, `R` that to a login, where $K is the server's key; "-" for STATUS: none
 * comes. `S` STATUS is that of the map stream, `M` a message of its own at its begin, `D` one now, `X` bytes in its place. `E` ends the
 * stream, `Z` the connection, `H` answers what was held. `L` and `l` log in with a key, and with a new key of the node besides; `O` logs out,
 * `U` updates, `N` tries now, `T` lets so many ms pass, `C` begins anew. `P` wants another server's key, `J` has joined, `B` cannot use a map, `W` says that
 * the way to the server moved, `V` that IPv4 is reached by a prefix; `G` STATUS newline Location is what something in between answers. With memory short at one place or another. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/log.h"
#include "mesh/node/links/portal.h"
#include "mesh/node/links/server_link.h"
#include "mesh/os/sock.h"
#include "mesh/transport/control_link.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEPS_MAX = 24, STEP_END = 0x1e, TURNS = 12, TEXT = 4096, LINKS = 4, GOODBYE_TURNS = 60 };

/* What outlives an input. */
static struct {
	int fd;
	struct endpoint at;
	struct machine_private priv;
	struct machine_key pub;
} place = { .fd = -1 };

struct answer {
	bool none;
	int status;
	const char *text; /* in the input */
};

/* Begun anew with each input. */
static struct {
	struct loop *loop;
	struct server_link *link;
	struct state us;
	bool map_is_bad;
	int ups;
	bool logs_out;
	/* the server */
	struct answer key, login;
	int map_status;
	const char *map;
	struct control_server_link *links[LINKS];
	struct h2_stream *stream, *held;
	struct map_packer *packer;
} w;

/* --- the node's side --- */

static void describe(void *arg, struct arena *a, struct server_link_self *out)
{
	(void)arg, (void)a;
	out->host = (struct ctl_hostinfo) { .ipn_version = "1",
		.backend_log_id = "",
		.os = "linux",
		.os_version = "",
		.hostname = "a",
		.machine = "",
		.go_arch = "" };
}
static void server_is(void *arg, const struct machine_key *key)
{
	(void)arg;
	w.us.server = *key;
}
static bool accepted(void *arg, const struct node_private *key, const char *login_name)
{
	(void)arg;
	must(login_name && !key_is_zero(key->b));
	w.us.node = *key;
	w.us.logged_in = true;
	return true;
}
static void asked(void *arg, const char *url)
{
	(void)arg;
	must(!strncmp(url, "http", 4));
}
static void waits(void *arg)
{
	(void)arg;
}
static void refused(void *arg, const char *why)
{
	(void)arg;
	must(why && *why);
}
static void forgotten(void *arg, const char *why)
{
	(void)arg, (void)why;
	w.us.logged_in = false;
}
static int map_came(void *arg, const struct ctl_map_response *m, bool first, struct errbuf *eb)
{
	(void)arg, (void)m, (void)first;
	return w.map_is_bad ? err_say(eb, ERR_MALFORMED, "no use") : 0;
}
static void up(void *arg, bool is_up, const struct endpoint *at)
{
	(void)arg, (void)at;
	w.ups += is_up ? 1 : -1;
	must(w.ups == 0 || w.ups == 1);
}
static void told(void *arg, uint64_t since_ms)
{
	(void)arg, (void)since_ms;
}
static void pinged(void *arg, const struct ctl_ping *p)
{
	(void)arg;
	server_link_pinged(w.link, p->url, "{}", 2);
}
static void logged_out(void *arg)
{
	(void)arg;
	must(w.logs_out);
	w.logs_out = false;
}

static void node_leaves(void)
{
	server_link_close(w.link);
	w.link = NULL;
	must(w.ups == 0);
	w.logs_out = false;
}

static void node_comes(void)
{
	const struct server_link_ops ops = { describe, server_is, accepted, asked, waits, refused, forgotten,
		map_came, up, told, pinged, NULL, NULL };
	node_leaves();
	w.link = server_link_open(w.loop, &w.us, &ops);
}

/* --- the server's --- */

static void reply_login(struct h2_stream *st)
{
	h2_respond(st, w.login.status, "application/json", w.login.text, strlen(w.login.text));
}

static void say_raw(const void *p, size_t len)
{
	if (w.stream)
		(void)h2_respond_chunk(w.stream, p, len);
}

static void say_map(const char *json)
{
	struct buf frame = { 0 };
	if (w.packer && map_frame_write(json, strlen(json), w.packer, &frame) == 0)
		say_raw(buf_data(&frame), frame.len);
	buf_free(&frame);
}

static void begin_stream(struct h2_stream *st)
{
	if (w.stream || w.map_status != 200) {
		h2_respond(st, w.map_status == 200 ? 503 : w.map_status, NULL, NULL, 0);
		return;
	}
	map_packer_free(w.packer);
	w.packer = map_packer_new();
	h2_respond_begin(st, 200, NULL);
	w.stream = st;
	if (w.map)
		say_map(w.map);
}

static void was_asked(void *arg, struct control_server_link *c, struct h2_stream *st, const char *method,
	const char *path, const uint8_t *body, size_t len)
{
	(void)arg, (void)c;
	if (strcmp(path, "/machine/register") != 0 && strcmp(path, "/machine/map") != 0) {
		h2_respond(st, 200, NULL, NULL, 0);
		return;
	}
	must(!strcmp(method, "POST"));
	if (path[9] == 'm' && memmem(body, len, "\"Stream\":true", 13))
		begin_stream(st);
	else if (path[9] == 'm')
		h2_respond(st, w.map_status, NULL, NULL, 0);
	else if (w.login.none && !w.held)
		w.held = st;
	else
		reply_login(st);
}

static void stream_gone(void *arg, struct h2_stream *st, void *data)
{
	(void)arg, (void)data;
	w.stream = w.stream == st ? NULL : w.stream;
	w.held = w.held == st ? NULL : w.held;
}

static void link_gone(void *arg, struct control_server_link *c, void *data)
{
	(void)arg, (void)data;
	for (size_t i = 0; i < LINKS; i++)
		w.links[i] = w.links[i] == c ? NULL : w.links[i];
}

static void asked_openly(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg, (void)h, (void)p, (void)len;
	if (w.key.none)
		return;
	http_reply(c, w.key.status, "application/json",
		w.key.status / 100 == 3 ? "Location: http://x.test/\r\n" : NULL, w.key.text,
		strlen(w.key.text));
}

static bool upgraded(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	(void)arg;
	const struct control_server_ops ops = {
		.request = was_asked, .stream_gone = stream_gone, .closed = link_gone
	};
	size_t i = 0;
	while (i < LINKS - 1 && w.links[i])
		i++;
	if (w.links[i])
		control_server_close(w.links[i]);
	w.links[i] = control_server_accept(w.loop, conn, head, &place.priv, &random_system, &ops);
	return true;
}

static void turn(int n)
{
	const struct stream_events none = { 0 };
	const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	const struct http_server_ops ops = { .request = asked_openly, .upgrade = upgraded };
	while (n--) {
		loop_run_once(w.loop);
		int fd = sock_accept(place.fd, NULL);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		(void)http_server_accept(w.loop, stream_accept(w.loop, fd, NULL, &none), &ops);
	}
}

static void server_leaves(void)
{
	for (size_t i = 0; i < LINKS; i++) {
		if (w.links[i])
			control_server_close(w.links[i]);
		w.links[i] = NULL;
	}
	w.stream = w.held = NULL;
}

/* --- steps --- */

static struct answer read_answer(const char *text)
{
	const char *end = strchr(text, '\n');
	return (struct answer) { .none = text[0] == '-',
		.status = 200 + (int)(strtoul(text, NULL, 10) % 400),
		.text = end ? end + 1 : "" };
}

static void login(const char *key, bool anew)
{
	if (w.link && !w.logs_out)
		server_link_login(w.link, key, anew);
}

static void of_node(char what, const char *more)
{
	/* by which an IPv4 address stays what it is */
	const struct nat64 prefix = { .bits = 96, .prefix = { .b = { [10] = 0xff, [11] = 0xff } } };
	if (!w.link)
		return;
	switch (what) {
	case 'L': login(more, false); break;
	case 'l': login(more, true); break;
	case 'O':
		if (!w.logs_out) {
			w.logs_out = true;
			server_link_logout(w.link, logged_out, NULL);
		}
		break;
	case 'U': server_link_update(w.link); break;
	case 'N': server_link_try_now(w.link); break;
	case 'W': server_link_ways_moved(w.link, &place.at.ip, 1); break;
	default: server_link_nat64_set(w.link, &prefix);
	}
	must(server_link_connected(w.link) == (w.ups == 1));
	must(server_link_waiting_for(w.link) && !server_link_is_proxied(w.link));
	(void)server_link_portal(w.link);
	(void)server_link_has_key(w.link);
	(void)server_link_is_shown(w.link);
}

/* A page that a person is sent to is one of the web, and can be printed. */
static void see_portal(const struct answer *a)
{
	char url[PORTAL_URL] = "";
	portal_read("fuzz.test", a->status, *a->text ? a->text : NULL, url);
	must(!url[0] || !strncasecmp(url, "http", 4));
	for (const char *p = url; *p; p++)
		must((uint8_t)*p >= ' ' && *p != 0x7f);
}

static void step(const char *text, size_t len)
{
	struct answer a;
	const char *more = text + 1;
	switch (text[0]) {
	case 'K': w.key = read_answer(more); break;
	case 'R': w.login = read_answer(more); break;
	case 'S': w.map_status = 200 + (int)(strtoul(more, NULL, 10) % 400); break;
	case 'M': w.map = more; break;
	case 'D':
		if (w.stream)
			say_map(more);
		break;
	case 'X': say_raw(more, len - 1); break;
	case 'E':
		if (w.stream) {
			struct h2_stream *st = w.stream;
			w.stream = NULL;
			*more ? h2_respond_cut(st) : h2_respond_end(st);
		}
		break;
	case 'Z': server_leaves(); break;
	case 'H':
		if (w.held) {
			struct h2_stream *st = w.held;
			w.held = NULL;
			reply_login(st);
		}
		break;
	case 'T': trouble_pass_ms(strtoul(more, NULL, 10) % 10000000); break;
	case 'C': node_comes(); break;
	case 'P': memset(w.us.prefs.server_pin.b, *more == '1', KEY_LEN); break;
	case 'J':
		w.us.logged_in = true;
		memset(w.us.server.b, *more == '1', KEY_LEN);
		break;
	case 'G':
		a = read_answer(more);
		see_portal(&a);
		break;
	case 'B': w.map_is_bad = *more != '0'; break;
	default: of_node(text[0], more);
	}
	turn(TURNS);
}

static void make_place(void)
{
	log_setup(LOG_ERROR + 1, false);
	place.at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	place.fd = sock_tcp_listen(&place.at, NULL);
	must(key_setup() && place.fd >= 0 && sock_local(place.fd, &place.at) == 0);
	memset(place.priv.b, 3, KEY_LEN);
	key_clamp(place.priv.b);
	key_public(place.priv.b, place.pub.b);
}

/* The input with the server's key in the place of $K; the caller's. */
static char *fill_in(const uint8_t *p, size_t len, size_t *out)
{
	char key[KEY_TEXT], *text = malloc(len * KEY_TEXT + 1);
	must(text);
	key_format(place.pub.b, "mkey:", key);
	*out = 0;
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '$' && i + 1 < len && p[i + 1] == 'K' && ++i)
			*out += (size_t)sprintf(text + *out, "%s", key);
		else
			text[(*out)++] = (char)p[i];
	}
	text[*out] = STEP_END;
	return text;
}

static void world_begin(void)
{
	char key[KEY_TEXT];
	static char key_answer[KEY_TEXT + 32];
	snprintf(key_answer, sizeof(key_answer), "{\"publicKey\":\"%s\"}",
		key_format(place.pub.b, "mkey:", key));
	memset(&w, 0, sizeof(w));
	w.map_status = 200;
	w.key = (struct answer) { .status = 200, .text = key_answer };
	w.login = (struct answer) { .status = 200,
		.text = "{\"MachineAuthorized\":true,\"User\":{\"ID\":1,\"LoginName\":\"a\"}}" };
	memset(w.us.machine.b, 4, KEY_LEN);
	memset(w.us.node.b, 5, KEY_LEN);
	key_clamp(w.us.machine.b);
	key_clamp(w.us.node.b);
	snprintf(
		w.us.prefs.control_url, sizeof(w.us.prefs.control_url), "http://127.0.0.1:%u", place.at.port);
	must((w.loop = loop_new()));
}

static void run(const uint8_t *p, size_t len)
{
	size_t n;
	if (place.fd < 0)
		make_place();
	world_begin();
	char *text = fill_in(p, len, &n), *at = text;
	struct awake awake = awake_loop(w.loop);
	trouble_begin();
	for (int i = 0; i < STEPS_MAX && at <= text + n; i++) {
		char *end = memchr(at, STEP_END, (size_t)(text + n + 1 - at));
		*end = 0;
		if (end > at)
			step(at, (size_t)(end - at));
		at = end + 1;
	}
	trouble_end();
	if (w.logs_out) { /* it ends, whatever the server says */
		trouble_pass_ms(3000);
		turn(GOODBYE_TURNS);
		must(!w.logs_out);
	}
	node_leaves();
	turn(TURNS);
	server_leaves();
	turn(TURNS);
	map_packer_free(w.packer);
	awake_free(&awake);
	for (int fd; (fd = sock_accept(place.fd, NULL)) >= 0;)
		close(fd);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	return len < TEXT ? trouble_twice(run, p, len) : 0;
}
