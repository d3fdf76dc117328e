/* The part "blocking" of the configuration: which lists, for whom, when, and what is said instead. */
#ifndef RW_RESOLVER_CONF_BLOCK_H
#define RW_RESOLVER_CONF_BLOCK_H

#include "mesh/base/addr.h"
#include "resolver/block.h"
#include "resolver/block_hours.h"

struct conf_list {
	const char *name;
	const char *file;   /* where its names are; of a URL: where they are kept, if they are there yet */
	const char *url;    /* NULL: none */
	const char **names; /* given in place, in the forms of lists; NULL: none */
	size_t n_names;
	bool allow;
	bool own; /* changed while it runs; the file need not be there */
	struct block_hours *when;
	size_t n_when; /* 0: always */
};
/* With the key "state": two more, at the end, for everybody. */
enum { CONF_OWN_LISTS = 2, CONF_PAUSE_MS = 5 * 60 * 1000, CONF_PAUSE_LONGEST_MS = 24 * 3600 * 1000 };
#define CONF_ALLOWED_HERE "allowed-here"
#define CONF_DENIED_HERE "denied-here"
struct conf_group {
	const char *name;
	struct prefix *clients;
	size_t n_clients;
	const char **who; /* other words for clients, which whoever knows them looks at: blocker_lists_of */
	size_t n_who;
	uint32_t lists; /* a bit for each, in the order of the lists */
};
struct conf_block {
	struct conf_list *lists;
	size_t n_lists;
	struct conf_group *groups; /* the first that has a client is his; who is in none has all lists */
	size_t n_groups;
	struct block_answer answer;
	const char *store;   /* folder for lists of URLs; NULL: there are none */
	uint64_t refresh_ms; /* between two looks at a URL */
	uint64_t pause_ms;   /* how long a pause lasts */
	bool foreign;	     /* who wrote it is elsewhere: its URLs lead to the internet or the mesh alone */
};

struct conf_reader;
struct yaml_node_s;
/* Of the key "blocking" of struct conf. */
int conf_block_key(struct conf_reader *r, struct yaml_node_s *n, void *into);

#endif
