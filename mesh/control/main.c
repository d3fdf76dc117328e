#include "mesh/control/control.h"
#include "mesh/proto/json_memory.h"

int main(int argc, char **argv)
{
	json_memory_wipes();
	return control_main(argc, argv);
}
