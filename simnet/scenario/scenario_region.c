#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <string.h>

/* `regions`: parts of the internet, and how far they are from each other. Each pair is said once, from either side. */

enum { REGIONS_MAX = 64, FAR_MS_MAX = 60000 };

static int find_region(const struct scenario *s, const char *name)
{
	for (size_t i = 0; i < s->n_regions; i++)
		if (!strcmp(s->regions[i], name))
			return (int)i;
	return -1;
}

static int unknown_region(struct yaml_reader *y, struct scn_at at, const struct scenario *s, const char *name)
{
	const char *names[REGIONS_MAX + 1] = { NULL };

	for (size_t i = 0; i < s->n_regions; i++)
		names[i] = s->regions[i];
	return yaml_error_near(y, at, name, names, "no region '%s'", name);
}

static int read_distance(struct yaml_reader *y, struct scenario *s, size_t from, const struct yaml_pair *p)
{
	static const struct schema_row row = { .key = "a distance", .kind = SCHEMA_DURATION };
	uint64_t ms = 0;
	int to = find_region(s, p->key->text);

	if (to < 0)
		return unknown_region(y, p->key->at, s, p->key->text);
	if (to == (int)from)
		return yaml_error(y, p->key->at, "region '%s' is no distance from itself", p->key->text);
	int err = schema_read_scalar(y, p->value, "a distance", &row, &ms);
	if (err)
		return err;
	if (ms > FAR_MS_MAX)
		return yaml_error(y, p->value->at, "a distance is 60s at most");
	uint64_t *there = &s->region_us[from * s->n_regions + (size_t)to],
		 *back = &s->region_us[(size_t)to * s->n_regions + from];
	if (*there)
		return yaml_error(y, p->key->at, "the distance of '%s' and '%s' is said twice",
			s->regions[from], s->regions[to]);
	*there = *back = ms * 1000;
	return 0;
}

int regions_read(struct yaml_reader *y, const struct yaml_value *v, struct scenario *s)
{
	if (!v)
		return 0;
	if (v->type != YAML_MAP)
		return yaml_error(y, v->at, "'regions' must be a map, not %s", yaml_type_name(v));
	if (v->n > REGIONS_MAX)
		return yaml_error(y, v->at, "more than %d regions", REGIONS_MAX);
	s->regions = arena_array(y->arena, v->n + 1, sizeof(*s->regions));
	s->region_us = arena_array(y->arena, v->n * v->n + 1, sizeof(*s->region_us));
	if (!s->regions || !s->region_us)
		return yaml_no_memory(y);
	int first = 0;
	for (size_t i = 0; i < v->n; i++) {
		int err = name_check(y, v->pairs[i].key);
		s->regions[s->n_regions++] = v->pairs[i].key->text;
		first = first ? first : err;
	}
	for (size_t i = 0; i < v->n; i++) {
		const struct yaml_value *map = v->pairs[i].value;
		if (map->type != YAML_MAP) {
			int err = yaml_error(y, map->at, "region '%s' must be a map of distances, not %s",
				s->regions[i], yaml_type_name(map));
			first = first ? first : err;
			continue;
		}
		for (size_t k = 0; k < map->n; k++) {
			int err = read_distance(y, s, i, &map->pairs[k]);
			first = first ? first : err;
		}
	}
	return first;
}

int region_read(struct yaml_reader *y, const struct yaml_value *v, const struct scenario *s, bool on_internet,
	int *out)
{
	if (v->type != YAML_SCALAR)
		return yaml_error(y, v->at, "'region' must be a word, not %s", yaml_type_name(v));
	int found = find_region(s, v->text);
	if (found < 0)
		return unknown_region(y, v->at, s, v->text);
	if (!on_internet)
		return yaml_error(
			y, v->at, "'region' is of what is on the internet; the rest is where its router is");
	*out = found + 1;
	return 0;
}
