/* What a machine is asked from outside of the mesh, with the guard and without: real packets between
 * namespaces. The file under test is included, to see when its nft has ended. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/node/host/guard.c"
#include "mesh/node/host/test/lab.h"
#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

enum { PORT = 7000, WAIT_MS = 60000 };

struct world {
	struct loop *l;
	struct nl *nl;
	struct guard *g;
	int listener;
};

static const char whole[] =
	"test $(nft list table inet ropewalk-rope0 2>/dev/null | grep -cE '^.(set|chain) ') = 8";

static struct addr ip(const char *text)
{
	struct addr a;
	assert_true(addr_parse(text, &a));
	return a;
}

static void set_up(struct guard *g)
{
	struct addr own[] = { ip("100.64.0.1"), ip("fd7a:115c:a1e0::1"), ip("100.100.100.100"),
		ip("fd7a:115c:a1e0::53") };
	struct addr peers[] = { ip("100.64.0.2"), ip("fd7a:115c:a1e0::2"), ip("100.64.0.3") };
	assert_true(guard_own(g, own, 4));
	assert_true(guard_peers(g, peers, 3));
}

/* All peers are in the table when the last of them is. */
static bool has_element(const char *which)
{
	char line[128];
	snprintf(line, sizeof(line), "nft get element inet ropewalk-rope0 %s >/dev/null 2>&1", which);
	return system(line) == 0;
}

static void await_element(struct world *w, const char *which, bool there)
{
	char line[128];
	snprintf(line, sizeof(line), "%snft get element inet ropewalk-rope0 %s >/dev/null 2>&1",
		there ? "" : "! ", which);
	lab_await(w->l, line);
}

static int open_world(void **state)
{
	struct world *w = *state = calloc(1, sizeof(*w));
	if (!lab_open())
		return -1;
	lab_run(LAB_HOST,
		"ip addr add 100.64.0.1/32 dev rope0; ip -6 addr add fd7a:115c:a1e0::1/128 dev rope0 nodad;"
		"ip addr add 100.100.100.100/32 dev rope0; ip -6 addr add fd7a:115c:a1e0::53/128 dev rope0 "
		"nodad;"
		"ip route add 100.64.0.2/32 dev rope0; ip -6 route add fd7a:115c:a1e0::2/128 dev rope0");
	lab_settle(LAB_HOST);
	w->l = loop_new();
	w->nl = nl_open(NULL);
	w->listener = lab_listen(PORT);
	w->g = guard_open(w->l, w->nl, "rope0", NULL);
	return w->g ? 0 : -1;
}

static int close_world(void **state)
{
	struct world *w = *state;
	guard_close(w->g);
	nl_close(w->nl);
	close(w->listener);
	loop_free(w->l);
	lab_close();
	free(w);
	return 0;
}

static const struct {
	enum lab_place from;
	const char *source, *to;
	bool guarded; /* does it pass with the guard? Without it, everything does. */
} packets[] = {
	{ LAB_MESH, "100.64.0.2", "100.64.0.1", true },
	{ LAB_MESH, "fd7a:115c:a1e0::2", "fd7a:115c:a1e0::1", true },
	/* forged: the source of a peer */
	{ LAB_LAN, "100.64.0.2", "100.64.0.1", false },
	{ LAB_LAN, "fd7a:115c:a1e0::2", "fd7a:115c:a1e0::1", false },
	{ LAB_LAN, "100.64.0.2", "10.9.0.2", false },
	{ LAB_LAN, "fd7a:115c:a1e0::2", "fd09::2", false },
	{ LAB_BOX, "100.64.0.2", "100.64.0.1", false },
	/* the network around asks for what is the mesh's */
	{ LAB_LAN, "10.9.0.1", "100.64.0.1", false },
	{ LAB_LAN, "fd09::1", "fd7a:115c:a1e0::1", false },
	{ LAB_LAN, "10.9.0.1", "100.100.100.100", false },
	{ LAB_LAN, "fd09::1", "fd7a:115c:a1e0::53", false },
	/* containers of this machine may */
	{ LAB_BOX, "172.17.0.2", "100.100.100.100", true },
	{ LAB_BOX, "fd17::2", "fd7a:115c:a1e0::53", true },
	{ LAB_BOX, "172.17.0.2", "100.64.0.1", true },
};

