/*
 * Fuzz target: the parser of server-sent events.  The first byte chooses the pieces; the events do
 * not depend on them.
 */
#include <string.h>

#include "base/buf.h"
#include "cli/sse.h"
#include "fuzz.h"

static int collect(void *ctx, const char *event, const char *id, const char *data, size_t len)
{
	struct buf *out = ctx;

	assert(*event && strlen(event) < SSE_NAME_MAX && strlen(id) < SSE_NAME_MAX);
	assert(data[len] == '\0' && len <= SSE_DATA_MAX);
	assert(!strchr(event, '\n') && !strchr(id, '\n') && !strchr(data, '\r'));
	return buf_printf(out, "[%s|%s|%s]", event, id, data);
}

static int run(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	auto_sse s = {0};
	int rc = 0;

	for (size_t i = 0; i < size && !rc; i += step)
		rc = sse_feed(&s, (const char *)data + i, size - i < step ? size - i : step,
			      collect, out);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf whole = {0}, pieces = {0};

	if (size == 0 || size > 65536)
		return 0;
	assert(run(data + 1, size - 1, size, &whole) == 0); /* far below the limits */
	assert(run(data + 1, size - 1, 1 + data[0], &pieces) == 0);
	assert(whole.len == pieces.len);
	assert(!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0);
	return 0;
}
