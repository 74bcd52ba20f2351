#pragma once
/*
 * The one function that a fuzz target defines (LLVM's libFuzzer interface).
 *
 * It is given hostile bytes, any number of them, feeds them to the code under test, and asserts
 * what must hold for every input: nothing beyond bounds (the sanitizers see to that), refusals that
 * leave the outputs untouched and name a reason, round trips.  It keeps no state from one call to
 * the next and returns 0.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
