#include "simnet/lab/record.h"

#include "mesh/os/file.h"
#include "simnet/host/capture.h"
#include "simnet/lab/lab.h"
#include "simnet/pcap/pcapng.h"
#include "simnet/report/frame.h"
#include "simnet/report/graph.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, CAPTURE_MAX = 1 << 30, TEXT_MAX = 400 };

static const char *number(char *buf, size_t cap, uint64_t n)
{
	snprintf(buf, cap, "%llu", (unsigned long long)n);
	return buf;
}

static size_t step_number(const struct lab *l, const struct scn_step *st)
{
	return (size_t)(st - l->s->steps) + 1;
}

/* ---- the network and the plan ---- */

static void record_routers(struct lab *l)
{
	char wan[ADDR_TEXT], lan[PREFIX_TEXT];
	for (size_t i = 0; i < l->s->n_routers; i++) {
		const struct scn_router *r = &l->s->routers[i];
		char nat[160];
		struct story_item item = { .kind = "router",
			.mark = STORY_SILENT,
			.at = r->at,
			.keys = { "name", "behind", "wan", "lan", "nat" },
			.values = { r->name, r->behind < 0 ? "internet" : l->s->routers[r->behind].name,
				addr_format(&r->wan, wan), prefix_format(&r->lan_net, lan),
				graph_nat(r, nat, sizeof(nat)) } };
		story_tell(l->story, &item);
	}
}

static void record_hosts(struct lab *l)
{
	char ip[ADDR_TEXT], ip6[ADDR_TEXT];
	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct scn_node *n = &l->s->nodes[i];
		struct addr v6 = topology_v6(l->s, n->router, &n->ip).ip;
		struct story_item item = { .kind = "host",
			.mark = STORY_SILENT,
			.at = n->at,
			.keys = { "name", "at", "ip", "ip6", "runs", "role" },
			.values = { n->name, n->router < 0 ? "internet" : l->s->routers[n->router].name,
				topology_has_v4(l->s, n->router) ? addr_format(&n->ip, ip) : NULL,
				topology_has_v6(l->s, n->router) ? addr_format(&v6, ip6) : NULL,
				n->adapter ? n->adapter
				: n->argv  ? n->argv[0]
					   : NULL,
				n->is_service ? "service" : "node" } };
		story_tell(l->story, &item);
	}
}

static void record_plan(struct lab *l)
{
	char text[TEXT_MAX], step[24];
	for (size_t i = 0; i < l->s->n_steps; i++) {
		const struct scn_step *st = &l->s->steps[i];
		struct story_item item = { .kind = "plan",
			.mark = STORY_SILENT,
			.at = st->at,
			.text = record_step_text(st, text, sizeof(text)),
			.keys = { "step", "what", "say" },
			.values = { number(step, sizeof(step), i + 1), scenario_step_name(st->kind),
				st->title } };
		story_tell(l->story, &item);
	}
}

static void record_map(struct lab *l)
{
	struct buf svg = { .cap = 1 << 19 };
	if (graph_write(GRAPH_SVG, l->s, &svg)) {
		struct story_item item = {
			.kind = "map", .mark = STORY_SILENT, .keys = { "svg" }, .values = { buf_cstr(&svg) }
		};
		story_tell(l->story, &item);
	}
	buf_free(&svg);
}

void record_run(struct lab *l, uint64_t seed)
{
	char format[24], seeds[24], unix_s[40], steps[24];
	uint64_t since_ms = l->story->now_ms() - l->story->t0_ms;
	snprintf(unix_s, sizeof(unix_s), "%.6f", (double)clock_unix_ns() / 1e9 - (double)since_ms / 1000);
	struct story_item item = { .kind = "run",
		.mark = STORY_SILENT,
		.text = l->s->about,
		.keys = { "format", "seed", "unix", "engine", "version", "steps" },
		.values = { number(format, sizeof(format), FORMAT), number(seeds, sizeof(seeds), seed),
			unix_s, l->ops->name, RW_VERSION, number(steps, sizeof(steps), l->s->n_steps) } };
	story_tell(l->story, &item);
	record_routers(l);
	record_hosts(l);
	record_plan(l);
	record_map(l);
}

/* ---- as it happens ---- */

const char *record_step_text(const struct scn_step *st, char *buf, size_t cap)
{
	size_t n = 0;
	buf[0] = '\0';
	if (st->from)
		n = (size_t)snprintf(
			buf, cap, "%s%s%s", st->from, st->to ? " -> " : "", st->to ? st->to : "");
	else if (st->target)
		n = (size_t)snprintf(buf, cap, "%s", st->target);
	if (st->name && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, "%s%s%s%s", n ? " " : "", st->type ? st->type : "",
			st->type ? " " : "", st->name);
	for (size_t i = 0; st->argv && st->argv[i] && n < cap; i++)
		n += (size_t)snprintf(buf + n, cap - n, "%s%.60s", i ? " " : n ? ": " : "", st->argv[i]);
	if (st->path != PATH_ANY && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, " %s", scenario_path_name(st->path));
	if (st->fails && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, ", and must not succeed");
	if (st->for_ms && n < cap)
		snprintf(buf + n, cap - n, " for %.1f s", (double)st->for_ms / 1000);
	for (char *p = buf; *p; p++)
		*p = *p == '\n' || *p == '\t' ? ' ' : *p;
	return buf;
}

