#include "simnet/service/service.h"

#include "mesh/base/buf.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* At the control socket: one line with all faults that are to be from now on; the answer is "ok" or a sentence, and
 * the end. */
enum { LINE_BYTES = 2048, TELL_MS = 3000 };
struct service_program {
	struct service service;
	struct dns_service *dns;
	struct stream_service *stream;
	struct datagram_service *datagram;
	struct portmap_service *portmap;
	int control_fd;
	struct loop_fd *control_watch;
	struct loop_signal *signals[2];
	struct loop_fd *stop_watch;
};

static void take_faults(struct service_program *p, int fd)
{
	char line[LINE_BYTES];
	struct errbuf eb = { 0 };
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	size_t n = 0;
	ssize_t got = 1;

	/* The teller writes its line at once; who does not is not waited for. */
	while (n < sizeof(line) - 1 && !memchr(line, '\n', n) && poll(&wait, 1, 100) == 1 &&
		(got = read(fd, line + n, sizeof(line) - 1 - n)) > 0)
		n += (size_t)got;
	line[n] = '\0';
	char *end = strchr(line, '\n');
	if (!end)
		return;
	*end = '\0';
	int err = faults_parse(p->service.kind, line, &p->service.faults, &eb);
	if (!err)
		printf("{\"event\":\"faults\",\"faults\":\"%s\"}\n", *line ? line : "none");
	fflush(stdout);
	dprintf(fd, "%s\n", err ? eb.text : "ok");
}

static void control_ready(void *arg, int events)
{
	struct service_program *p = arg;
	int fd = sock_accept(p->control_fd, NULL);
	(void)events;

	if (fd < 0)
		return;
	take_faults(p, fd);
	close(fd);
}

int service_tell(const struct service_options *o, const char *faults, struct errbuf *eb)
{
	char answer[LINE_BYTES];
	struct pollfd wait = { .events = POLLIN };
	ssize_t n = -1;
	int fd = sock_unix_connect(o->tell, eb);

	if (fd < 0)
		return fd;
	wait.fd = fd;
	dprintf(fd, "%s\n", faults);
	if (poll(&wait, 1, TELL_MS) == 1)
		n = read(fd, answer, sizeof(answer) - 1);
	close(fd);
	if (n <= 0)
		return err_say(eb, -ETIMEDOUT, "%s: no answer", o->tell);
	answer[n] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	return !strcmp(answer, "ok") ? 0 : err_say(eb, -EINVAL, "%s", answer);
}

/* ---- life ---- */

