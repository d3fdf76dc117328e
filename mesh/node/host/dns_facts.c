#include "mesh/node/host/dns_facts.h"
#include "mesh/os/file.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_RESOLV_CONF "/etc/resolv.conf"

enum { NSSWITCH_MAX = 16 * 1024, PROGRAM_MAX = 128 * 1024, STUB = 0x7f000035, DNS_PORT = 53 };

void dns_places_system(struct dns_places *p, const char *resolv_conf)
{
	*p = (struct dns_places) { .resolv_conf = resolv_conf,
		.own_path = strcmp(resolv_conf, SYSTEM_RESOLV_CONF) != 0,
		.uplinks = "/run/systemd/resolve/resolv.conf",
		.networkmanager = "/run/NetworkManager/resolv.conf",
		.openresolv = "/run/resolvconf/interfaces",
		.nsswitch = "/etc/nsswitch.conf",
		.bus = "/run/dbus/system_bus_socket",
		.ask_again_ms = 60000 };
}

static bool is_there(const char *path)
{
	return *path && access(path, F_OK) == 0;
}

static bool is_mount(const char *path)
{
	struct statx st;
	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes_mask & st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static void folder_of(const char *path, char *out, size_t cap)
{
	snprintf(out, cap, "%s", path);
	char *slash = strrchr(out, '/');
	if (slash)
		slash[slash == out] = 0;
	else
		snprintf(out, cap, ".");
}

/* Where a link leads, as it is written, from the root on: "../run/x" in /etc is /run/x. */
static bool link_read(const char *path, char *out, size_t cap)
{
	char at[PATH_MAX], folder[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t n = readlink(path, at, sizeof(at) - 1);
	if (n <= 0)
		return false;
	at[n] = 0;
	folder_of(path, folder, sizeof(folder));
	snprintf(whole, sizeof(whole), "%s%s%s", at[0] == '/' ? "" : folder, at[0] == '/' ? "" : "/", at);
	size_t len = 0;
	for (const char *p = whole; *p;) {
		size_t part = strcspn(p + 1, "/");
		if (part == 2 && p[1] == '.' && p[2] == '.') {
			while (len && out[--len] != '/')
				;
		} else if (part && !(part == 1 && p[1] == '.') && len + part + 1 < cap) {
			memcpy(out + len, p, part + 1);
			len += part + 1;
		}
		p += part + 1;
	}
	out[len] = 0;
	return true;
}

/* A file that is immutable (chattr +i) can be neither written nor replaced; a mount can only be written. */
static void read_unwritable(const struct dns_places *p, enum dns_file file, char *out, size_t cap)
{
	char folder[PATH_MAX];
	*out = 0;
	folder_of(p->resolv_conf, folder, sizeof(folder));
	if (file == DNS_FILE_PLAIN && faccessat(AT_FDCWD, p->resolv_conf, W_OK, AT_EACCESS) != 0 &&
		errno == EPERM)
		snprintf(out, cap, "it is immutable (chattr -i lets it be written)");
	else if (faccessat(AT_FDCWD, file == DNS_FILE_MOUNT ? p->resolv_conf : folder, W_OK, AT_EACCESS) != 0)
		snprintf(out, cap, "%s", strerror(errno));
}

/* Its socket: binding there fails when somebody has it. Nothing is sent or received. */
static bool stub_listens(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(DNS_PORT), .sin_addr.s_addr = htonl(STUB)
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool taken = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 && errno != EADDRNOTAVAIL;
	if (fd >= 0)
		close(fd);
	return taken;
}

/* Two programs have that name, and a link makes resolvectl a third. */
static enum dns_resolvconf read_resolvconf(void)
{
	static const char *const places[] = { "/sbin/resolvconf", "/usr/sbin/resolvconf",
		"/usr/bin/resolvconf" };
	enum dns_resolvconf is = DNS_RESOLVCONF_NONE;
	char real[PATH_MAX];
	for (size_t i = 0; !is && i < sizeof(places) / sizeof(*places); i++) {
		struct buf text = { 0 };
		const char *name = realpath(places[i], real) ? strrchr(real, '/') : NULL;
		if (name && strcmp(name, "/resolvectl") == 0)
			is = DNS_RESOLVCONF_SYSTEMD;
		else if (name && file_read(real, PROGRAM_MAX, &text, NULL) == 0 && text.len)
			is = memmem(buf_data(&text), text.len, "openresolv", strlen("openresolv"))
				     ? DNS_RESOLVCONF_OPEN
				     : DNS_RESOLVCONF_DEBIAN;
		buf_free(&text);
	}
	return is;
}

void dns_facts_read(const struct dns_places *p, const char *own, bool missing, const struct buf *text,
	struct dns_facts_store *s, struct dns_facts *out)
{
	char folder[PATH_MAX];
	struct stat st;
	*s = (struct dns_facts_store) { 0 };
	*out = (struct dns_facts) { .own_path = p->own_path,
		.file = DNS_FILE_PLAIN,
		.text = text->len ? (const char *)buf_data(text) : "",
		.len = text->len,
		.resolved_refused = "",
		.openresolv_refused = "" };
	if (is_mount(p->resolv_conf))
		out->file = DNS_FILE_MOUNT;
	else if (missing || lstat(own, &st) != 0)
		out->file = DNS_FILE_MISSING;
	else if (S_ISLNK(st.st_mode) && link_read(own, s->link, sizeof(s->link)))
		out->file = DNS_FILE_LINK;
	read_unwritable(p, out->file, s->unwritable, sizeof(s->unwritable));
	out->link = s->link;
	out->unwritable = s->unwritable;
	out->nsswitch = "";
	if (p->own_path) /* nobody is asked about it */
		return;
	if (file_read(p->nsswitch, NSSWITCH_MAX, &s->nsswitch, NULL) == 0 && s->nsswitch.len) {
		out->nsswitch = (const char *)buf_data(&s->nsswitch);
		out->nsswitch_len = s->nsswitch.len;
	}
	folder_of(p->networkmanager, folder, sizeof(folder));
	out->networkmanager_here = is_there(folder);
	out->bus = is_there(p->bus);
	out->stub_here = stub_listens();
	out->uplinks_here = is_there(p->uplinks);
	out->resolvconf = read_resolvconf();
}

void dns_facts_free(struct dns_facts_store *s)
{
	buf_free(&s->nsswitch);
}