static void check_packets(struct world *w, bool guarded)
{
	for (size_t i = 0; i < ARRAY_LEN(packets); i++)
		if (lab_reaches(w->listener, packets[i].from, packets[i].source, packets[i].to, PORT) !=
			(packets[i].guarded || !guarded))
			fail_msg("row %zu, %s the guard: %s to %s", i, guarded ? "with" : "without",
				packets[i].source, packets[i].to);
}

static void test_packets(void **state)
{
	struct world *w = *state;
	check_packets(w, false);
	set_up(w->g);
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL),
		guard_rules_size(&(struct guard_service) { 0 })); /* already */
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	assert_string_equal(guard_problem(w->g), "");
	check_packets(w, true);
	/* Loose reverse path filtering does not help, and does not hurt. */
	lab_run(LAB_HOST, "for i in all eth0 cbr0 rope0; do sysctl -q -w net.ipv4.conf.$i.rp_filter=2; done");
	check_packets(w, true);
	/* What this machine says to itself stays on it. */
	lab_run(LAB_HOST,
		"ping -q -c1 -W5 100.64.0.1 >/dev/null; ping -q -c1 -W5 fd7a:115c:a1e0::1 >/dev/null");
	guard_own(w->g, NULL, 0);
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), -ENOENT);
	check_packets(w, false);
}

/* Where an admin wants no rules there is no table, whatever comes meanwhile, and it is said; then all of it is there. */
static void test_forbidden(void **state)
{
	static const char *const net = "192.168.9.0/24";
	struct world *w = *state;
	struct prefix carried;
	assert_true(prefix_parse(net, &carried));
	const struct guard_service service = { .nets = &carried, .n = 1 };
	guard_allow(w->g, true); /* as it is */
	guard_allow(w->g, false);
	assert_string_equal(guard_problem(w->g), ""); /* nothing is there to keep */
	set_up(w->g);
	assert_non_null(strstr(guard_problem(w->g), "--netfilter-mode=off"));
	guard_allow(w->g, true);
	assert_string_equal(guard_problem(w->g), "");
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	check_packets(w, true);
	guard_allow(w->g, false);
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), -ENOENT);
	guard_serve(w->g, &service);
	guard_links_changed(w->g);
	set_up(w->g);
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), -ENOENT);
	check_packets(w, false);
	guard_allow(w->g, true);
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), guard_rules_size(&service));
	guard_allow(w->g, false);
	guard_own(w->g, NULL, 0);
	assert_string_equal(guard_problem(w->g), "");
}

/* Nothing for a peer leaves by another interface, be its route missing. */
static void pass(void *arg)
{
	*(bool *)arg = true;
}

/* So much later, all that was due then is done. */
static void pass_ms(struct world *w, unsigned ms)
{
	bool done = false;
	struct loop_timer *t = loop_timer_new(w->l, pass, &done);
	trouble_pass_ms(ms);
	loop_timer_set(t, 1);
	while (!done)
		loop_run_once(w->l);
	loop_timer_free(t);
}

/* Memory that is short for a moment makes no table where none is wanted, and none that lacks what it is for: who says what is
 * wanted hears of it. */