void record_step(struct lab *l, const struct scn_step *st)
{
	char text[TEXT_MAX], step[24];
	struct story_item item = { .kind = "step",
		.mark = STORY_SILENT,
		.at = st->at,
		.text = record_step_text(st, text, sizeof(text)),
		.keys = { "step", "what" },
		.values = { number(step, sizeof(step), step_number(l, st)), scenario_step_name(st->kind) } };
	story_tell(l->story, &item);
	l->step_began_ms = loop_now_ms(l->loop);
}

void record_step_end(struct lab *l, const struct scn_step *st, const char *failure)
{
	char step[24], took[32];
	snprintf(took, sizeof(took), "%.3f", (double)(loop_now_ms(l->loop) - l->step_began_ms) / 1000);
	struct story_item item = { .kind = "step-end",
		.mark = STORY_SILENT,
		.at = st->at,
		.text = failure,
		.keys = { "step", "what", "verdict", "seconds" },
		.values = { number(step, sizeof(step), step_number(l, st)), scenario_step_name(st->kind),
			failure ? "fail" : "pass", took } };
	story_tell(l->story, &item);
}

/* false: the bound is passed, and that was said. */
static bool counted(struct lab *l, unsigned *n, unsigned max, const char *what)
{
	if (*n > max)
		return false;
	if ((*n)++ < max)
		return true;
	story_say(l->story, "note", STORY_NOTE, "more than %u %s: the record has no further ones", max, what);
	return false;
}

void record_line(struct lab *l, int node, bool err, const char *line)
{
	if (!l->record || !counted(l, &l->record->lines, RECORD_LINES_MAX, "lines of programs"))
		return;
	struct story_item item = { .kind = "line",
		.mark = STORY_SILENT,
		.text = line,
		.keys = { "node", "stream" },
		.values = { l->s->nodes[node].name, err ? "err" : "out" } };
	story_tell(l->story, &item);
}

void record_program(struct lab *l, int node, const char *state)
{
	struct story_item item = { .kind = "program",
		.mark = STORY_SILENT,
		.keys = { "node", "state" },
		.values = { l->s->nodes[node].name, state } };
	story_tell(l->story, &item);
}

void record_drop(struct lab *l, const struct engine_drop *d)
{
	char src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], count[24];
	if (!l->record || !l->open_unix_ns)
		return;
	l->record->kept[l->record->n_kept++ % RECORD_DROPS_KEPT] = *d;
	if (!counted(l, &l->record->drops, RECORD_DROPS_MAX, "dropped packets"))
		return;
	struct story_item item = { .kind = "drop",
		.mark = STORY_SILENT,
		.at_ns = d->at_ns,
		.keys = { "where", "rule", "proto", "src", "dst", "count" },
		.values = { d->where, d->rule, frame_protocol(d->proto), endpoint_format(&d->src, src),
			endpoint_format(&d->dst, dst),
			number(count, sizeof(count), d->count ? d->count : 1) } };
	story_tell(l->story, &item);
}

/* ---- frames ---- */

enum { DROP_BUCKETS = 1024, NEAR_NS = 20000000, NONE = UINT16_MAX };

struct marker {
	const struct lab *l;
	int64_t wall_to_mono_ns;
	uint16_t head[DROP_BUCKETS], next[RECORD_DROPS_KEPT];
	char text[200];
};

static size_t bucket_of(const struct endpoint *src, const struct endpoint *dst)
{
	return (size_t)(endpoint_hash(src, 1) ^ endpoint_hash(dst, 2)) % DROP_BUCKETS;
}

static void marker_fill(struct marker *m, const struct record *r)
{
	size_t n = r->n_kept < RECORD_DROPS_KEPT ? r->n_kept : RECORD_DROPS_KEPT;
	m->wall_to_mono_ns = (int64_t)clock_now_ns() - clock_unix_ns();
	for (size_t i = 0; i < DROP_BUCKETS; i++)
		m->head[i] = NONE;
	for (size_t i = 0; i < n; i++) {
		size_t at = bucket_of(&r->kept[i].src, &r->kept[i].dst);
		m->next[i] = m->head[at];
		m->head[at] = (uint16_t)i;
	}
}

/* A router's own links, or for a host every link: its packet may not have come so far. */
static bool is_place(const struct lab *l, const char *link, const char *where)
{
	size_t n = strlen(where);
	if (scenario_find_router(l->s, where) < 0)
		return true;
	return !strncmp(link, where, n) && link[n] == '.';
}

