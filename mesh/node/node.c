#include "mesh/node/node.h"
#include "mesh/base/log.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/host/iface.h"
#include "mesh/node/local/local_api.h"
#include "mesh/node/names.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { REOPEN_MS = 5000, SAVE_AGAIN_MS = 10000, LOCK_MS = 2000, LOCK_STEP_MS = 20 };

static const char *const backend_names[] = { [NODE_NO_STATE] = "NoState",
	[NODE_NEEDS_LOGIN] = "NeedsLogin",
	[NODE_NEEDS_APPROVAL] = "NeedsMachineAuth",
	[NODE_STOPPED] = "Stopped",
	[NODE_STARTING] = "Starting",
	[NODE_RUNNING] = "Running" };

const char *node_backend_text(enum node_backend s)
{
	return backend_names[s];
}

void node_set_backend(struct node *n, enum node_backend s)
{
	if (s != NODE_NEEDS_LOGIN)
		n->auth_url[0] = 0;
	if (n->backend != s)
		log_info("state: %s", node_backend_text(s));
	n->backend = s;
	if (n->api)
		local_api_state_changed(n->api);
}

static void tell_unsaved(char *kept, const char *text, size_t size)
{
	if (text[0] && strcmp(kept, text) != 0)
		log_error("%s", text);
	memcpy(kept, text, size);
}

void node_save(struct node *n)
{
	struct errbuf eb;
	char text[sizeof(n->unsaved)] = "";
	if (state_save(n->opt.state_dir, &n->state, &eb) != 0) {
		snprintf(text, sizeof(text), "%s; until this is mended, a restart loses what has changed",
			eb.text);
		if (n->save_again)
			loop_timer_set(n->save_again, SAVE_AGAIN_MS);
	}
	tell_unsaved(n->unsaved, text, sizeof(text));
}

static void save_map(void *arg)
{
	struct node *n = arg;
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	char text[sizeof(n->unsaved_map)] = "";
	if (n->map && netmap_write(n->map, &b) &&
		state_map_save(n->opt.state_dir, buf_data(&b), b.len, &eb) != 0) {
		snprintf(text, sizeof(text), "the map is not kept for a start without the server: %s",
			eb.text);
		loop_timer_set(n->map_save, SAVE_AGAIN_MS);
	}
	tell_unsaved(n->unsaved_map, text, sizeof(text));
	buf_free(&b);
}

static void save_again(void *arg)
{
	struct node *n = arg;
	if (n->unsaved[0])
		node_save(n);
}

/* The last map, so that the mesh is there before the server is, or without it. */
static void apply_cached(struct node *n)
{
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_response m;
	int err = state_map_load(n->opt.state_dir, &b, &eb);
	if (!err)
		err = ctl_map_response_read(&a, (const char *)buf_data(&b), b.len, &m, &eb);
	struct netmap *map = err ? NULL : netmap_apply(NULL, &m, clock_unix_ms(), &eb);
	struct node_key pub;
	key_public(n->state.node.b, pub.b);
	if (map && !key_equal(map->self->node.key.b, pub.b)) {
		netmap_put(map);
		map = NULL;
	}
	if (map) {
		n->map_cached = true;
		log_info("using the map kept on disk: %zu peers", map->n_peers);
		if (apply_map(n, map, &eb) != 0)
			log_error("%s", eb.text);
	} else if (err && err != -ENOENT) {
		log_warn("the map kept on disk is not usable: %s", eb.text);
	}
	arena_free(&a);
	buf_free(&b);
}

static bool engine_running(const struct node *n)
{
	return n->wg != NULL;
}

static int start(struct node *n, struct errbuf *eb)
{
	if (engine_running(n))
		return 0;
	if (key_is_zero(n->state.node.b)) {
		key_generate(&random_system, n->state.node.b);
		n->state.logged_in = false;
	}
	int err = engine_open(n, eb);
	if (err)
		return err;
	node_set_backend(n, n->state.logged_in ? NODE_STARTING : NODE_NEEDS_LOGIN);
	if (n->state.logged_in)
		apply_cached(n);
	n->server = server_link_open(n);
	return n->server ? 0 : err_set(eb, -ENOMEM, "start");
}

