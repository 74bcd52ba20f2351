/*
 * The routes about hearthd itself: health, host report, metrics, the contract.
 * Called by request.c; loop's thread.
 */
#include "base/buf.h"
#include "json/json.h"
#include "rest/rest_internal.h"

/* api/openapi.yaml as bytes, made by host/rest/meson.build. */
static const unsigned char openapi[] = {
#include "rest/openapi_bytes.h"
};

int route_health(struct request *q, struct err *e)
{
	json_t *health = control_health(q->rest->control);

	if (!health || json_put(health, "version", json_string(q->rest->conf.build))) {
		json_decref(health);
		return err_nomem(e);
	}
	return answer_json(q, MHD_HTTP_OK, health, e);
}

int route_host(struct request *q, struct err *e)
{
	json_t *host = NULL;
	int rc = control_host_json(q->rest->control, &host, e);

	return rc ? rc : answer_json(q, MHD_HTTP_OK, host, e);
}

int route_openapi(struct request *q, struct err *e)
{
	return answer_copy(q, MHD_HTTP_OK, "application/yaml", (const char *)openapi,
			   sizeof(openapi))
		       ? err_nomem(e)
		       : 0;
}

static int own_metrics(const struct rest *r, struct buf *b)
{
	unsigned streams = 0;

	for (const struct stream *s = r->streams; s; s = s->next)
		streams++;
	(void)buf_puts(b,
		       "# HELP hearth_http_requests_total Requests answered, by class of status.\n"
		       "# TYPE hearth_http_requests_total counter\n");
	for (unsigned i = 1; i < ARRAY_LEN(r->by_class); i++)
		(void)buf_printf(b, "hearth_http_requests_total{class=\"%uxx\"} %llu\n", i,
				 (unsigned long long)r->by_class[i]);
	(void)buf_printf(b,
			 "# HELP hearth_http_connections Open connections.\n"
			 "# TYPE hearth_http_connections gauge\n"
			 "hearth_http_connections %u\n"
			 "# HELP hearth_http_streams Open event and console streams.\n"
			 "# TYPE hearth_http_streams gauge\n"
			 "hearth_http_streams %u\n"
			 "# HELP hearth_http_refused_total Connections refused at the limit.\n"
			 "# TYPE hearth_http_refused_total counter\n"
			 "hearth_http_refused_total %llu\n"
			 "# HELP hearth_http_dropped_total Requests dropped because the client was "
			 "too slow.\n"
			 "# TYPE hearth_http_dropped_total counter\n"
			 "hearth_http_dropped_total %llu\n",
			 r->peers_n, streams, (unsigned long long)r->refused,
			 (unsigned long long)r->dropped);
	return b->failed ? -1 : 0;
}

int route_metrics(struct request *q, struct err *e)
{
	auto_buf text = {0};

	if (control_metrics(q->rest->control, &text) || own_metrics(q->rest, &text) ||
	    answer_take(q, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &text))
		return err_nomem(e);
	return 0;
}
