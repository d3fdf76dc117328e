/* The official service's REST API: DNS. What is set is the section `dns` of the settings, kept whole in the database, and
 * takes the place of the one in the file. A change begins from the last that was asked for, which may still be on its way
 * to the disk: programs send several at a time. */
#include "mesh/control/http/v2.h"

#include "mesh/base/buf.h"
#include "mesh/proto/json_memory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY "the server is short of memory"
#define WITH_EXIT "use_with_exit_node" /* in the words of the settings */

/* A value is whole, or NULL where memory is short: nothing is stored without its pins, and nothing told in part. */

/* Takes v. */
static json_t *if_whole(json_t *v, bool whole)
{
	if (whole)
		return v;
	json_decref(v);
	return NULL;
}

/* --- as it is --- */

static json_t *texts_value(const struct ctl_strings *s)
{
	json_t *list = json_array();
	bool ok = list;
	for (size_t i = 0; i < s->n && ok; i++)
		ok = !json_array_append_new(list, json_string(s->v[i]));
	return if_whole(list, ok);
}

static json_t *server_value(const struct ctl_resolver *r)
{
	if (!r->bootstrap.n && !r->pins.n && !r->with_exit)
		return json_string(r->addr);
	json_t *v = json_pack("{s:s}", "server", r->addr);
	bool ok = v;
	if (ok && r->bootstrap.n)
		ok = !json_object_set_new(v, "addresses", texts_value(&r->bootstrap));
	if (ok && r->pins.n)
		ok = !json_object_set_new(v, "pins", texts_value(&r->pins));
	if (ok && r->with_exit)
		ok = !json_object_set_new(v, WITH_EXIT, json_true());
	return if_whole(v, ok);
}

static json_t *servers_value(const struct ctl_resolver *v, size_t n)
{
	json_t *list = json_array();
	bool ok = list;
	for (size_t i = 0; i < n && ok; i++)
		ok = !json_array_append_new(list, server_value(&v[i]));
	return if_whole(list, ok);
}

static const char *server_text(const json_t *item)
{
	return json_string_value(json_is_object(item) ? json_object_get(item, "server") : item);
}

/* Most of the API knows of one its text alone. */
static json_t *text_value(const json_t *item)
{
	return json_string(server_text(item));
}

static json_t *address_value(const json_t *item)
{
	return json_pack("{s:s, s:b}", "address", server_text(item), "useWithExitNode",
		json_is_true(json_object_get(item, WITH_EXIT)));
}

/* Servers in one of the forms of the API: text_value, address_value. */
static json_t *servers_as(const json_t *servers, json_t *(*as)(const json_t *item))
{
	json_t *list = json_array();
	const json_t *item;
	bool ok = list;
	size_t i;
	json_array_foreach(servers, i, item)
	{
		ok = ok && (!server_text(item) || !json_array_append_new(list, as(item)));
	}
	return if_whole(list, ok);
}

static json_t *split_as(const json_t *split, json_t *(*as)(const json_t *item))
{
	json_t *all = json_object(), *servers;
	const char *suffix;
	bool ok = all;
	json_object_foreach((json_t *)split, suffix, servers)
	{
		ok = ok && !json_object_set_new(all, suffix, servers_as(servers, as));
	}
	return if_whole(all, ok);
}

static json_t *routes_value(const struct ctl_dns *d, const char *own)
{
	json_t *split = json_object();
	bool ok = split;
	for (size_t i = 0; i < d->n_routes && ok; i++)
		if (strcmp(d->routes[i].suffix, own) != 0 || d->routes[i].n)
			ok = !json_object_set_new(split, d->routes[i].suffix,
				servers_value(d->routes[i].resolvers, d->routes[i].n));
	return if_whole(split, ok);
}

static json_t *domains_value(const struct ctl_dns *d, const char *own)
{
	json_t *search = json_array();
	bool ok = search;
	for (size_t i = 0; i < d->domains.n && ok; i++)
		if (strcmp(d->domains.v[i], own) != 0)
			ok = !json_array_append_new(search, json_string(d->domains.v[i]));
	return if_whole(search, ok);
}

