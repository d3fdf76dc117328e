/* A zone that is changed record by record, beside a plain table of what was given and taken: what is found is what the table has,
 * also in a copy, after many names have come and gone, and where memory was short meanwhile. */
#include "resolver/zone.h"

#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/table.h"
#include "resolver/local_zone.h"
#include "resolver/resolver.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NAMES = 8, TYPES = 4, DATA = 16, CROWD = 300, TEXT_BIG = 700, INPUT_MAX = 400, MANY_MAX = 4 };

static const char *const names[NAMES] = { "m", "a.m", "*.w.m", "b.a.m", "x.y.z.m", "c.m", "other", "." };
static const uint16_t types[TYPES] = { DNS_A, DNS_AAAA, DNS_CNAME, DNS_TXT };

struct world {
	struct zone *z;
	uint8_t times[NAMES][TYPES][DATA], authorities[NAMES];
	unsigned many; /* times */
};

/* A record of the table as it is in the zone. */
static size_t rdata_of(unsigned type, unsigned data, uint8_t out[static TEXT_BIG])
{
	static const uint8_t sizes[TYPES] = { 4, 16, 3, 2 };
	size_t len = type == 3 && data > 8 ? TEXT_BIG : sizes[type];
	memset(out, 0, len);
	out[0] = 1;
	out[1] = (uint8_t)(data + 'a');
	return len;
}

static unsigned count(const struct world *w, unsigned name, bool alias)
{
	unsigned n = 0;
	for (unsigned t = 0; t < TYPES; t++)
		for (unsigned d = 0; (types[t] == DNS_CNAME) == alias && d < DATA; d++)
			n += w->times[name][t][d] > 0;
	return n;
}

static void record_add(struct world *w, unsigned name, unsigned type, unsigned data)
{
	uint8_t rdata[TEXT_BIG], *times = &w->times[name][type][data];
	struct dns_name n;
	size_t len = rdata_of(type, data, rdata);
	bool alias = types[type] == DNS_CNAME;
	bool may = *times || (!count(w, name, true) && (!alias || !count(w, name, false)));
	if (*times == UINT8_MAX || !dns_name_parse(names[name], &n))
		return;
	int err = zone_add_record(w->z, &n, types[type], rdata, len);
	if (err == -ENOMEM && trouble_happened())
		return;
	if (err != (may ? 0 : ERR_REFUSED))
		abort();
	*times += !err;
}

static void record_remove(struct world *w, unsigned name, unsigned type, unsigned data)
{
	uint8_t rdata[TEXT_BIG], *times = &w->times[name][type][data];
	struct dns_name n;
	size_t len = rdata_of(type, data, rdata);
	(void)dns_name_parse(names[name], &n);
	zone_remove_record(w->z, &n, types[type], rdata, len);
	*times -= *times > 0;
}

static void authority_change(struct world *w, unsigned name, bool add)
{
	uint8_t *times = &w->authorities[name];
	if (!add) {
		zone_remove_authority(w->z, names[name]);
		*times -= *times > 0;
	} else if (*times < UINT8_MAX) {
		int err = zone_add_authority(w->z, names[name]);
		if (err && !trouble_happened())
			abort();
		*times += !err;
	}
}

/* One of very many names, with a name for its address. */
static void machine(char out[static 32], struct addr *ip, unsigned i)
{
	snprintf(out, 32, "h%u.many.m", i);
	*ip = addr_v4(0x64400000 + i % 7 * 65536 + i);
}

static void many_come(struct world *w)
{
	char text[32];
	struct addr ip;
	if (w->many == MANY_MAX)
		return;
	for (unsigned i = 0; i < CROWD; i++) {
		machine(text, &ip, i);
		if (!zone_add_address(w->z, text, &ip, i & 1))
			continue;
		if (!trouble_happened())
			abort();
		while (i--) {
			machine(text, &ip, i);
			zone_remove_address(w->z, text, &ip, i & 1);
		}
		return;
	}
	w->many++;
}

static void many_go(struct world *w)
{
	char text[32];
	struct addr ip;
	for (unsigned i = 0; w->many && i < CROWD; i++) {
		machine(text, &ip, i);
		zone_remove_address(w->z, text, &ip, i & 1);
	}
	w->many -= w->many > 0;
}

/* The zone's copy takes its place. */
static void copy(struct world *w)
{
	struct zone *other = zone_copy(w->z);
	if (!other) {
		if (!trouble_happened())
			abort();
		return;
	}
	if (zone_last_names(other) != zone_last_names(w->z))
		abort();
	(void)zone_is_sparse(w->z);
	zone_put(w->z);
	w->z = other;
}

