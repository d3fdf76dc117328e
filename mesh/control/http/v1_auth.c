/* Headscale's REST API: what waits for an admin's word. There, logins by SSH and machines that ask to come in are one kind
 * of thing; a machine is let in by auth/register, which says whose it is. */
#include "mesh/control/http/machine.h"
#include "mesh/control/http/ssh_checks.h"
#include "mesh/control/http/v1.h"
#include <errno.h>
#include <string.h>

static const char none[] = "no pending auth session for this auth_id";

static void find_machine(void *arg, const struct pending_info *p)
{
	const char **id = arg;
	if (*id && !strcmp(p->id, *id))
		*id = NULL;
}

static bool is_machine(const struct api *a, const char *id)
{
	registry_pending_each(a->reg, find_machine, &id);
	return !id;
}

static void reply_decided(struct api_call *c, int err, json_t *v, const char *sentence)
{
	json_decref(v);
	if (err)
		api_reply_error(&c->way, err == -ENOENT ? 404 : 400, err == -ENOENT ? none : sentence);
	else
		api_reply_json(&c->way, 200, json_object());
}

void v1_auth_approve(struct api_call *c)
{
	char id[64] = "";
	struct errbuf eb = { 0 };
	json_t *v = NULL;
	asked_text(c, "authId", id, sizeof(id));
	int err = ssh_checks_decide(c->api, id, true, c->now_ms, &v, &eb);
	if (err == -ENOENT && is_machine(c->api, id))
		err = err_say(&eb, -EINVAL, "a machine waits under this id: auth/register says whose it is");
	reply_decided(c, err, v, eb.text);
}

void v1_auth_reject(struct api_call *c)
{
	char id[64] = "";
	struct errbuf eb = { 0 };
	json_t *v = NULL;
	asked_text(c, "authId", id, sizeof(id));
	int err = ssh_checks_decide(c->api, id, false, c->now_ms, &v, &eb);
	if (err == -ENOENT && is_machine(c->api, id)) {
		machines_recall(c->api->machines, id);
		err = registry_pending_reject(c->api->reg, id, c->now_ms, &eb);
	}
	reply_decided(c, err, v, eb.text);
}
