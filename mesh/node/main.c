#include "mesh/base/aead.h"
#include "mesh/base/blake2s.h"
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/node/host/cleanup.h"
#include "mesh/node/node.h"
#include "mesh/node/queries.h"
#include "mesh/os/call_filter.h"
#include "mesh/os/notify.h"
#include "mesh/os/privilege.h"
#include "mesh/os/program_text.h"
#include "mesh/os/sock.h"
#include "mesh/os/work.h"
#include "mesh/proto/json_memory.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/tls_aes.h"
#include <errno.h>
#include <malloc.h>
#include <linux/capability.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, DEFAULT_PORT = 41641, DEFAULT_MTU = 1280, DNS_RATE_MAX = 1000000 };

struct options {
	const char *state_dir, *socket, *tun, *resolv_conf, *dnssec, *log_level;
	const char *dns_cert, *dns_key;
	uint64_t port, mtu, threads, dns_https, dns_rate;
	bool keep_dns_cache, cleanup, log_json;
	struct program_text text;
};

static const struct opt_row rows[] = {
	{ "statedir", "state-dir", OPT_STRING, offsetof(struct options, state_dir), "DIR",
		"keys, preferences and the last map (/var/lib/ropewalk)" },
	{ "socket", NULL, OPT_STRING, offsetof(struct options, socket), "PATH",
		"LocalAPI socket (/run/ropewalk/ropewalkd.sock)" },
	{ "tun", NULL, OPT_STRING, offsetof(struct options, tun), "NAME", "interface to make (rope0)" },
	{ "port", NULL, OPT_U64, offsetof(struct options, port), "N",
		"UDP port; 0 lets the kernel choose (41641)" },
	{ "mtu", NULL, OPT_U64, offsetof(struct options, mtu), "N", "MTU of the interface (1280)" },
	{ "data-threads", NULL, OPT_U64, offsetof(struct options, threads), "1|2",
		"2: while much leaves it has a thread of its own (1)" },
	{ "resolv-conf", NULL, OPT_STRING, offsetof(struct options, resolv_conf), "PATH",
		"file to point at the mesh resolver (/etc/resolv.conf)" },
	{ "dnssec", NULL, OPT_STRING, offsetof(struct options, dnssec), "FILE",
		"validate what nameservers say, from these trust anchors down, as /usr/share/dns/root.key; "
		"needs libunbound8" },
	{ "keep-dns-cache", NULL, OPT_BOOL, offsetof(struct options, keep_dns_cache), NULL,
		"what nameservers said is there after a restart too, as long as it would have been without "
		"one; the file "
		"says what was asked for" },
	{ "dns-tls-cert", NULL, OPT_STRING, offsetof(struct options, dns_cert), "FILE",
		"answer names by TLS as well, at port 853, with this certificate (PEM, the whole chain)" },
	{ "dns-tls-key", NULL, OPT_STRING, offsetof(struct options, dns_key), "FILE", "its key (PEM)" },
	{ "dns-https-port", NULL, OPT_U64, offsetof(struct options, dns_https), "N",
		"and by HTTPS, at this port, as 443; 0: not (0)" },
	{ "dns-rate-limit", NULL, OPT_U64, offsetof(struct options, dns_rate), "N",
		"questions a second of each client but this machine, and those of ten seconds at once; 0: as "
		"many as it likes (0)" },
	{ "log-level", NULL, OPT_STRING, offsetof(struct options, log_level), "error|warn|info|debug",
		"how much is said (info)" },
	{ "log-json", NULL, OPT_BOOL, offsetof(struct options, log_json), NULL, "log as JSON lines" },
	{ "cleanup", NULL, OPT_BOOL, offsetof(struct options, cleanup), NULL,
		"undo what a node that was killed left on this machine (rules, resolv.conf), and end" },
	PROGRAM_TEXT_ROWS(offsetof(struct options, text)),
	{ "help", "h", OPT_BOOL, offsetof(struct options, text.help), NULL, "print this" },
	{ 0 },
};

