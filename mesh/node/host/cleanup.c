#include "mesh/node/host/cleanup.h"
#include "mesh/base/log.h"
#include "mesh/node/host/iface.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/node/host/state.h"
#include <errno.h>
#include <unistd.h>

static void no_news(void *arg)
{
	(void)arg;
}

static bool put_resolv_conf_back(void *arg, const char *path)
{
	/* Another node of this machine has pointed it at itself meanwhile. */
	if (iface_service_taken())
		return true;
	struct dns_places places;
	dns_places_system(&places, path);
	struct os_dns *d = os_dns_open(arg, &places, no_news, NULL);
	if (!d)
		return false;
	os_dns_recover(d);
	os_dns_close(d);
	return true;
}

int cleanup_run(struct loop *l, struct journal *j, uint32_t keep, struct errbuf *eb)
{
	if (journal_is_empty(j))
		return 0;
	log_info("undoing what a node left behind on this machine");
	return journal_undo(j, keep, put_resolv_conf_back, l, eb);
}

int cleanup_main(const char *state_dir, struct errbuf *eb)
{
	if (access(state_dir, F_OK) != 0 && errno == ENOENT)
		return 0;
	int lock = state_lock(state_dir, eb);
	if (lock < 0)
		return lock;
	struct loop *l = loop_new();
	struct journal *j = journal_open(state_dir, eb);
	int err = !j ? eb->code : l ? cleanup_run(l, j, 0, eb) : err_set(eb, -ENOMEM, "clean up");
	journal_close(j);
	loop_free(l);
	close(lock);
	return err;
}