/* In the words of the settings. */
static json_t *dns_value_of(const struct ctl_dns *d, bool overrides, const char *own)
{
	return json_pack("{s:b, s:b, s:{s:o, s:o}, s:o}", "magic_dns", d->proxied, "override_local_dns",
		overrides, "nameservers", "global",
		overrides ? servers_value(d->resolvers, d->n_resolvers)
			  : servers_value(d->fallback, d->n_fallback),
		"split", routes_value(d, own), "search_domains", domains_value(d, own));
}

/* As it was asked for last, unless that could not be stored; the caller's. NULL: memory is short, which
 * get() and put() bear. */
static json_t *dns_now(const struct api *a)
{
	const struct settings *set = a->streams->set;
	return a->dns && registry_text_waits(a->reg)
		       ? json_deep_copy(a->dns)
		       : dns_value_of(&set->dns, set->dns_overrides, set->base_domain);
}

static json_t *get(const json_t *dns, const char *name)
{
	json_t *servers = json_object_get(dns, "nameservers");
	return !strcmp(name, "global") || !strcmp(name, "split") ? json_object_get(servers, name)
								 : json_object_get(dns, name);
}

static const json_t *known_in(const json_t *servers, const char *text)
{
	const json_t *item;
	size_t i;
	json_array_foreach(servers, i, item)
	{
		const char *own = json_is_object(item) ? server_text(item) : NULL;
		if (own && !strcmp(own, text))
			return item;
	}
	return NULL;
}

/* One of this text of which more than that is known. text may be NULL. */
static const json_t *known_of(const json_t *dns, const char *text)
{
	const json_t *known = text ? known_in(get(dns, "global"), text) : NULL;
	const char *suffix;
	json_t *servers;
	json_object_foreach(get(dns, "split"), suffix, servers) if (text && !known) known =
		known_in(servers, text);
	return known;
}

/* The API has no words for addresses and pins: a server that is named as before keeps its own. Takes list, which may be
 * NULL. */
static json_t *known_again(const json_t *dns, json_t *list)
{
	json_t *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		const json_t *known = known_of(dns, json_string_value(item));
		if (known)
			json_array_set(list, i, (json_t *)known);
	}
	return list;
}

/* Takes v. false: memory is short. */
static bool put(json_t *dns, const char *name, json_t *v)
{
	json_t *servers = json_object_get(dns, "nameservers");
	bool inner = !strcmp(name, "global") || !strcmp(name, "split");
	return !json_object_set_new(inner ? servers : dns, name, v);
}

static bool put_flag(json_t *dns, const char *name, const json_t *on)
{
	return put(dns, name, json_boolean(json_is_true(on)));
}

/* --- answers, by their name --- */

static json_t *nameservers_value(const json_t *dns)
{
	/* The client library takes lists alone. */
	return json_pack("{s:o}", "dns", servers_as(get(dns, "global"), text_value));
}
static json_t *nameservers_set_value(const json_t *dns)
{
	return json_pack("{s:o, s:O}", "dns", servers_as(get(dns, "global"), text_value), "magicDNS",
		get(dns, "magic_dns"));
}
static json_t *searchpaths_value(const json_t *dns)
{
	return json_pack("{s:O}", "searchPaths", get(dns, "search_domains"));
}
static json_t *preferences_value(const json_t *dns)
{
	return json_pack("{s:O}", "magicDNS", get(dns, "magic_dns"));
}
static json_t *split_value(const json_t *dns)
{
	return split_as(get(dns, "split"), text_value);
}

static json_t *whole_value(const json_t *dns)
{
	return json_pack("{s:o, s:o, s:O, s:{s:O, s:O}}", "nameservers",
		servers_as(get(dns, "global"), address_value), "splitDNS",
		split_as(get(dns, "split"), address_value), "searchPaths", get(dns, "search_domains"),
		"preferences", "overrideLocalDNS", get(dns, "override_local_dns"), "magicDNS",
		get(dns, "magic_dns"));
}

typedef json_t *(*dns_value)(const json_t *dns);
static const struct {
	const char *name;
	dns_value value;
} values[] = { { "nameservers", nameservers_value }, { "nameservers set", nameservers_set_value },
	{ "searchpaths", searchpaths_value }, { "preferences", preferences_value }, { "split", split_value },
	{ "whole", whole_value } };

