/* What the node is to its server and to people: LocalAPI's State, and whether the server has accepted the
 * node key. One setter; backend.c has the table of moves. */
#ifndef RW_NODE_BACKEND_H
#define RW_NODE_BACKEND_H

#include <stdbool.h>

enum backend_state {		    /* numbers and names of LocalAPI's State */
	BACKEND_NO_STATE = 0,	    /* before the first fact */
	BACKEND_NEEDS_LOGIN = 2,    /* a person must act: auth_url, or the node's last error, says how */
	BACKEND_NEEDS_APPROVAL = 3, /* the server knows the key; an admin must let it in */
	BACKEND_STOPPED = 4,	    /* not wanted, or it could not start; the engine is closed */
	BACKEND_STARTING = 5,	    /* the server has accepted the key; no map is in force yet */
	BACKEND_RUNNING = 6,	    /* a map is in force; the server may be away */
};

enum backend_fact {
	BACKEND_UP,	    /* the engine is open: on to Starting, or to a login */
	BACKEND_DOWN,	    /* the engine is closed */
	BACKEND_ASKED,	    /* the server wants a person: a login, or says why it refuses */
	BACKEND_WAITS,	    /* the server wants an admin */
	BACKEND_ACCEPTED,   /* the server has accepted the key */
	BACKEND_MAP,	    /* a map is in force */
	BACKEND_FORGOTTEN,  /* the key means nothing to the server, or there is a new one: it must be shown
			       anew */
	BACKEND_EXPIRED,    /* the key has ended */
	BACKEND_LOGGED_OUT, /* by the user */
	BACKEND_FACTS
};

struct backend { /* others read; only backend.c writes */
	enum backend_state state;
	bool *logged_in;    /* borrowed, kept on disk by its owner: the server has accepted the node key */
	char auth_url[512]; /* where a person is to go; "" but in BACKEND_NEEDS_LOGIN */
	void (*changed)(void *arg); /* after each fact */
	void *arg;
};

void backend_init(struct backend *b, bool *logged_in, void (*changed)(void *arg), void *arg);
void backend_heard(struct backend *b, enum backend_fact f);
void backend_asked(struct backend *b, const char *auth_url); /* BACKEND_ASKED, with where to go */
const char *backend_text(enum backend_state s);

#endif
