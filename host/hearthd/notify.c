/*
 * The protocol of sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names.  It is a few
 * lines, libsystemd would be a library more in every process.
 * Called by daemon.c.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "hearthd/hearthd.h"

void notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	auto_close int fd = -1;

	if (n < 2 || n >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, n);
	if (*path == '@')
		a.sun_path[0] = '\0'; /* abstract, unix(7) */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn("hearthd.notify", LS("socket", path), LS("error", strerror(errno)));
}
