/* Shared by the files of the server: what it is put together of, what its settings are (server_settings.c), what the registry
 * asks and tells it (server_registry.c), its start and its end (server.c). */
#ifndef RW_CONTROL_SERVER_INNER_H
#define RW_CONTROL_SERVER_INNER_H

#include "mesh/control/config/config.h"
#include "mesh/control/config/settings.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/control/http/web.h"
#include "mesh/control/server.h"
#include "mesh/control/view/probes.h"
#include "mesh/control/view/streams.h"
#include "mesh/os/loop.h"
#include "mesh/os/notify.h"
#include "mesh/transport/proxy.h"
#include <sys/stat.h>

struct server {
	struct loop *loop;
	struct notify *notify;
	struct control_config cfg;    /* as it was at the start; api knows this one */
	struct control_config newest; /* as it was read last; file NULL: not since */
	struct buf dns;		      /* the DNS settings that were made by the API; empty = none were */
	struct registry reg;
	struct streams streams;
	struct probes probes;
	struct api api;
	struct proxies *proxies; /* of the environment; outlive the loop */
	struct web web;
	bool has_registry, has_streams;
	struct settings *settings; /* counted */
	/* Where the policy is in the database: the one in force, and the one that was checked last; counted. */
	struct policy_source *kept, *checked;
	struct machine_private noise_private;
	struct machine_key noise_public;
	struct loop_timer *tick, *stop, *save, *records;
	int64_t tick_at_ms;	  /* Unix: when tick is set for */
	struct stat records_seen; /* of the file of DNS records, as it was read last */
	struct loop_signal *hup, *term, *intr;
	size_t most_streams; /* there were since memory was last given back */
	bool json, stopping, lone;
	int exit_code;
};

void server_tick(void *arg); /* what is due is done; the timer is set for what comes next */

/* --- server_registry.c --- */

int server_open_registry(struct server *s, struct errbuf *eb);

/* --- server_settings.c --- */

/* What is in the database; when it cannot be read nothing is allowed. */
int server_open_policy(struct server *s, struct errbuf *eb);
void server_note_policy(struct server *s, const char *path);
/* With the nodes that there are. */
int server_test_policy(const struct server *s, const char *path, const struct policy *p, struct errbuf *eb);
int server_policy_check(void *arg, const char *text, const char *tag, struct errbuf *eb);
int server_policy_taken(void *arg, struct errbuf *eb);
int server_take_settings(struct server *s, struct errbuf *eb);
int server_certificate_again(void *arg, struct errbuf *eb);
void server_text_stored(void *arg, const char *name, const char *value);
void server_warn_of_blocker(const struct server *s);
int server_reload(void *arg, char restart[static API_KEYS_TEXT], struct buf *wrong, struct errbuf *eb);
void server_look_at_records(void *arg);
void server_hup_received(void *arg, int signo);

#endif