static void test_short(void **state)
{
	struct world *w = *state;
	struct prefix carried;
	struct addr own = ip("100.64.0.1"), peer = ip("100.64.0.9");
	struct addr_set come = { .v = &peer, .n = 1 }, none = { 0 };
	assert_true(prefix_parse("192.168.9.0/24", &carried));
	const struct guard_service service = { .nets = &carried, .n = 1 };
	for (int forbidden = 0; forbidden < 2; forbidden++) {
		guard_allow(w->g, !forbidden);
		trouble_memory(1);
		assert_false(guard_own(w->g, &own, 1));
		trouble_memory(1);
		assert_false(guard_serve(w->g, &service));
		trouble_memory(1);
		assert_false(guard_peers(w->g, &peer, 1));
		trouble_memory(1);
		assert_false(guard_peers_change(w->g, &come, &none));
		assert_int_equal(w->g->state, GUARD_OFF);
		pass_ms(w, AGAIN_MS + 1000);
		assert_string_equal(guard_problem(w->g), "");
		assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), -ENOENT);
	}
	guard_allow(w->g, true);
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	trouble_memory(1);
	assert_false(guard_serve(w->g, &service));
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL),
		guard_rules_size(&(struct guard_service) { 0 })); /* as it was */
	assert_true(guard_serve(w->g, &service));
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), guard_rules_size(&service));
	assert_string_equal(guard_problem(w->g), "");
}

/* Nothing for a peer leaves by another interface, be its route missing. */
static void test_leaving(void **state)
{
	struct world *w = *state;
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	lab_run(LAB_HOST, "! ping -q -c1 -W1 100.64.0.3 >/dev/null 2>&1;"
			  "nft list chain inet ropewalk-rope0 leaving | grep -q 'mesh4 counter packets 1 '");
}

static void test_put_back(void **state)
{
	struct world *w = *state;
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	lab_run(LAB_HOST, "nft flush ruleset");
	lab_await(w->l, whole);
	check_packets(w, true);
	lab_run(LAB_HOST, "nft flush chain inet ropewalk-rope0 arriving");
	lab_await(w->l, "nft list chain inet ropewalk-rope0 arriving | grep -q mesh4");
	check_packets(w, true);
}

/* A flush that meets an update: the update fails, for its table is gone, and what it met is put back, not
 * tried again as late as an nft that does not work. */
static void test_flush_meets_update(void **state)
{
	struct world *w = *state;
	struct addr some[] = { ip("100.64.0.2"), ip("fd7a:115c:a1e0::2"), ip("100.64.0.9") };
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	while (w->g->run)
		loop_run_once(w->l);
	guard_peers(w->g, some, 3);
	/* When the loop goes on, the update is due: it begins before the news of the flush are read. */
	lab_run(LAB_HOST, "nft flush ruleset; sleep 0.2");
	uint64_t from = loop_now_ms(w->l);
	lab_await(w->l, whole);
	assert_in_range(loop_now_ms(w->l) - from, 0, AGAIN_MS - 1);
	assert_string_equal(guard_problem(w->g), "");
	await_element(w, "mesh4 { 100.64.0.9 }", true);
	assert_false(has_element("mesh4 { 100.64.0.3 }"));
	check_packets(w, true);
}

/* Peers come and go beside the loop, by what differs. */
static void test_peers(void **state)
{
	struct world *w = *state;
	struct addr some[] = { ip("100.64.0.9"), ip("fd7a:115c:a1e0::9") };
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	guard_peers(w->g, some, 2);
	await_element(w, "mesh6 { fd7a:115c:a1e0::9 }", true);
	assert_true(has_element("mesh4 { 100.64.0.9 }") && !has_element("mesh4 { 100.64.0.3 }"));
	assert_true(has_element("mesh4 { 100.64.0.1 }")); /* own ones stay */
	guard_peers(w->g, NULL, 0);
	await_element(w, "mesh4 { 100.64.0.9 }", false);
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL),
		guard_rules_size(&(struct guard_service) { 0 }));
}

