#include "mesh/os/test/fake_proxy.h"
#include "mesh/os/sock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT = 2048 };

struct fake_proxy {
	struct loop *loop;
	struct loop_fd *door, *guest;
	int door_fd, guest_fd;
	char url[64], head[TEXT], inside[TEXT];
	size_t len;
	bool through;
};

static void guest_gone(struct fake_proxy *p)
{
	loop_fd_free(p->guest);
	p->guest = NULL;
	if (p->guest_fd >= 0)
		close(p->guest_fd);
	p->guest_fd = -1;
}

static void said(void *arg, int events)
{
	static const char yes[] = "HTTP/1.1 200 OK\r\n\r\n";
	struct fake_proxy *p = arg;
	char text[TEXT];
	(void)events;
	ssize_t n = recv(p->guest_fd, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		guest_gone(p);
		return;
	}
	text[n] = 0;
	if (p->through) {
		snprintf(p->inside, sizeof(p->inside), "%s", text);
		guest_gone(p);
		return;
	}
	p->len += (size_t)snprintf(p->head + p->len, sizeof(p->head) - p->len, "%s", text);
	if (p->len >= sizeof(p->head))
		guest_gone(p);
	else if (strstr(p->head, "\r\n\r\n"))
		p->through = send(p->guest_fd, yes, sizeof(yes) - 1, MSG_NOSIGNAL) > 0;
}

static void came(void *arg, int events)
{
	struct fake_proxy *p = arg;
	(void)events;
	guest_gone(p);
	p->guest_fd = sock_accept(p->door_fd, NULL);
	if (p->guest_fd < 0)
		return;
	p->through = false;
	p->len = 0;
	p->head[0] = p->inside[0] = 0;
	p->guest = loop_fd_new(p->loop, p->guest_fd, said, p);
	loop_fd_set(p->guest, LOOP_READ);
}

struct fake_proxy *fake_proxy_open(struct loop *l)
{
	struct fake_proxy *p = calloc(1, sizeof(*p));
	struct endpoint at = { .ip = addr_v4(0x7f000001) };
	char text[ENDPOINT_TEXT];
	p->loop = l;
	p->guest_fd = -1;
	p->door_fd = sock_tcp_listen(&at, NULL);
	sock_local(p->door_fd, &at);
	snprintf(p->url, sizeof(p->url), "http://%s", endpoint_format(&at, text));
	p->door = loop_fd_new(l, p->door_fd, came, p);
	loop_fd_set(p->door, LOOP_READ);
	return p;
}

const char *fake_proxy_url(const struct fake_proxy *p)
{
	return p->url;
}

const char *fake_proxy_asked(const struct fake_proxy *p)
{
	static char line[TEXT];
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(p->head, "\r\n"), p->head);
	return line;
}

const char *fake_proxy_inside(const struct fake_proxy *p)
{
	return p->inside;
}

void fake_proxy_forget(struct fake_proxy *p)
{
	guest_gone(p);
	p->head[0] = p->inside[0] = 0;
}

void fake_proxy_close(struct fake_proxy *p)
{
	guest_gone(p);
	loop_fd_free(p->door);
	close(p->door_fd);
	free(p);
}
