/* The command line of Headscale, for when this program is called by that name: its verbs and flags, over its REST API. */
#ifndef RW_CONTROL_CLI_HEADSCALE_H
#define RW_CONTROL_CLI_HEADSCALE_H

#include "mesh/base/err.h"
#include <jansson.h>
#include <stdbool.h>

/* Whether argv[0] is that name. */
bool headscale_is_name(const char *program);
/* The whole program; returns the exit code. */
int headscale_main(int argc, char **argv);

/* headscale_print.c. format: "" for people, else json, json-line or yaml. */
void headscale_print(const char *format, const json_t *v);
/* columns: "Title:member Title:member ...", a _ in a title is a blank. A mark before the member: @ a time, # a key, ~ a
 * bool as online or offline, ! a time that has passed or not. a.b is b of a. */
void headscale_print_table(const json_t *list, const char *columns);

/* headscale_value.c: what a flag says, as the REST API takes it. NULL: memory is short, or as it stands here. */
json_t *headscale_time(const char *text); /* "2030-01-01T00:00:00Z" as it is, "24h" from now; NULL: neither */
json_t *headscale_list(const char *text); /* "a,b" */
json_t *headscale_file(const char *path, struct errbuf *eb); /* its text; NULL: eb says why */

/* headscale_ask.c. Where the server is: on this machine, or by HEADSCALE_CLI_ADDRESS and HEADSCALE_CLI_API_KEY. */
struct headscale_place {
	const char *socket;	   /* of the settings; NULL: elsewhere */
	const char *address, *key; /* "host:port" or a URL */
	bool insecure;		   /* any certificate is good */
};
/* One call of the REST API. 0 and *answer (json_decref it), or a code: of the way there, or -EPROTO with what the server
 * said. body NULL: none. */
int headscale_ask(const struct headscale_place *at, const char *method, const char *target,
	const json_t *body, json_t **answer, struct errbuf *eb);

#endif
