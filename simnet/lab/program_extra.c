#include "simnet/lab/lab.h"

#include <errno.h>
#include <stdlib.h>

/* More processes in a node, as `spawn: {at, argv}` starts them: beside its program, with its log, and gone
 * with it. */

struct extra {
	struct program *program;
	struct extra *next;
	struct proc *proc;
};

static void extra_line(void *owner, bool err, const char *line)
{
	program_keep_line(((struct extra *)owner)->program, err, line);
}

static void extra_exited(void *owner, int status)
{
	struct extra *e = owner;
	(void)status;

	for (struct extra **at = &e->program->extras; *at; at = &(*at)->next)
		if (*at == e) {
			*at = e->next;
			break;
		}
	free(e);
}

int program_start_extra(struct program *p, const char *const *argv, struct errbuf *eb)
{
	static const struct proc_ops ops = { .line = extra_line, .exited = extra_exited };
	struct fields f = { .lab = p->lab, .node = p->node, .each_node = -1 };
	struct extra *e = calloc(1, sizeof(*e));
	char **full = NULL;

	if (!e)
		return err_say(eb, -ENOMEM, "out of memory");
	int err = fields_argv(&f, argv, &full, eb);
	if (!err) {
		*e = (struct extra) { .program = p, .next = p->extras };
		struct proc_place at = lab_place(p->lab, p->node);
		at.as_user = true;
		e->proc = proc_start(&at, (const char *const *)full, &ops, e, eb);
		err = e->proc ? 0 : ERR_REFUSED;
	}
	fields_argv_free(full);
	if (err)
		free(e);
	else
		p->extras = e;
	return err;
}

void program_signal_extras(const struct program *p, int signo)
{
	for (const struct extra *e = p->extras; e; e = e->next)
		proc_signal(e->proc, signo);
}

void program_end_extras(struct program *p)
{
	while (p->extras) {
		struct extra *e = p->extras;
		p->extras = e->next;
		proc_free(e->proc);
		free(e);
	}
}
