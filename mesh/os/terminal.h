/* A terminal whose keys count without Enter, and are not shown. */
#ifndef SIMNET_KEYS_H
#define SIMNET_KEYS_H

#include <stdbool.h>

/* From now on a signal that ends the program is kept, unless it is ignored, until keys_end. false: standard input is no
 * terminal, and all is as it was. */
bool keys_begin(void);
bool keys_are_over(void); /* such a signal came */
/* The terminal is as it was; the program ends here by a signal that was kept. */
void keys_end(void);

#endif
