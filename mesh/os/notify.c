#include "mesh/os/notify.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct notify {
	int fd;
	struct sockaddr_un to;
	socklen_t to_len;
	struct loop_timer *feed;
	uint64_t feed_ms; /* 0: no watchdog */
	char status[256];
};

/* A path, or an abstract name behind an @. */
static bool notify_address(struct notify *n, const char *path)
{
	size_t len = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(n->to.sun_path))
		return false;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, path, len);
	if (path[0] == '@')
		n->to.sun_path[0] = 0;
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

/* Never waits: news for systemd is not worth a packet. */
static void notify_send(struct notify *n, const char *text)
{
	(void)sendto(
		n->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&n->to, n->to_len);
}

static void notify_feed(void *arg)
{
	struct notify *n = arg;
	notify_send(n, "WATCHDOG=1");
	loop_timer_set(n->feed, n->feed_ms);
}

/* Half of what is allowed; 0 when none is, or it is another process's. */
static uint64_t watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	return strtoull(usec, NULL, 10) / 2000;
}

struct notify *notify_open(struct loop *l)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct notify *n = path ? calloc(1, sizeof(*n)) : NULL;
	if (!n)
		return NULL;
	n->feed_ms = watchdog_ms();
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	n->feed = loop_timer_new(l, notify_feed, n);
	bool ok = n->fd >= 0 && n->feed && notify_address(n, path);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (!ok) {
		loop_timer_free(n->feed);
		if (n->fd >= 0)
			close(n->fd);
		free(n);
		return NULL;
	}
	return n;
}

/* A line break would begin another message. */
static void notify_with_status(struct notify *n, const char *message, const char *status)
{
	char text[sizeof(n->status) + 64];
	if (status) {
		snprintf(n->status, sizeof(n->status), "%s", status);
		n->status[strcspn(n->status, "\n")] = 0;
	}
	snprintf(text, sizeof(text), "%s%s%s", message, status ? "STATUS=" : "", status ? n->status : "");
	notify_send(n, text);
}

void notify_ready(struct notify *n, const char *status)
{
	if (!n)
		return;
	notify_with_status(n, "READY=1\n", status);
	if (n->feed_ms)
		notify_feed(n);
}

void notify_reloading(struct notify *n)
{
	char text[64];
	if (!n)
		return;
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_ns() / 1000);
	notify_send(n, text);
}

void notify_status(struct notify *n, const char *status)
{
	if (n && strncmp(n->status, status, sizeof(n->status) - 1) != 0)
		notify_with_status(n, "", status);
}

void notify_close(struct notify *n)
{
	if (!n)
		return;
	notify_send(n, "STOPPING=1");
	loop_timer_free(n->feed);
	close(n->fd);
	free(n);
}