static const struct man_item exits[] = {
	{ "0", "ended by a signal; --cleanup: nothing is left" },
	{ "1", "could not start, or not clean up; standard error says why and what to do" },
	{ "2", "the command line is wrong" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "HTTPS_PROXY",
		"http://HOST:PORT or http://USER:PASSWORD@HOST:PORT: the HTTP proxy (CONNECT) by which "
		"relays, and all whose URL is https:// (server, nameservers, lists of blocked names), are "
		"reached; also https_proxy" },
	{ "HTTP_PROXY", "the same for those whose URL is http://; also http_proxy" },
	{ "NO_PROXY", "what is reached without: names and all below them, addresses, networks or *, by "
		      "commas; also no_proxy" },
	{ "SSL_CERT_FILE",
		"authorities to trust, in place of the machine's, for servers and relays without a pin" },
	{ NULL, NULL },
};
static const struct man_item files[] = {
	{ "/var/lib/ropewalk/state.json", "keys and preferences (--statedir)" },
	{ "/var/lib/ropewalk/netmap.json", "the last map of the network, to start from without the server" },
	{ "/var/lib/ropewalk/answers.cache", "what nameservers said (--keep-dns-cache)" },
	{ "/var/lib/ropewalk/changes",
		"what of this machine is changed and must be undone; --cleanup and every start do" },
	{ "/run/ropewalk/ropewalkd.sock", "LocalAPI socket, which ropewalk(1) speaks to (--socket)" },
	{ "/etc/resolv.conf", "points at the mesh resolver while the node runs; put back at the end" },
	{ NULL, NULL },
};
static const struct man_program program = {
	.name = "ropewalkd",
	.section = 8,
	.summary = "the mesh node",
	.words = "[OPTIONS]",
	.text = "ropewalkd makes a network interface, over which the machines of a mesh reach each other by "
		"name: "
		"directly by WireGuard where their routers let them, else over a relay. It needs root, or "
		"the "
		"capability CAP_NET_ADMIN and access to /dev/net/tun.\n\nropewalk(1) logs it in, and says "
		"how it is. "
		"What is on disk is enough to start again while the coordination server is down.\n\n"
		"SIGHUP: what this machine is told (addresses, routes, rules) is put back where it is "
		"missing, its nameservers and the certificate of --dns-tls-cert are read anew.",
	.options = rows,
	.exits = exits,
	.environment = environment,
	.files = files,
	.see_also = "ropewalk(1), ropewalk-control(8), ropewalk-relay(8)",
};

static void stop_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

static void reload_signal(void *arg, int signo)
{
	(void)signo;
	node_reload(arg);
}

static int cleanup(const struct options *o)
{
	struct errbuf eb = { 0 };
	if (cleanup_main(o->state_dir, &eb) == 0)
		return 0;
	fprintf(stderr, "ropewalkd: %s\n", eb.text);
	return 1;
}

/* Interface, routes, rules, nft; sockets of one interface on older kernels; port 53. */
static int drop_rights(const struct options *o, struct errbuf *eb)
{
	static const int needs[] = { CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE };
	const char *const places[] = { o->state_dir, o->dns_cert, o->dns_key };
	privilege_hide_memory();
	return privilege_drop(needs, ARRAY_LEN(needs), places, ARRAY_LEN(places), eb);
}

static int node_run(const struct options *o)
{
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	struct node *n = calloc(1, sizeof(*n));
	struct proxies *proxies = proxies_found("server, relays, lists and nameservers by HTTPS");
	struct node_options no = { .state_dir = o->state_dir,
		.socket = o->socket,
		.tun_name = o->tun,
		.resolv_conf = o->resolv_conf,
		.anchors = o->dnssec,
		.proxies = proxies,
		.port = (uint16_t)o->port,
		.mtu = (uint32_t)o->mtu,
		.data_threads = (unsigned)o->threads,
		.keep_dns_cache = o->keep_dns_cache,
		.clients = { .certificate = o->dns_cert,
			.key = o->dns_key,
			.https_port = (uint16_t)o->dns_https,
			.per_s = (uint32_t)o->dns_rate } };
	if (!l || !n || !proxies) {
		fprintf(stderr, "ropewalkd: memory is short\n");
		proxies_free(proxies);
		free(n);
		loop_free(l);
		return 1;
	}
	/* Before anything of the machine is changed, so that it is put back. */
	struct loop_signal *term = loop_signal_new(l, SIGTERM, stop_signal, l),
			   *intr = loop_signal_new(l, SIGINT, stop_signal, l),
			   *hup = loop_signal_new(l, SIGHUP, reload_signal, n);
	struct local_node_ops answers = queries_ops(n);
	no.answers = &answers;
	no.notify = notify_open(l);
	(void)tls_aes_use();
	log_info("packets are sealed by %s, TLS records with AES by %s", aead_chosen(), tls_aes_chosen());
	int err = drop_rights(o, &eb);
	if (!err && !work_ready(l)) /* its threads are without those rights, too */
		err = err_set(&eb, -ENOMEM, "start");
	if (!err)
		err = node_open(n, l, &no, &eb);
	if (err) {
		fprintf(stderr, "ropewalkd: %s\n", eb.text);
	} else {
		call_filter_begin(CALL_WRITES_FILES | CALL_SETS_UP_NETWORK | CALL_RUNS_PROGRAMS);
		log_info("ropewalkd " RW_VERSION ": listening on %s", o->socket);
		notify_ready(no.notify, backend_text(n->backend.state));
		loop_run(l);
		node_close(n);
	}
	notify_close(no.notify);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_signal_free(hup);
	loop_free(l);
	proxies_free(proxies);
	free(n);
	return err ? 1 : 0;
}

