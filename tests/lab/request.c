/*
 * One request to an API on a Unix socket, for the lab's suite: prints the answer, head and body.
 *
 * usage: request SOCKET METHOD PATH [BODY].  Exit status: 0 for an answer of 200 to 299, else 1.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

int main(int argc, char *argv[])
{
	const char *body = argc > 4 ? argv[4] : "";
	auto_buf out = {0};
	char in[4096];
	struct err e = {0};
	int fd;
	ssize_t n;

	if (argc < 4)
		return 2;
	if (fd_connect_unix(argv[1], &fd, &e)) {
		(void)fprintf(stderr, "request: %s\n", e.text);
		return 1;
	}
	(void)buf_printf(&out, "%s %s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", argv[2], argv[3],
			 strlen(body), body);
	if (out.failed || fd_write_all(fd, out.data, out.len))
		return 1;
	/* Answers of the API are sent in one piece. */
	n = read(fd, in, sizeof(in) - 1);
	if (n <= 0)
		return 1;
	in[n] = '\0';
	(void)printf("%s\n", in);
	return !str_starts(in, "HTTP/1.1 2");
}
