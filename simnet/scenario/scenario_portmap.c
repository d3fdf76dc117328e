#include "simnet/scenario/scenario_read.h"

#include "simnet/service/faults.h"

/* A router that maps ports for who asks: which one it is like, and what it does wrong besides. */
struct portmap_words {
	int like;
	const char *faults;
};

#define AT(field) offsetof(struct portmap_words, field)
static const struct schema_row portmap_rows[] = {
	{ "like", SCHEMA_WORD, AT(like), .words = faults_profiles, .def = "plain",
		.doc = "a router that people have met; `simnet service profiles` says what each does" },
	{ "faults", SCHEMA_STRING, AT(faults), .doc = "what it does wrong besides, as `slow=1s,no-upnp`" },
	{ 0 },
};
#undef AT
const struct schema_table portmap_table = { .name = "portmap",
	.about = "NAT-PMP, PCP and UPnP, at the router's inner address. What it does wrong is said in the "
		 "words of the small service `portmap`.",
	.rows = portmap_rows,
	.short_key = "like" };
const struct schema_form portmap_form = { .words = faults_profiles, .map = &portmap_table };

int portmap_read(struct yaml_reader *y, const struct yaml_value *v, const char **out)
{
	struct portmap_words w = { 0 };
	struct faults f;
	struct errbuf why = { 0 };
	int err = v->type == YAML_MAP ? schema_read_map(y, v, "portmap", portmap_rows, &w)
				      : schema_read_scalar(y, v, "portmap", &portmap_rows[0], &w);

	if (err)
		return err;
	if (w.faults && faults_parse(SERVICE_PORTMAP, w.faults, &f, &why))
		return yaml_error(y, yaml_get(v, "faults")->at, "'faults': %s", why.text);
	bool more = w.faults && *w.faults;
	char *text = arena_printf(
		y->arena, "like=%s%s%s", faults_profiles[w.like], more ? "," : "", more ? w.faults : "");
	if (!text)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
	*out = text;
	return 0;
}
