#include "simnet/overview.h"

#include "simnet/lab/lab.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The simnet of a run sees the processes and networks of all its hosts; so nothing is asked of anybody. */

enum { PLACE_TEXT = 64, COUNT_TEXT = 16, TABLE_BYTES = 4 << 20 };
struct host_use {
	unsigned processes;
	uint64_t memory, cpu_ms, sent, received;
	bool has_links;
};

/* ---- processes: those of the host's pid namespace */

static bool pid_space(const char *pid, char out[static PLACE_TEXT])
{
	char path[300];
	snprintf(path, sizeof(path), "/proc/%.200s/ns/pid", pid);
	ssize_t n = readlink(path, out, PLACE_TEXT - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool read_proc(const char *pid, const char *name, char *text, size_t cap)
{
	char path[300];
	snprintf(path, sizeof(path), "/proc/%.200s/%s", pid, name);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, cap - 1, f) : 0;
	text[n] = '\0';
	if (f)
		fclose(f);
	return n > 0;
}

static void add_process(const char *pid, struct host_use *u)
{
	char text[1024];
	uint64_t pages = 0, user = 0, system = 0, ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	const char *after;

	/* A name may hold anything, but what follows its last parenthesis are numbers. */
	if (!read_proc(pid, "stat", text, sizeof(text)) || !(after = strrchr(text, ')')) ||
		sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
			&system) != 2)
		return;
	if (read_proc(pid, "statm", text, sizeof(text)))
		(void)sscanf(text, "%*u %" SCNu64, &pages);
	u->processes++;
	u->cpu_ms += (user + system) * 1000 / (ticks ? ticks : 100);
	u->memory += pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void count_processes(const struct lab *l, int place, struct host_use *u)
{
	char own[PLACE_TEXT], its[PLACE_TEXT], init[24];
	pid_t pid = hosts_init(l->hosts, place);
	DIR *d = pid > 0 ? opendir("/proc") : NULL;
	const struct dirent *e;

	snprintf(init, sizeof(init), "%d", (int)pid);
	bool known = d && pid_space(init, own);
	while (known && (e = readdir(d)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && strcmp(e->d_name, init) != 0 &&
			pid_space(e->d_name, its) && !strcmp(own, its))
			add_process(e->d_name, u);
	if (d)
		closedir(d);
}

/* ---- links */

static void count_bytes(const struct lab *l, int place, struct host_use *u)
{
	struct errbuf eb;
	char line[512], name[64];
	uint64_t in, out;
	FILE *f = netns_enter(hosts_net(l->hosts, place), &eb) ? NULL
							       : fopen("/proc/thread-self/net/dev", "re");

	netns_return(hosts_home(l->hosts));
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %63[^:]: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, name, &in,
			    &out) != 3 ||
			!strcmp(name, "lo"))
			continue;
		u->has_links = true;
		u->received += in;
		u->sent += out;
	}
	if (f)
		fclose(f);
}

/* ---- text */

static const char *say_bytes(uint64_t n, char out[static COUNT_TEXT])
{
	static const char units[] = "KMGTPE";
	double v = (double)n / 1024;
	size_t unit = 0;

	for (; v >= 999.95 && units[unit + 1]; unit++)
		v /= 1024;
	if (n < 1000)
		snprintf(out, COUNT_TEXT, "%u", (unsigned)n);
	else
		snprintf(out, COUNT_TEXT, "%.1f%c", v, units[unit]);
	return out;
}

static const char *state_of(const struct program *p, const struct scn_node *n)
{
	static const char *const words[] = { [PROGRAM_OFF] = "off",
		[PROGRAM_STARTING] = "starting",
		[PROGRAM_READY] = "ready",
		[PROGRAM_FAILED] = "failed" };

	if (p->asleep)
		return "asleep";
	if (p->paused)
		return "stopped";
	return n->adapter || n->argv ? words[p->state] : "bare";
}

