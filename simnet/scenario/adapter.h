/* How to start a program and read what it says, as data (adapters/NAME.yaml); format: docs/simnet/scenarios.md. */
#ifndef SIMNET_ADAPTER_H
#define SIMNET_ADAPTER_H

#include "simnet/scenario/scenario.h"

struct adapter_file { /* written before the start, mode 0600 */
	const char *path, *text;
	const char *each, *item; /* item is appended for every service of role `each` */
};
struct adapter_command {
	const char *on; /* node where it runs; NULL = the program's own */
	const char **argv;
	const char *each; /* run once for every word of this text, as {each} */
	bool once;	  /* not after a restart that kept the state */
	bool again;	  /* tried until it succeeds */
	struct scn_param *capture;
	size_t n_capture; /* value = JSON path in its output, or "line" */
	struct scn_param *until;
	size_t n_until; /* key = JSON path, value = what it must be */
};
struct adapter_ready {	  /* at most one of these */
	const char *line; /* regex that a line of output matches */
	const char *json; /* path present in a line of standard output that is JSON */
	const char *port; /* "tcp 1.2.3.4:80" accepts connections */
	bool exit;	  /* the program ends with status 0 */
	struct scn_param *capture;
	size_t n_capture; /* JSON paths in the ready line */
};
/* How it is seen whether packets pass between two of its kind. */
enum adapter_probe {
	ADAPTER_PROBE_DEFAULT, /* ICMP to the mesh name; where there is none, the program's word, if it tells
				  paths */
	ADAPTER_PROBE_ICMP,
	ADAPTER_PROBE_UDP,
	ADAPTER_PROBE_TCP,
	ADAPTER_PROBE_WORD, /* not at all: what the program says of its path is believed */
};
struct adapter {
	struct arena arena;
	const char *file, *name, *about, *role;
	struct scn_param *with;
	size_t n_with; /* parameters and their defaults */
	struct scn_param *fields;
	size_t n_fields; /* {NODE.key} = template */
	struct adapter_file *files;
	size_t n_files;
	const char **needs; /* of the machine, as a scenario's; or NULL */
	const char **start;
	struct adapter_ready ready;
	struct adapter_command *then;
	size_t n_then;	       /* after ready, in order */
	const char *mesh_name; /* what others call the node; NULL = its underlay address */
	struct {
		enum adapter_probe how;
		const char *to; /* expanded at the prober, {to} is the probed: "{{to}.mesh4}:7" */
	} probe;
	const char **path_argv;		      /* asks for the path to {to}; NULL = not known */
	const char *path_direct, *path_relay; /* JSON path that selects something when so */
	const char **home_argv;		      /* asks for its home relay; NULL = not known */
	const char *home_json;		      /* JSON path of the relay's code */
	const char **drops_argv;	      /* asks for packets it dropped itself; NULL = not known */
	const char *drops_json;		      /* JSON path of an object: reason and count */
};

/* `ready`, of an adapter or of a node whose program is a list. For the readers. */
struct yaml_reader;
struct yaml_value;
extern const struct schema_form adapter_ready_form;
int adapter_read_ready(struct yaml_reader *y, const struct yaml_value *v, struct adapter_ready *out);

/* eb: the first error; all, which may be NULL: every one. adapter_parse is without the latter. */
int adapter_parse_all(const char *file, const char *text, size_t len, struct adapter *out,
	struct scn_errors *all, struct errbuf *eb);
int adapter_parse(const char *file, const char *text, size_t len, struct adapter *out, struct errbuf *eb);
void adapter_free(struct adapter *a);
/* Whether the adapter itself provides {NODE.key}: a field, or a capture. */
bool adapter_has_field(const struct adapter *a, const char *key);

#endif
