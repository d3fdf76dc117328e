#include "mesh/proto/control_equal.h"

#include <string.h>

bool ctl_text_equal(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

bool ctl_strings_equal(const struct ctl_strings *a, const struct ctl_strings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	}
	return true;
}

static bool are_in(const struct ctl_strings *a, const struct ctl_strings *b)
{
	for (size_t i = 0; i < a->n; i++) {
		size_t k = 0;
		while (k < b->n && strcmp(a->v[i], b->v[k]) != 0)
			k++;
		if (k == b->n)
			return false;
	}
	return true;
}

bool ctl_strings_same(const struct ctl_strings *a, const struct ctl_strings *b)
{
	return are_in(a, b) && are_in(b, a);
}

bool ctl_prefixes_equal(const struct ctl_prefixes *a, const struct ctl_prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!prefix_equal(&a->v[i], &b->v[i]))
			return false;
	}
	return true;
}

bool ctl_endpoints_equal(const struct ctl_endpoints *a, const struct ctl_endpoints *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!endpoint_equal(&a->v[i], &b->v[i]))
			return false;
	}
	return true;
}

static bool same_services(const struct ctl_hostinfo *a, const struct ctl_hostinfo *b)
{
	if (a->n_services != b->n_services)
		return false;
	for (size_t i = 0; i < a->n_services; i++) {
		const struct ctl_service *x = &a->services[i], *y = &b->services[i];
		if (x->port != y->port || !ctl_text_equal(x->proto, y->proto) ||
			!ctl_text_equal(x->description, y->description))
			return false;
	}
	return true;
}

static bool same_degrees(double a, double b)
{
	return !(a < b) && !(a > b);
}

bool ctl_location_equal(const struct ctl_location *a, const struct ctl_location *b)
{
	if (!a || !b)
		return a == b;
	return ctl_text_equal(a->country, b->country) && ctl_text_equal(a->country_code, b->country_code) &&
	       ctl_text_equal(a->city, b->city) && ctl_text_equal(a->city_code, b->city_code) &&
	       same_degrees(a->latitude, b->latitude) && same_degrees(a->longitude, b->longitude) &&
	       a->priority == b->priority;
}

bool ctl_hostinfo_alike(const struct ctl_hostinfo *a, const struct ctl_hostinfo *b)
{
	return ctl_text_equal(a->hostname, b->hostname) && ctl_text_equal(a->os, b->os) &&
	       ctl_text_equal(a->os_version, b->os_version) &&
	       ctl_text_equal(a->ipn_version, b->ipn_version) && ctl_text_equal(a->machine, b->machine) &&
	       ctl_text_equal(a->go_arch, b->go_arch) &&
	       ctl_prefixes_equal(&a->routable_ips, &b->routable_ips) &&
	       ctl_strings_equal(&a->request_tags, &b->request_tags) && a->shields_up == b->shields_up &&
	       same_services(a, b) && ctl_location_equal(a->location, b->location);
}