static int node_check(const struct options *o, enum log_level *level, struct errbuf *eb)
{
	if (!log_level_parse(o->log_level, level))
		return err_say(eb, ERR_MALFORMED, "--log-level is error, warn, info or debug, not \"%s\"",
			o->log_level);
	if (o->port > 65535)
		return err_say(eb, ERR_MALFORMED, "--port is at most 65535");
	if (o->mtu < DEFAULT_MTU || o->mtu > PKT_MTU_MAX)
		return err_say(eb, ERR_MALFORMED, "--mtu is %d to %d", DEFAULT_MTU, PKT_MTU_MAX);
	if (o->threads != 1 && o->threads != 2)
		return err_say(eb, ERR_MALFORMED, "--data-threads is 1 or 2");
	if (!o->dns_cert != !o->dns_key)
		return err_say(eb, ERR_MALFORMED, "--dns-tls-cert and --dns-tls-key go together");
	if (o->dns_https > 65535)
		return err_say(eb, ERR_MALFORMED, "--dns-https-port is at most 65535");
	if (o->dns_https && !o->dns_cert)
		return err_say(eb, ERR_MALFORMED, "--dns-https-port needs --dns-tls-cert and --dns-tls-key");
	if (o->dns_rate > DNS_RATE_MAX)
		return err_say(eb, ERR_MALFORMED, "--dns-rate-limit is at most %d", DNS_RATE_MAX);
	if (!*o->tun || strlen(o->tun) >= IFNAMSIZ || strpbrk(o->tun, "/ "))
		return err_say(eb, ERR_MALFORMED, "--tun is the name of an interface: at most %d characters",
			IFNAMSIZ - 1);
	return 0;
}

/* A map of thousands of peers is megabytes of text for a moment. Large buffers come from the system and go back to it when
 * they are freed; left alone the allocator moves that line up to 32 MiB, and keeps what was below it. What is below it here
 * stays: buffers of a relay's connection come and go with each read. */
static void keep_memory_small(void)
{
	enum { LARGE = 1 << 20 };
	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, LARGE);
	/* What a thread of a moment took stays with an arena of its own, and is of no use to the loop. */
	(void)mallopt(M_ARENA_MAX, 1);
}

int main(int argc, char **argv)
{
	struct options o = { .state_dir = "/var/lib/ropewalk",
		.socket = "/run/ropewalk/ropewalkd.sock",
		.tun = "rope0",
		.resolv_conf = "/etc/resolv.conf",
		.log_level = "info",
		.port = DEFAULT_PORT,
		.mtu = DEFAULT_MTU,
		.threads = 1 };
	struct errbuf eb;
	enum log_level level;
	int n_words;
	keep_memory_small();
	json_memory_wipes();
	const char **words = calloc((size_t)argc, sizeof(*words));
	if (!words || opt_parse(rows, argc, argv, false, &o, words, &n_words, &eb) != 0) {
		fprintf(stderr, "ropewalkd: %s\n", words ? eb.text : "memory is short");
		free(words);
		return EXIT_USAGE;
	}
	if (n_words > 0) {
		fprintf(stderr,
			"ropewalkd: \"%.64s\": no words are expected; `ropewalk` has the verbs, --help says "
			"more\n",
			words[0]);
		free(words);
		return EXIT_USAGE;
	}
	free(words);
	if (program_text_is_asked(&o.text)) {
		int err = program_text_print(&o.text, &program, NULL, RW_VERSION, &eb);
		if (err)
			fprintf(stderr, "ropewalkd: %s\n", eb.text);
		return err ? EXIT_USAGE : program_text_end("ropewalkd", 0, EXIT_FAILURE);
	}
	if (node_check(&o, &level, &eb) != 0) {
		fprintf(stderr, "ropewalkd: %s\n", eb.text);
		return EXIT_USAGE;
	}
	log_setup(level, o.log_json);
	sock_limit_raise(); /* questions to name servers have a socket each */
	if (!key_setup() || !blake2s_setup()) {
		fprintf(stderr, "ropewalkd: this machine gives no randomness, or no memory\n");
		return 1;
	}
	return o.cleanup ? cleanup(&o) : node_run(&o);
}
