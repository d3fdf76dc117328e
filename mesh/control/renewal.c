#include "mesh/control/renewal.h"

#include "mesh/base/log.h"
#include <string.h>

/* The relay's region is known when its sockets are: their ports, and the pin of a certificate that nobody stands for. */
struct settings *renewal_settings(
	const struct renewal_sources *from, const struct web *w, const char *pin, struct errbuf *eb)
{
	struct control_config dns = { 0 };
	struct settings_relay relay;
	const struct buf *text = from->dns;
	if (text->len && config_dns_parse((const char *)buf_data(text), text->len, &dns, eb))
		return NULL;
	struct settings *set = settings_read(
		from->cfg, text->len ? &dns : NULL, web_relay_facts(w, pin, &relay), from->kept, eb);
	config_free(&dns);
	return set;
}

int renewal_read(const struct web *w, const struct renewal_sources *from, struct renewal *out,
	struct buf *wrong, struct errbuf *eb)
{
	struct errbuf more = { 0 };
	*out = (struct renewal) { .set = NULL };
	int err = web_certificate_read(w, &out->certificate, eb);
	if (err)
		(void)buf_printf(wrong, "%s\n", eb->text);
	out->set = renewal_settings(from, w, out->certificate.pin, &more);
	if (out->set)
		return err;
	(void)buf_printf(wrong, "%s\n", more.text);
	if (!err)
		*eb = more;
	return eb->code;
}

struct settings *renewal_use(struct renewal *r, struct web *w)
{
	struct settings *set = r->set;
	web_certificate_use(w, &r->certificate);
	r->set = NULL;
	return set;
}

void renewal_drop(struct renewal *r)
{
	tls_free(r->certificate.tls);
	settings_put(r->set);
	*r = (struct renewal) { .set = NULL };
}

void renewal_complain(const char *doing, struct buf *wrong, const struct errbuf *eb)
{
	const char *line = wrong->len ? buf_cstr(wrong) : NULL;
	if (!line)
		log_error("%s%s", doing, eb->text);
	for (size_t n; line && *line; line += n + (line[n] == '\n')) {
		n = strcspn(line, "\n");
		log_error("%s%.*s", doing, (int)n, line);
	}
	buf_wipe(wrong); /* secrets may stand in it */
}