static void say_flows(struct lab *l, int router, char out[static COUNT_TEXT])
{
	struct buf text = { .cap = TABLE_BYTES };
	const char *s = "";
	unsigned n = 0;

	snprintf(out, COUNT_TEXT, "-");
	if (l->engine && l->ops->table && !l->ops->table(l->engine, router, &text, NULL)) {
		for (s = text.len ? buf_cstr(&text) : ""; s && (s = strchr(s, '\n')); s++)
			n++;
		snprintf(out, COUNT_TEXT, "%u", n);
	}
	buf_free(&text);
}

struct overview_row {
	const char *name, *kind, *at, *ip, *state, *flows;
};

static bool write_row(struct lab *l, int place, const struct overview_row *r, struct buf *out)
{
	struct host_use u = { 0 };
	char memory[COUNT_TEXT], sent[COUNT_TEXT], received[COUNT_TEXT];

	count_processes(l, place, &u);
	count_bytes(l, place, &u);
	return buf_printf(out, "%-16s %-8s %-16s %-15s %-8s %5u %8s %7.1f %8s %8s %6s\n", r->name, r->kind,
		r->at, r->ip, r->state, u.processes, say_bytes(u.memory, memory), (double)u.cpu_ms / 1000,
		u.has_links ? say_bytes(u.sent, sent) : "-",
		u.has_links ? say_bytes(u.received, received) : "-", r->flows);
}

static const char *place_name(const struct scenario *s, int router)
{
	return router < 0 ? "internet" : s->routers[router].name;
}

/* Of what the steps change, those have happened that were begun. */
static size_t steps_done(const struct lab *l)
{
	return l->n_steps < l->s->n_steps ? l->n_steps : l->s->n_steps;
}

static bool write_nodes(struct lab *l, struct buf *out)
{
	const struct scenario *s = l->s;
	const size_t done = steps_done(l);
	char ip[ADDR_TEXT];
	bool ok = true;

	for (int i = 0; i < (int)s->n_nodes && ok; i++) {
		const struct scn_node *n = &s->nodes[i];
		struct addr at = topology_ip(s, done, i);
		size_t used = (size_t)topology_in_use(s, done, i);
		const struct overview_row row = { .name = n->name,
			.kind = n->is_service ? "service" : "node",
			.at = place_name(
				s, topology_iface(s, done, (struct scn_plug) { i, -1, used }).network),
			.ip = addr_format(&at, ip),
			.state = state_of(&l->programs[i], n),
			.flows = "" };
		ok = write_row(l, i, &row, out);
	}
	return ok;
}

static bool write_routers(struct lab *l, struct buf *out)
{
	const struct scenario *s = l->s;
	char ip[ADDR_TEXT], flows[COUNT_TEXT];
	bool ok = true;

	for (int i = 0; i < (int)s->n_routers && ok; i++) {
		struct scn_iface wan = topology_iface(s, steps_done(l), (struct scn_plug) { -1, i, 0 });
		say_flows(l, i, flows);
		const struct overview_row row = { s->routers[i].name, "router", place_name(s, wan.network),
			addr_format(&wan.ip, ip), "", flows };
		ok = write_row(l, hosts_place_of_router(l->hosts, i), &row, out);
	}
	return ok;
}

bool overview_write(struct lab *l, struct buf *out)
{
	bool ok = buf_printf(out,
		"%s   up for %.1f s, %u step%s so far\n\n%-16s %-8s %-16s %-15s %-8s %5s %8s %7s %8s %8s "
		"%6s\n",
		l->s->name, (double)(l->story->now_ms() - l->story->t0_ms) / 1000, l->n_steps,
		l->n_steps == 1 ? "" : "s", "NAME", "KIND", "AT", "ADDRESS", "PROGRAM", "PROCS", "MEMORY",
		"CPU s", "SENT", "RECEIVED", "FLOWS");

	ok = ok && write_routers(l, out) && write_nodes(l, out);
	for (const struct probe_stream *p = l->streams; p && ok; p = p->next)
		if (p->path != PATH_ANY)
			ok = buf_printf(out, "%s%s -> %s   %s%s%s\n", p == l->streams ? "\n" : "",
				l->s->nodes[p->from].name, p->to_words, scenario_path_name(p->path),
				*p->detail ? " " : "", p->detail);
	return ok;
}
