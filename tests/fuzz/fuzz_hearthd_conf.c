/*
 * Fuzz target: the configuration file.  Whatever is accepted stays within the limits of the table.
 */
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "fuzz.h"
#include "hearthd/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf c;
	struct err e = {0};

	conf_defaults(&c);
	if (conf_parse(&c, "fuzz.conf", (const char *)data, size, &e)) {
		assert(e.id && *e.text && e.kind == ERR_CALLER);
		return 0;
	}
	assert(c.classes_n >= 2 && c.classes_n <= CONF_CLASSES);
	assert(*c.state_dir == '/' && *c.run_dir == '/');
	assert(str_eq(c.listen, "none") || c.listen_addr >> 24 == 127);
	for (unsigned i = 0; i < c.classes_n; i++) {
		const struct vm_class *class = &c.classes[i];

		assert(name_valid(class->name) && name_valid(class->image));
		assert(class->vcpus >= 1 && class->vcpus <= LIMIT_VCPUS);
		assert(class->ram_mib <= LIMIT_RAM_MIB && class->disk_mib <= LIMIT_DISK_MIB);
	}
	return 0;
}
