/*
 * Formats text for people into fixed room.  Called by every file of this folder; pure.
 */
#include "control/text.h"

#include <stdio.h>

void text_vcut(char *dst, size_t cap, const char *fmt, va_list ap)
{
	int n = vsnprintf(dst, cap, fmt, ap);
	size_t end;

	if (n < 0) {
		dst[0] = 0;
		return;
	}
	if ((size_t)n < cap)
		return;
	/* Step back over continuation bytes 10xxxxxx (RFC 3629) and the lead byte they belong
	 * to. */
	end = cap - 1;
	while (end > 0 && ((unsigned char)dst[end - 1] & 0xc0) == 0x80)
		end--;
	if (end > 0 && (unsigned char)dst[end - 1] >= 0xc0)
		end--;
	else
		end = cap - 1;
	dst[end] = 0;
}

void text_cut(char *dst, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vcut(dst, cap, fmt, ap);
	va_end(ap);
}
