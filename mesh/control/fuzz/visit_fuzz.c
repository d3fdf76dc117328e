/* Whole visits to the whole server, as text: an input is a line of steps, with a byte 0x1e between them. A step begins with
 * who comes: `a` by the admin socket, `o` by the door of everybody, `k` there with a key of an admin, `l` with the last that was made, `s` there with the cookie of a session,
 * `f` the same with a form; `m` and `n` two machines inside Noise, `h` and `i` the same, for an answer that is held; `c` and `d`
 * end what machine m or n has open; `t` lets time pass. `p` comes by the admin socket and waits until `w` or the end, as does `e` with the cookie
 * of a session and `g` with a form: what they ask may wait for a machine, or go on. `r` writes a file that the settings name, and
 * lets the server read all of them anew; `x` ends what was ordered of an authority; `z` stops the server. An input that begins with
 * `1` is of another server, which has neither an admin nor a provider; with `2`, of one with TLS, a relay inside and its rules and
 * records in files.
 * "POST /target" ends at a newline, the rest is the body. What the server made up stands in an input as $K (the last key), $P (the
 * registration that waits), $F (a form's field), $S (a login by SSH that waits), $Q (a ping), $I (the last id), $O (a login at the provider that
 * has begun) and $W (the word of the first admin). Each input has a server of its own; whom it asks on the network is scripted_*.c.
 * With memory short at one place or another. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/control/fleet/store.h"
#include "mesh/control/fuzz/scripted.h"
#include "mesh/control/server.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/control_link.h"
#include "mesh/web/password.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	MACHINES = 2,
	ASKED_MAX = 6,
	STEPS_MAX = 24,
	PORTS_TRIED = 8,
	WORD = 160,
	TURN_MS = 2,
	ANSWER_MS = 20000,
	HELD_MS = 10,
	MACHINE_MS = 150
};
enum { STEP_END = 0x1e };
#define AUTH_KEY "hskey-auth-abcdefghijkl-0123456789012345678901234567890123456789012345678901234567890123"
#define API_KEY "hskey-api-abcdefghijkl-0123456789012345678901234567890123456789012345678901234567890123"

enum kind { KIND_WHOLE, KIND_BARE, KIND_FILES }; /* bare: without an admin and a provider */

struct machine;
struct asked {
	struct machine *by;
	struct h2_request *r; /* NULL: this place is free */
};
struct machine {
	struct machine_private priv;
	struct control_client_link *link;
	bool ready, closed;
	unsigned heard;
	struct asked asked[ASKED_MAX];
};

/* A server and two links; begun anew with each input. */
static struct {
	struct server *server;
	struct loop *loop;
	struct loop_timer *turn;
	char dir[64];
	struct endpoint at;
	struct machine_key key;
	struct machine machines[MACHINES];
	enum kind kind;
	bool stopped;
	int waiting; /* a connection of `p`; -1: none */
	/* What the server said. */
	char last_key[WORD], pending[WORD], form[WORD], ssh[WORD], ping[WORD], flow[WORD], cookie[WORD],
		first[WORD], id[WORD];
} only = { .waiting = -1 };

/* --- passwords cost nothing here: in place of web/password.c --- */

const char password_of_nobody[] = "h:";

bool password_make(const char *text, char hash[static PASSWORD_HASH])
{
	snprintf(hash, PASSWORD_HASH, "h:%s", text);
	return true;
}

bool password_is(const char *hash, const char *text)
{
	return !strcmp(hash + 2, text);
}

bool password_hash_is_ours(const char *hash)
{
	return strlen(hash) < PASSWORD_HASH && !strncmp(hash, "h:", 2);
}

/* --- the world --- */

static const char config[] =
	"server_url: https://hs.test\n"
	"listen_addr: %s\n"
	"noise: { private_key_path: noise.key }\n"
	"database: { sqlite: { path: db.sqlite } }\n"
	"unix_socket: ctl.sock\n"
	"%s"
	"dns: { base_domain: mesh.test, nameservers: { global: [192.0.2.1, 'https://dns.test/dns-query'],\n"
	"  split: { corp.test: [192.0.2.2] } }, search_domains: [corp.test],\n"
	"  %s,\n"
	"  blocking: { node: n1, lists: [ { name: a, names: [ads.test] } ] } }\n"
	"trusted_proxies: [127.0.0.1]\n";
