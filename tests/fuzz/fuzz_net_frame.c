/*
 * Fuzz target: frame_parse and frame_is_echo_reply on what a guest sends.
 */
#include <string.h>

#include "fuzz.h"
#include "net/frame.h"

static void check_arp(const uint8_t *data, const struct frame *f)
{
	uint8_t wire[FRAME_ARP_LEN];

	assert(f->type == 0x0806);
	/* What was read is what stands there: written again it gives the same fields. */
	frame_arp_request(f->sender_mac, f->sender_ip, f->target_ip, wire);
	assert(memcmp(wire + 14, data + 14, 6) == 0);
	assert(memcmp(wire + 22, data + 22, 10) == 0);
	assert(memcmp(wire + 38, data + 38, 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f, before;
	uint64_t cookie = 0;
	uint16_t seq = 0;

	memset(&f, 0x5a, sizeof(f));
	memcpy(&before, &f, sizeof(f)); /* padding, too */
	if (frame_parse(data, size, &f)) {
		assert(size < 14);
		assert(memcmp(&f, &before, sizeof(f)) == 0);
	} else {
		assert(memcmp(f.src, data + 6, 6) == 0);
		assert(f.kind != FRAME_ARP || size >= FRAME_ARP_LEN);
		assert(f.kind != FRAME_IPV4 || (size >= 34 && f.type == 0x0800));
		if (f.kind == FRAME_ARP)
			check_arp(data, &f);
	}
	/* The cookie is secret in earnest; here it is what the packet holds, to come past it. */
	if (size >= 36)
		memcpy(&cookie, data + 28, sizeof(cookie));
	if (frame_is_echo_reply(data, size, cookie, &seq))
		assert(size >= 36 && data[0] >> 4 == 4);
	return 0;
}
