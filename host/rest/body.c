/*
 * Request bodies as JSON.  Called by handlers.  Trust: every byte was chosen by the client.
 */
#include <errno.h>

#include "json/json.h"
#include "rest/rest_internal.h"

int body_json(struct request *q, json_t **ret, struct err *e)
{
	if (!q->body.len)
		return err_set(e, -EINVAL, ERR_CALLER, "http.no-body",
			       "request body: empty, expected a JSON object");
	return json_parse(q->body.data, q->body.len, ret, e);
}

int body_none(struct request *q, struct err *e)
{
	static const struct json_field none[] = {JSON_END};
	auto_json json_t *v = NULL;
	char unused;
	int rc = q->body.len ? body_json(q, &v, e) : 0;

	return rc || !v ? rc : json_bind(v, "request", none, &unused, e);
}
