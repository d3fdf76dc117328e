#include "simnet/host/host_files.h"

#include "mesh/base/buf.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where an upper and a work folder for each overlay are, on a tmpfs that the host's own /run then covers. */
#define LAYERS "/run/layers"

static int write_text(const char *path, const char *text, size_t len, struct errbuf *eb)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, len);
	int err = n < 0 ? -errno : (size_t)n < len ? -ENOSPC : 0;
	if (fd >= 0)
		close(fd);
	return err ? err_set(eb, err, "write %s", path) : 0;
}

static bool put_hosts(const struct scenario *s, const char *self, struct buf *b)
{
	int node = scenario_find_node(s, self);
	int network = node >= 0 ? s->nodes[node].router : scenario_find_router(s, self);
	char text[ADDR_TEXT];
	bool ok = buf_printf(b, "127.0.0.1 localhost\n127.0.1.1 %s\n", self);
	for (size_t i = 0; ok && i < s->n_nodes; i++) {
		const struct scn_node *n = &s->nodes[i];
		if (!n->is_service)
			continue;
		if (topology_has_v4(s, n->router))
			ok = buf_printf(b, "%s %s\n", addr_format(&n->ip, text), n->name);
		struct prefix v6 = topology_v6_from(s, network, n->router, &n->ip);
		if (ok && topology_has_v6(s, n->router))
			ok = buf_printf(b, "%s %s\n", addr_format(&v6.ip, text), n->name);
	}
	return ok;
}

static int write_etc(const struct scenario *s, const char *self, const char *dir, struct errbuf *eb)
{
	static const char no_nameserver[] = "# simnet: this host has no nameserver of its own\n";
	char path[64];
	struct buf hosts = { 0 };
	if (!put_hosts(s, self, &hosts)) {
		buf_free(&hosts);
		return err_set(eb, -ENOMEM, "write the hosts file of %s", self);
	}
	snprintf(path, sizeof(path), "%s/hosts", dir);
	int err = write_text(path, (const char *)buf_data(&hosts), hosts.len, eb);
	buf_free(&hosts);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	if ((err = write_text(path, no_nameserver, sizeof(no_nameserver) - 1, eb)))
		return err;
	char line[128];
	snprintf(path, sizeof(path), "%s/hostname", dir);
	int n = snprintf(line, sizeof(line), "%s\n", self);
	return write_text(path, line, (size_t)n, eb);
}

/* Where no overlay can be had the files are bound one by one: programs may then write them, but not rename
 * over. */
static int bind_etc(const char *dir, struct errbuf *eb)
{
	static const char *const names[] = { "hosts", "resolv.conf", "hostname" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char from[64], to[64];
		snprintf(from, sizeof(from), "%s/%s", dir, names[i]);
		snprintf(to, sizeof(to), "/etc/%s", names[i]);
		if (mount(from, to, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
			return err_set(eb, -errno, "give a host its own %s", to);
	}
	return 0;
}

/* Those that programs expect to write to. In a layer above the machine's they are merged with these, and
 * belong to the host's root, who in a user namespace is not the owner of the machine's. */
static void make_var_folders(const char *var)
{
	static const char *const names[] = { "cache", "lib", "log", "spool", "tmp" };
	char path[64];
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", var, names[i]);
		(void)mkdir(path, 0755);
	}
	(void)chmod(path, 01777);
}

/* Without an overlay /tmp and /var hold nothing of the machine's. */
static int mount_empty(const char *path, mode_t mode, struct errbuf *eb)
{
	char text[64];
	snprintf(text, sizeof(text), "mode=%o", (unsigned)mode);
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, text) < 0)
		return err_set(eb, -errno, "give a host its own %s", path);
	if (!strcmp(path, "/var")) {
		make_var_folders(path);
		(void)!symlink("/run", "/var/run");
	}
	return 0;
}

struct layer {
	const char *path;
	mode_t mode;
};
static const struct layer layers[] = { { "/etc", 0755 }, { "/var", 0755 }, { "/tmp", 01777 } };

/* What the machine has can be read, and what the host writes is its own. */
static bool mount_overlay(const struct layer *l)
{
	char upper[64], options[256];
	snprintf(upper, sizeof(upper), LAYERS "%s", l->path);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s-work", l->path, upper, upper);
	return mount("overlay", l->path, "overlay", MS_NOSUID | MS_NODEV, options) == 0;
}

