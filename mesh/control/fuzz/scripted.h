/* What stands in the place of others on the network, in the target of whole visits. */
#ifndef RW_CONTROL_FUZZ_SCRIPTED_H
#define RW_CONTROL_FUZZ_SCRIPTED_H

/* The order that is open ends: with a certificate ("issued"), with this text in the place of one (it begins with "-"), or for
 * this reason. None is open: nothing. */
void scripted_authority_ends(const char *text);

#endif
