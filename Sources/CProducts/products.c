#include "products.h"

#include <string.h>

#include "panels.h"

// Single-precision matrix products for the sizes that occur in an update.
//
// A panel is a copy of some columns of op(b) in which each row is one or two registers wide. Elements of a are read one
// at a time and each is multiplied by a row of the panel. The sums, for several rows of a and the width of the panel,
// form a tile of c, which stays in registers until complete.
//
//                                panels: depth × 1 or 2 registers each
//                                  ↓
//     rows of a: ROWS × depth  →  tile of c: ROWS × 1 or 2 registers
//
// The levels of the cache are used as in K. Goto and R. van de Geijn, Anatomy of high-performance matrix
// multiplication (2008): a tile's rows of a stay in the first level while the panels of a group pass by from the second;
// a transposed a is copied in strips, and then a panel stays in the first level while the strip passes by. What comes
// next is prefetched meanwhile, so that other programs that use the same caches and memory cost little.
//
// Each element of c is one chain of multiply-adds over the depth, in order, from c or from 0. So its bits depend
// neither on the instruction set nor on how many rows and columns are computed beside it. A product by chunks has a chain
// for each chunk and adds the chunks' tiles as a tree, in a small buffer, so that c is written once.

#ifdef __x86_64__

/// GROUP: the most floats in a group of panels, on the stack: 512 KiB if they pass by once a strip, and half as many,
/// which fit the second-level cache, if they pass by once a tile. DEPTH: the most terms of a sum that a panel holds;
/// half as many if a is transposed.
enum { GROUP = 131072, DEPTH = 512 };
_Static_assert(PRODUCT_CHUNK_TERMS == DEPTH / 2, "the terms of a product by chunks fit one panel");

/// Up to FEW rows of a, the time that b takes from memory counts: it is read in the order of memory, COPIED rows and
/// COPIED_COLUMNS columns of it at a time. Up to IN_PLACE rows of a, copying would take as long as the product, and b
/// is used in place, NEAR rows of it at a time. A transposed b is used in place up to FEW rows, as the first operand of
/// the transposed product; but up to FEWEST rows most of a register would be empty there, and it is copied, a small
/// panel at a time.
enum { FEW = 32, IN_PLACE = 8, NEAR = 8, COPIED = 64, COPIED_COLUMNS = 512, FEWEST = 5 };

/// Up to FEW_TERMS terms of a transposed a, writing c takes as long as the product. TERMS_GROUP: the most floats in a
/// group of panels then. AHEAD: the floats from a tile of c to the one that is prefetched meanwhile.
enum { FEW_TERMS = product_most_terms, TERMS_GROUP = 16384, AHEAD = 128 };

/// The registers of a tile's row at most.
enum { WIDEST = 8 };

/// The columns of a transposed a that are copied at a time: whole cache lines and whole tiles.
enum { STRIP = 48 };

/// The terms after which a tile prefetches a line, and those that it adds without counting.
enum { TERMS = 8 };

/// How the elements of a follow each other in memory: row by row; term by term, in a transposed a; tile by tile, in a
/// strip.
enum order { by_rows, by_terms, by_tiles };

/// The number of floats in a cache line.
enum { LINE = 16 };

/// A block of a row-major matrix that will be needed soon, and the next cache line of it to prefetch.
struct soon {
  const float *row;
  long rows, stride;
  int lines, line;
};

static struct soon soon(const float *block, long rows, long columns, long stride) {
  return (struct soon){block, rows, stride, (int)((columns + LINE - 1) / LINE), 0};
}

/// Prefetches the next cache line of a block, and then of the block after it.
static inline void fetch(struct soon *block) {
  if (block->rows == 0) block++;
  if (block->rows == 0) return;
  __builtin_prefetch(block->row + block->line * LINE, 0, 2);
  if (++block->line < block->lines) return;
  block->line = 0;
  block->row += block->stride;
  block->rows--;
}