/* A bridge is a way in for containers only while nothing else is behind it. */
static void test_bridges(void **state)
{
	struct world *w = *state;
	set_up(w->g);
	await_element(w, "inside { \"cbr0\" }", true);
	lab_run(LAB_HOST, "ip route replace default via 172.17.0.2");
	guard_links_changed(w->g);
	await_element(w, "inside { \"cbr0\" }", false);
	assert_false(lab_reaches(w->listener, LAB_BOX, "172.17.0.2", "100.100.100.100", PORT));
	lab_run(LAB_HOST, "ip route replace default via 10.9.0.1; ip link add name inner type bridge;"
			  "ip link add name vb type veth peer name vb2; ip link set vb master inner");
	guard_links_changed(w->g);
	await_element(w, "inside { \"inner\" }", true);
	assert_true(has_element("inside { \"cbr0\" }"));
	lab_run(LAB_HOST, "ip link add name sub type bridge; ip link add name mv link eth0 type macvlan;"
			  "ip link set mv master sub");
	guard_links_changed(w->g);
	lab_run(LAB_HOST, "nft flush ruleset"); /* so that there is something to wait for */
	lab_await(w->l, whole);
	assert_false(has_element("inside { \"sub\" }"));
}

/* --- port 80 of the resolver's address --- */

static int tcp_listen(const char *at, uint16_t port)
{
	struct endpoint e = { .ip = ip(at), .port = port };
	struct errbuf eb = { 0 };
	int fd = sock_tcp_listen(&e, &eb);
	if (fd < 0)
		fail_msg("%s", eb.text);
	return fd;
}

