#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/os/call_filter.h"
#include "mesh/os/notify.h"
#include "mesh/os/privilege.h"
#include "mesh/os/program_text.h"
#include "mesh/os/sock.h"
#include "mesh/relay/relay.h"
#include "mesh/relay/verify.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/tls_aes.h"
#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, GIVEN_TRUE = 2 /* of OPT_GIVEN_BOOL */ };
#define CONTROL_SOCKET "/run/ropewalk-control/control.sock.verify"

struct options {
	const char *listen, *stun, *hostname, *state_dir, *cert, *key, *log_level;
	const char *control_socket, *verify_url, *verify_keys;
	uint64_t per_address;
	int verify_clients;
	bool fail_open;
	bool fast_start, json;
	struct program_text text;
};

static const struct opt_row rows[] = {
	{ "listen", NULL, OPT_STRING, offsetof(struct options, listen), "IP:PORT",
		"where clients come by TLS ([::]:443)" },
	{ "stun", NULL, OPT_STRING, offsetof(struct options, stun), "IP:PORT,...",
		"where STUN is answered, or off ([::]:3478)" },
	{ "hostname", NULL, OPT_STRING, offsetof(struct options, hostname), "NAME",
		"name in the certificate that is made when none is given" },
	{ "statedir", "state-dir", OPT_STRING, offsetof(struct options, state_dir), "DIR",
		"the relay's key and certificate (/var/lib/ropewalk-relay)" },
	{ "cert", NULL, OPT_STRING, offsetof(struct options, cert), "FILE", "certificate chain, PEM" },
	{ "key", NULL, OPT_STRING, offsetof(struct options, key), "FILE", "its private key, PEM" },
	{ "clients-per-address", NULL, OPT_U64, offsetof(struct options, per_address), "N",
		"connections from one address, or one IPv6 /64 (a quarter of all that descriptors allow, at "
		"most 1024)" },
	{ "verify-clients", NULL, OPT_GIVEN_BOOL, offsetof(struct options, verify_clients), NULL,
		"only nodes that the server on this machine knows (true where --control-socket is there, and "
		"no "
		"other way to verify is given)" },
	{ "control-socket", NULL, OPT_STRING, offsetof(struct options, control_socket), "PATH",
		"the server's socket for such questions, or its admin socket (" CONTROL_SOCKET ")" },
	{ "verify-client-url", NULL, OPT_STRING, offsetof(struct options, verify_url), "URL",
		"only nodes that this admission controller allows" },
	{ "verify-client-url-fail-open", NULL, OPT_BOOL, offsetof(struct options, fail_open), NULL,
		"while nobody can be asked all may; else those alone that were allowed before" },
	{ "verify-keys", NULL, OPT_STRING, offsetof(struct options, verify_keys), "FILE",
		"only nodes listed here, one nodekey: a line; SIGHUP reads it again" },
	{ "fast-start", NULL, OPT_BOOL, offsetof(struct options, fast_start), NULL,
		"let clients save a round trip (true); false for official clients before 1.84 and a pinned "
		"certificate" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL,
		"say \"ready\" as one JSON line; log as JSON lines" },
	{ "log-level", NULL, OPT_STRING, offsetof(struct options, log_level), "error|warn|info|debug",
		"how much is said (info)" },
	PROGRAM_TEXT_ROWS(offsetof(struct options, text)),
	{ "help", "h", OPT_BOOL, offsetof(struct options, text.help), NULL, "print this" },
	{ 0 },
};

static const struct man_item exits[] = {
	{ "0", "ended by a signal" },
	{ "1", "could not start; standard error says why and what to do" },
	{ "2", "the command line is wrong" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
		"as of ropewalkd(8), of the URL that knows nodes (--verify-client-url)" },
	{ NULL, NULL },
};
static const struct man_item files[] = {
	{ "/var/lib/ropewalk-relay", "the relay's key, certificate and its key (--statedir)" },
	{ NULL, NULL },
};
static const struct man_program page = {
	.name = "ropewalk-relay",
	.section = 8,
	.summary = "DERP relay and STUN server of a mesh network",
	.words = "[OPTIONS]",
	.text = "ropewalk-relay passes sealed packets between nodes that have no direct path, and tells "
		"nodes which "
		"address the internet sees them under. On its first start it makes a certificate and prints "
		"its pin, "
		"which goes into the server's DERP file; a certificate of your own is given by --cert and "
		"--key.\n\nSIGUSR1 prints the counters as a line of JSON.",
	.options = rows,
	.exits = exits,
	.environment = environment,
	.files = files,
	.see_also = "ropewalk-control(8), ropewalkd(8)",
};

struct program {
	struct loop *loop;
	struct relay *relay;
	struct proxies *proxies;
	struct verify *verify; /* NULL = everybody may */
	struct notify *notify;
};

static void stop_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(((struct program *)arg)->loop);
}

