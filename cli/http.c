/*
 * Requests by libcurl's multi interface.
 * Called by api.c and the verbs that follow something.  Trust: see http.h.
 */
#include "cli/http.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"

#define START_REMEDY                                                                               \
	"start it (systemctl start hearthd, or ./run in the source tree), or name the right "

/* http:// to another machine would show the token to everybody on the way. */
static bool is_private(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL;
	uint32_t addr;
	bool ok = u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
		  !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
		  !curl_url_get(u, CURLUPART_HOST, &host, 0);

	if (ok && !str_eq(scheme, "https"))
		ok = str_eq(host, "localhost") || str_eq(host, "[::1]") ||
		     (!parse_ipv4(host, &addr) && addr >> 24 == 127);
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return ok;
}

static int take_token(struct http *h, const char *token, struct err *e)
{
	for (const char *p = token; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, -EINVAL, ERR_CALLER, "cli.token",
				       "the token holds a byte that no token has");
	if (h->url && !is_private(h->url)) {
		(void)err_set(e, -EPERM, ERR_CALLER, "cli.token-in-clear",
			      "%.200s: a token would be readable on its way", h->url);
		return err_remedy(
			e, "use https://, or a tunnel: ssh -L 3000:127.0.0.1:3000 HOST and --url "
			   "http://127.0.0.1:3000");
	}
	h->auth = mem_printf("Authorization: Bearer %s", token);
	return h->auth ? 0 : err_nomem(e);
}

int http_init(struct http *h, const char *socket, const char *url, const char *token, struct err *e)
{
	int rc;

	*h = (struct http){.socket = socket, .url = url};
	if (url && !str_starts(url, "http://") && !str_starts(url, "https://"))
		return err_set(e, -EINVAL, ERR_CALLER, "cli.url",
			       "\"%.200s\": expected http://HOST:PORT or https://HOST:PORT", url);
	if (socket && strlen(socket) > 107) /* unix(7): sun_path */
		return err_set(e, -EINVAL, ERR_CALLER, "cli.socket",
			       "%.200s: longer than the 107 bytes that a socket's path may have",
			       socket);
	rc = token ? take_token(h, token, e) : 0;
	if (rc)
		return rc;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(h->multi = curl_multi_init()))
		return err_nomem(e);
	return 0;
}

void http_done(struct http *h)
{
	if (h->multi)
		(void)curl_multi_cleanup(h->multi); /* no handle is left in it */
	free(h->auth);
	*h = (struct http){0};
}

static size_t take_bytes(char *data, size_t size, size_t n, void *ctx)
{
	struct http_call *call = ctx;

	if (call->in.len + n * size > HTTP_ANSWER_MAX || buf_add(&call->in, data, n * size))
		return 0; /* libcurl: CURLE_WRITE_ERROR */
	return n * size;
}

static int add_header(struct http_call *call, const char *line)
{
	struct curl_slist *more = curl_slist_append(call->headers, line);

	if (!more)
		return -ENOMEM;
	call->headers = more;
	return 0;
}

static int add_headers(struct http_call *call, const struct http_ask *ask)
{
	char line[256];
	int rc = 0;

	if (ask->body)
		rc = add_header(call, "Content-Type: application/json");
	if (!rc)
		rc = add_header(call, "Expect:"); /* no round trip before a body */
	if (!rc && ask->accept && str_fmt(line, sizeof(line), "Accept: %s", ask->accept))
		rc = add_header(call, line);
	if (!rc && ask->key && str_fmt(line, sizeof(line), "Idempotency-Key: %s", ask->key))
		rc = add_header(call, line);
	if (!rc && call->http->auth)
		rc = add_header(call, call->http->auth);
	return rc;
}

/* curl_easy_setopt is a macro of many types; one failing option of these means no memory. */
#define SET(opt, value) (rc = rc ? rc : curl_easy_setopt(call->easy, CURLOPT_##opt, value))