/* A connection there is the listener's, and what it says comes back. */
static bool tcp_is_answered(const char *to, int listener)
{
	struct endpoint at = { .ip = ip(to), .port = 80 };
	struct sockaddr_storage ss;
	struct timeval limit = { .tv_sec = 10 };
	char byte = 0;
	socklen_t n = endpoint_to_sockaddr(&at, false, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	int err;
	do
		err = connect(fd, (struct sockaddr *)&ss, n);
	while (err < 0 && errno == EINTR); /* with a limit, a stop is enough; this waits on */
	bool ok = err == 0;
	struct pollfd due = { .fd = listener, .events = POLLIN };
	int other = ok && poll(&due, 1, 10000) == 1 ? accept(listener, NULL, NULL) : -1;
	ok = other >= 0 && send(other, "x", 1, 0) == 1;
	ssize_t got;
	do
		got = ok ? recv(fd, &byte, 1, 0) : 0;
	while (got < 0 && errno == EINTR); /* with a limit, a stop is enough */
	ok = got == 1 && byte == 'x';
	close(fd);
	if (other >= 0)
		close(other);
	return ok;
}

/* What this machine asks there goes to our port, beside a web server that has all of port 80, also where connections are
 * tracked and what is no part of one is dropped. */
static void test_own_web(void **state)
{
	struct world *w = *state;
	set_up(w->g);
	int ours = tcp_listen("100.100.100.100", GUARD_WEB_PORT), server = tcp_listen("0.0.0.0", 80);
	assert_true(tcp_is_answered("100.100.100.100", ours));
	assert_true(tcp_is_answered("100.64.0.1", server));
	assert_true(tcp_is_answered("10.9.0.2", server));
	lab_run(LAB_HOST, "nft -f - <<E\n"
			  "table inet strict {\n"
			  "chain in { type filter hook input priority 0; ct state invalid drop; }\n"
			  "chain out { type filter hook output priority 0; ct state invalid drop; }\n"
			  "}\nE");
	assert_true(tcp_is_answered("100.100.100.100", ours));
	assert_true(tcp_is_answered("10.9.0.2", server));
	close(ours);
	close(server);
}

/* Others' rules: theirs stay, and a port that docker publishes is reached over the mesh. */
static void test_beside_others(void **state)
{
	struct world *w = *state;
	lab_run(LAB_HOST, "nft -f - <<E\n"
			  "table ip nat {\nchain pre { type nat hook prerouting priority -100; udp dport "
			  "7001 dnat to 172.17.0.2:7000; }\n"
			  "chain post { type nat hook postrouting priority 100; ip saddr 172.17.0.0/24 "
			  "oifname != \"cbr0\" masquerade; }\n}\n"
			  "table inet filter {\nchain input { type filter hook input priority 0; policy "
			  "drop; ct state established accept; iifname \"lo\" accept; }\n}\n"
			  "E");
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	lab_enter(LAB_BOX);
	int box = lab_listen(PORT);
	lab_enter(LAB_HOST);
	assert_true(lab_reaches(box, LAB_MESH, "100.64.0.4", "100.64.0.1", 7001));
	close(box);
	/* The firewall of this machine still decides what may come in over the mesh. */
	lab_run(LAB_MESH, "! ping -q -c1 -W1 100.64.0.1 >/dev/null 2>&1");
	lab_run(LAB_HOST, "nft list table inet filter | grep -q 'policy drop'");
	guard_own(w->g, NULL, 0);
	lab_run(LAB_HOST, "nft list table inet filter >/dev/null; nft list table ip nat >/dev/null;"
			  "! nft list tables | grep -q ropewalk");
}

static void count(void *arg)
{
	++*(unsigned *)arg;
}

static void test_no_nft(void **state)
{
	struct world *w = *state;
	unsigned turns = 0;
	char *path = strdup(getenv("PATH"));
	struct addr own[] = { ip("100.64.0.1") };
	assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
	guard_watch(w->g, count, &turns);
	guard_own(w->g, own, 1);
	assert_non_null(strstr(guard_problem(w->g), "install nftables"));
	assert_int_equal(turns, 0); /* not from within */
	while (!turns)
		loop_run_once(w->l);
	assert_int_equal(setenv("PATH", path, 1), 0);
	free(path);
	set_up(w->g); /* other addresses: tried at once */
	assert_string_equal(guard_problem(w->g), "");
	while (turns < 2)
		loop_run_once(w->l);
}

/* Without nft, a socket can still be kept to what this machine says to itself: UDP here, and the first packet
 * of TCP. */
static void test_own_questions(void **state)
{
	struct world *w = *state;
	struct endpoint at = { .ip = ip("100.100.100.100"), .port = PORT };
	struct errbuf eb = { 0 };
	int fd = sock_tcp_listen(&at, &eb);
	assert_true(fd >= 0);
	assert_int_equal(sock_arrive_on(fd, "lo"), 0);
	assert_int_equal(sock_arrive_on(w->listener, "lo"), 0);
	assert_int_equal(sock_arrive_on(fd, "none"), -ENODEV);
	lab_run(LAB_HOST, "timeout 5 bash -c '</dev/tcp/100.100.100.100/7000'");
	lab_run(LAB_LAN, "ip route get 100.100.100.100 >/dev/null; ! timeout 0.3 bash -c "
			 "'</dev/tcp/100.100.100.100/7000' 2>/dev/null");
	int own = lab_listen(0);
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, true, &ss);
	/* In this order: the second is the first that arrives. */
	lab_send(LAB_LAN, "10.9.0.1", "100.100.100.100", PORT, 'x');
	assert_int_equal(sendto(own, "y", 1, 0, (struct sockaddr *)&ss, n), 1);
	char got;
	assert_int_equal(recv(w->listener, &got, 1, MSG_DONTWAIT), 1);
	assert_int_equal(got, 'y');
	assert_int_equal(recv(w->listener, &got, 1, MSG_DONTWAIT), -1);
	close(own);
	close(fd);
}

