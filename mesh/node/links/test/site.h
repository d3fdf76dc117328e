/* A server of the test's: HTTP /key, the Noise link, register and map answers that a row says; and the node's side of
 * the link to it. */
#ifndef RW_NODE_LINKS_TEST_SITE_H
#define RW_NODE_LINKS_TEST_SITE_H

#include "mesh/node/links/server_link_inner.h"
#include <string.h>

#define ACCEPTED "{\"MachineAuthorized\":true,\"User\":{\"ID\":1,\"LoginName\":\"ann@x.test\"}}"
#define ASKS "{\"AuthURL\":\"https://login.test/a/1\"}"
#define GONE "{\"NodeKeyExpired\":true}"
#define SELF \
	"{\"Node\":{\"ID\":1,\"StableID\":\"a\",\"Name\":\"a.x.test.\",\"User\":1,\"Key\":\"nodekey:" \
	"0000000000000000000000000000000000000000000000000000000000000001\",\"Addresses\":[\"100.64.0.1/" \
	"32\"]}}"

struct site {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *late;
	int fd;
	struct machine_private priv;
	struct machine_key pub;
	struct control_server_link *links[8];
	size_t n_links;
	/* What it answers. */
	const char *registers[4];	  /* one after the other; the last again and again */
	bool holds_followups, holds_keys; /* those are not answered */
	struct h2_stream *held;
	int map_status;
	const char *maps[4];   /* the first of each stream */
	const char *deltas[2]; /* what follows in the first stream */
	size_t repeats;	       /* the first of them before it, so often */
	bool holds_pings;      /* they are not answered */
	bool ends_streams;     /* each after its map */
	/* What it was asked. */
	size_t n_registers, n_streams, n_gone, n_goodbyes;
	struct node_key goodbyes[2];
	char auth_key[256], followup[256];
	struct node_key shown, old;

	/* The node's side. */
	struct state us;
	struct server_link *link;
	bool stays_away; /* accepted says: no further */
	int map_err;	 /* of the map op */
	size_t n_maps, n_first, n_up, n_down, n_forgotten, n_waits, n_server_is, n_accepted, n_told, n_logout;
	char refused[256], asked[256];
	char pinged[128]; /* path and body */
	size_t n_asked, n_pinged, n_updates;
};

struct site *site_new_at(struct addr ip);
struct site *site_new(void);
void site_open(struct site *s);
void site_free(struct site *s);
void logged_out(void *arg);

#define WAIT(cond) \
	while (!(cond)) \
	loop_run_once(s->loop)

static inline bool holds(const void *p, size_t len, const char *text)
{
	return memmem(p, len, text, strlen(text)) != NULL;
}

#endif