static void stop_service(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

static void stop_told(void *arg, int events)
{
	(void)events;
	loop_stop(arg);
}

static int watch_end(struct service_program *p, const struct service_options *o, struct errbuf *eb)
{
	static const int signos[] = { SIGINT, SIGTERM };
	struct loop *l = p->service.loop;

	for (size_t i = 0; !o->router && i < ARRAY_LEN(signos); i++)
		p->signals[i] = loop_signal_new(l, signos[i], stop_service, l);
	if (!o->router)
		return 0;
	p->stop_watch = loop_fd_new(l, o->router->stop_fd, stop_told, l);
	if (!p->stop_watch)
		return err_say(eb, -ENOMEM, "out of memory");
	loop_fd_set(p->stop_watch, LOOP_READ);
	return 0;
}

static int open_kind(struct service_program *p, struct errbuf *eb)
{
	struct service *s = &p->service;
	enum service_kind k = s->kind;

	if (k == SERVICE_DNS && !(p->dns = dns_service_open(s, eb)))
		return eb->code;
	if ((k == SERVICE_HTTP || k == SERVICE_PROXY || k == SERVICE_ECHO) &&
		!(p->stream = stream_service_open(s, &s->at, NULL, eb)))
		return eb->code;
	if ((k == SERVICE_STUN || k == SERVICE_ECHO) && !(p->datagram = datagram_service_open(s, eb)))
		return eb->code;
	if (k == SERVICE_PORTMAP && !(p->portmap = portmap_service_open(s, eb)))
		return eb->code;
	return 0;
}

static int open_program(struct service_program *p, const struct service_options *o, struct errbuf *eb)
{
	p->service.loop = loop_new();
	if (!p->service.loop)
		return err_say(eb, -ENOMEM, "out of memory");
	int err = watch_end(p, o, eb);
	if (!err)
		err = open_kind(p, eb);
	if (err || !o->socket)
		return err;
	p->control_fd = sock_unix_listen(o->socket, 0600, eb);
	if (p->control_fd < 0)
		return p->control_fd;
	p->control_watch = loop_fd_new(p->service.loop, p->control_fd, control_ready, p);
	if (!p->control_watch)
		return err_say(eb, -ENOMEM, "out of memory");
	loop_fd_set(p->control_watch, LOOP_READ);
	return 0;
}

static void close_program(struct service_program *p, const struct service_options *o)
{
	dns_service_close(p->dns);
	stream_service_close(p->stream);
	datagram_service_close(p->datagram);
	portmap_service_close(p->portmap);
	loop_fd_free(p->stop_watch);
	loop_fd_free(p->control_watch);
	if (p->control_fd >= 0) {
		close(p->control_fd);
		sock_unix_unlink(o->socket);
	}
	for (size_t i = 0; i < ARRAY_LEN(p->signals); i++)
		if (p->signals[i])
			loop_signal_free(p->signals[i]);
	if (p->service.loop)
		loop_free(p->service.loop);
}

static int check_options(
	struct service *s, const char *kind, const struct service_options *o, struct errbuf *eb)
{
	if (!service_kind_parse(kind, &s->kind))
		return err_say(eb, -EINVAL,
			"no service '%s'; there are dns, http, proxy, echo, stun, portmap", kind);
	if (!o->listen || !endpoint_parse(o->listen, &s->at) || !s->at.port)
		return err_say(eb, -EINVAL, "say where it listens: --listen ADDRESS:PORT");
	if (o->records && s->kind != SERVICE_DNS)
		return err_say(eb, -EINVAL, "--records are of dns alone");
	if ((s->kind == SERVICE_PORTMAP) != !!o->outer ||
		(o->outer && (!addr_parse(o->outer, &s->outer) || !addr_is_v4(&s->outer))))
		return err_say(eb, -EINVAL, "portmap alone takes --outer, the router's IPv4 address outside");
	if (o->dns64 && s->kind != SERVICE_DNS)
		return err_say(eb, -EINVAL, "--dns64 is of dns alone");
	if (o->dns64 && *o->dns64 && !nat64_parse(o->dns64, &s->dns64))
		return err_say(eb, -EINVAL,
			"--dns64 must be an IPv6 network of /32, /40, /48, /56, /64 or /96, not '%.60s'",
			o->dns64);
	s->records = o->records;
	if (o->router)
		s->router = *o->router;
	return faults_parse(s->kind, o->faults ? o->faults : "", &s->faults, eb);
}

/* The parent returns what became of it; the child has no terminal and goes on. 1: we are the child. */
static int go_to_background(int told[2], struct errbuf *eb)
{
	struct errbuf said = { 0 };

	if (pipe2(told, O_CLOEXEC) < 0)
		return err_set(eb, -errno, "make a pipe");
	pid_t pid = fork();
	if (pid < 0)
		return err_set(eb, -errno, "fork");
	if (pid == 0) {
		close(told[0]);
		setsid();
		return 1;
	}
	close(told[1]);
	ssize_t n = read(told[0], &said, sizeof(said));
	close(told[0]);
	if (n != (ssize_t)sizeof(said))
		return err_say(eb, ERR_CLOSED, "the service ended before it served");
	*eb = said;
	return said.code;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

static int serve(struct service_program *p, const struct service_options *o, int tell_fd, struct errbuf *eb)
{
	char text[ENDPOINT_TEXT];
	int err = open_program(p, o, eb);

	if (!err && tell_fd < 0) {
		printf("{\"event\":\"serving\",\"serving\":\"%s\"}\n", endpoint_format(&p->service.at, text));
		fflush(stdout);
	}
	if (tell_fd >= 0) {
		(void)!write(tell_fd, eb, sizeof(*eb));
		close(tell_fd);
		leave_terminal();
	}
	if (!err)
		loop_run(p->service.loop);
	close_program(p, o);
	return err;
}

int service_serve(const char *kind, const struct service_options *o, int told_fd, struct errbuf *eb)
{
	struct service_program p = { .control_fd = -1 };
	int err = check_options(&p.service, kind, o, eb);

	if (!err)
		return serve(&p, o, told_fd, eb);
	(void)!write(told_fd, eb, sizeof(*eb));
	close(told_fd);
	return err;
}

int service_run(const char *kind, const struct service_options *o, struct errbuf *eb)
{
	struct service_program p = { .control_fd = -1 };
	int told[2] = { -1, -1 };
	int err = check_options(&p.service, kind, o, eb);

	if (err || !o->background)
		return err ? err : serve(&p, o, -1, eb);
	err = go_to_background(told, eb);
	return err == 1 ? serve(&p, o, told[1], eb) : err;
}