static const char provider[] =
	"oidc:\n"
	"  - { issuer: 'https://id.test', client_id: a, client_secret: b, groups_domain: x.test, expiry: "
	"1h,\n"
	"      groups_claim: groups, allowed_domains: [x.test], email_verified_required: false }\n"
	"  - { issuer: 'https://strict.test', name: S, client_id: a, client_secret: b, "
	"use_expiry_from_token: true }\n"
	"  - { issuer: 'https://away.test', name: A, client_id: a, client_secret: b,\n"
	"      only_start_if_oidc_is_available: false }\n"
	"log: { level: error }\n";
static const char bare[] = "log: { level: warn }\n";
static const char in_database[] = "policy: { mode: database }\nderp: { paths: [derp.yaml] }\n";
static const char in_files[] =
	"policy: { mode: file, path: policy.json }\n"
	"derp: { paths: [derp.yaml], server: { enabled: true, region_id: 901, stun_listen_addr: "
	"'127.0.0.1:0' } }\n"
	"tls_listen_addr: 127.0.0.1:0\n"
	"tls_letsencrypt_hostname: hs.test\n"
	"tls_letsencrypt_cache_dir: acme\n"
	"tls_letsencrypt_challenge_type: TLS-ALPN-01\n"
	"oidc: { issuer: 'https://id.test', client_id: a, client_secret_path: secret }\n";
static const char records[] =
	"[ { \"name\": \"nas.mesh.test\", \"type\": \"A\", \"value\": \"192.0.2.9\" } ]";
static const char record[] = "extra_records: [ { name: nas.mesh.test, type: A, value: 192.0.2.9 } ]";
static const char records_file[] = "extra_records_path: records.json";
static const char derp[] = "regions: { 900: { regionid: 900, nodes: [ { name: 900a, regionid: 900, hostname: "
			   "derp.test } ] } }\n";
static const char policy[] =
	"{\"groups\":{\"group:a\":[\"alice@\"]},\"tagOwners\":{\"tag:a\":[\"alice@\"],\"tag:b\":[\"group:a\"]"
	"},"
	"\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":[\"tag:a\"]},\"exitNode\":[\"alice@\"]},"
	"\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[\"*\"],\"app\":{\"a.test/cap\":[{}]}}],"
	"\"nodeAttrs\":[{\"target\":[\"*\"],\"attr\":[\"randomize-client-port\"]}],"
	"\"ssh\":[{\"action\":\"check\",\"checkPeriod\":\"1h\",\"src\":[\"alice@\"],\"dst\":[\"alice@\"],"
	"\"users\":[\"root\"]}]}";

static void learn(const char *text, const char *mark, char out[static WORD]);

static void write_file(const char *name, const char *text, size_t len)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/%s", only.dir, name);
	FILE *f = fopen(path, "w");
	must(f && fchmod(fileno(f), 0600) == 0 && fwrite(text, 1, len, f) == len && fclose(f) == 0);
}

static void put_node(struct store *st, uint8_t i, int64_t user, struct errbuf *eb)
{
	const char *tags[] = { "tag:a" }, *routes[] = { "10.0.0.0/8" };
	char name[8];
	snprintf(name, sizeof(name), "%s%d", only.kind == KIND_FILES && i == 3 ? "N " : "n", i);
	struct member m = { .id = i,
		.user = user,
		.name = name,
		.hostname = name,
		.has_v4 = true,
		.v4 = addr_v4(0x64400000U + i),
		.hostinfo_json =
			i == 1 ? "{\"OS\":\"linux\",\"RoutableIPs\":[\"10.0.0.0/8\",\"0.0.0.0/0\"]}" : "",
		.tags = { .v = tags, .n = !user },
		.routes = { .v = routes, .n = i == 1 },
		.last_seen_ms = FLEET_NO_TIME,
		.expiry_ms = FLEET_NO_TIME };
	memset(m.key.b, i, sizeof(m.key.b));
	if (i <= MACHINES)
		key_public(only.machines[i - 1].priv.b, m.machine.b);
	else
		memset(m.machine.b, i, sizeof(m.machine.b));
	must(!store_node_add(st, &m, eb));
}