static CURLcode set_request(struct http_call *call, const struct http_ask *ask)
{
	CURLcode rc = CURLE_OK;

	SET(CUSTOMREQUEST, ask->method);
	SET(HTTPHEADER, call->headers);
	if (ask->body) {
		SET(POSTFIELDSIZE, (long)strlen(ask->body));
		SET(COPYPOSTFIELDS, ask->body);
	} else if (str_eq(ask->method, "POST")) {
		SET(POSTFIELDSIZE, 0L);
		SET(COPYPOSTFIELDS, "");
	}
	SET(WRITEFUNCTION, take_bytes);
	SET(WRITEDATA, call);
	SET(ERRORBUFFER, call->error);
	SET(PRIVATE, call);
	SET(CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
	SET(TIMEOUT_MS, (long)ask->timeout_ms);
	if (ask->silence_ms) {
		SET(LOW_SPEED_LIMIT, 1L);
		SET(LOW_SPEED_TIME, (long)(ask->silence_ms / 1000));
	}
	return rc;
}

static CURLcode set_address(struct http_call *call, const char *path)
{
	struct http *h = call->http;
	auto_buf url = {0};
	size_t n = h->url ? strlen(h->url) : 0;
	CURLcode rc = CURLE_OK;

	while (n && h->url[n - 1] == '/')
		n--;
	if (buf_printf(&url, "%.*s%s", n ? (int)n : 16, n ? h->url : "http://localhost", path))
		return CURLE_OUT_OF_MEMORY;
	if (h->socket)
		SET(UNIX_SOCKET_PATH, h->socket);
	SET(URL, buf_text(&url));
	SET(PROTOCOLS_STR, "http,https");
	SET(PATH_AS_IS, 1L); /* an id of ".." is an id that does not exist, not another route */
	SET(PROXY, "");	     /* the environment's proxy is for other things */
	SET(HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	SET(TCP_KEEPALIVE, 1L);
	return rc;
}

int http_begin(struct http *h, const struct http_ask *ask, struct http_call *ret, struct err *e)
{
	CURLcode rc;

	*ret = (struct http_call){.http = h, .easy = curl_easy_init()};
	if (!ret->easy || add_headers(ret, ask)) {
		http_end(ret);
		return err_nomem(e);
	}
	rc = set_address(ret, ask->path);
	if (!rc)
		rc = set_request(ret, ask);
	if (!rc && curl_multi_add_handle(h->multi, ret->easy))
		rc = CURLE_OUT_OF_MEMORY;
	if (!rc)
		return 0;
	http_end(ret);
	return err_set(e, -EINVAL, rc == CURLE_OUT_OF_MEMORY ? ERR_HOST : ERR_CALLER,
		       "http.request", "%s", curl_easy_strerror(rc));
}

/* Note which calls are over; true if one is. */
static bool collect_ended(struct http *h)
{
	bool any = false;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left))) {
		struct http_call *call = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call); /* set by us */
		call->ended = any = true;
		call->result = msg->data.result;
	}
	return any;
}

int http_wait(struct http *h, unsigned max_ms, struct err *e)
{
	int running = 0;
	CURLMcode rc = curl_multi_perform(h->multi, &running);

	if (!rc && !collect_ended(h) && running) {
		rc = curl_multi_poll(h->multi, NULL, 0, (int)max_ms, NULL);
		if (!rc)
			rc = curl_multi_perform(h->multi, &running);
		(void)collect_ended(h); /* the caller looks at its calls anyway */
	}
	if (rc)
		return err_set(e, -EIO, ERR_HOST, "http.multi", "%s", curl_multi_strerror(rc));
	return 0;
}

static const char *address(const struct http_call *call)
{
	return call->http->socket ? call->http->socket : call->http->url;
}

static int no_connection(const struct http_call *call, struct err *e)
{
	long no = 0;
	bool local = call->http->socket;

	(void)curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &no); /* 0 if unknown */
	if (no == EACCES || no == EPERM) {
		(void)err_set(e, -EACCES, ERR_DENIED, "hearthd.denied",
			      "%.200s: you may not use this socket", address(call));
		return err_remedy(e, "ask as root or as a member of the group that hearthd's "
				     "configuration names");
	}
	(void)err_set(e, -ECONNREFUSED, ERR_HOST, "hearthd.absent",
		      "no hearthd answers at %.200s: %s", address(call),
		      no ? strerror((int)no) : call->error);
	return err_remedy(e, START_REMEDY "%s",
			  local ? "socket (--socket, HEARTH_SOCKET)"
				: "address (--url, HEARTH_URL)");
}

static int cut_off(const struct http_call *call, struct err *e)
{
	(void)err_set(e, -EPIPE, ERR_HOST, "hearthd.cut",
		      "%.200s closed the connection before its answer was whole", address(call));
	return err_remedy(
		e,
		"hearthd may have ended or been started again; its VMs go on: ask once more (its "
		"log: journalctl -u hearthd)");
}

static int no_http(const struct http_call *call, struct err *e)
{
	(void)err_set(e, -EPROTO, ERR_HOST, "hearthd.not-http",
		      "what answers at %.200s does not speak HTTP", address(call));
	return err_remedy(e, "check which program listens there");
}

int http_result(const struct http_call *call, struct err *e)
{
	switch (call->result) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		return no_connection(call, e);
	case CURLE_OPERATION_TIMEDOUT:
		(void)err_set(e, -ETIMEDOUT, ERR_TIMEOUT, "hearthd.silent",
			      "%.200s took the request and gave no answer in time", address(call));
		return err_remedy(e, "hearthd hangs or the machine is overloaded; its VMs go on: "
				     "see journalctl -u "
				     "hearthd");
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return cut_off(call, e);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return no_http(call, e);
	case CURLE_WRITE_ERROR:
		return err_set(e, -E2BIG, ERR_HOST, "hearthd.too-large",
			       "%.200s: an answer of more than %u MiB, or no memory for it",
			       address(call), HTTP_ANSWER_MAX >> 20);
	case CURLE_URL_MALFORMAT:
		return err_set(e, -EINVAL, ERR_CALLER, "cli.url", "\"%.200s\": not a URL",
			       address(call));
	default:
		return err_set(e, -EIO, ERR_HOST, "http.failed", "%.200s: %s", address(call),
			       *call->error ? call->error : curl_easy_strerror(call->result));
	}
}

void http_end(struct http_call *call)
{
	if (call->easy) {
		(void)curl_multi_remove_handle(call->http->multi,
					       call->easy); /* fine if it never was in */
		curl_easy_cleanup(call->easy);
	}
	curl_slist_free_all(call->headers);
	buf_done(&call->in);
	*call = (struct http_call){0};
}