/// The inputs of a tile: its rows of a, its panel, its place in c, and the two blocks to prefetch meanwhile.
struct tile {
  long depth;
  const float *a;
  long a_stride;
  const float *panel;
  long panel_stride;
  /// How far ahead in the panel to prefetch; 0 for a copy, which is in a cache.
  long ahead;
  float *c;
  long c_stride;
  bool c_transposed;
  bool adds;
  /// Whether the complete sums are added to the tile that is there.
  bool joins;
  /// How the sum is cut; null for one chain. The tile is then that of a transposed a.
  const struct product_chunks *chunks;
  struct soon *next;
};

#pragma clang fp contract(fast)

#define LANES 16
#define ROWS 12
#define COPIES 0
#define NAME(name) name##_avx512
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#include "tiles.h"
#pragma clang attribute pop
#undef LANES
#undef ROWS
#undef COPIES
#undef NAME

#define LANES 8
#define ROWS 6
#define COPIES 1
#define NAME(name) name##_avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "tiles.h"
#pragma clang attribute pop

enum product_instructions product_best(void) {
  if (__builtin_cpu_supports("avx512f")) return product_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return product_avx2;
  return product_none;
}

void product(enum product_instructions instructions, long rows, long columns, long depth, const float *a,
             long a_stride, bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
             long c_stride, bool adds) {
  __auto_type multiply = instructions == product_avx512 ? multiply_avx512 : multiply_avx2;
  __auto_type few = instructions == product_avx512 ? multiply_few_transposed_avx512 : multiply_few_transposed_avx2;
  if (b_transposed && !a_transposed && rows <= FEWEST)
    few(rows, columns, depth, a, a_stride, b, b_stride, c, c_stride, adds);
  else if (b_transposed && !a_transposed && rows <= FEW)
    multiply(columns, rows, depth, b, b_stride, false, a, a_stride, true, c, c_stride, true, adds, NULL);
  else
    multiply(rows, columns, depth, a, a_stride, a_transposed, b, b_stride, b_transposed, c, c_stride, false, adds,
             NULL);
}

void product_by_chunks(enum product_instructions instructions, long rows, long columns, const float *a,
                       long a_stride, const float *b, long b_stride, float *c, long c_stride,
                       struct product_chunks chunks) {
  __auto_type multiply = instructions == product_avx512 ? multiply_avx512 : multiply_avx2;
  long depth = (chunks.sections - 1) * chunks.section + chunks.bounds[chunks.count] - chunks.bounds[0];
  multiply(rows, columns, depth, a, a_stride, true, b, b_stride, false, c, c_stride, false, false, &chunks);
}

double product_of_few_terms(enum product_instructions instructions, long rows, long columns, long depth,
                            const float *a, long a_stride, const float *b, long b_stride, float *c, long c_stride,
                            bool adds) {
  bool wide = instructions == product_avx512;
  long lanes = wide ? 16 : 8, whole = columns / lanes * lanes;
  double squares = 0;
  if (whole > 0)
    squares = (wide ? multiply_few_terms_avx512 : multiply_few_terms_avx2)(rows, whole, depth, a, a_stride, b, b_stride,
                                                                           c, c_stride, adds);
  if (whole == columns) return squares;
  product(instructions, rows, columns - whole, depth, a, a_stride, true, b + whole, b_stride, false, c + whole,
          c_stride, adds);
  for (long i = 0; i < rows; i++)
    for (long j = whole; j < columns; j++) squares += (double)c[i * c_stride + j] * c[i * c_stride + j];
  return squares;
}

#else

enum product_instructions product_best(void) { return product_none; }

void product(enum product_instructions instructions, long rows, long columns, long depth, const float *a,
             long a_stride, bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
             long c_stride, bool adds) {}

void product_by_chunks(enum product_instructions instructions, long rows, long columns, const float *a,
                       long a_stride, const float *b, long b_stride, float *c, long c_stride,
                       struct product_chunks chunks) {}

double product_of_few_terms(enum product_instructions instructions, long rows, long columns, long depth,
                            const float *a, long a_stride, const float *b, long b_stride, float *c, long c_stride,
                            bool adds) {
  return 0;
}

#endif