static json_t *value_of(const json_t *dns, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (!strcmp(values[i].name, name))
			return values[i].value(dns);
	return NULL;
}

static void answer(struct api_call *c, const char *name)
{
	json_t *dns = dns_now(c->api);
	api_reply_json(&c->way, 200, dns ? value_of(dns, name) : NULL);
	json_decref(dns);
}

/* --- changes --- */

static json_t *changed(const struct api *a, const struct registry_result *res, const char *text)
{
	json_t *dns = dns_now(a), *v = dns ? value_of(dns, text) : NULL;
	(void)res;
	json_decref(dns);
	return v;
}

/* text: of dns, which it takes, for the registry; "" = as the file has it. */
static void ask_for(struct api_call *c, json_t *dns, const char *text, struct registry_wait *w)
{
	if (w) {
		json_decref(c->api->dns);
		c->api->dns = json_incref(dns);
		registry_text_put(c->api->reg, API_DNS_TEXT, text, w);
	}
	json_decref(dns);
}

/* Takes dns; is_whole: all of the change is in it; name: of the answer. */
static void change(struct api_call *c, json_t *dns, bool is_whole, const char *name)
{
	struct control_config parsed;
	struct errbuf eb = { 0 };
	char *text = is_whole ? json_memory_dump(dns, JSON_COMPACT) : NULL;
	int err = text ? config_dns_parse(text, strlen(text), &parsed, &eb) : -ENOMEM;
	if (err) {
		api_reply_error(&c->way, err == -ENOMEM ? 503 : 400, err == -ENOMEM ? NO_MEMORY : eb.text);
		json_decref(dns);
	} else {
		config_free(&parsed);
		ask_for(c, dns, text, api_later(c, changed, name));
	}
	json_text_free(text);
}

/* A member of the body that must be a list of texts. NULL: answered, it is none, or memory is short. */
static json_t *list_of(struct api_call *c, const char *name)
{
	json_t *list = json_object_get(c->args, name);
	if (json_is_array(list))
		return json_incref(list);
	if (list && !json_is_null(list)) {
		api_reply_error(&c->way, 400, "a list of texts is wanted");
		return NULL;
	}
	list = json_array();
	if (!list)
		api_reply_error(&c->way, 503, NO_MEMORY);
	return list;
}

void v2_dns_nameservers(struct api_call *c)
{
	answer(c, "nameservers");
}

void v2_dns_nameservers_set(struct api_call *c)
{
	json_t *list = list_of(c, "dns"), *dns = list ? dns_now(c->api) : NULL;
	if (!list)
		return;
	bool ok = put(dns, "global", known_again(dns, json_deep_copy(list)));
	json_decref(list);
	change(c, dns, ok, "nameservers set");
}

void v2_dns_searchpaths(struct api_call *c)
{
	answer(c, "searchpaths");
}

void v2_dns_searchpaths_set(struct api_call *c)
{
	json_t *list = list_of(c, "searchPaths"), *dns = list ? dns_now(c->api) : NULL;
	if (!list)
		return;
	bool ok = put(dns, "search_domains", list);
	change(c, dns, ok, "searchpaths");
}

void v2_dns_preferences(struct api_call *c)
{
	answer(c, "preferences");
}

void v2_dns_preferences_set(struct api_call *c)
{
	const json_t *on = json_object_get(c->args, "magicDNS");
	json_t *dns = dns_now(c->api);
	bool ok = !json_is_boolean(on) || put_flag(dns, "magic_dns", on);
	change(c, dns, ok, "preferences");
}

void v2_dns_split(struct api_call *c)
{
	answer(c, "split");
}

/* A name with no servers is none. false: memory is short. */
static bool put_split(json_t *dns, const json_t *wanted, bool whole)
{
	json_t *split = whole ? json_object() : json_incref(get(dns, "split")), *servers;
	const char *suffix;
	bool ok = split;
	json_object_foreach((json_t *)wanted, suffix, servers)
	{
		if (json_is_null(servers) || (json_is_array(servers) && !json_array_size(servers)))
			json_object_del(split, suffix);
		else
			ok = ok &&
			     !json_object_set_new(split, suffix, known_again(dns, json_deep_copy(servers)));
	}
	return put(dns, "split", split) && ok;
}

