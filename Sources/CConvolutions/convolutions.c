#include "convolutions.h"

#include <math.h>
#include <string.h>

#include "panels.h"

// Direct 3 × 3 convolutions in single precision.
//
// An image is copied, row by row as it is needed, into a padded image that has a place of zeros on each side.
// There the three places of a row that a window of the convolution covers lie side by side, and so do the
// places of neighbouring windows. A convolution is then three products for each row of the image, one for
// each row of the window, in which neighbouring rows of the first factor overlap:
//
//                                             panel: 3 · inputs × 1 or 2 registers of outputs
//                                               ↓
//     places of a row: PLACES × 3 · inputs  →  tile: PLACES × 1 or 2 registers
//
// A tile of sums stays in registers until it is complete. The gradient by the input is the same convolution
// with turned weights. The gradient by the weights is three products that sum over the places of a strip:
//
//                                             gradients: places × 1 or 2 registers of outputs
//                                               ↓
//     weights of a row: 6 × places         →  tile: 6 × 1 or 2 registers
//
// If the output was pooled, only the winners have a gradient, a quarter of all places. The gradient by the
// weights then takes, for each window and output, the 3 × 3 × inputs numbers around the winner times its
// gradient.
//
// Order of sums, the same for all instruction sets. An output: over the rows of the window, its columns, the
// inputs; then bias, then residual. A gradient by the input: the same over the outputs. A gradient by a weight or
// a bias: over the places of a strip of rows or, if pooled, of a row of windows, from left to right and top to
// bottom; then over strips and images.

/// The floats that stay in the first-level cache beside others: 20 KiB.
enum { NEAR = 5120 };

/// Sizes are rounded up to whole registers of the widest instruction set.
enum { WIDEST = 16 };

/// `count` rounded up to a multiple of `unit`.
static long whole(long count, long unit) { return (count + unit - 1) / unit * unit; }

static long larger(long a, long b) { return a > b ? a : b; }

static long smaller(long a, long b) { return a < b ? a : b; }

/// The elements of a padded image. A register may be read past its end.
static long padded_size(struct convolution s, long channels) {
  return whole((s.height + 2) * (s.width + 2) * channels + WIDEST, WIDEST);
}

/// The elements of a row of sums with a place on each side.
static long sums_size(struct convolution s, long channels) { return (s.width + 2) * whole(channels, WIDEST); }

/// The rows of a strip for the gradient by the weights: the inputs and gradients of a strip stay in the
/// first-level cache.
static long strip_rows(struct convolution s) {
  long row = (s.width + 2) * s.inputs, rest = NEAR - 2 * row;
  return smaller(s.height, larger(1, rest / (row + s.width * s.outputs)));
}

/// The elements of the sums for the weights of one output and one row of the window.
static long patch_size(struct convolution s) { return whole(3 * s.inputs, WIDEST); }

long convolution_scratch(struct convolution s) {
  long forward = 9 * s.inputs * whole(s.outputs, WIDEST) + padded_size(s, s.inputs) + 4 * sums_size(s, s.outputs);
  long by_input = 9 * s.outputs * whole(s.inputs, WIDEST) + padded_size(s, s.outputs) + sums_size(s, s.inputs);
  long by_weights = padded_size(s, s.inputs) + larger(strip_rows(s) * s.width * whole(s.outputs, WIDEST),
                                                      s.outputs * 3 * patch_size(s));
  return larger(forward, larger(by_input, by_weights));
}

/// The next `count` floats of scratch memory.
static float *take(float **scratch, long count) {
  float *taken = *scratch;
  *scratch += whole(count, WIDEST);
  return taken;
}

/// The inputs of a tile of sums.
struct tile {
  const float *x;  ///< the first place in the padded image
  long x_step;     ///< from a place to the next: the channels
  long x_row;      ///< from a row of the padded image to the next
  long rows;       ///< the rows of the window that are summed over
  const float *panel;
  float *sums;
  long sums_step;
  bool adds;
};

/// The inputs of a tile of the weights' gradient.
struct gradient_tile {
  const float *x;  ///< the element of the padded image that belongs to the first weight and the first place
  long x_step, x_row;
  const float *dy;
  long dy_step, dy_row;
  long rows, columns;  ///< the places that are summed over
  float *dw;
  long dw_step;
  int used;  ///< the columns of the tile that exist
};

typedef int quad_of_numbers __attribute__((vector_size(16), aligned(4)));
typedef unsigned char quad_of_bytes __attribute__((vector_size(4), aligned(1)));

#pragma clang fp contract(fast)

#ifdef __x86_64__
#define LANES 16
#define PLACES 12
#define NAME(name) name##_avx512
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#include "kernels.h"
#pragma clang attribute pop
#undef LANES
#undef PLACES
#undef NAME

#define LANES 8
#define PLACES 6
#define NAME(name) name##_avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernels.h"
#pragma clang attribute pop
#undef LANES
#undef PLACES
#undef NAME

#define CHOOSE(function)                                        \
  (instructions == product_avx512 ? function##_avx512           \
   : instructions == product_avx2 ? function##_avx2             \
                                  : function##_portable)
#else
#define CHOOSE(function) function##_portable
#endif

#define LANES 4
#define PLACES 6
#define NAME(name) name##_portable
#include "kernels.h"

void convolve(enum product_instructions instructions, struct convolution shape, long images,
              struct convolution_input x, const float *weights, const float *bias, const float *residual, float *y,
              float *scratch) {
  CHOOSE(convolve)(shape, images, x, weights, bias, residual, y, scratch);
}

void convolve_and_pool(enum product_instructions instructions, struct convolution shape, long images,
                       struct convolution_input x, const float *weights, const float *bias, float *y,
                       unsigned char *winners, float *scratch) {
  CHOOSE(convolve_and_pool)(shape, images, x, weights, bias, y, winners, scratch);
}

void add_convolution_gradients(enum product_instructions instructions, struct convolution shape, long images,
                               struct convolution_input x, struct convolution_gradient gradient, float *weights,
                               float *bias, float *scratch) {
  __auto_type add = gradient.winners ? CHOOSE(add_pooled_gradients) : CHOOSE(add_whole_gradients);
  add(shape, images, x, gradient, weights, bias, scratch);
}

void convolution_input_gradient(enum product_instructions instructions, struct convolution shape, long images,
                                struct convolution_gradient gradient, const float *weights,
                                const float *positive_parts_of, float *dx, bool adds, float *scratch) {
  CHOOSE(input_gradient)(shape, images, gradient, weights, positive_parts_of, dx, adds, scratch);
}