/* Names come from the command line and the machine. */
static void test_names(void **state)
{
	char t[GUARD_TABLE_TEXT];
	struct guard_inside in = { .n = 2, .name = { "br-1", "a\"} drop" } };
	struct addr_set none = { 0 };
	struct guard_service nothing = { 0 };
	struct guard_wish wish = {
		.ifname = "rope0", .own = &none, .mesh = &none, .inside = &in, .service = &nothing
	};
	struct buf b = { 0 };
	(void)state;
	assert_string_equal(guard_table_name("rope0", t), "ropewalk-rope0");
	assert_string_equal(guard_table_name("a{};.b", t), "ropewalk-a____b");
	assert_true(guard_rules_whole(&wish, &b));
	assert_non_null(strstr(buf_cstr(&b), "elements = { \"br-1\" };"));
	assert_null(strstr(buf_cstr(&b), "a\"}"));
	assert_null(strstr(buf_cstr(&b), "ipv4_addr;\nelements"));
	buf_free(&b);
}

/* --- a machine that carries the network around it --- */

static int listen_in(enum lab_place place)
{
	lab_enter(place);
	int fd = lab_listen(PORT);
	lab_enter(LAB_HOST);
	return fd;
}

/* The next byte, and who sent it. */
static char received(int fd, char from[static ADDR_TEXT])
{
	struct pollfd f = { .fd = fd, .events = POLLIN };
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint at;
	char got = 0;
	assert_int_equal(poll(&f, 1, WAIT_MS), 1);
	assert_int_equal(recvfrom(fd, &got, 1, 0, (struct sockaddr *)&ss, &len), 1);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&ss, &at));
	addr_format(&at.ip, from);
	return got;
}

static void serve(struct world *w, bool plain, bool unasked)
{
	struct prefix nets[3];
	char line[512];
	assert_true(prefix_parse("10.9.0.0/24", &nets[0]) && prefix_parse("fd09::/64", &nets[1]) &&
		    prefix_parse("fd7a:115c:a1e0:b1a:0:7:a08:0/120", &nets[2]));
	struct guard_service s = { .nets = nets, .n = 3, .plain = plain, .unasked = unasked };
	guard_serve(w->g, &s);
	snprintf(line, sizeof(line),
		"test $(nft list table inet ropewalk-rope0 | grep -c masquerade) = %d && "
		"test $(nft list chain inet ropewalk-rope0 forwarding | grep -c @served4) = %d && "
		"nft list set inet ropewalk-rope0 served4 | grep -q 10.8.0.0/24 && "
		"! nft list set inet ropewalk-rope0 served6 | grep -q b1a",
		!plain, unasked);
	assert_int_equal(system(line), 0); /* before the loop, and so a packet, has its turn */
	assert_string_equal(guard_problem(w->g), "");
}

