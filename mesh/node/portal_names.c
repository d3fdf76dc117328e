#include "mesh/node/portal_names.h"

const char *const portal_names[] = {
	"captive.apple.com",
	"clients3.google.com",
	"connectivitycheck.gstatic.com",
	"detectportal.firefox.com",
	"dns.msftncsi.com",
	"www.msftconnecttest.com",
	"www.msftncsi.com",
	"connectivity-check.ubuntu.com",
	"fedoraproject.org",
	"network-test.debian.org",
	"networkcheck.kde.org",
	"nmcheck.gnome.org",
	"ping.archlinux.org",
};
const size_t portal_names_n = sizeof(portal_names) / sizeof(*portal_names);