/* An admin; and alice, who has come by a provider. */
static void put_people(struct store *st, int64_t alice, struct errbuf *eb)
{
	struct admin root = { .name = "root", .hash = "h:pw" };
	struct person p = { .user = alice,
		.issuer = "https://id.test",
		.subject = "1",
		.email = "alice@x.test",
		.groups = "g\n" };
	must(!store_admin_put(st, &root, eb) && !store_person_put(st, &p, eb));
}

/* alice has two machines, of which one may carry a network; a third is nobody's, and has no good name where there are files. */
static void put_all(void)
{
	char path[96];
	struct errbuf eb = { 0 };
	snprintf(path, sizeof(path), "%s/db.sqlite", only.dir);
	struct store *st = store_open(path, &eb);
	struct user alice = { .name = "alice" }, bob = { .name = "bob" };
	struct preauth k = {
		.reusable = true, .expiry_ms = FLEET_NO_TIME, .prefix = "abcdefghijkl", .tags = ""
	};
	struct api_key api = { .kind = API_KEY_ADMIN,
		.prefix = "abcdefghijkl",
		.expiry_ms = FLEET_NO_TIME,
		.seen_ms = FLEET_NO_TIME };
	struct policy_version v = { 0 };
	must(st && !store_begin(st, true, &eb) && !store_user_add(st, &alice, &eb) &&
		!store_user_add(st, &bob, &eb) && !store_user_role(st, alice.id, USER_ADMIN, &eb));
	for (uint8_t i = 1; i <= 3; i++)
		put_node(st, i, i < 3 ? alice.id : 0, &eb);
	k.user = alice.id;
	registry_key_hash(AUTH_KEY, k.hash);
	registry_key_hash(API_KEY, api.hash);
	must(!store_preauth_add(st, &k, &eb) && !store_api_key_add(st, &api, &eb));
	if (only.kind == KIND_FILES)
		put_people(st, alice.id, &eb);
	must(!store_policy_add(st, &v, policy, &eb) && !store_commit(st, &eb));
	store_close(st);
}

static void find_port(void)
{
	struct errbuf eb;
	only.at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	int fd = sock_tcp_listen(&only.at, &eb);
	must(fd >= 0 && sock_local(fd, &only.at) == 0);
	close(fd);
}

static void turn(void *arg)
{
	(void)arg;
	loop_timer_set(only.turn, TURN_MS);
}

static void machine_close(struct machine *m)
{
	for (size_t i = 0; i < ASKED_MAX; i++) {
		if (m->asked[i].r)
			h2_request_cancel(m->asked[i].r);
		m->asked[i].r = NULL;
	}
	control_client_close(m->link);
	m->link = NULL;
}

static void world_end(void)
{
	if (only.waiting >= 0)
		close(only.waiting);
	only.waiting = -1;
	for (size_t i = 0; i < MACHINES; i++)
		machine_close(&only.machines[i]);
	loop_timer_free(only.turn);
	only.turn = NULL;
	server_close(only.server);
	only.server = NULL;
	dir_remove(only.dir, NULL);
}

