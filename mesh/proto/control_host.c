#include "mesh/proto/shapes.h"
#include <string.h>

const char nodekey_prefix[] = "nodekey:", machinekey_prefix[] = "mkey:", discokey_prefix[] = "discokey:";

/* --- NetInfo.DERPLatency: {"1-v4":0.012} ---------------------------------------------------------------- */
struct latency_fill {
	struct ctl_latency *v;
	size_t n;
};

static bool latency_add(struct json_in *in, const char *key, const json_t *v, void *arg)
{
	struct latency_fill *f = arg;
	if (!json_is_number(v))
		return json_is_null(v) || json_fail(in, "not a number");
	const char *name = arena_strdup(in->arena, key);
	if (!name)
		return false;
	f->v[f->n++] = (struct ctl_latency) { .key = name, .seconds = json_number_value(v) };
	return true;
}

/* The field is netinfo.latency; its count follows. */
static bool read_latency(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	struct latency_fill f = { .v = arena_array(in->arena, json_object_size(v), sizeof(*f.v)) };
	if (!f.v || !json_each(in, v, latency_add, &f))
		return false;
	memcpy(field, &f, sizeof(f));
	return true;
}

static void write_latency(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	struct latency_fill f;
	memcpy(&f, field, sizeof(f));
	bool first = true;
	json_put(out, "{");
	for (size_t i = 0; i < f.n; i++) {
		json_put_name(out, f.v[i].key, &first);
		json_f64.write(out, &f.v[i].seconds, NULL);
	}
	json_put(out, "}");
}

static bool latency_empty(const void *field)
{
	struct latency_fill f;
	memcpy(&f, field, sizeof(f));
	return f.n == 0;
}

static const struct json_codec latency = { NULL, read_latency, write_latency, latency_empty };

#define NET(name, codec, field, flags) \
	{ \
		name, codec, offsetof(struct ctl_netinfo, field), flags, 0, NULL \
	}
static const struct json_row netinfo_rows[] = {
	NET("MappingVariesByDestIP", &json_opt, mapping_varies, JSON_OMIT),
	NET("WorkingIPv6", &json_opt, working_ipv6, JSON_OMIT),
	NET("OSHasIPv6", &json_opt, os_has_ipv6, JSON_OMIT),
	NET("WorkingUDP", &json_opt, working_udp, JSON_OMIT),
	NET("WorkingICMPv4", &json_opt, working_icmp4, JSON_OMIT),
	NET("UPnP", &json_opt, upnp, JSON_OMIT),
	NET("PMP", &json_opt, pmp, JSON_OMIT),
	NET("PCP", &json_opt, pcp, JSON_OMIT),
	NET("PreferredDERP", &json_i32, preferred_derp, JSON_OMIT),
	NET("LinkType", &json_str, link_type, JSON_OMIT),
	NET("DERPLatency", &latency, latency, JSON_OMIT),
	{ 0 },
};
static const struct json_shape netinfo_shape = { netinfo_rows, sizeof(struct ctl_netinfo), NULL };

#define HOST(name, codec, field, flags) \
	{ \
		name, codec, offsetof(struct ctl_hostinfo, field), flags, 0, NULL \
	}
static const struct json_row hostinfo_rows[] = {
	HOST("IPNVersion", &json_str, ipn_version, JSON_OMIT),
	HOST("BackendLogID", &json_str, backend_log_id, JSON_OMIT),
	HOST("OS", &json_str, os, JSON_OMIT),
	HOST("OSVersion", &json_str, os_version, JSON_OMIT),
	HOST("Hostname", &json_str, hostname, JSON_OMIT),
	HOST("Machine", &json_str, machine, JSON_OMIT),
	HOST("GoArch", &json_str, go_arch, JSON_OMIT),
	HOST("RoutableIPs", &json_prefixes, routable_ips, JSON_OMIT),
	HOST("RequestTags", &json_strings, request_tags, JSON_OMIT),
	{ "NetInfo", &json_inside, offsetof(struct ctl_hostinfo, netinfo), 0,
		offsetof(struct ctl_hostinfo, has_netinfo), &netinfo_shape },
	{ 0 },
};
const struct json_shape hostinfo_shape = { hostinfo_rows, sizeof(struct ctl_hostinfo), NULL };

int ctl_hostinfo_read(
	struct arena *a, const char *json, size_t len, struct ctl_hostinfo *out, struct errbuf *eb)
{
	return json_read(a, json, len, &hostinfo_shape, out, eb);
}

bool ctl_hostinfo_write(struct buf *out, const struct ctl_hostinfo *m)
{
	return json_write(out, &hostinfo_shape, m);
}
