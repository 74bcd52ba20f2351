#pragma once
/*
 * Writes ACPI machine language (ACPI 6.4 sec. 20) into a buffer: just the forms that our DSDT uses.
 *
 * What has a body is opened and closed; the length before the body is filled in by aml_close,
 * always in three bytes (sec. 20.2.4).  Failures are kept in buf.failed, to be checked once at the
 * end. Called by dsdt.c.  Trust: only our own values come here.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Paths are text: "_SB_", "\\_S5_", or "PCI0"; each segment has four characters. */
size_t aml_scope(struct buf *b, const char *path);
size_t aml_device(struct buf *b, const char *path);
size_t aml_method(struct buf *b, const char *path, unsigned args_n);
size_t aml_package(struct buf *b, unsigned elements_n);
/* If (LEqual (Arg<n>, value)) */
size_t aml_if_arg_is(struct buf *b, unsigned arg, uint64_t value);
void aml_close(struct buf *b, size_t opened);

void aml_name(struct buf *b, const char *path); /* the value follows */
void aml_int(struct buf *b, uint64_t v);
void aml_eisa_id(struct buf *b, const char *id); /* "PNP0501" */
void aml_str(struct buf *b, const char *s);
void aml_bytes(struct buf *b, const void *data, size_t len); /* a Buffer */
void aml_return_int(struct buf *b, uint64_t v);
void aml_return_bytes(struct buf *b, const void *data, size_t len);

/* A resource template (sec. 6.4): open, descriptors, close. */
size_t aml_resources(struct buf *b);
void aml_resources_close(struct buf *b, size_t opened);
void aml_res_io(struct buf *b, uint16_t port, uint8_t len);
void aml_res_irq(struct buf *b, uint32_t gsi); /* edge, active high, exclusive */
void aml_res_memory32(struct buf *b, uint32_t base, uint32_t len);
void aml_res_bus_range(struct buf *b, uint16_t first, uint16_t last);
void aml_res_io_range(struct buf *b, uint16_t first, uint16_t last);
void aml_res_memory_range32(struct buf *b, uint32_t first, uint32_t last);
void aml_res_memory_range64(struct buf *b, uint64_t first, uint64_t last);