static int make_layer(const struct layer *l, struct errbuf *eb)
{
	char upper[64], work[80];
	snprintf(upper, sizeof(upper), LAYERS "%s", l->path);
	snprintf(work, sizeof(work), "%s-work", upper);
	if (mkdir(upper, l->mode) < 0 || chmod(upper, l->mode) < 0 || mkdir(work, 0755) < 0)
		return err_set(eb, -errno, "give a host its own %s", l->path);
	if (!strcmp(l->path, "/var"))
		make_var_folders(upper);
	return 0;
}

static int mount_layers(const struct scenario *s, const char *self, struct errbuf *eb)
{
	int err = mkdir(LAYERS, 0755) < 0 ? err_set(eb, -errno, "give %s its own files", self) : 0;
	for (size_t i = 0; i < ARRAY_LEN(layers) && !err; i++)
		err = make_layer(&layers[i], eb);
	if (!err)
		err = write_etc(s, self, LAYERS "/etc", eb);
	for (size_t i = 0; i < ARRAY_LEN(layers) && !err; i++) {
		const struct layer *l = &layers[i];
		if (!mount_overlay(l))
			err = strcmp(l->path, "/etc") != 0 ? mount_empty(l->path, l->mode, eb)
							   : bind_etc(LAYERS "/etc", eb);
	}
	return err;
}

/* Everything that a host sees of the machine can be read and not written; its own mounts come on top. What must
 * stay as it was is set aside first, and put back when the folders it may lie below are covered. */
enum aside { RUN_DIR, PROC, TERMINALS, GIVEN, N_ASIDE };

static void set_aside(const char *const path[N_ASIDE], int fd[N_ASIDE])
{
	for (size_t i = 0; i < N_ASIDE; i++) {
		fd[i] = -ENOENT;
		if (!path[i])
			continue;
		fd[i] = open_tree(
			AT_FDCWD, path[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (unsigned)AT_RECURSIVE);
		if (fd[i] < 0)
			fd[i] = -errno;
	}
}

static int put_back(int fd, const char *path)
{
	if (fd < 0)
		return fd;
	return move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

int host_files_only_read(void)
{
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	return mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof(read_only)) < 0 ? -errno : 0;
}

/* It may be below any that the host has of its own, where nothing is called so yet. */
static int put_given(int fd, const char *path, struct errbuf *eb)
{
	if (*path != '/')
		return err_say(eb, ERR_MALFORMED,
			"SIMNET_WRITABLE is '%s', which is no path from the root on", path);
	if (fd >= 0 && dir_make(path, 0755, eb))
		return eb->code;
	int err = put_back(fd, path);
	return err ? err_set(eb, err, "let hosts write in %s (SIMNET_WRITABLE)", path) : 0;
}

static int mount_own(const struct scenario *s, const char *name, const char *const path[N_ASIDE],
	const int aside[N_ASIDE], struct errbuf *eb)
{
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
		return err_set(eb, -errno, "give %s its own /run", name);
	int err = mount_layers(s, name, eb);
	if (err)
		return err;
	(void)mkdir(path[RUN_DIR], 0755);
	if ((err = put_back(aside[RUN_DIR], path[RUN_DIR])))
		return err_set(eb, err, "show the run's files in %s", path[RUN_DIR]);
	/* Best effort: the machine's /sys would show other interfaces than this host's, and a container may
	 * not let /proc be mounted anew, which then shows the processes of all. */
	(void)mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		(void)put_back(aside[PROC], "/proc");
	(void)put_back(aside[TERMINALS], "/dev/pts");
	(void)mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
		return err_set(eb, -errno, "give %s its own /run", name);
	return path[GIVEN] ? put_given(aside[GIVEN], path[GIVEN], eb) : 0;
}

int host_files_mount(const struct scenario *s, const char *name, const char *work_dir, struct errbuf *eb)
{
	const char *given = getenv("SIMNET_WRITABLE");
	const char *const path[N_ASIDE] = { [RUN_DIR] = work_dir,
		[PROC] = "/proc",
		[TERMINALS] = "/dev/pts",
		[GIVEN] = given && *given ? given : NULL };
	int aside[N_ASIDE];
	if (sethostname(name, strlen(name)) < 0)
		return err_set(eb, -errno, "set the host name %s", name);
	set_aside(path, aside);
	(void)host_files_only_read(); /* simnet doctor says where that cannot be had */
	int err = mount_own(s, name, path, aside, eb);
	for (size_t i = 0; i < N_ASIDE; i++)
		if (aside[i] >= 0)
			close(aside[i]);
	return err;
}