/* The word of the first admin is in the log alone. */
static struct server *open_server(const char *path, struct errbuf *eb)
{
	char text[8192] = "";
	FILE *log = only.kind == KIND_BARE ? tmpfile() : NULL;
	if (!log)
		return server_open(path, eb);
	int before = dup(STDERR_FILENO);
	must(before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
	struct server *s = server_open(path, eb);
	must(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	rewind(log);
	(void)!fread(text, 1, sizeof(text) - 1, log);
	(void)fclose(log);
	learn(text, "with the word ", only.first);
	log_setup(LOG_ERROR, false);
	return s;
}

static void world_begin(void)
{
	char path[96], at[ENDPOINT_TEXT], text[4096];
	struct errbuf eb = { 0 };
	const bool files = only.kind == KIND_FILES;
	/* Where syncing costs nothing, if there is such a place. */
	snprintf(only.dir, sizeof(only.dir), "%s/rw-fuzz-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	must(mkdtemp(only.dir));
	for (size_t i = 0; i < MACHINES; i++) {
		memset(only.machines[i].priv.b, (int)i + 1, KEY_LEN);
		key_clamp(only.machines[i].priv.b);
	}
	write_file("derp.yaml", derp, strlen(derp));
	if (files) {
		write_file("policy.json", policy, strlen(policy));
		write_file("records.json", records, strlen(records));
		write_file("secret", "s\n", 2);
	}
	put_all();
	snprintf(path, sizeof(path), "%s/c.yaml", only.dir);
	/* A port that was free may be another's by now. */
	for (int i = 0; i < PORTS_TRIED && !only.server; i++) {
		find_port();
		int n = snprintf(text, sizeof(text), config, endpoint_format(&only.at, at),
			files ? in_files : in_database, files ? records_file : record);
		n += snprintf(
			text + n, sizeof(text) - (size_t)n, "%s", only.kind == KIND_WHOLE ? provider : bare);
		write_file("c.yaml", text, (size_t)n);
		only.server = open_server(path, &eb);
	}
	if (!only.server)
		fprintf(stderr, "%s\n", eb.text);
	must(only.server);
	only.loop = server_loop(only.server);
	only.turn = loop_timer_new(only.loop, turn, NULL);
	loop_timer_set(only.turn, TURN_MS);
}

/* --- what the server says --- */

/* What stands behind `mark`, as long as it is made of such letters. */
static void learn(const char *text, const char *mark, char out[static WORD])
{
	const char *at = strstr(text, mark);
	if (!at)
		return;
	at += strlen(mark);
	size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.");
	if (n && n < WORD)
		snprintf(out, WORD, "%.*s", (int)n, at);
}

static void said(const uint8_t *p, size_t len)
{
	char *text = calloc(1, len + 1);
	if (!text)
		return;
	memcpy(text, p, len);
	for (size_t i = 0; i < len; i++)
		text[i] = text[i] ? text[i] : ' ';
	learn(text, "\"key\":\"", only.last_key);
	learn(text, "\"access_token\":\"", only.last_key);
	learn(text, "hs.test/register/", only.pending);
	learn(text, "name=\"form\" value=\"", only.form);
	learn(text, " data-form=\"", only.form);
	learn(text, "hs.test/ssh/", only.ssh);
	learn(text, "/machine/ping-response/", only.ping);
	learn(text, ".test/?state=", only.flow);
	learn(text, "\"id\":\"", only.id);
	learn(text, "Set-Cookie: ", only.cookie);
	free(text);
}

/* The step with what the server made up in place. The caller's. */
static char *fill_in(const uint8_t *p, size_t len, size_t *out)
{
	static const struct {
		char letter;
		const char *word;
	} rows[] = { { 'K', only.last_key }, { 'P', only.pending }, { 'F', only.form }, { 'S', only.ssh },
		{ 'Q', only.ping }, { 'O', only.flow }, { 'I', only.id }, { 'W', only.first } };
	char *text = calloc(1, len * WORD + 1);
	size_t n = 0;
	*out = 0;
	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		const char *word = NULL;
		for (size_t k = 0; p[i] == '$' && i + 1 < len && k < ARRAY_LEN(rows); k++)
			word = (uint8_t)rows[k].letter == p[i + 1] ? rows[k].word : word;
		if (word)
			n += (size_t)snprintf(text + n, WORD, "%s", word);
		else
			text[n++] = (char)p[i];
		i += word != NULL;
	}
	*out = n;
	return text;
}

/* --- doors --- */

/* Until the other side has ended, too: a connection that stays open is a leak. But for events, whose stream goes on. */
static void finish(int fd, bool goes_on)
{
	uint8_t sink[16384];
	uint64_t late = loop_now_ms(only.loop) + (goes_on ? HELD_MS : ANSWER_MS);
	ssize_t n;
	while ((n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) != 0) {
		if (n > 0)
			said(sink, (size_t)n);
		else if (loop_now_ms(only.loop) > late)
			break;
		else
			loop_run_once(only.loop);
	}
	must(n == 0 || goes_on || trouble_happened());
}

/* The connection, on which it is asked. */
static int ask_door(char who, const char *line, const char *body, size_t len)
{
	char path[96], head[2048];
	const char *type =
		who == 'f' || who == 'g' ? "application/x-www-form-urlencoded" : "application/json";
	snprintf(path, sizeof(path), "%s/ctl.sock%s", only.dir, who == 'a' || who == 'p' ? "" : ".verify");
	int fd = sock_unix_connect(path, NULL);
	must(fd >= 0);
	int n = snprintf(head, sizeof(head),
		"%.1000s HTTP/1.1\r\nHost: hs.test\r\nConnection: close\r\nContent-Type: "
		"%s\r\nContent-Length: %zu\r\n",
		line, type, len);
	if (who == 'k' || who == 'l')
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Authorization: Bearer %s\r\n\r\n",
			who == 'k' ? API_KEY : only.last_key);
	else if (strchr("sfeg", who))
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			"Sec-Fetch-Site: same-origin\r\nX-Ropewalk-Form: %s\r\nCookie: %s\r\n\r\n", only.form,
			only.cookie);
	else
		n += snprintf(head + n, sizeof(head) - (size_t)n, "X-Forwarded-For: 192.0.2.7\r\n\r\n");
	(void)!send(fd, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)!send(fd, body, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return fd;
}

static void by_door(char who, const char *line, const char *body, size_t len)
{
	int fd = ask_door(who, line, body, len);
	finish(fd, strstr(line, "events") != NULL);
	close(fd);
}

static void wait_door(void)
{
	if (only.waiting < 0)
		return;
	finish(only.waiting, true);
	close(only.waiting);
	only.waiting = -1;
}

static void let_run(void)
{
	uint64_t late = loop_now_ms(only.loop) + HELD_MS;
	while (loop_now_ms(only.loop) < late)
		loop_run_once(only.loop);
}

/* Asked, and not answered yet. */
static void begin_door(char who, const char *line, const char *body, size_t len)
{
	wait_door();
	only.waiting = ask_door(who, line, body, len);
	let_run();
}

/* --- machines --- */

static void link_ready(void *arg)
{
	((struct machine *)arg)->ready = true;
}

static void link_closed(void *arg, int code, const char *why)
{
	struct machine *m = arg;
	(void)code, (void)why;
	m->closed = true;
}

static void asked_data(void *arg, const uint8_t *p, size_t len)
{
	struct asked *q = arg;
	q->by->heard++;
	said(p, len);
}

static void asked_done(void *arg, int code)
{
	struct asked *q = arg;
	(void)code;
	q->r = NULL;
	q->by->heard++;
}

static bool machine_open(struct machine *m)
{
	char url[96], at[ENDPOINT_TEXT];
	struct random rnd = random_system;
	const struct control_client_events ev = { .ready = link_ready, .closed = link_closed, .arg = m };
	if (m->link && !m->closed)
		return true;
	machine_close(m);
	snprintf(url, sizeof(url), "http://%s", endpoint_format(&only.at, at));
	const struct control_client_config cc = { .server_url = url,
		.at = &only.at,
		.machine = &m->priv,
		.server = &only.key,
		.capver = 113,
		.rnd = &rnd };
	m->ready = m->closed = false;
	m->link = control_client_open(only.loop, &cc, &ev);
	uint64_t late = loop_now_ms(only.loop) + ANSWER_MS;
	while (m->link && !m->ready && !m->closed && loop_now_ms(only.loop) < late)
		loop_run_once(only.loop);
	if (!m->ready || m->closed)
		machine_close(m);
	return m->link;
}

static void by_machine(struct machine *m, const char *line, const char *body, size_t len, bool held)
{
	char method[16] = "", target[512] = "";
	const struct h2_request_events ev = { .data = asked_data, .done = asked_done };
	struct asked *q = NULL;
	if (sscanf(line, "%15s %511s", method, target) != 2 || !machine_open(m))
		return;
	for (size_t i = 0; i < ASKED_MAX && !q; i++)
		q = m->asked[i].r ? NULL : &m->asked[i];
	if (!q)
		return;
	struct h2_request_events mine = ev;
	q->by = m;
	mine.arg = q;
	unsigned heard = m->heard;
	q->r = control_client_request(m->link, method, target, NULL, NULL, body, len, &mine);
	uint64_t late = loop_now_ms(only.loop) + (held ? HELD_MS : MACHINE_MS);
	while (q->r && m->heard == heard && !m->closed && loop_now_ms(only.loop) < late)
		loop_run_once(only.loop);
}

/* --- what is no request --- */

static void read_anew(const char *name, const char *text, size_t len)
{
	static const char *const names[] = { "derp.yaml", "policy.json", "records.json", "secret", "c.yaml" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i]))
			write_file(name, text, len);
	must(raise(SIGHUP) == 0);
	let_run();
}

