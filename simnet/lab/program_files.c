#include "simnet/lab/lab.h"

#include "mesh/os/file.h"
#include "simnet/host/source.h"
#include <errno.h>
#include <unistd.h>

/* What a host has before its program starts: the files that the scenario puts there, and the adapter's own. */

static int file_text(struct program *p, const struct adapter_file *file, struct buf *out, struct errbuf *eb)
{
	struct fields f = program_fields(p);
	int err = fields_expand(&f, file->text, out, eb);

	for (size_t i = 0; i < p->lab->s->n_nodes && file->each && !err; i++) {
		const struct adapter *a = p->lab->programs[i].adapter;
		if (!a || !a->role || strcmp(a->role, file->each) != 0)
			continue;
		f.each_node = (int)i;
		err = fields_expand(&f, file->item, out, eb);
		f.each_index++;
	}
	return err;
}

/* What the file puts on the host itself. */
static int write_host_file(struct program *p, const struct scn_file *file, struct errbuf *eb)
{
	struct fields f = program_fields(p);
	struct buf text = { .cap = SOURCE_BESIDE_MAX };
	struct hosts_file out = { .path = file->path, .mode = file->mode };
	gid_t gid;

	int err = hosts_user(p->lab->hosts, p->node, &out.owner, &gid, eb);
	if (!err)
		err = file->from ? source_read_beside(p->lab->s->file, file->from, &text, eb)
				 : fields_expand(&f, file->text, &text, eb);
	out.data = buf_data(&text);
	out.len = text.len;
	if (!err)
		err = hosts_write(p->lab->hosts, p->node, &out, eb);
	buf_free(&text);
	return err;
}

static int give_to_user(struct program *p, const char *path, struct errbuf *eb)
{
	uid_t uid;
	gid_t gid;
	int err = hosts_user(p->lab->hosts, p->node, &uid, &gid, eb);

	return !err && uid && chown(path, uid, gid) < 0
		       ? err_set(eb, -errno, "give %s its %s", program_node(p)->name, path)
		       : err;
}

static int make_dir(struct program *p, struct errbuf *eb)
{
	char dir[512];
	int err = dir_make(program_dir(p, dir, sizeof(dir)), 0700, eb);

	return err ? err : give_to_user(p, dir, eb);
}

int program_write_files(struct program *p, struct errbuf *eb)
{
	const struct scn_machine *m = &program_node(p)->machine;
	int err = make_dir(p, eb);

	for (size_t i = 0; i < m->n_files && !err; i++)
		err = write_host_file(p, &m->files[i], eb);

	for (size_t i = 0; p->adapter && i < p->adapter->n_files && !err; i++) {
		struct buf path = { .cap = 512 }, text = { .cap = 1 << 18 };
		struct fields f = program_fields(p);
		err = fields_file_path(&f, p->adapter->files[i].path, &path, eb);
		if (!err)
			err = file_text(p, &p->adapter->files[i], &text, eb);
		if (!err)
			err = file_write_atomic(buf_cstr(&path), 0600, buf_data(&text), text.len, eb);
		if (!err)
			err = give_to_user(p, buf_cstr(&path), eb);
		buf_free(&path);
		buf_free(&text);
	}
	return err;
}
