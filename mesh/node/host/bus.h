/* A connection to a D-Bus bus (sd-bus of libsystemd), turned by the loop. Calls are asynchronous; nothing here
 * waits. The library is loaded when a bus is opened: most of it is of no use to a machine that systemd-resolved does not
 * give names to, and some machines have none. So it is called by a table, sd->message_read(m, ...) in the place of
 * sd_bus_message_read(m, ...). */
#ifndef RW_NODE_HOST_BUS_H
#define RW_NODE_HOST_BUS_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include <systemd/sd-bus.h>

#define BUS_CALLS(X) \
	X(new) \
	X(set_address) \
	X(set_bus_client) \
	X(set_method_call_timeout) \
	X(start) \
	X(get_fd) \
	X(get_events) \
	X(get_timeout) \
	X(process) \
	X(close_unref) \
	X(add_match_async) \
	X(match_signal_async) \
	X(call_async) \
	X(call_method_async) \
	X(slot_unref) \
	X(message_new_method_call) \
	X(message_append) \
	X(message_append_array) \
	X(message_open_container) \
	X(message_close_container) \
	X(message_enter_container) \
	X(message_exit_container) \
	X(message_read) \
	X(message_read_array) \
	X(message_is_method_error) \
	X(message_get_error) \
	X(message_unref) \
	X(error_has_name)
struct bus_calls {
#define X(name) __typeof__ (&sd_bus_##name)(name);
	BUS_CALLS(X)
#undef X
};

struct bus;
/* path: the bus's socket. lost: the bus has gone or says nonsense; nothing comes any more, and only bus_close
 * may be called, from lost too. NULL: eb says why. */
struct bus *bus_open(struct loop *l, const char *path, void (*lost)(void *arg), void *arg, struct errbuf *eb);
/* Calls that wait for an answer are forgotten. From a callback of a message too. What was sent is written out
 * first, as far as the socket takes it. NULL is fine. */
void bus_close(struct bus *b);
/* For calls; both are the bus's. */
sd_bus *bus_sd(struct bus *b);
const struct bus_calls *bus_calls(const struct bus *b);
/* After calls that were made outside of the bus's callbacks: they are on their way. */
void bus_flush(struct bus *b);

#endif
