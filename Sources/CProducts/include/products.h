#pragma once
#include <stdbool.h>

/// The instruction sets that kernels exist for.
enum product_instructions { product_none, product_avx2, product_avx512 };

/// The best instruction set that this processor and its operating system can run.
enum product_instructions product_best(void);

/// c ← op(a) · op(b) or, with `adds`, c ← c + op(a) · op(b), for row-major matrices. c is `rows` × `columns`,
/// and `depth` is the number of products in each sum. op(x) is x or, with `x_transposed`, xᵀ. A stride is the
/// distance in floats between the starts of two rows.
///
/// Sizes are at least 1, c overlaps neither a nor b, and the processor can run `instructions`.
void product(enum product_instructions instructions, long rows, long columns, long depth, const float *a,
             long a_stride, bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
             long c_stride, bool adds);

/// How the terms of sums are cut into chunks. The terms lie in `sections` pieces, each `section` terms behind the one
/// before; chunk i has the terms bounds[i] ..< bounds[i + 1] of each piece, counted from bounds[0], one piece after the
/// other. The number of chunks is a power of two.
struct product_chunks {
  const long *bounds;
  long count, sections, section;
};

/// The most terms, from the first to the last one, of a product by chunks.
enum { PRODUCT_CHUNK_TERMS = 256 };

/// The most chunks of a product is two to the power of this.
enum { PRODUCT_CHUNK_LEVELS = 16 };

/// c ← aᵀ · b, in which each chunk of the terms has a sum of its own, and these are added as a binary tree of
/// neighbours. So the sums of the tree's nodes have the same bits wherever they are computed. Otherwise as `product`.
void product_by_chunks(enum product_instructions instructions, long rows, long columns, const float *a,
                       long a_stride, const float *b, long b_stride, float *c, long c_stride,
                       struct product_chunks chunks);

/// The most terms of product_of_few_terms.
enum { product_most_terms = 64 };

/// c ← aᵀ · b or c ← c + aᵀ · b as `product` computes it, with 1 to product_most_terms terms: the gradient of weights by
/// few rows. Returns the sum of the squares of c, which costs another pass through c otherwise; it is not finite if an
/// element is not.
double product_of_few_terms(enum product_instructions instructions, long rows, long columns, long depth,
                            const float *a, long a_stride, const float *b, long b_stride, float *c, long c_stride,
                            bool adds);