static void stop(struct node *n)
{
	if (n->reopen)
		loop_timer_clear(n->reopen);
	if (n->wg && wg_clock_floor(n->wg) > n->state.handshake_floor_ms) {
		n->state.handshake_floor_ms = wg_clock_floor(n->wg);
		node_save(n);
	}
	server_link_close(n->server);
	n->server = NULL;
	if (n->map_save && loop_timer_is_set(n->map_save)) {
		loop_timer_clear(n->map_save);
		save_map(n);
	}
	if (engine_running(n))
		apply_nothing(n);
	engine_close(n);
}

static void reopen(void *arg)
{
	struct node *n = arg;
	struct errbuf eb = { 0 };
	if (!n->state.prefs.want_running)
		return;
	stop(n);
	if (start(n, &eb) != 0) {
		snprintf(n->last_error, sizeof(n->last_error), "%s", eb.text);
		log_error("%s", eb.text);
		stop(n);
		node_set_backend(n, NODE_STOPPED);
		loop_timer_set(n->reopen, REOPEN_MS);
	} else {
		n->last_error[0] = 0;
	}
}

void node_reopen(struct node *n)
{
	loop_timer_set(n->reopen, 0);
}

static void resolv_conf_changed(void *arg)
{
	names_refresh(&((struct node *)arg)->names);
}

static bool may_set_up_interfaces(void)
{
	struct __user_cap_header_struct who = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };
	return syscall(SYS_capget, &who, caps) != 0 || (caps[0].effective & 1u << CAP_NET_ADMIN);
}

/* A start that can only fail later is refused now: without TUN there is no node. */
static int check_tun(struct errbuf *eb)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = fd < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (err == -ENOENT || err == -ENXIO || err == -ENODEV)
		return err_say(eb, err,
			"no /dev/net/tun on this machine: load the kernel's tun module (modprobe tun), or "
			"give the container the device");
	if (err)
		return err_say(eb, err,
			"cannot open /dev/net/tun (%s): run ropewalkd as root or with CAP_NET_ADMIN",
			strerror(-err));
	if (!may_set_up_interfaces())
		return err_say(eb, -EPERM,
			"no permission to set up network interfaces: run ropewalkd as root or with "
			"CAP_NET_ADMIN");
	return 0;
}

static void logged_out(void *arg);

static void expiry_due(void *arg)
{
	apply_expiry(arg);
}

static int explain_folder(const struct node *n, struct errbuf *eb)
{
	return err_say(eb, eb->code,
		"the state folder %s cannot be used (%s): make it writable for this user, or name another "
		"with --statedir",
		n->opt.state_dir, eb->text);
}

static int lock_state(struct node *n, struct errbuf *eb)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/lock", n->opt.state_dir);
	if (dir_make(n->opt.state_dir, 0700, eb) != 0)
		return explain_folder(n, eb);
	/* One that was killed may hold it for as long as the kernel takes its interface down. */
	for (int left_ms = LOCK_MS;; left_ms -= LOCK_STEP_MS) {
		n->state_lock = file_lock(path, eb);
		if (n->state_lock != -EWOULDBLOCK || left_ms <= 0)
			break;
		nanosleep(&(struct timespec) { .tv_nsec = LOCK_STEP_MS * 1000000L }, NULL);
	}
	if (n->state_lock == -EWOULDBLOCK)
		return err_say(eb, -EWOULDBLOCK,
			"another ropewalkd uses the state folder %s; stop it, or give this one its own with "
			"--statedir",
			n->opt.state_dir);
	return n->state_lock < 0 ? explain_folder(n, eb) : 0;
}

