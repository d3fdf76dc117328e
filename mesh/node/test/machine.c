#include "mesh/node/test/machine.h"
#include "mesh/base/addr.h"
#include "mesh/os/child.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_ns.h"
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { LINE_MS = 20000, AWAIT_MS = 30000, PATH_LEN = 512 };

/* Root has every name, so that programs that put their rights aside find their user. */
static const char build[] =
	"mount -t tmpfs -o mode=755 tmpfs /run; mkdir /run/etc /run/dbus /run/lock /run/systemd; mount -t "
	"tmpfs -o "
	"mode=755 tmpfs "
	"/var; "
	"mkdir -p /var/lib /var/log /var/tmp; ln -s /run /var/run; cp -a /etc/ld.so.* /etc/alternatives "
	"/etc/machine-id /run/etc/ "
	"|| true; "
	"cp -a \"$OWNER/etc/.\" /run/etc/; "
	"printf 'root:x:0:0::/:/bin/sh\\nsystemd-resolve:x:0:0::/:/bin/sh\\nmessagebus:x:0:0::/:/bin/sh\\n' "
	">/run/etc/passwd; "
	"printf 'root:x:0:\\nsystemd-resolve:x:0:\\n' >/run/etc/group; "
	"printf 'passwd: files\\ngroup: files\\nhosts: files dns\\n' >/run/etc/nsswitch.conf; "
	"printf '127.0.0.1 localhost\\n' >/run/etc/hosts; mount --bind /run/etc /etc; "
	"mount -t overlay overlay -o lowerdir=\"$OWNER/usr:/usr\" /usr; "
	"ip link set lo up; for i in eth0 rope0; do ip link add $i type veth peer name far-$i; ip link set "
	"$i up; ip link set far-$i up; done; "
	"ip addr add 192.0.2.2/24 dev eth0; ip addr add 192.0.2.53/32 dev eth0; ip addr add 192.0.2.54/32 "
	"dev eth0; "
	"mount -t sysfs -o ro sysfs /sys; for a in 100.100.100.100 100.64.0.1; do ip addr add $a/32 dev "
	"rope0; done";

bool machine_open(const char *owner)
{
	const char *const argv[] = { "sh", "-ec", build, NULL };
	const char *peers = getenv("RW_PEERS_DIR"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[PATH_LEN];
	struct errbuf eb = { 0 };
	snprintf(path, sizeof(path), "%s%s/owners/%s",
		peers	? peers
		: cache ? cache
		: home	? home
			: "",
		peers	? ""
		: cache ? "/ropewalk-peers"
			: "/.cache/ropewalk-peers",
		owner);
	if (access(path, F_OK) != 0) {
		print_message("skipped: there is no %s (ci/peers/owners gets it)\n", path);
		return false;
	}
	setenv("OWNER", path, 1);
	if (!own_ns(CLONE_NEWNET | CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		child_run(argv, NULL, 0, LINE_MS, &eb) != 0) {
		print_message("skipped: no machine in namespaces of its own here (%s)\n", eb.text);
		return false;
	}
	return true;
}

/* --- nameservers --- */

struct machine_server {
	int fd, asked;
	uint8_t last;
	struct loop_fd *watch;
};

/* The question, and for type A one record. */
static size_t server_answer(const struct machine_server *s, uint8_t *b, size_t len, size_t cap)
{
	size_t end = 12;
	while (end < len && b[end])
		end += b[end] + 1u;
	end += 5;
	if (end > len || end + 16 > cap)
		return 0;
	bool a = b[end - 3] == 1;
	const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, s->last };
	b[2] |= 0x80;
	b[3] = 0x80;
	memset(b + 6, 0, 6);
	b[7] = a;
	memcpy(b + end, record, sizeof(record));
	return end + (a ? sizeof(record) : 0);
}

static void server_asked(void *arg, int events)
{
	struct machine_server *s = arg;
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	uint8_t b[1500];
	(void)events;
	ssize_t len = recvfrom(s->fd, b, sizeof(b), 0, (struct sockaddr *)&from, &n);
	size_t m = len < 12 ? 0 : server_answer(s, b, (size_t)len, sizeof(b));
	s->asked += m > 0;
	if (m)
		(void)sendto(s->fd, b, m, 0, (struct sockaddr *)&from, n);
}

struct machine_server *machine_server(struct loop *l, const char *at, uint8_t last)
{
	struct machine_server *s = calloc(1, sizeof(*s));
	struct endpoint e;
	struct errbuf eb = { 0 };
	assert_true(s && endpoint_parse(at, &e));
	s->last = last;
	s->fd = sock_udp(&e, &eb);
	if (s->fd < 0)
		fail_msg("%s", eb.text);
	s->watch = loop_fd_new(l, s->fd, server_asked, s);
	loop_fd_set(s->watch, LOOP_READ);
	return s;
}

void machine_server_free(struct machine_server *s)
{
	loop_fd_free(s->watch);
	close(s->fd);
	free(s);
}

int machine_asked(const struct machine_server *s)
{
	return s->asked;
}

/* --- programs --- */

struct line_end {
	bool over;
	int code;
	char why[384];
};

static void line_ended(void *arg, int code, const char *why)
{
	struct line_end *e = arg;
	*e = (struct line_end) { .over = true, .code = code };
	snprintf(e->why, sizeof(e->why), "%s", why ? why : "");
}

static struct line_end line_run(struct loop *l, const char *line)
{
	const char *const argv[] = { "sh", "-ec", line, NULL };
	struct line_end e = { 0 };
	struct errbuf eb = { 0 };
	if (!child_start(l, argv, NULL, 0, LINE_MS, line_ended, &e, &eb))
		fail_msg("%s: %s", line, eb.text);
	while (!e.over)
		loop_run_once(l);
	return e;
}

bool machine_try(struct loop *l, const char *line)
{
	return line_run(l, line).code == 0;
}

void machine_run(struct loop *l, const char *line)
{
	struct line_end e = line_run(l, line);
	if (e.code)
		fail_msg("%s: %s", line, e.why);
}

void machine_await(struct loop *l, const char *line)
{
	uint64_t until_ms = loop_now_ms(l) + AWAIT_MS;
	while (!machine_try(l, line))
		if (loop_now_ms(l) > until_ms)
			fail_msg("never came true: %s", line);
}

pid_t machine_start(const char *line)
{
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

void machine_stop(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

pid_t machine_bus(struct loop *l, const char *policy)
{
	FILE *f = fopen("/run/dbus/bus.conf", "w");
	assert_non_null(f);
	fprintf(f,
		"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>"
		"<auth>EXTERNAL</auth><policy context=\"default\"><allow send_destination=\"*\"/>"
		"<allow receive_sender=\"*\"/><allow own=\"*\"/><allow user=\"*\"/>%s</policy></busconfig>\n",
		policy);
	fclose(f);
	unlink("/run/dbus/system_bus_socket");
	pid_t pid = machine_start(
		"exec dbus-daemon --config-file=/run/dbus/bus.conf --nofork --nopidfile --nosyslog "
		"2>/run/dbus/log");
	machine_await(l, "test -S /run/dbus/system_bus_socket");
	return pid;
}