static void reload_signal(void *arg, int signo)
{
	struct program *p = arg;
	struct relay *r = p->relay;
	struct errbuf eb = { 0 };
	(void)signo;
	notify_reloading(p->notify);
	if (p->verify && verify_reload(p->verify, &eb))
		log_error("%s; the list in use stays", eb.text);
	if (relay_reload(r, &eb) == 0)
		log_info("certificate and key are read again; certificate pin: %s", relay_pin(r));
	else
		log_error("%s; the certificate in use stays", eb.text);
	notify_ready(p->notify, NULL);
}

static void stats_signal(void *arg, int signo)
{
	const struct relay_stats *s = relay_stats(((struct program *)arg)->relay);
	const char *comma = "";
	(void)signo;
	printf("{\"stats\":{");
#define X(name) \
	printf("%s\"" #name "\":%llu", comma, (unsigned long long)s->name); \
	comma = ",";
	RELAY_STATS(X)
#undef X
	printf("}}\n");
	fflush(stdout);
}

/* "off" or the addresses with commas between. */
static void format_stun(const struct relay *r, char *out, size_t cap)
{
	char at[ENDPOINT_TEXT];
	size_t n = 0;
	snprintf(out, cap, "off");
	for (size_t i = 0; i < RELAY_STUN_MAX; i++) {
		struct endpoint e = relay_stun_at(r, i);
		if (endpoint_is_set(&e))
			n += (size_t)snprintf(
				out + n, cap - n, "%s%s", i ? "," : "", endpoint_format(&e, at));
	}
}

static void say_ready(const struct program *p, bool json)
{
	char at[ENDPOINT_TEXT], stun[RELAY_STUN_MAX * ENDPOINT_TEXT];
	struct endpoint l = relay_listen_at(p->relay);
	endpoint_format(&l, at);
	format_stun(p->relay, stun, sizeof(stun));
	if (json)
		printf("{\"ready\":true,\"listen\":\"%s\",\"stun\":\"%s\",\"cert\":\"%s\",\"open\":%s}\n", at,
			stun, relay_pin(p->relay), p->verify ? "false" : "true");
	else
		printf("listening on %s, STUN %s%s\ncertificate pin: %s\n", at, stun,
			p->verify ? "" : ", open to everybody", relay_pin(p->relay));
	fflush(stdout);
}

/* Without a word about it: the server on this machine, where there is one. One that is there and may not be asked is no
 * reason to let everybody in. */
static int choose_verify(const struct options *o, struct verify_options *vo, struct errbuf *eb)
{
	bool other = o->verify_url || o->verify_keys;
	*vo = (struct verify_options) {
		.keys_file = o->verify_keys, .url = o->verify_url, .fail_open = o->fail_open
	};
	if (o->verify_clients ? o->verify_clients == GIVEN_TRUE
			      : !other && access(o->control_socket, R_OK | W_OK) == 0)
		vo->socket_path = o->control_socket;
	if (o->verify_clients || other || vo->socket_path)
		return 0;
	if (errno != ENOENT && errno != ENOTDIR)
		return err_set(eb, -errno,
			"ask the server beside this relay by %s (let this user open it, or say "
			"--verify-clients=false and everybody may use the relay)",
			o->control_socket);
	log_warn(
		"no server runs beside this relay (%s): everybody may use it; --verify-clients asks one that "
		"starts later, --verify-clients=false means it so",
		o->control_socket);
	return 0;
}

static void decided(void *arg, const struct node_key *who, bool allow)
{
	relay_admit(((struct program *)arg)->relay, who, allow);
}

static bool open_verify(
	struct program *p, const struct options *o, struct relay_options *ro, struct errbuf *eb)
{
	struct verify_options vo;
	if (choose_verify(o, &vo, eb) != 0)
		return false;
	if (!vo.socket_path && !vo.url && !vo.keys_file)
		return true;
	if (vo.url && !(p->proxies = proxies_found("those who know nodes"))) {
		err_set(eb, -ENOMEM, "start");
		return false;
	}
	vo.proxies = p->proxies;
	vo.decided = decided;
	vo.arg = p;
	p->verify = verify_open(p->loop, &vo, eb);
	ro->admits = verify_admits;
	ro->admits_arg = p->verify;
	const char *ask[] = { vo.socket_path, vo.url, vo.keys_file };
	for (size_t i = 0; p->verify && i < ARRAY_LEN(ask); i++)
		if (ask[i])
			log_info("nodes that %s knows may use this relay; strangers may not", ask[i]);
	return p->verify;
}

/* Run by hand as root: ports, and its files. */
static int drop_rights(const struct options *o, struct errbuf *eb)
{
	static const int needs[] = { CAP_NET_BIND_SERVICE };
	const char *const places[] = { o->state_dir, o->control_socket, o->verify_keys, o->cert, o->key };
	privilege_hide_memory();
	return privilege_drop(needs, ARRAY_LEN(needs), places, ARRAY_LEN(places), eb);
}

static int relay_run(const struct options *o, struct relay_options *ro)
{
	struct errbuf eb = { 0 };
	struct program p = { 0 };
	if (drop_rights(o, &eb) != 0) {
		fprintf(stderr, "ropewalk-relay: %s\n", eb.text);
		return 1;
	}
	p.loop = loop_new();
	sock_limit_raise(); /* every client is a descriptor */
	p.relay = p.loop && open_verify(&p, o, ro, &eb) ? relay_open(p.loop, ro, &eb) : NULL;
	if (!p.relay) {
		fprintf(stderr, "ropewalk-relay: %s\n", eb.text);
		verify_close(p.verify);
		loop_free(p.loop);
		proxies_free(p.proxies);
		return 1;
	}
	struct loop_signal *s[] = { loop_signal_new(p.loop, SIGTERM, stop_signal, &p),
		loop_signal_new(p.loop, SIGINT, stop_signal, &p),
		loop_signal_new(p.loop, SIGHUP, reload_signal, &p),
		loop_signal_new(p.loop, SIGUSR1, stats_signal, &p) };
	call_filter_begin(CALL_WRITES_FILES); /* a certificate that is gone is made anew */
	say_ready(&p, o->json);
	p.notify = notify_open(p.loop);
	notify_ready(p.notify, p.verify ? "relaying for nodes" : "relaying for everybody");
	loop_run(p.loop);
	notify_close(p.notify);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		loop_signal_free(s[i]);
	verify_close(p.verify);
	relay_close(p.relay);
	loop_free(p.loop);
	proxies_free(p.proxies);
	return 0;
}

static int parse_stun(const char *text, struct relay_options *ro, struct errbuf *eb)
{
	char one[ENDPOINT_TEXT];
	if (!strcmp(text, "off"))
		return 0;
	for (const char *p = text;; p++) {
		size_t n = strcspn(p, ",");
		snprintf(one, sizeof(one), "%.*s", (int)n, p);
		if (n >= sizeof(one) || ro->n_stun == RELAY_STUN_MAX ||
			!endpoint_parse(one, &ro->stun[ro->n_stun]))
			return err_say(eb, ERR_MALFORMED,
				"--stun takes up to %d addresses and ports such as [::]:3478 with commas "
				"between, or off, not \"%s\"",
				RELAY_STUN_MAX, text);
		ro->n_stun++;
		p += n;
		if (!*p)
			return 0;
	}
}

static int relay_check(const struct options *o, struct relay_options *ro, struct errbuf *eb)
{
	ro->hostname = o->hostname;
	ro->state_dir = o->state_dir;
	ro->cert_file = o->cert;
	ro->key_file = o->key;
	ro->no_fast_start = !o->fast_start;
	ro->per_address = o->per_address;
	if (!endpoint_parse(o->listen, &ro->listen))
		return err_say(eb, ERR_MALFORMED,
			"--listen takes an address and port such as 192.0.2.1:443 or [::]:443, not \"%s\"",
			o->listen);
	if (!o->cert != !o->key)
		return err_say(eb, ERR_MALFORMED, "--cert and --key go together");
	return parse_stun(o->stun, ro, eb);
}

/* A busy connection's buffers come and go with each read. Left alone the allocator gives them back to the system each time, and
 * takes them again page by page. */
static void keep_some_memory(void)
{
	enum { KEPT = 1 << 20 };
	(void)mallopt(M_TRIM_THRESHOLD, KEPT);
}

int main(int argc, char **argv)
{
	keep_some_memory();
	struct options o = { .listen = "[::]:443",
		.stun = "[::]:3478",
		.state_dir = "/var/lib/ropewalk-relay",
		.control_socket = CONTROL_SOCKET,
		.fast_start = true,
		.log_level = "info" };
	struct relay_options ro = { 0 };
	struct errbuf eb = { 0 };
	enum log_level level;
	int n_words = 0;
	const char **words = calloc((size_t)argc, sizeof(*words));
	int err = words ? opt_parse(rows, argc, argv, false, &o, words, &n_words, &eb)
			: err_set(&eb, -ENOMEM, "start");
	if (!err && n_words)
		err = err_say(&eb, ERR_MALFORMED, "\"%.64s\": no words are expected; see --help", words[0]);
	free(words);
	bool told = !err && program_text_is_asked(&o.text);
	if (told)
		err = program_text_print(&o.text, &page, NULL, RW_VERSION, &eb);
	if (told && !err)
		return program_text_end("ropewalk-relay", 0, EXIT_FAILURE);
	if (!err && !log_level_parse(o.log_level, &level))
		err = err_say(&eb, ERR_MALFORMED, "--log-level is error, warn, info or debug");
	if (!err)
		err = relay_check(&o, &ro, &eb);
	if (err) {
		fprintf(stderr, "ropewalk-relay: %s\n", eb.text);
		return EXIT_USAGE;
	}
	log_setup(level, o.json);
	if (!key_setup()) {
		fprintf(stderr, "ropewalk-relay: this machine gives no randomness\n");
		return 1;
	}
	(void)tls_aes_use();
	log_info("TLS records with AES are sealed by %s", tls_aes_chosen());
	return relay_run(&o, &ro);
}
