/*
 * The handover phase: checks that the real init can start, and becomes it.
 *
 * The checks name what execve(2) does not: ENOENT stands for a missing program and for a missing
 * interpreter alike. The root is "/" already.  Trust: the root belongs to the guest's owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "init/arp.h"
#include "init/execfmt.h"
#include "init/init.h"
#include "init/textfile.h"

#define INTERPRETERS_MAX 4 /* exec_binprm() follows five files in all */

/* The kernel's list (init/main.c kernel_init). */
static const char *const inits[] = {"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};

static ssize_t read_head(int fd, uint8_t head[EXEC_HEAD_LEN])
{
	ssize_t n = pread(fd, head, EXEC_HEAD_LEN, 0);

	return n < 0 ? -errno : n;
}

/* Follow path and its interpreters; -1 with the first thing that would keep it from starting. */
static int check_program(const char *path, struct fault *f)
{
	char program[INTERPRETER_LEN], interpreter[INTERPRETER_LEN];

	if (!str_copy(program, sizeof(program), path))
		return fault_set(f, FAULT_INIT_MISSING, path, "the path is longer than 255 bytes");
	for (int depth = 0; depth <= INTERPRETERS_MAX; depth++) {
		uint8_t head[EXEC_HEAD_LEN];
		struct stat st;
		ssize_t n;
		auto_close int fd = open(program, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		if ((fd < 0 || fstat(fd, &st)) && depth == 0)
			return fault_set(f, FAULT_INIT_MISSING, program, "%s", strerror(errno));
		if (fd < 0 || fstat(fd, &st))
			return fault_set(f, FAULT_INIT_INTERPRETER_MISSING, program,
					 "needed by %s: %s", path, strerror(errno));
		if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
			return fault_set(f, FAULT_INIT_NOT_EXECUTABLE, program, "mode %04o%s",
					 (unsigned)(st.st_mode & 07777),
					 S_ISREG(st.st_mode) ? "" : ", not a regular file");
		n = read_head(fd, head);
		if (n < 0)
			return fault_set(f, FAULT_HANDOVER_FAILED, program, "read: %s",
					 strerror((int)-n));
		switch (execfmt_probe(head, (size_t)n, interpreter)) {
		case EXEC_PLAIN:
			return 0;
		case EXEC_WRONG_ARCH:
			return fault_set(f, FAULT_INIT_WRONG_ARCH, program,
					 "an ELF program of another processor");
		case EXEC_UNKNOWN:
			return fault_set(f, FAULT_INIT_BAD_FORMAT, program,
					 "%zd bytes, neither ELF nor #!", (ssize_t)st.st_size);
		case EXEC_INTERPRETED:
			memcpy(program, interpreter, sizeof(program));
			break;
		}
	}
	return fault_set(f, FAULT_INIT_BAD_FORMAT, path, "more than %d interpreters",
			 INTERPRETERS_MAX);
}

static int pick_init(const struct root_params *r, const char **ret_path, struct fault *f)
{
	if (*r->init) {
		*ret_path = r->init;
		return check_program(r->init, f);
	}
	for (size_t i = 0; i < ARRAY_LEN(inits); i++) {
		struct stat st;

		if (stat(inits[i], &st))
			continue;
		*ret_path = inits[i];
		return check_program(inits[i], f);
	}
	return fault_set(f, FAULT_INIT_MISSING, inits[0],
			 "none of /sbin/init, /etc/init, /bin/init, /bin/sh is there");
}

int phase_handover(struct boot *b, struct line *ok, struct fault *f)
{
	const char *path;
	char **argv = (char **)b->argv;

	if (pick_init(&b->params.root, &path, f))
		return -1;
	/* The second of the two announcements of RFC 5227 sec. 2.3: the first may have met a bridge
	 * port that was not forwarding yet. */
	if (b->has_nic && b->params.net.has_ip)
		(void)arp_announce(&b->nic,
				   b->params.net.ip); /* the net phase has reported the first */
	watch_close(&b->watch);
	(void)textfile_write(RCU_EXPEDITED, "0"); /* as the kernel had it */
	line_str(ok, "init", path);
	line_u64(ok, "uptime_ms", clock_boot_ns() / NS_PER_MS);
	console_line("handover", "ok", ok);
	argv[0] = (char *)path;
	(void)execv(path, argv);
	return fault_set(f, FAULT_HANDOVER_FAILED, path, "execve: %s", strerror(errno));
}
