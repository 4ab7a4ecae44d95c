#define _GNU_SOURCE
#include "CAllocations.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

// A malloc in the program itself replaces that of the C library for all libraries of the process. The
// functions below count each call and pass it on to the allocator that would have received it: glibc's or a
// preloaded one, whose `free` and other functions are not replaced.

static atomic_long calls;

long allocation_count(void) { return atomic_load_explicit(&calls, memory_order_relaxed); }

// The next function of this name after the program's own. Looking it up does not allocate memory.
#define NEXT(name) \
  static __typeof__(&name) next; \
  if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
  atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed)

void *malloc(size_t size) {
  NEXT(malloc);
  return next(size);
}

void *calloc(size_t number, size_t size) {
  NEXT(calloc);
  return next(number, size);
}

void *realloc(void *old, size_t size) {
  NEXT(realloc);
  return next(old, size);
}

void *memalign(size_t alignment, size_t size) {
  NEXT(memalign);
  return next(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  NEXT(aligned_alloc);
  return next(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  NEXT(posix_memalign);
  return next(result, alignment, size);
}
