#include "resolver/convert/target.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Text going out; failure sticks. */
struct text_out {
	struct buf *to;
	bool bad;
};

static void put(struct text_out *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text_out *b, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text) || !buf_append(b->to, text, (size_t)n))
		b->bad = true;
}

static void put_quoted(struct text_out *b, const char *s)
{
	if (!target_quote(b->to, s))
		b->bad = true;
}

static void put_text(struct text_out *b, const char *s)
{
	if (!buf_append(b->to, s, strlen(s)))
		b->bad = true;
}

static void flow(struct text_out *b, const struct target_items *from)
{
	put(b, "[");
	for (size_t i = 0; i < from->n; i++) {
		put(b, i ? ", " : " ");
		put_quoted(b, from->v[i]);
	}
	put(b, from->n ? " ]" : "]");
}

static void key_flow(struct text_out *b, const char *key, const struct target_items *from)
{
	if (!from->n)
		return;
	put(b, "%s: ", key);
	flow(b, from);
	put(b, "\n");
}

static void key_whole(struct text_out *b, const char *key, const struct target_items *from)
{
	if (from->n)
		put(b, "%s:\n", key);
	for (size_t i = 0; i < from->n; i++) {
		put(b, "  - ");
		put_text(b, from->v[i]);
		put(b, "\n");
	}
}

static void key_number(struct text_out *b, const char *key, uint64_t n)
{
	if (n)
		put(b, "%s: %" PRIu64 "\n", key, n);
}

static void pairs_write(struct text_out *b, const char *key, const struct target_pairs *from)
{
	if (from->n)
		put(b, "%s:\n", key);
	for (size_t i = 0; i < from->n; i++) {
		put(b, "  ");
		put_quoted(b, from->v[i].name);
		put(b, ": ");
		if (from->v[i].word)
			put(b, "%s", from->v[i].word);
		else
			flow(b, &from->v[i].items);
		put(b, "\n");
	}
}

static void list_write(struct text_out *b, const struct target_list *l)
{
	put(b, "    - { name: ");
	put_quoted(b, l->name);
	if (l->allow)
		put(b, ", allow: true");
	put(b, l->url ? ", url: " : l->file ? ", file: " : ", names: ");
	if (l->url || l->file)
		put_quoted(b, l->url ? l->url : l->file);
	else
		flow(b, &l->names);
	put(b, " }\n");
}

static void blocking_write(const struct target *t, struct text_out *b)
{
	if (!t->n_lists)
		return;
	put(b, "blocking:\n  lists:\n");
	for (size_t i = 0; i < t->n_lists; i++)
		list_write(b, &t->lists[i]);
	if (t->n_groups)
		put(b, "  groups:\n");
	for (size_t i = 0; i < t->n_groups; i++) {
		put(b, "    - { name: ");
		put_quoted(b, t->groups[i].name);
		put(b, ", clients: ");
		flow(b, &t->groups[i].clients);
		put(b, ", lists: ");
		flow(b, &t->groups[i].lists);
		put(b, " }\n");
	}
	if (t->answer && t->answer_v6)
		put(b, "  answer: [ \"%s\", \"%s\" ]\n", t->answer, t->answer_v6);
	else if (t->answer)
		put(b, "  answer: %s\n", t->answer);
	if (t->block_ttl)
		put(b, "  ttl: %" PRIu64 "\n", t->block_ttl);
	if (t->store) {
		put(b, "  store: ");
		put_quoted(b, t->store);
		put(b, "\n");
	}
}

static void dnssec_write(const struct target *t, struct text_out *b)
{
	if (!t->validate)
		return;
	put(b, "dnssec:\n  validate: true\n");
	if (t->anchors) {
		put(b, "  anchors: ");
		put_quoted(b, t->anchors);
		put(b, "\n");
	}
	key_flow(b, "  insecure", &t->insecure);
}

static void secure_write(const struct target *t, struct text_out *b)
{
	if (!t->certificate || !t->key || !(t->tls.n + t->https.n))
		return;
	put(b, "secure:\n");
	key_flow(b, "  tls", &t->tls);
	key_flow(b, "  https", &t->https);
	put(b, "  certificate: ");
	put_quoted(b, t->certificate);
	put(b, "\n  key: ");
	put_quoted(b, t->key);
	put(b, "\n");
}

bool target_write(const struct target *t, struct buf *out)
{
	struct text_out b = { .to = out };
	key_flow(&b, "listen", &t->listen);
	key_flow(&b, "upstreams", &t->upstreams);
	if (t->order)
		put(&b, "order: %s\n", t->order);
	pairs_write(&b, "routes", &t->routes);
	key_whole(&b, "records", &t->records);
	key_whole(&b, "names-from", &t->names_from);
	key_flow(&b, "authority", &t->authority);
	pairs_write(&b, "local-zones", &t->zones);
	key_flow(&b, "allow", &t->allow);
	if (t->refuse_private) {
		put(&b, "rebinding:\n  refuse: true\n");
		key_flow(&b, "  except", &t->except);
	}
	if (t->lower_case)
		put(&b, "mixed-case: false\n");
	dnssec_write(t, &b);
	secure_write(t, &b);
	key_number(&b, "ttl", t->ttl);
	key_number(&b, "rate-limit", t->rate);
	if (t->dns64)
		put(&b, "dns64: %s\n", t->dns64);
	key_number(&b, "cache-bytes", t->cache_bytes);
	if (t->stale_s >= 0)
		put(&b, "serve-stale: %" PRId64 "\n", t->stale_s);
	if (t->query_log)
		put(&b, "query-log: true\n");
	blocking_write(t, &b);
	return !b.bad && !t->short_of_memory && buf_cstr(out);
}
