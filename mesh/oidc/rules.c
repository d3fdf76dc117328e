#include "mesh/oidc/rules.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The providers' own documentation, and docs/oidc.md, which says what to click there. */
static const struct oidc_quirk quirks[] = {
	{ .issuer = "https://accounts.google.com",
		.name = "Google",
		.also_issuer = "accounts.google.com",
		.no_groups = "Google tells no groups: use allowed_domains or allowed_users" },
	{ .issuer = "https://login.microsoftonline.com/common",
		.name = "Microsoft",
		.refused = "https://login.microsoftonline.com/TENANT-ID/v2.0: \"common\" is every "
			   "organization of the world" },
	{ .issuer = "https://login.microsoftonline.com/organizations",
		.name = "Microsoft",
		.refused = "https://login.microsoftonline.com/TENANT-ID/v2.0: \"organizations\" is every one "
			   "of the world" },
	{ .issuer = "https://login.microsoftonline.com/",
		.name = "Microsoft",
		.no_email = "Microsoft vouches for no e-mail address: if your organization gives out all of "
			    "its own, set "
			    "email_verified_required: false",
		.no_groups = "let the application tell groups (Token configuration); Microsoft names them by "
			     "their "
			     "object ids, and tells none to who is in more than 200" },
	{ .issuer = "https://github.com",
		.name = "GitHub",
		.refused = "a provider of OpenID Connect; GitHub speaks OAuth 2 alone: put one in between "
			   "that logs in by "
			   "GitHub, such as Dex or Keycloak" },
	{ .issuer = "https://appleid.apple.com",
		.name = "Apple",
		.refused = "a provider that answers by a redirect; Apple does by a form of its own site: put "
			   "one in between" },
};

const struct oidc_quirk *oidc_quirk_of(const char *issuer)
{
	for (size_t i = 0; i < ARRAY_LEN(quirks); i++)
		if (!strncmp(issuer, quirks[i].issuer, strlen(quirks[i].issuer)))
			return &quirks[i];
	return NULL;
}

bool oidc_is_own_parameter(const char *name)
{
	static const char *const own[] = { "client_id", "redirect_uri", "response_type", "response_mode",
		"scope", "state", "nonce", "code_challenge", "code_challenge_method", "request",
		"request_uri" };
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (!strcmp(own[i], name))
			return true;
	return false;
}

const char *oidc_email_of(const struct oidc_settings *s, const struct oidc_claims *c)
{
	const char *at = strrchr(c->email, '@');
	return at && at != c->email && at[1] && (c->email_verified || !s->verified_email) ? c->email : "";
}

static bool is_in(const struct oidc_texts *list, const char *text, bool any_case)
{
	for (size_t i = 0; i < list->n; i++)
		if (any_case ? !strcasecmp(list->v[i], text) : !strcmp(list->v[i], text))
			return true;
	return false;
}

static bool has_group(const struct oidc_texts *list, const struct oidc_claims *c)
{
	for (size_t i = 0; i < c->n_groups; i++)
		if (is_in(list, c->groups[i], false))
			return true;
	return false;
}

static int refuse_groups(const struct oidc_settings *s, const struct oidc_claims *c, struct errbuf *eb)
{
	const struct oidc_quirk *q = oidc_quirk_of(s->issuer);
	if (c->has_groups)
		return err_say(eb, ERR_REFUSED, "You are in none of the groups that may have machines here.");
	return err_say(eb, ERR_REFUSED, "%s has not said which groups you are in. For the admin: %s.",
		s->name,
		q && q->no_groups ? q->no_groups : "let it put them into the claim that groups_claim names");
}

static int refuse_email(const struct oidc_settings *s, const struct oidc_claims *c, struct errbuf *eb)
{
	const struct oidc_quirk *q = oidc_quirk_of(s->issuer);
	if (!*c->email)
		return err_say(eb, ERR_REFUSED,
			"%s has not said your e-mail address. For the admin: the scopes must have `email`.",
			s->name);
	return err_say(eb, ERR_REFUSED, "%s does not vouch for your e-mail address %.128s%s%s.", s->name,
		c->email, q && q->no_email ? ". For the admin: " : ": have it verified there",
		q && q->no_email ? q->no_email : "");
}

int oidc_may_enter(const struct oidc_settings *s, const struct oidc_claims *c, struct errbuf *eb)
{
	const char *email = oidc_email_of(s, c), *at = strrchr(email, '@');
	if (s->groups.n && !has_group(&s->groups, c))
		return refuse_groups(s, c, eb);
	if ((s->domains.n || s->users.n) && !*email)
		return refuse_email(s, c, eb);
	if (s->domains.n && (!at || !is_in(&s->domains, at + 1, true)))
		return err_say(
			eb, ERR_REFUSED, "E-mail addresses such as %.128s may have no machines here.", email);
	if (s->users.n && !is_in(&s->users, email, true))
		return err_say(eb, ERR_REFUSED, "%.128s may have no machines here.", email);
	return 0;
}