/* In this order: what another daemon may own is touched only when it is ours. */
static int open_all(struct node *n, struct errbuf *eb)
{
	int err = check_tun(eb);
	if (!err)
		err = lock_state(n, eb);
	if (!err)
		err = state_load(n->opt.state_dir, &random_system, &n->state, eb);
	if (err)
		return err;
	n->map_save = loop_timer_new(n->loop, save_map, n);
	n->reopen = loop_timer_new(n->loop, reopen, n);
	n->forget = loop_timer_new(n->loop, logged_out, n);
	n->save_again = loop_timer_new(n->loop, save_again, n);
	n->expiry = loop_timer_new(n->loop, expiry_due, n);
	if (!n->save_again || !n->expiry || !n->map_save || !n->reopen || !n->forget)
		return err_set(eb, -ENOMEM, "start");
	n->api = local_api_open(n, n->opt.socket, eb);
	if (!n->api)
		return eb->code;
	n->os_dns = os_dns_open(n->loop, n->opt.resolv_conf, resolv_conf_changed, n);
	if (!n->os_dns)
		return err_set(eb, -ENOMEM, "start");
	n->names = (struct names) { .loop = n->loop, .os_dns = n->os_dns, .prefs = &n->state.prefs };
	if (!iface_service_taken())
		os_dns_recover(n->os_dns);
	node_set_backend(n, n->state.logged_in ? NODE_STOPPED : NODE_NEEDS_LOGIN);
	return n->state.prefs.want_running ? start(n, eb) : 0;
}

int node_open(struct node *n, struct loop *l, const struct node_options *opt, struct errbuf *eb)
{
	*n = (struct node) { .loop = l, .opt = *opt, .monitor_fd = -1, .state_lock = -1 };
	int err = open_all(n, eb);
	if (err)
		node_close(n);
	return err;
}

void node_close(struct node *n)
{
	stop(n);
	local_api_close(n->api);
	os_dns_close(n->os_dns);
	loop_timer_free(n->map_save);
	loop_timer_free(n->reopen);
	loop_timer_free(n->forget);
	loop_timer_free(n->save_again);
	loop_timer_free(n->expiry);
	state_wipe(&n->state);
	if (n->state_lock >= 0)
		close(n->state_lock);
	n->state_lock = -1;
	n->api = NULL;
	n->os_dns = NULL;
	n->map_save = n->reopen = n->forget = n->save_again = n->expiry = NULL;
}

void node_prefs_changed(struct node *n)
{
	struct errbuf eb = { 0 };
	node_save(n);
	if (!n->state.prefs.want_running) {
		n->last_error[0] = 0;
		stop(n);
		node_set_backend(n, NODE_STOPPED);
		return;
	}
	if (engine_running(n)) {
		names_refresh(&n->names);
		server_link_update(n->server);
	} else if (start(n, &eb) != 0) {
		snprintf(n->last_error, sizeof(n->last_error), "%s", eb.text);
		log_error("%s", eb.text);
		stop(n);
		node_set_backend(n, NODE_STOPPED);
	}
}

void node_login(struct node *n, const char *auth_key)
{
	if (!n->server)
		return; /* it could not start: last_error says why */
	n->last_error[0] = 0;
	server_link_login(n->server, auth_key);
}

/* The server has been told, or could not be: this machine forgets in any case. */
static void logged_out(void *arg)
{
	struct node *n = arg;
	stop(n);
	key_wipe(&n->state.node, sizeof(n->state.node));
	n->state.server = (struct machine_key) { 0 };
	n->state.logged_in = n->state.prefs.want_running = false;
	n->state.login_name[0] = n->last_error[0] = 0;
	state_map_forget(n->opt.state_dir);
	node_save(n);
	node_set_backend(n, NODE_NEEDS_LOGIN);
}

/* The answer comes out of the link that forgetting closes. */
static void server_told(void *arg)
{
	struct node *n = arg;
	loop_timer_set(n->forget, 0);
}

void node_logout(struct node *n)
{
	if (n->server && n->state.logged_in)
		server_link_logout(n->server, server_told, n);
	else
		logged_out(n);
}
