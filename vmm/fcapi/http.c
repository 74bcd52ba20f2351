/*
 * Parses requests and writes responses (RFC 9112, of which this is a strict part).
 *
 *	METHOD SP URI SP HTTP/1.x CRLF   *( name ":" value CRLF )   CRLF   body
 * The status line of a response has no reason: "HTTP/1.1 204 " CRLF.
 */
#include "fcapi/http.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"

static const struct {
	const char *word, *name;
} methods[] = {
	[HTTP_GET] = {"GET", "Get"},
	[HTTP_PUT] = {"PUT", "Put"},
	[HTTP_PATCH] = {"PATCH", "Patch"},
	[HTTP_DELETE] = {"DELETE", "Delete"},
};
static_assert(ARRAY_LEN(methods) == HTTP_METHOD_N_, "a name for each method");

const char *http_method_name(enum http_method m)
{
	return methods[m].name;
}

static enum http_result bad(const char **ret_why, const char *why)
{
	*ret_why = why;
	return HTTP_BAD;
}

/* The length of the line at `data` without its CRLF; HTTP_MORE when its end has not come. */
static enum http_result line_at(const char *data, size_t len, size_t *ret_len, const char **ret_why)
{
	size_t look = len < HTTP_LINE_MAX ? len : HTTP_LINE_MAX;
	const char *end = memmem(data, look, "\r\n", 2);

	if (!end)
		return look == HTTP_LINE_MAX ? bad(ret_why, "A line is too long.") : HTTP_MORE;
	*ret_len = (size_t)(end - data);
	if (memchr(data, '\0', *ret_len))
		return bad(ret_why, "A line holds a NUL byte.");
	return HTTP_REQUEST;
}

static enum http_result request_line(const char *line, struct http_request *r, const char **ret_why)
{
	char text[HTTP_LINE_MAX], *pos = text, *method, *uri, *version;
	int m = -1;

	if (!str_copy(text, sizeof(text), line))
		return bad(ret_why, "Invalid request line.");
	method = str_word(&pos, " ");
	uri = str_word(&pos, " ");
	version = str_word(&pos, " ");
	if (!method || !uri || !version || str_word(&pos, " "))
		return bad(ret_why, "Invalid request line.");
	for (unsigned i = 0; i < ARRAY_LEN(methods); i++)
		if (str_eq(method, methods[i].word))
			m = (int)i;
	if (m < 0)
		return bad(ret_why, "Invalid HTTP Method.");
	if (!str_eq(version, "HTTP/1.0") && !str_eq(version, "HTTP/1.1"))
		return bad(ret_why, "Unsupported HTTP version.");
	r->method = (enum http_method)m;
	return str_copy(r->uri, sizeof(r->uri), uri) ? HTTP_REQUEST : bad(ret_why, "Invalid URI.");
}

/* Content-Length and Expect matter; all others pass. */
static enum http_result header_line(char *line, struct http_request *r, const char **ret_why)
{
	char *colon = strchr(line, ':'), *value;
	uint64_t n;

	if (!colon)
		return bad(ret_why, "Invalid header.");
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	value[strcspn(value, " \t")] = '\0';
	if (!strcasecmp(line, "content-length")) {
		if (parse_u64(value, 0, SIZE_MAX / 2, &n))
			return bad(ret_why, "Invalid content length.");
		r->body_len = n;
	} else if (!strcasecmp(line, "expect")) {
		r->expects_continue = !strcasecmp(value, "100-continue");
	}
	return HTTP_REQUEST;
}

enum http_result http_parse(const char *data, size_t len, size_t body_max, struct http_request *ret,
			    const char **ret_why)
{
	struct http_request r = {.method = HTTP_GET};
	size_t at = 0, line_len;
	char line[HTTP_LINE_MAX];

	for (unsigned i = 0;; i++) {
		enum http_result rc = line_at(data + at, len - at, &line_len, ret_why);

		if (rc != HTTP_REQUEST)
			return rc;
		if (i > HTTP_HEADERS_MAX)
			return bad(ret_why, "Too many headers.");
		memcpy(line, data + at, line_len);
		line[line_len] = '\0';
		at += line_len + 2;
		if (i > 0 && line_len == 0)
			break;
		rc = i == 0 ? request_line(line, &r, ret_why) : header_line(line, &r, ret_why);
		if (rc != HTTP_REQUEST)
			return rc;
	}
	if (r.body_len > body_max)
		return bad(ret_why, "The payload is too large.");
	r.used = at + r.body_len;
	r.body = data + at;
	if (len - at < r.body_len) {
		ret->expects_continue = r.expects_continue && len == at;
		return HTTP_MORE;
	}
	*ret = r;
	return HTTP_REQUEST;
}

int http_respond(struct buf *out, unsigned status, const char *body, bool deprecated)
{
	(void)buf_printf(out,
			 "HTTP/1.1 %u \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n",
			 status); /* failures are kept in out->failed */
	if (deprecated)
		(void)buf_puts(out, "Deprecation: true\r\n");
	if (body)
		(void)buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
				 strlen(body));
	(void)buf_puts(out, "\r\n");
	(void)buf_puts(out, body ? body : "");
	return out->failed ? -ENOMEM : 0;
}
