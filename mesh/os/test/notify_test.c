#include "mesh/os/notify.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
	struct loop *l;
	int fd;
	char text[256];
};

static const char *next(struct world *w)
{
	ssize_t n = recv(w->fd, w->text, sizeof(w->text) - 1, MSG_DONTWAIT);
	w->text[n > 0 ? n : 0] = 0;
	return w->text;
}

static void listen_as_systemd(struct world *w, const char *watchdog)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char name[64], pid[32];
	w->l = loop_new();
	w->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "rw-notify-%d", (int)getpid());
	assert_int_equal(
		bind(w->fd, (struct sockaddr *)&un, (socklen_t)(sizeof(un.sun_family) + 1 + (size_t)n)), 0);
	snprintf(name, sizeof(name), "@%s", un.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	if (watchdog)
		setenv("WATCHDOG_USEC", watchdog, 1);
}

static void end_world(struct world *w)
{
	close(w->fd);
	loop_free(w->l);
}

static void test_life(void **state)
{
	struct world w;
	(void)state;
	listen_as_systemd(&w, NULL);
	struct notify *n = notify_open(w.l);
	assert_non_null(n);
	assert_null(getenv("NOTIFY_SOCKET"));
	notify_ready(n, "Running, 3 peers\nREADY=0");
	assert_string_equal(next(&w), "READY=1\nSTATUS=Running, 3 peers");
	notify_status(n, "Running, 3 peers");
	assert_string_equal(next(&w), ""); /* that is known */
	notify_status(n, "Stopped");
	assert_string_equal(next(&w), "STATUS=Stopped");
	notify_reloading(n);
	assert_int_equal(strncmp(next(&w), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	notify_ready(n, NULL);
	assert_string_equal(next(&w), "READY=1\n");
	notify_close(n);
	assert_string_equal(next(&w), "STOPPING=1");
	end_world(&w);
}

static void test_watchdog(void **state)
{
	struct world w;
	int fed = 0;
	(void)state;
	listen_as_systemd(&w, "20000");
	struct notify *n = notify_open(w.l);
	assert_non_null(n);
	notify_ready(n, NULL);
	assert_string_equal(next(&w), "READY=1\n");
	uint64_t start = loop_now_ms(w.l);
	while (fed < 4) {
		fed += strcmp(next(&w), "WATCHDOG=1") == 0;
		if (fed < 4)
			loop_run_once(w.l);
	}
	assert_in_range(loop_now_ms(w.l) - start, 29, 10000); /* at once, and three times after 10 ms */
	notify_close(n);
	end_world(&w);
}

static void test_nobody(void **state)
{
	struct loop *l = loop_new();
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_null(notify_open(l));
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_null(notify_open(l));
	notify_ready(NULL, "x");
	notify_reloading(NULL);
	notify_status(NULL, "x");
	notify_close(NULL);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
