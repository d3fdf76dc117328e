/* One transfer, as its errand and the loop share it. Used inside mesh/node/serve only. */
#ifndef RW_NODE_SERVE_FILES_INNER_H
#define RW_NODE_SERVE_FILES_INNER_H

#include "mesh/node/serve/files.h"
#include "mesh/os/errand.h"
#include <net/if.h>

enum {
	FILES_IDLE_MS = 10 * 60 * 1000, /* of a connection that nothing moves on, and whose other end lives */
	FILES_TCP_IDLE_S = 15,
	FILES_TCP_MS = 30000, /* without an acknowledgement: the other end is gone */
};

enum transfer_kind {
	TRANSFER_IN,
	TRANSFER_BLOCKS,
	TRANSFER_PARTIALS,
	TRANSFER_OUT,
	TRANSFER_REMOVE,
	TRANSFER_SEND
};
struct transfer {
	struct files *files;
	struct transfer *next;
	struct errand *errand;
	bool cut;	      /* it was told to stop: its peer is none any more */
	_Atomic bool settled; /* TRANSFER_IN, told by the errand: the file is closed, the answer comes next */
	/* The errand's, from its start to its end; the loop reads what stands still. */
	enum transfer_kind kind;
	struct http_carry *carry;
	int64_t peer; /* 0: none */
	char peer_name[256], name[INBOX_NAME];
	uint64_t at; /* TRANSFER_IN: goes on from there */
	struct endpoint to;
	char ifname[IF_NAMESIZE];
	/* Its outcome. */
	struct inbox_file stored;
	bool fresh;
	uint64_t moved;
	uint64_t sent;	   /* TRANSFER_SEND: bytes that the peer has; read meanwhile: transfer_sent */
	struct errbuf why; /* code 0: it went well */
};

/* files_outgoing.c: of the loop alone, but for transfer_sent, which is the errand's. */
struct outgoing;
struct outgoing_list {
	struct outgoing *first; /* begun first */
	struct loop_timer *due;
	void (*changed)(void *arg); /* NULL: nobody is told */
	void *arg;
};
bool outgoing_open(struct outgoing_list *l, struct loop *loop); /* false: memory is short */
void outgoing_close(struct outgoing_list *l);
void outgoing_begin(struct outgoing_list *l, const struct transfer *t, const char *peer, int64_t size);
void outgoing_end(struct outgoing_list *l, const struct transfer *t); /* another kind of transfer is fine */
void outgoing_each(
	const struct outgoing_list *l, void (*each)(void *arg, const struct files_outgoing *o), void *arg);
void transfer_sent(struct transfer *t, uint64_t sent);

struct inbox *files_inbox(struct files *f);
void files_came(struct files *f); /* a new one waits: the loop will tell. Any thread */
/* Runs of errands. They answer and close the carry. */
void transfer_receive(struct transfer *t, int stop);
void transfer_tell_blocks(struct transfer *t, int stop);
void transfer_tell_partials(struct transfer *t, int stop);
void transfer_hand_out(struct transfer *t, int stop);
void transfer_remove(struct transfer *t, int stop);
void transfer_send(struct transfer *t, int stop);
/* A sentence as the answer: one line of text. */
void transfer_answer_text(struct http_carry *c, int status, const char *text);

#endif
