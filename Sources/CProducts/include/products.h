#pragma once
#include <stdbool.h>

/// The instruction sets that there are kernels for.
enum product_instructions { product_none, product_avx2, product_avx512 };

/// The best of them that this processor (and its system) can run.
enum product_instructions product_best(void);

/// op(a) · op(b) → c or, with `adds`, c + op(a) · op(b) → c, for row-major matrices: c is `rows` × `columns`, with
/// `depth` products in each sum; op transposes where asked. A stride is the distance between two rows in memory.
///
/// Sizes are at least 1; c overlaps neither a nor b; `instructions` is one that the processor can run.
void product(enum product_instructions instructions, long rows, long columns, long depth, const float *a,
             long a_stride, bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
             long c_stride, bool adds);