static void name_check(const struct world *w, unsigned name)
{
	uint8_t rdata[TEXT_BIG];
	struct zone_hit hit;
	struct dns_name n;
	unsigned expected = count(w, name, true) + count(w, name, false), found = 0;
	(void)dns_name_parse(names[name], &n);
	zone_find(w->z, &n, &hit);
	if (!expected) /* perhaps above one that is there, or below an authority, or there is a wildcard */
		return;
	if (hit.verdict != ZONE_NAME || hit.n != expected || hit.is_apex != (w->authorities[name] > 0))
		abort();
	for (unsigned t = 0; t < TYPES; t++)
		for (unsigned d = 0; d < DATA; d++) {
			uint32_t of_type;
			size_t len = rdata_of(t, d, rdata);
			const struct zone_rr *const *rrs = zone_set(&hit, types[t], &of_type);
			bool is = false;
			for (uint32_t i = 0; rrs && i < of_type; i++)
				is = is || (rrs[i]->len == len && !memcmp(rrs[i]->rdata, rdata, len));
			if (is != (w->times[name][t][d] > 0))
				abort();
			found += is;
		}
	if (found != expected)
		abort();
}

/* Who has a name for its address is a host, as often as it was given. */
static void many_check(const struct world *w)
{
	char text[32];
	struct addr ip;
	struct zone_hit hit;
	struct dns_name n;
	for (unsigned i = 0; w->many && i < CROWD; i++) {
		machine(text, &ip, i);
		(void)dns_name_parse(text, &n);
		zone_find(w->z, &n, &hit);
		if (hit.n != 1 || hit.rrs[0]->times != w->many || hit.rrs[0]->hosts != (i & 1) * w->many)
			abort();
	}
}

/* Names of the input itself. */
static void other_names(struct world *w, struct rd *r)
{
	char text[32] = { 0 };
	struct addr ip = addr_v4(0x64400001);
	struct zone_hit hit;
	struct dns_name n;
	size_t len = rd_u8(r) % sizeof(text);
	const uint8_t *p = rd_take(r, len);
	if (!p)
		return;
	memcpy(text, p, len);
	int err = zone_add_address(w->z, text, &ip, true);
	bool is = dns_name_parse(text, &n);
	if (!is && (err != ERR_MALFORMED || zone_add_authority(w->z, text) != ERR_MALFORMED))
		abort();
	zone_remove_authority(w->z, is ? "nowhere.example" : text);
	if (err)
		is = false;
	if (is) {
		dns_name_fold(&n);
		zone_find(w->z, &n, &hit);
		if (hit.verdict != ZONE_NAME)
			abort();
	}
	if (!err || err == ERR_MALFORMED)
		zone_remove_address(w->z, text, &ip, true);
	if (is)
		zone_find(w->z, &n, &hit);
}

static void step(struct world *w, struct rd *r)
{
	static uint8_t too_long[UINT16_MAX + 1];
	unsigned op = rd_u8(r), what = rd_u8(r), name = what % NAMES, type = what / NAMES % TYPES;
	struct dns_name root = { .len = 1 };
	switch (op & 7) {
	case 0:
	case 1: record_add(w, name, type, op / 8 % DATA); break;
	case 2: record_remove(w, name, type, op / 8 % DATA); break;
	case 3: authority_change(w, name, op & 8); break;
	case 4:
		if (op & 8)
			many_come(w);
		else
			many_go(w);
		break;
	case 5: copy(w); break;
	case 6:
		for (unsigned d = 0; d < DATA; d++)
			if (op & 8)
				record_add(w, name, type, d);
			else
				record_remove(w, name, type, d);
		break;
	case 7:
		if (op & 8)
			zone_via6_names(w->z);
		else if (zone_add_record(w->z, &root, DNS_TXT, too_long, sizeof(too_long)) != ERR_MALFORMED)
			abort();
		other_names(w, r);
		break;
	}
}

static void zone_target(const uint8_t *data, size_t len)
{
	struct world w = { 0 };
	struct rd r = rd_of(data, len < INPUT_MAX ? len : INPUT_MAX);
	trouble_begin();
	w.z = zone_new();
	if (!w.z && !trouble_happened())
		abort();
	while (w.z && r.left && !r.bad)
		step(&w, &r);
	trouble_end();
	for (unsigned i = 0; w.z && i < NAMES; i++)
		name_check(&w, i);
	if (w.z)
		many_check(&w);
	zone_put(w.z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(zone_target, data, len);
}