static void stop_server(void)
{
	must(raise(SIGTERM) == 0);
	let_run();
	only.stopped = true;
}

/* --- the script --- */

static void step(const uint8_t *p, size_t len)
{
	size_t n;
	char *text = fill_in(p, len, &n), *end = text ? memchr(text, '\n', n) : NULL;
	if (!text || !n)
		goto end;
	const char *line = text + 1, *body = end ? end + 1 : text + n;
	if (end)
		*end = 0;
	switch (text[0]) {
	case 'a':
	case 'o':
	case 'k':
	case 'l':
	case 's':
	case 'f': by_door(text[0], line, body, (size_t)(text + n - body)); break;
	case 'p':
	case 'e':
	case 'g': begin_door(text[0], line, body, (size_t)(text + n - body)); break;
	case 'w': wait_door(); break;
	case 'm':
	case 'n':
		by_machine(&only.machines[text[0] == 'n'], line, body, (size_t)(text + n - body), false);
		break;
	case 'h':
	case 'i':
		by_machine(&only.machines[text[0] == 'i'], line, body, (size_t)(text + n - body), true);
		break;
	case 'c':
	case 'd': machine_close(&only.machines[text[0] == 'd']); break;
	case 'r': read_anew(line, body, (size_t)(text + n - body)); break;
	case 'x': scripted_authority_ends(line); break;
	case 'z': stop_server(); break;
	case 't': trouble_pass_ms(strtoul(line, NULL, 10) % 100000000); break;
	default: break;
	}
end:
	free(text);
}

