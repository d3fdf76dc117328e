/* The whole server in a process of its own, and nodes that speak to it over loopback. cmocka.h comes first.
 */
#ifndef RW_CONTROL_TEST_WORLD_H
#define RW_CONTROL_TEST_WORLD_H

#include "mesh/control/fleet/test/place.h"
#include "mesh/proto/control.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/http.h"
#include <jansson.h>
#include <sys/resource.h>
#include <sys/types.h>

/* WAIT_MS: for what never comes; a machine with fifty others to do comes to each within it. */
enum { WAIT_MS = 60000, MESSAGES = 64 };

struct world {
	struct place place;
	char config[256], socket[256];
	pid_t pid;
	rlim_t files; /* the server may have so many; 0 = as we */
	struct endpoint at;
	struct machine_key server;
	struct loop *loop;
	struct loop_timer *late;
	bool stuck;
	char *answer; /* of the last plain request */
	char cache_control[64];
	int status;
};

struct world_node {
	struct world *w;
	struct machine_private machine;
	struct node_key node;
	struct disco_key disco;
	struct control_client_link *link;
	uint16_t capver;   /* 0 = ours */
	int64_t expiry_ms; /* that it registers with; 0 = none */
	bool ready, closed, registered, registering, map_done;
	int map_status, register_status;
	struct arena mem;
	struct ctl_register_response answer;
	struct buf body;
	struct h2_request *stream;
	struct map_frames *frames;
	struct ctl_map_response messages[MESSAGES];
	size_t n;
};

/* Runs the loop until *flag, which some callback sets and then stops the loop. */
#define WAIT(w, condition) \
	do { \
		loop_timer_set((w)->late, WAIT_MS); \
		while (!(condition) && !(w)->stuck) \
			loop_run((w)->loop); \
		loop_timer_clear((w)->late); \
		if ((w)->stuck) \
			fail_msg("waited in vain for %s", #condition); \
	} while (0)

/* The bound of a client is a user's, who is told that the server is slow; a test waits longer. */
struct http_client *world_request(
	struct world *w, const struct http_request *rq, const struct http_client_events *ev);
/* Fixtures of cmocka: *state is a struct world. */
const char *world_fetch(struct world *w, const struct http_request *rq);
const char *world_get(struct world *w, const char *target);
const struct ctl_map_response *world_node_next(struct world_node *c, size_t *seen);
int world_setup(void **state);
int world_teardown(void **state);
/* One request with a key of the API (NULL: none), over TCP; the answer as JSON, NULL when it is none. */
json_t *world_ask(struct world *w, const char *key, const char *method, const char *target, const char *body);
json_t *world_admin(struct world *w, const char *target, const char *body);
void world_node_ask_map(struct world_node *c, bool stream, const char *endpoint);
/* alpha, a machine of alice's, joined by a key of hers. */
void world_alpha_open(struct world_node *c, struct world *w, char key[static 128]);
/* And follows the map: its first is seen, and what comes next is news. */
void world_alpha_follow(struct world_node *c, struct world *w, char key[static 128], size_t *seen);
void world_node_close(struct world_node *c);
void world_node_connect(struct world_node *c);
void world_node_join(struct world_node *c, const char *key, const char *hostname);
void world_node_open(struct world_node *c, struct world *w);
void world_node_register(struct world_node *c, const char *key, const char *followup, const char *hostname);
void world_node_register_data(void *arg, const uint8_t *p, size_t len);
void world_node_register_head(void *arg, int status);
void world_key(struct world *w, const char *args, char key[static 128]);
/* A key of the API. */
void world_api_key(struct world *w, const char *args, char key[static 128]);
/* These rules, in the file that the settings name. */
void world_take_policy(struct world *w, const char *text);
void world_server_kill(struct world *w, int signo, int want);
void world_server_start(struct world *w);
/* The settings with this line in place of "policy: ...", and the server anew. */
void world_restart_with(struct world *w, const char *policy);
void world_write_file(const char *path, const char *text);

#endif
