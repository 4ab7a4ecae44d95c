#define _GNU_SOURCE
#include "CAllocations.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

// A program's own malloc takes the place of the C library's for all libraries of the process. These count, and pass
// every call on to the allocator that would have had it: glibc's, or one that is preloaded, whose `free` and other
// functions stay as they are.

static atomic_long calls;

long allocation_count(void) { return atomic_load_explicit(&calls, memory_order_relaxed); }

// The next function of this name after the program's own. Looking it up does not allocate.
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