void v2_dns_split_set(struct api_call *c)
{
	json_t *dns = dns_now(c->api);
	bool ok = put_split(dns, c->args, true);
	change(c, dns, ok, "split");
}

void v2_dns_split_change(struct api_call *c)
{
	json_t *dns = dns_now(c->api);
	bool ok = put_split(dns, c->args, false);
	change(c, dns, ok, "split");
}

void v2_dns_whole(struct api_call *c)
{
	answer(c, "whole");
}

/* In the words of the settings. NULL: memory is short. */
static json_t *resolver_of(const json_t *dns, const json_t *resolver)
{
	json_t *address = json_object_get(resolver, "address");
	const json_t *known = known_of(dns, json_string_value(address));
	bool with_exit = json_is_true(json_object_get(resolver, "useWithExitNode"));
	if (!known && !with_exit)
		return json_incref(address);
	if (known && json_is_true(json_object_get(known, WITH_EXIT)) == with_exit)
		return json_incref((json_t *)known);
	json_t *v = known ? json_copy((json_t *)known) : json_pack("{s:O}", "server", address);
	/* a copy leaves out what there is no memory for */
	bool whole = v && (!known || json_object_size(v) == json_object_size(known));
	return if_whole(v, whole && !json_object_set_new(v, WITH_EXIT, json_boolean(with_exit)));
}

static json_t *resolvers_of(const json_t *dns, const json_t *resolvers)
{
	json_t *list = json_array();
	const json_t *item;
	bool ok = list;
	size_t i;
	json_array_foreach(resolvers, i, item)
	{
		ok = ok && (!json_object_get(item, "address") ||
				   !json_array_append_new(list, resolver_of(dns, item)));
	}
	return if_whole(list, ok);
}

void v2_dns_whole_set(struct api_call *c)
{
	const json_t *preferences = json_object_get(c->args, "preferences");
	json_t *search = list_of(c, "searchPaths"), *dns = search ? dns_now(c->api) : NULL,
	       *split = json_object();
	json_t *servers;
	const char *suffix;
	bool ok = split;
	if (!search) {
		json_decref(split);
		return;
	}
	json_object_foreach(json_object_get(c->args, "splitDNS"), suffix, servers)
	{
		ok = ok && !json_object_set_new(split, suffix, resolvers_of(dns, servers));
	}
	json_t *global = resolvers_of(dns, json_object_get(c->args, "nameservers"));
	ok = put(dns, "search_domains", search) && ok;
	ok = put_flag(dns, "magic_dns", json_object_get(preferences, "magicDNS")) && ok;
	ok = put_flag(dns, "override_local_dns", json_object_get(preferences, "overrideLocalDNS")) && ok;
	ok = put_split(dns, split, true) && ok;
	ok = put(dns, "global", global) && ok;
	json_decref(split);
	change(c, dns, ok, "whole");
}

/* --- the admin's verbs --- */

void admin_dns_show(struct api_call *c)
{
	json_t *dns = dns_now(c->api);
	api_reply_json(&c->way, 200,
		json_pack("{s:O, s:O, s:o, s:o, s:O}", "magic_dns", get(dns, "magic_dns"),
			"override_local_dns", get(dns, "override_local_dns"), "nameservers",
			servers_as(get(dns, "global"), text_value), "split",
			split_as(get(dns, "split"), text_value), "search_domains",
			get(dns, "search_domains")));
	json_decref(dns);
}

static json_t *was_reset(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)res;
	(void)text;
	return json_pack("{s:s}", "reset", a->cfg->file);
}

/* Back to what the file says. */
void admin_dns_reset(struct api_call *c)
{
	const struct settings *set = c->api->streams->set;
	json_t *dns = dns_value_of(&set->file_dns, set->file_dns_overrides, set->base_domain);
	if (dns)
		ask_for(c, dns, "", api_later(c, was_reset, ""));
	else
		api_reply_error(&c->way, 503, NO_MEMORY);
}
