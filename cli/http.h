#pragma once
/*
 * HTTP requests to hearthd, over its Unix socket or TCP, several at once if need be: each is begun,
 * http_wait moves all of them, and what arrived of each stands in its buffer.
 *
 * One thread.  Trust: answers come from whatever listens at the address that the user named; sizes
 * and times are bounded here.
 */
#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/err.h"

#define HTTP_ANSWER_MAX (64u << 20) /* 4,096 VMs of 4 KiB and room to grow */
#define HTTP_CONNECT_MS 5000u	    /* a listening hearthd takes connections in microseconds */
#define HTTP_ANSWER_MS	30000u	    /* nothing that is not waited for takes near this long */

struct http {
	CURLM *multi;	    /* owned */
	const char *socket; /* path, borrowed; NULL: TCP */
	const char *url;    /* TCP: "http://127.0.0.1:3000", borrowed */
	char *auth;	    /* header with the token, owned; NULL: none */
	unsigned serial;
};

struct http_call {
	struct http *http;
	CURL *easy;		    /* owned; NULL when not begun */
	struct curl_slist *headers; /* owned */
	struct buf in;		    /* body bytes that nobody has taken yet */
	bool ended;
	CURLcode result; /* once ended */
	long status;	 /* 0 until the answer's head is there */
	char error[CURL_ERROR_SIZE];
};

struct http_ask {
	const char *method, *path; /* "/api/vms?limit=3" */
	const char *body;	   /* JSON, copied; NULL: none */
	const char *accept;	   /* NULL: any */
	const char *key;	   /* Idempotency-Key; NULL: none */
	uint64_t timeout_ms;	   /* of the whole; 0: none, it is a stream */
	uint64_t silence_ms;	   /* a stream that says nothing for so long is dead; 0: it may */
};

/* Just one of socket and url; token NULL: none.  A token never goes over plain HTTP beyond
 * loopback. */
int http_init(struct http *h, const char *socket, const char *url, const char *token,
	      struct err *e);
void http_done(struct http *h);

int http_begin(struct http *h, const struct http_ask *ask, struct http_call *ret, struct err *e);
/* Move all calls until bytes came, one ended, or max_ms are over. */
int http_wait(struct http *h, unsigned max_ms, struct err *e);
/* Why an ended call has no whole answer; 0 when it has. */
int http_result(const struct http_call *call, struct err *e);
void http_end(struct http_call *call); /* also before it ended; begun or not */
#define auto_call __attribute__((cleanup(http_end))) struct http_call
