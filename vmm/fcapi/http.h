#pragma once
/*
 * One HTTP request out of a byte stream, as Firecracker's server takes it (its micro-http):
 * HTTP/1.0 or
 * 1.1, four methods, bodies by Content-Length only.
 *
 * Called by server.c on the main thread.  Trust: every byte is the client's.
 */
#include <stdbool.h>
#include <stddef.h>

struct buf;

#define HTTP_LINE_MAX	 1024u /* request line and each header line, with their CRLF */
#define HTTP_HEADERS_MAX 64u
#define HTTP_URI_MAX	 HTTP_LINE_MAX

enum http_method { HTTP_GET, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_METHOD_N_ };

struct http_request {
	enum http_method method;
	char uri[HTTP_URI_MAX];
	const char *body; /* within the buffer that was parsed; not terminated */
	size_t body_len;
	size_t used;	       /* bytes of the buffer that this request takes */
	bool expects_continue; /* its body has not come, and its client waits to be asked for it */
};

enum http_result { HTTP_MORE, HTTP_REQUEST, HTTP_BAD };

/* Look whether data begins with a whole request.  HTTP_BAD: *ret_why says why, for people; the
 * connection is of no more use. */
enum http_result http_parse(const char *data, size_t len, size_t body_max, struct http_request *ret,
			    const char **ret_why);

/* Append a response; body NULL: none. */
int http_respond(struct buf *out, unsigned status, const char *body, bool deprecated);

const char *http_method_name(enum http_method m); /* "Get", as in Firecracker's log */
