#include "mesh/cli/test/fake_api.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNS_MAX = 64, REQUEST_MAX = 65536 };

struct fake_api {
	const struct fake_route *routes;
	int fd;
	char folder[32];
	struct sockaddr_un at;
	pthread_t listener, conns[CONNS_MAX];
	size_t n_conns;
	pthread_mutex_t lock;
	char log[REQUEST_MAX], shown[REQUEST_MAX];
};
struct conn {
	struct fake_api *f;
	int fd;
};

static void send_text(int fd, const char *text)
{
	size_t len = strlen(text);
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* Head and body; false when the other side left before the end. */
static bool read_request(int fd, char *buf)
{
	size_t len = 0, want = 0;
	const char *body = NULL;
	while (len + 1 < REQUEST_MAX && (!body || len < want)) {
		ssize_t n = recv(fd, buf + len, REQUEST_MAX - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = 0;
		const char *end = strstr(buf, "\r\n\r\n");
		if (end && !body) {
			const char *cl = strcasestr(buf, "content-length:");
			body = end + 4;
			want = (size_t)(body - buf) + (cl && cl < end ? strtoul(cl + 15, NULL, 10) : 0);
		}
	}
	return true;
}

static void answer(int fd, const struct fake_route *r)
{
	char head[256];
	if (r->hold) {
		snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
			r->status, strlen(r->body));
		send_text(fd, head);
		send_text(fd, r->body);
		send_text(fd, "\r\n");
		return;
	}
	snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		r->status, strlen(r->body));
	send_text(fd, head);
	send_text(fd, r->body);
}

static void *serve(void *arg)
{
	static const struct fake_route missing = { .status = 404, .body = "not found" };
	struct conn *c = arg;
	char *buf = calloc(1, REQUEST_MAX), rest[256];
	if (buf && read_request(c->fd, buf)) {
		const struct fake_route *r = c->f->routes;
		while (r->start && strncmp(buf, r->start, strlen(r->start)) != 0)
			r++;
		size_t line = strcspn(buf, "\r");
		line = line > 9 ? line - 9 : 0; /* without " HTTP/1.1" */
		pthread_mutex_lock(&c->f->lock);
		size_t at = strlen(c->f->log);
		const char *why = strstr(buf, "\r\nX-Tailscale-Reason:");
		int why_len = why ? (int)strcspn(why + 2, "\r") : 0;
		snprintf(c->f->log + at, sizeof(c->f->log) - at, "%.*s%s%.*s %s\n", (int)line, buf,
			why ? " " : "", why_len, why ? why + 2 : "", strstr(buf, "\r\n\r\n") + 4);
		pthread_mutex_unlock(&c->f->lock);
		if (!r->start)
			r = &missing;
		if (r->body)
			answer(c->fd, r);
		while (r->hold && recv(c->fd, rest, sizeof(rest), 0) > 0)
			;
	}
	free(buf);
	close(c->fd);
	free(c);
	return NULL;
}

static void *listen_on(void *arg)
{
	struct fake_api *f = arg;
	for (;;) {
		int fd = accept(f->fd, NULL, NULL);
		struct conn *c = fd < 0 || f->n_conns == CONNS_MAX ? NULL : calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		*c = (struct conn) { f, fd };
		if (pthread_create(&f->conns[f->n_conns], NULL, serve, c) == 0)
			f->n_conns++;
	}
}

struct fake_api *fake_api_start(const struct fake_route *routes)
{
	struct fake_api *f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	*f = (struct fake_api) {
		.routes = routes, .at = { .sun_family = AF_UNIX }, .folder = "/tmp/cli_test.XXXXXX"
	};
	pthread_mutex_init(&f->lock, NULL);
	if (!mkdtemp(f->folder))
		abort();
	snprintf(f->at.sun_path, sizeof(f->at.sun_path), "%s/sock", f->folder);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || bind(f->fd, (struct sockaddr *)&f->at, sizeof(f->at)) != 0 || listen(f->fd, 16) != 0)
		abort();
	if (pthread_create(&f->listener, NULL, listen_on, f) != 0)
		abort();
	return f;
}

const char *fake_api_socket(const struct fake_api *f)
{
	return f->at.sun_path;
}

const char *fake_api_requests(struct fake_api *f)
{
	pthread_mutex_lock(&f->lock);
	memcpy(f->shown, f->log, sizeof(f->shown));
	pthread_mutex_unlock(&f->lock);
	return f->shown;
}

void fake_api_stop(struct fake_api *f)
{
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->listener, NULL);
	for (size_t i = 0; i < f->n_conns; i++)
		pthread_join(f->conns[i], NULL);
	close(f->fd);
	unlink(f->at.sun_path);
	rmdir(f->folder);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