static const char *death_of(void *owner, const char *link, const struct pcapng_packet *p)
{
	struct marker *m = owner;
	struct frame_view v;
	if (!frame_read(p->data, p->len, p->wire_len, &v))
		return NULL;
	uint64_t at = (uint64_t)((int64_t)p->at_ns + m->wall_to_mono_ns);
	for (uint16_t i = m->head[bucket_of(&v.src, &v.dst)]; i != NONE; i = m->next[i]) {
		const struct engine_drop *d = &m->l->record->kept[i];
		uint64_t last = d->last_ns ? d->last_ns : d->at_ns;
		if (d->proto == v.proto && endpoint_equal(&d->src, &v.src) &&
			endpoint_equal(&d->dst, &v.dst) && at + NEAR_NS >= d->at_ns && at <= last + NEAR_NS &&
			is_place(m->l, link, d->where)) {
			snprintf(m->text, sizeof(m->text), "dropped at %s: %s", d->where, d->rule);
			return m->text;
		}
	}
	return NULL;
}

struct frame_text {
	const char *proto;
	char bytes[24], src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], info[FRAME_INFO];
};

/* false: it is nobody's story, as what the kernel says to itself. */
static bool describe(const uint8_t *data, size_t len, size_t wire_len, struct frame_text *t)
{
	struct frame_view v;
	if (!frame_read(data, len, wire_len, &v) || v.proto == IPPROTO_IGMP)
		return false;
	t->proto = frame_protocol(v.proto);
	endpoint_format(&v.src, t->src);
	endpoint_format(&v.dst, t->dst);
	frame_info(&v, t->info);
	number(t->bytes, sizeof(t->bytes), wire_len);
	return true;
}

bool record_glimpse(struct lab *l, const struct capture_glimpse *g, struct buf *out)
{
	struct frame_text t;
	char missed[24] = "";
	if (g->at_ns < l->open_unix_ns || !describe(g->data, g->len, g->wire_len, &t))
		return false;
	if (g->missed)
		number(missed, sizeof(missed), g->missed);
	struct story_item item = { .kind = "glimpse",
		.mark = STORY_SILENT,
		.at_ns = (uint64_t)((int64_t)g->at_ns + (int64_t)clock_now_ns() - clock_unix_ns()),
		.keys = { "link", "proto", "src", "dst", "bytes", "info", "missed" },
		.values = { g->link, t.proto, t.src, t.dst, t.bytes, t.info, missed } };
	return story_line(l->story, &item, out);
}

static void record_frame(
	struct lab *l, const char *link, const struct pcapng_packet *p, const struct marker *m)
{
	struct frame_text t;
	char frame[24], comment[200];
	if (!describe(p->data, p->len, p->wire_len, &t))
		return;
	snprintf(comment, sizeof(comment), "%.*s", (int)p->comment_len, p->comment ? p->comment : "");
	struct story_item item = { .kind = "packet",
		.mark = STORY_SILENT,
		.at_ns = (uint64_t)((int64_t)p->at_ns + m->wall_to_mono_ns),
		.keys = { "frame", "link", "proto", "src", "dst", "bytes", "info", "comment" },
		.values = { number(frame, sizeof(frame), p->frame), link, t.proto, t.src, t.dst, t.bytes,
			t.info, comment } };
	story_tell(l->story, &item);
}

/* Once to count them, once for those that are wanted. */
static int record_frames(struct lab *l, const struct buf *capture, const struct marker *m, struct errbuf *eb)
{
	struct pcapng_reader r;
	struct pcapng_packet p;
	uint32_t all = 0, died = 0;
	int got;
	for (int pass = 0; pass < 2; pass++) {
		got = pcapng_open(&r, buf_data(capture), capture->len, eb);
		while (!got && (got = pcapng_next(&r, &p, eb)) == 1) {
			got = 0;
			if (p.at_ns < l->open_unix_ns)
				continue;
			if (!pass)
				all = p.frame, died += p.comment != NULL;
			else if (p.frame + RECORD_FRAMES_MAX > all ||
				 (p.comment && died-- < RECORD_FRAMES_MAX))
				record_frame(l, r.names[p.link], &p, m);
		}
		pcapng_close(&r);
		if (got < 0)
			return got;
	}
	return 0;
}

static int copy_capture(struct lab *l, struct marker *m, const char *from, const char *to, struct errbuf *eb)
{
	struct buf in = { .cap = CAPTURE_MAX }, out = { .cap = CAPTURE_MAX };
	int err = file_read(from, CAPTURE_MAX, &in, eb);
	if (!err)
		err = pcapng_annotate(buf_data(&in), in.len, death_of, m, &out, eb);
	buf_free(&in);
	if (!err)
		err = record_frames(l, &out, m, eb);
	if (!err && to)
		err = file_write_atomic(to, 0644, buf_data(&out), out.len, eb);
	buf_free(&out);
	return err;
}

int record_capture(struct lab *l, const char *from, const char *to, struct errbuf *eb)
{
	struct marker *m = calloc(1, sizeof(*m));
	if (!m || !l->record) {
		free(m);
		return err_set(eb, -ENOMEM, "keep the capture");
	}
	m->l = l;
	marker_fill(m, l->record);
	int err = copy_capture(l, m, from, to, eb);
	free(m);
	return err;
}
