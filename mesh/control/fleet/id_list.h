/* Numbers of nodes, sorted, each once. */
#ifndef RW_CONTROL_FLEET_ID_LIST_H
#define RW_CONTROL_FLEET_ID_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_list {    /* all zero is empty */
	int64_t *v; /* owned */
	size_t n, size;
};
/* Index of the first that is not below id. */
size_t id_list_at(const struct id_list *l, int64_t id);
bool id_list_has(const struct id_list *l, int64_t id);
bool id_list_add(struct id_list *l, int64_t id); /* there already is fine; false: memory is short */
void id_list_remove(struct id_list *l, int64_t id);
void id_list_clear(struct id_list *l); /* gives the memory back */
void id_list_free(struct id_list *l);  /* one that was malloc'ed; NULL is fine */

#endif