static void test_service(void **state)
{
	struct world *w = *state;
	int lan = listen_in(LAB_LAN), mesh = listen_in(LAB_MESH);
	char from[ADDR_TEXT];
	lab_run(LAB_MESH, "ip link set mesh address 02:00:00:00:00:08;"
			  "ip neigh add 10.9.0.1 dev mesh lladdr 02:00:00:00:00:09;"
			  "ip -6 neigh add fd09::1 dev mesh lladdr 02:00:00:00:00:09");
	lab_run(LAB_HOST, "ip route add 100.64.0.4/32 dev rope0;"
			  "ip neigh replace 100.64.0.4 dev rope0 lladdr 02:00:00:00:00:08;"
			  "ip -6 neigh replace fd7a:115c:a1e0::2 dev rope0 lladdr 02:00:00:00:00:08");
	lab_run(LAB_LAN, "ip -6 addr del fd7a:115c:a1e0::2/128 dev lan; ip addr add 10.9.7.1/32 dev lan");
	set_up(w->g);
	guard_peers(w->g, (struct addr[]) { ip("100.64.0.2"), ip("100.64.0.4"), ip("fd7a:115c:a1e0::2") }, 3);
	await_element(w, "mesh4 { 100.64.0.4 }", true);
	serve(w, false, false);
	/* From the mesh, with this machine's address; and the answer comes back. */
	lab_send(LAB_MESH, "100.64.0.4", "10.9.0.1", PORT, 'a');
	assert_int_equal(received(lan, from), 'a');
	assert_string_equal(from, "10.9.0.2");
	lab_send(LAB_MESH, "fd7a:115c:a1e0::2", "fd09::1", PORT, 'b');
	assert_int_equal(received(lan, from), 'b');
	assert_string_equal(from, "fd09::2");
	/* Hosts behind begin nothing, until they may; those elsewhere never do. */
	lab_send(LAB_LAN, "10.9.0.1", "100.64.0.4", PORT, 'c');
	lab_send(LAB_LAN, "fd09::1", "fd7a:115c:a1e0::2", PORT, 'd');
	serve(w, true, true);
	lab_send(LAB_LAN, "10.9.7.1", "100.64.0.4", PORT, 'e');
	lab_send(LAB_LAN, "10.9.0.1", "100.64.0.4", PORT, 'f');
	assert_int_equal(received(mesh, from), 'f');
	assert_string_equal(from, "10.9.0.1");
	lab_send(LAB_LAN, "fd09::1", "fd7a:115c:a1e0::2", PORT, 'g');
	assert_int_equal(received(mesh, from), 'g');
	/* To peers, that is: this machine's own addresses of the mesh are no more theirs than before. */
	assert_false(lab_reaches(w->listener, LAB_LAN, "10.9.0.1", "100.64.0.1", PORT));
	assert_false(lab_reaches(w->listener, LAB_LAN, "10.9.0.1", "100.100.100.100", PORT));
	assert_false(lab_reaches(w->listener, LAB_LAN, "fd09::1", "fd7a:115c:a1e0::1", PORT));
	assert_true(lab_reaches(w->listener, LAB_LAN, "10.9.0.1", "10.9.0.2", PORT));
	assert_true(lab_reaches(w->listener, LAB_BOX, "172.17.0.2", "100.100.100.100", PORT));
	/* Plain: sources stay. */
	lab_send(LAB_MESH, "100.64.0.4", "10.9.0.1", PORT + 1, 'h');
	lab_send(LAB_MESH, "100.64.0.4", "10.9.0.1", PORT, 'i');
	assert_int_equal(received(lan, from), 'i');
	assert_string_equal(from, "100.64.0.4");
	/* A container goes on as before. */
	lab_send(LAB_BOX, "172.17.0.2", "100.64.0.4", PORT, 'k');
	assert_int_equal(received(mesh, from), 'k');
	guard_serve(w->g, &(struct guard_service) { 0 });
	lab_await(w->l, whole);
	close(lan);
	close(mesh);
}

/* While the interface is made anew the table of the one before is in force, until the next guard has its own, or has none
 * either, or there is none. */
static void test_left(void **state)
{
	struct world *w = *state;
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	guard_leave(w->g);
	lab_run(LAB_HOST, whole);
	w->g = guard_open(w->l, w->nl, "rope0", NULL);
	assert_non_null(w->g);
	check_packets(w, true);
	set_up(w->g);
	await_element(w, "mesh4 { 100.64.0.3 }", true);
	check_packets(w, true);
	guard_leave(w->g);
	w->g = guard_open(w->l, w->nl, "rope0", NULL);
	assert_true(guard_own(w->g, NULL, 0));
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), -ENOENT);
	set_up(w->g);
	guard_leave(w->g);
	w->g = NULL;
	lab_run(LAB_HOST, whole);
	guard_drop("rope0", NULL);
	assert_int_equal(nft_table_size(NULL, "ropewalk-rope0", NULL), -ENOENT);
	check_packets(w, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_packets, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_service, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_forbidden, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_short, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_leaving, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_put_back, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_flush_meets_update, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_peers, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_bridges, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_own_web, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_beside_others, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_own_questions, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_left, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_no_nft, open_world, close_world),
	};
	return !lab_available() ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
