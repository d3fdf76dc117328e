#include "mesh/control/policy/reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58, PROTO_SCTP = 132 };

/* --- filling --- */

static struct reach_ports *ports_of(struct reach *r, uint8_t proto)
{
	for (size_t i = 0; i < r->n_protos; i++)
		if (r->protos[i].proto == proto)
			return &r->protos[i];
	if (r->n_protos == r->protos_size) {
		size_t size = r->protos_size ? r->protos_size * 2 : 4;
		struct reach_ports *v = arena_array(r->a, size, sizeof(*v));
		if (!v)
			return NULL;
		if (r->n_protos)
			memcpy(v, r->protos, r->n_protos * sizeof(*v));
		r->protos = v;
		r->protos_size = size;
	}
	r->protos[r->n_protos] = (struct reach_ports) { .proto = proto };
	return &r->protos[r->n_protos++];
}

static void add_span(struct reach *r, uint8_t proto, struct port_span span)
{
	struct reach_ports *p = ports_of(r, proto);
	if (!p)
		return;
	if (p->n == p->size) {
		size_t size = p->size ? p->size * 2 : 4;
		struct port_span *v = arena_array(r->a, size, sizeof(*v));
		if (!v)
			return;
		if (p->n)
			memcpy(v, p->v, p->n * sizeof(*v));
		p->v = v;
		p->size = size;
	}
	p->v[p->n++] = span;
}

void reach_add_ports(struct reach *r, const struct target *t, const uint8_t *protos, size_t n_protos)
{
	static const uint8_t usual[] = { PROTO_TCP, PROTO_UDP, PROTO_ICMP, PROTO_ICMP6 };
	const struct port_span all = { 0, UINT16_MAX };
	if (!n_protos) {
		protos = usual;
		n_protos = ARRAY_LEN(usual);
	}
	for (size_t i = 0; i < n_protos; i++) {
		bool ports = protos[i] == PROTO_TCP || protos[i] == PROTO_UDP || protos[i] == PROTO_SCTP;
		for (size_t k = 0; k < t->n_ports; k++)
			add_span(r, protos[i], ports ? t->ports[k] : all);
	}
}

void reach_add_word(struct reach *r, const char *word)
{
	for (size_t i = 0; i < r->words.n; i++)
		if (!strcmp(r->words.v[i], word))
			return;
	if (r->words.n == r->words_size) {
		size_t size = r->words_size ? r->words_size * 2 : 8;
		const char **v = arena_array(r->a, size, sizeof(*v));
		if (!v)
			return;
		if (r->words.n)
			memcpy(v, r->words.v, r->words.n * sizeof(*v));
		r->words.v = v;
		r->words_size = size;
	}
	r->words.v[r->words.n++] = word;
}

static int by_first(const void *a, const void *b)
{
	const struct port_span *x = a, *y = b;
	return (int)x->first - (int)y->first;
}

static int by_proto(const void *a, const void *b)
{
	const struct reach_ports *x = a, *y = b;
	return (int)x->proto - (int)y->proto;
}

void reach_settle(struct reach *r)
{
	if (r->n_protos)
		qsort(r->protos, r->n_protos, sizeof(*r->protos), by_proto);
	for (size_t i = 0; i < r->n_protos; i++) {
		struct reach_ports *p = &r->protos[i];
		size_t n = 0;
		if (p->n)
			qsort(p->v, p->n, sizeof(*p->v), by_first);
		for (size_t k = 0; k < p->n; k++) {
			const struct port_span s = p->v[k];
			if (!n || s.first > (uint32_t)p->v[n - 1].last + 1)
				p->v[n++] = s;
			else if (s.last > p->v[n - 1].last)
				p->v[n - 1].last = s.last;
		}
		p->n = n;
	}
}

/* --- comparing --- */

static void print_span(struct buf *out, uint32_t first, uint32_t last)
{
	buf_printf(out, out->len ? "," : "");
	if (first == 0 && last == UINT16_MAX)
		buf_printf(out, "*");
	else if (first == last)
		buf_printf(out, "%u", first);
	else
		buf_printf(out, "%u-%u", first, last);
}

/* The ports of a that are not b's, "22,80-90". */
static void ports_less(const struct reach_ports *a, const struct reach_ports *b, struct buf *out)
{
	for (size_t i = 0; i < a->n; i++) {
		uint32_t at = a->v[i].first, last = a->v[i].last;
		for (size_t k = 0; b && k < b->n && at <= last; k++) {
			if (b->v[k].last < at || b->v[k].first > last)
				continue;
			if (b->v[k].first > at)
				print_span(out, at, b->v[k].first - 1U);
			at = b->v[k].last + 1U;
		}
		if (at <= last)
			print_span(out, at, last);
	}
}

static const struct reach_ports *find_ports(const struct reach *r, uint8_t proto)
{
	for (size_t i = 0; i < r->n_protos; i++)
		if (r->protos[i].proto == proto)
			return &r->protos[i];
	return NULL;
}

static void print_piece(struct buf *out, const char *what, const char *ports)
{
	buf_printf(out, "%s%s%s%s", out->len ? ", " : "", what, *ports ? " " : "", ports);
}

static const char *text_of(struct buf *b)
{
	return b->len ? buf_cstr(b) : "";
}

static void other_protos(const struct reach *a, const struct reach *b, struct buf *out)
{
	for (size_t i = 0; i < a->n_protos; i++) {
		uint8_t proto = a->protos[i].proto;
		struct buf ports = { 0 };
		char name[32];
		ports_less(&a->protos[i], find_ports(b, proto), &ports);
		snprintf(name, sizeof(name), "protocol %u", proto);
		if (ports.len && proto != PROTO_TCP && proto != PROTO_UDP)
			print_piece(out,
				proto == PROTO_ICMP    ? "icmp"
				: proto == PROTO_ICMP6 ? "icmp6"
						       : name,
				proto == PROTO_SCTP ? text_of(&ports) : "");
		buf_free(&ports);
	}
}

void reach_less(const struct reach *a, const struct reach *b, struct buf *out)
{
	struct buf tcp = { 0 }, udp = { 0 };
	const struct reach_ports *t = find_ports(a, PROTO_TCP), *u = find_ports(a, PROTO_UDP);
	if (t)
		ports_less(t, find_ports(b, PROTO_TCP), &tcp);
	if (u)
		ports_less(u, find_ports(b, PROTO_UDP), &udp);
	if (tcp.len && !strcmp(text_of(&tcp), text_of(&udp))) {
		print_piece(out, "tcp and udp", text_of(&tcp));
	} else {
		if (tcp.len)
			print_piece(out, "tcp", text_of(&tcp));
		if (udp.len)
			print_piece(out, "udp", text_of(&udp));
	}
	other_protos(a, b, out);
	for (size_t i = 0; i < a->words.n; i++) {
		bool has = false;
		for (size_t k = 0; k < b->words.n && !has; k++)
			has = !strcmp(a->words.v[i], b->words.v[k]);
		if (!has)
			print_piece(out, a->words.v[i], "");
	}
	buf_free(&tcp);
	buf_free(&udp);
}