static void learn_server(void)
{
	char key[WORD] = "";
	char path[96], head[] = "GET /key?v=113 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	uint8_t text[4096] = "";
	snprintf(path, sizeof(path), "%s/ctl.sock.verify", only.dir);
	int fd = sock_unix_connect(path, NULL);
	must(fd >= 0 && send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL) > 0);
	while (recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) <= 0)
		loop_run_once(only.loop);
	finish(fd, false);
	close(fd);
	learn((const char *)text, "\"publicKey\":\"mkey:", key);
	char whole[WORD + 8];
	snprintf(whole, sizeof(whole), "mkey:%s", key);
	must(key_parse(whole, "mkey:", only.key.b));
}

static void world(enum kind kind)
{
	if (only.server)
		world_end();
	else
		must(key_setup() && atexit(world_end) == 0);
	log_setup(LOG_ERROR, false);
	only.kind = kind;
	only.stopped = false;
	only.first[0] = 0;
	world_begin();
	learn_server();
}

static void run(const uint8_t *data, size_t len)
{
	world(len && data[0] == '1' ? KIND_BARE : len && data[0] == '2' ? KIND_FILES : KIND_WHOLE);
	only.last_key[0] = only.pending[0] = only.form[0] = only.ssh[0] = only.ping[0] = 0;
	only.flow[0] = only.id[0] = only.cookie[0] = 0;
	trouble_begin();
	for (int i = 0; i < STEPS_MAX && len && !only.stopped; i++) {
		const uint8_t *end = memchr(data, STEP_END, len);
		size_t n = end ? (size_t)(end - data) : len;
		if (n)
			step(data, n);
		n += end != NULL;
		data += n;
		len -= n;
	}
	wait_door();
	trouble_end();
	/* Streams of this input are none of the next. */
	for (size_t i = 0; i < MACHINES; i++)
		for (size_t k = 0; k < ASKED_MAX; k++)
			if (only.machines[i].asked[k].r) {
				h2_request_cancel(only.machines[i].asked[k].r);
				only.machines[i].asked[k].r = NULL;
			}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
