#include "simnet/matrix/sweep.h"

#include "mesh/base/err.h"
#include "simnet/lab/slowness.h"
#include <string.h>

struct user_guess sweep_guess(int i)
{
	if (i == SHEET_CLASSES)
		return (struct user_guess) { .class = { NAT_EIM, NAT_APDF }, .udp_blocked = true };
	return (struct user_guess) { .class = { (enum nat_mapping)(i / NAT_FILTERINGS),
					     (enum nat_filtering)(i % NAT_FILTERINGS) } };
}

bool sweep_write(const char *peer, struct buf *out)
{
	bool ok = buf_printf(out, "simnet: 1\nname: sweep\nrouters:\n  peer: {nat: %s}\n", peer);

	for (int i = 0; i < SWEEP_GUESSES && ok; i++) {
		struct user_guess g = sweep_guess(i);
		ok = buf_printf(out, "  net-%d: {nat: {mapping: %s, filtering: %s}%s}\n", i,
			nat_mapping_words[g.class.mapping], nat_filtering_words[g.class.filtering],
			g.udp_blocked ? ", udp: blocked" : "");
	}
	ok = ok && buf_printf(out, "services:\n  rendezvous: {run: punch-server}\n"
				   "  first: {run: probe-server}\n  second: {run: probe-server}\n"
				   "nodes:\n  bob: {at: peer}\n");
	for (int i = 0; i < SWEEP_GUESSES && ok; i++)
		ok = buf_printf(out, "  alice-%d: {at: net-%d}\n", i, i);
	return ok && buf_printf(out, "steps: []\n");
}

/* What a probe behind this router says, where it has the time. */
static struct user_report truth_of(const struct user_guess *g)
{
	if (g->udp_blocked)
		return (struct user_report) { .udp = USER_NO, .mapping = -1, .filtering = -1 };
	return (struct user_report) {
		.udp = USER_YES, .mapping = (int)g->class.mapping, .filtering = (int)g->class.filtering
	};
}

/* A probe sees a class by what does not come, and a puncher takes the relay where nothing has: on a machine slower than bounds
 * stretch both may be for want of time. Then only what is as it must be says something. */
static bool is_unsure(const struct sweep_job *j, const struct sweep_result *r, const struct sweep_row *row)
{
	const struct user_report truth = truth_of(&row->guess);

	if (r->slow <= SLOWNESS_MOST)
		return false;
	return !row->seen_known || user_report_differs(&truth, &row->seen) ||
	       (j->saw != PATH_ANY && row->expected != PATH_ANY && row->path != row->expected);
}

void sweep_judge(const struct sweep_job *j, struct sweep_result *r)
{
	for (int i = 0; i < SWEEP_GUESSES; i++) {
		struct sweep_row *row = &r->rows[i];
		row->differs = row->seen_known ? user_report_differs(j->report, &row->seen)
					       : "the probe did not end";
		if (!row->differs && j->saw != PATH_ANY && row->path != j->saw)
			row->differs = row->path == PATH_DIRECT	 ? "the path is direct"
				       : row->path == PATH_RELAY ? "the path is by relay"
								 : "there is no path";
		row->unsure = is_unsure(j, r, row);
		if (row->unsure)
			row->differs = "the machine was too slow to tell";
	}
}

static void print_row(const struct sweep_row *row, bool json, FILE *out)
{
	const char *mapping = nat_mapping_words[row->guess.class.mapping];
	const char *filtering = nat_filtering_words[row->guess.class.filtering];
	const char *path = row->path == PATH_ANY ? "?" : scenario_path_name(row->path);

	char guess[32];

	if (json) {
		fprintf(out,
			"{\"mapping\":\"%s\",\"filtering\":\"%s\",\"udp_blocked\":%s,\"path\":\"%s\","
			"\"reproduces\":%s,\"unsure\":%s,\"differs\":\"%s\"}\n",
			mapping, filtering, row->guess.udp_blocked ? "true" : "false", path,
			row->differs ? "false" : "true", row->unsure ? "true" : "false",
			row->differs ? row->differs : "");
		return;
	}
	snprintf(guess, sizeof(guess), "%s/%s", mapping, filtering);
	fprintf(out, "  %-3s  %-12s  %s",
		row->unsure    ? "~"
		: row->differs ? "no"
			       : "yes",
		row->guess.udp_blocked ? "UDP blocked" : guess, path);
	if (row->differs)
		fprintf(out, "%*s%s", 8 - (int)strlen(path), "", row->differs);
	fprintf(out, "\n");
}

void sweep_print(const struct sweep_job *j, const struct sweep_result *r, bool json, FILE *out)
{
	int n = 0, unsure = 0;

	if (!json)
		fprintf(out, "  as the report?  path to a peer behind '%s'   (seed %llu, engine %s)\n",
			j->peer, (unsigned long long)j->seed, j->engine->name);
	for (int i = 0; i < SWEEP_GUESSES; i++) {
		n += !r->rows[i].differs;
		unsure += r->rows[i].unsure;
		print_row(&r->rows[i], json, out);
	}
	if (!json)
		fprintf(out,
			n ? "%d of %d reproduce the report\n"
			  : "none of them: %d of %d reproduce the report\n",
			n, SWEEP_GUESSES);
	if (!json && unsure)
		fprintf(out,
			"%d inconclusive (~): the machine was %.1f times slower than an idle one; again with "
			"--seed %llu\n",
			unsure, r->slow, (unsigned long long)j->seed);
}
