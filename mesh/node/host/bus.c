/* sd-bus says which descriptor to watch for what, and until when; whenever one of that is so, it is turned until it
 * has nothing to do. It is freed from its own callbacks: then the turn that they are in ends it. */
#include "mesh/node/host/bus.h"
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_MAX = 256, CALL_US = 5000000, TURNS_MAX = 64 };

struct bus {
	struct loop *loop;
	sd_bus *sd;
	void *library;
	struct bus_calls calls;
	struct loop_fd *watch;
	struct loop_timer *due;
	void (*lost)(void *arg);
	void *arg;
	bool turning, closed;
};

static void bus_free(struct bus *b)
{
	loop_timer_free(b->due);
	loop_fd_free(b->watch);
	if (b->sd)
		b->calls.close_unref(b->sd);
	if (b->library)
		dlclose(b->library);
	free(b);
}

static uint64_t ms_until(uint64_t at_us)
{
	uint64_t now_us = clock_now_ns() / 1000;
	return at_us > now_us ? (at_us - now_us) / 1000 + 1 : 0;
}

static void bus_wait(struct bus *b)
{
	uint64_t at_us = UINT64_MAX;
	int events = b->calls.get_events(b->sd);
	if (events >= 0)
		loop_fd_set(
			b->watch, (events & POLLIN ? LOOP_READ : 0) | (events & POLLOUT ? LOOP_WRITE : 0));
	if (b->calls.get_timeout(b->sd, &at_us) >= 0 && at_us != UINT64_MAX)
		loop_timer_set(b->due, ms_until(at_us));
	else
		loop_timer_clear(b->due);
}

static void bus_turn(struct bus *b)
{
	int more = 1;
	b->turning = true;
	for (int i = 0; more > 0 && i < TURNS_MAX && !b->closed; i++)
		more = b->calls.process(b->sd, NULL);
	b->turning = false;
	if (b->closed) {
		bus_free(b);
	} else if (more < 0) {
		loop_fd_set(b->watch, 0);
		loop_timer_clear(b->due);
		b->lost(b->arg);
	} else {
		bus_wait(b);
		if (more > 0) /* the others have a turn first */
			loop_timer_set(b->due, 0);
	}
}

static void bus_ready(void *arg, int events)
{
	(void)events;
	bus_turn(arg);
}

static void bus_due(void *arg)
{
	bus_turn(arg);
}

static bool bus_load(struct bus *b, struct errbuf *eb)
{
	struct {
		const char *name;
		void *at; /* of the pointer in calls */
	} rows[] = {
#define X(n) { "sd_bus_" #n, &b->calls.n },
		BUS_CALLS(X)
#undef X
	};
	b->library = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!b->library) {
		err_say(eb, -ELIBACC, "there is no libsystemd here to speak to the bus with");
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *call = dlsym(b->library, rows[i].name);
		if (!call) {
			err_say(eb, -ELIBBAD, "libsystemd here is too old: it has no %s", rows[i].name);
			return false;
		}
		memcpy(rows[i].at, &call, sizeof(call));
	}
	return true;
}

static int bus_connect(struct bus *b, const char *path)
{
	char address[ADDRESS_MAX];
	int err = b->calls.new(&b->sd);
	snprintf(address, sizeof(address), "unix:path=%s", path);
	err = err < 0 ? err : b->calls.set_address(b->sd, address);
	err = err < 0 ? err : b->calls.set_bus_client(b->sd, 1);
	err = err < 0 ? err : b->calls.set_method_call_timeout(b->sd, CALL_US);
	return err < 0 ? err : b->calls.start(b->sd);
}

struct bus *bus_open(struct loop *l, const char *path, void (*lost)(void *arg), void *arg, struct errbuf *eb)
{
	struct bus *b = calloc(1, sizeof(*b));
	if (!b) {
		err_set(eb, -ENOMEM, "connect to the bus");
		return NULL;
	}
	*b = (struct bus) { .loop = l, .lost = lost, .arg = arg };
	if (!bus_load(b, eb)) {
		bus_free(b);
		return NULL;
	}
	int err = bus_connect(b, path);
	b->due = loop_timer_new(l, bus_due, b);
	b->watch = err < 0 ? NULL : loop_fd_new(l, b->calls.get_fd(b->sd), bus_ready, b);
	if (err >= 0 && b->due && b->watch) {
		bus_wait(b);
		return b;
	}
	err_set(eb, err < 0 ? err : -ENOMEM, "connect to the bus at %s", path);
	bus_free(b);
	return NULL;
}

void bus_close(struct bus *b)
{
	if (!b)
		return;
	b->closed = true;
	loop_fd_free(b->watch);
	b->watch = NULL;
	if (!b->turning)
		bus_free(b);
}

sd_bus *bus_sd(struct bus *b)
{
	return b->sd;
}

const struct bus_calls *bus_calls(const struct bus *b)
{
	return &b->calls;
}

void bus_flush(struct bus *b)
{
	if (!b->turning && !b->closed)
		loop_timer_set(b->due, 0);
}
