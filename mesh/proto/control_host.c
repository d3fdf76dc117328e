#include "mesh/proto/shapes.h"

const char nodekey_prefix[] = "nodekey:", machinekey_prefix[] = "mkey:", discokey_prefix[] = "discokey:";

/* --- NetInfo.DERPLatency: {"1-v4":0.012} --- */
static bool latency_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct ctl_latency *l = element;
	l->key = arena_strdup(in->arena, key);
	return l->key && json_f64.read(in, v, &l->seconds, NULL);
}

static void latency_write(struct json_out *out, const void *element, bool *first)
{
	const struct ctl_latency *l = element;
	json_put_name(out, l->key, first);
	json_f64.write(out, &l->seconds, NULL);
}

static const struct json_map latency_map = { sizeof(struct ctl_latency), false, latency_read, latency_write };

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
	{ "DERPLatency", &json_map_list, offsetof(struct ctl_netinfo, latency), JSON_OMIT, 0, &latency_map },
	{ 0 },
};
static const struct json_shape netinfo_shape = { netinfo_rows, sizeof(struct ctl_netinfo), NULL };

#define SERVICE(name, codec, field, flags) \
	{ \
		name, codec, offsetof(struct ctl_service, field), flags, 0, NULL \
	}
static const struct json_row service_rows[] = {
	SERVICE("Proto", &json_str, proto, 0),
	SERVICE("Port", &json_u16, port, 0),
	SERVICE("Description", &json_str, description, JSON_OMIT),
	{ 0 },
};
static const struct json_shape service_shape = { service_rows, sizeof(struct ctl_service), NULL };

#define LOCATION(name, codec, field) \
	{ \
		name, codec, offsetof(struct ctl_location, field), JSON_OMIT, 0, NULL \
	}
static const struct json_row location_rows[] = {
	LOCATION("Country", &json_str, country),
	LOCATION("CountryCode", &json_str, country_code),
	LOCATION("City", &json_str, city),
	LOCATION("CityCode", &json_str, city_code),
	LOCATION("Latitude", &json_f64, latitude),
	LOCATION("Longitude", &json_f64, longitude),
	LOCATION("Priority", &json_i32, priority),
	{ 0 },
};
const struct json_shape location_shape = { location_rows, sizeof(struct ctl_location), NULL };

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
	HOST("ShieldsUp", &json_bool, shields_up, JSON_OMIT),
	{ "Services", &json_list, offsetof(struct ctl_hostinfo, services), JSON_OMIT, 0, &service_shape },
	{ "NetInfo", &json_pointer, offsetof(struct ctl_hostinfo, netinfo), JSON_OMIT, 0, &netinfo_shape },
	{ "Location", &json_pointer, offsetof(struct ctl_hostinfo, location), JSON_OMIT, 0, &location_shape },
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

bool ctl_location_write(struct buf *out, const struct ctl_location *m)
{
	return json_write(out, &location_shape, m);
}
