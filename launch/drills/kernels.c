// Calls the kernels with matrices and images that end where their memory does, for a build with sanitizers: what reads or
// writes beside them, or does what C does not define, ends the program. Results are compared with plain loops.
#include <convolutions.h>
#include <math.h>
#include <products.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 1;

static unsigned draw(unsigned below) {
  state = state * 1664525 + 1013904223;
  return (state >> 8) % below;
}

/// Memory for so many floats and no more, with numbers from -1 to 1.
static float *numbers(long count) {
  float *x = malloc(count * sizeof *x);
  for (long i = 0; i < count; i++) x[i] = draw(2001) / 1000.0f - 1;
  return x;
}

/// A matrix whose rows may lie apart; the last one ends its memory.
struct matrix {
  long rows, columns, stride;
  float *base;
};

static struct matrix matrix(long rows, long columns) {
  long stride = columns + (draw(2) ? draw(20) : 0);
  return (struct matrix){rows, columns, stride, numbers((rows - 1) * stride + columns)};
}

static float at(struct matrix x, bool transposed, long i, long j) {
  return transposed ? x.base[j * x.stride + i] : x.base[i * x.stride + j];
}

static void require(double found, double expected, long terms, const char *what) {
  if (fabs(found - expected) <= 1e-5 * (1 + terms)) return;
  printf("%s: %g instead of %g\n", what, found, expected);
  exit(1);
}

/// c ← op(a) · op(b), with or without what c holds, by each function that can compute it.
static void check_product(enum product_instructions kernels, long rows, long columns, long depth) {
  bool ta = draw(2), tb = draw(2), adds = draw(2);
  struct matrix a = ta ? matrix(depth, rows) : matrix(rows, depth);
  struct matrix b = tb ? matrix(columns, depth) : matrix(depth, columns), c = matrix(rows, columns);
  double *expected = malloc(rows * columns * sizeof *expected);
  for (long i = 0; i < rows; i++)
    for (long j = 0; j < columns; j++) {
      double sum = adds ? c.base[i * c.stride + j] : 0;
      for (long k = 0; k < depth; k++) sum += (double)at(a, ta, i, k) * at(b, tb, k, j);
      expected[i * columns + j] = sum;
    }
  const char *what = "product";
  if (ta && !tb && depth <= product_most_terms && draw(2)) {
    what = "product of few terms";
    product_of_few_terms(kernels, rows, columns, depth, a.base, a.stride, b.base, b.stride, c.base, c.stride, adds);
  } else if (ta && !tb && !adds && depth <= PRODUCT_CHUNK_TERMS && depth >= 4) {
    what = "product by chunks";
    long bounds[] = {0, depth / 4, depth / 2, depth - depth / 4, depth};
    struct product_chunks chunks = {bounds, 4, 1, 0};
    product_by_chunks(kernels, rows, columns, a.base, a.stride, b.base, b.stride, c.base, c.stride, chunks);
  } else {
    product(kernels, rows, columns, depth, a.base, a.stride, ta, b.base, b.stride, tb, c.base, c.stride, adds);
  }
  for (long i = 0; i < rows; i++)
    for (long j = 0; j < columns; j++) require(c.base[i * c.stride + j], expected[i * columns + j], depth, what);
  free(a.base), free(b.base), free(c.base), free(expected);
}

/// All functions on images of one shape; the first one's result is compared.
static void check_convolution(enum product_instructions kernels, struct convolution shape, long images) {
  long H = shape.height, W = shape.width, I = shape.inputs, O = shape.outputs;
  long pixels = images * H * W, pooled = images * ((H + 1) / 2) * ((W + 1) / 2);
  float *weights = numbers(9 * I * O), *bias = numbers(O), *y = numbers(pixels * O), *small = numbers(pooled * O);
  float *residual = draw(2) ? numbers(pixels * O) : NULL, *scratch = numbers(convolution_scratch(shape));
  float *dw = numbers(9 * I * O), *db = numbers(O), *dx = numbers(pixels * I), *floats = numbers(pixels * I);
  unsigned char *bytes = malloc(pixels * I), *winners = malloc(pooled * O);
  for (long i = 0; i < pixels * I; i++) bytes[i] = draw(256);
  enum convolution_elements elements = draw(3);
  struct convolution_input x = {elements, elements == convolution_bytes ? (void *)bytes : (void *)floats};
  convolve(kernels, shape, images, x, weights, bias, residual, y, scratch);
  for (long n = 0; n < 20; n++) {
    long image = draw(images), row = draw(H), column = draw(W), output = draw(O);
    long place = ((image * H + row) * W + column) * O + output;
    double sum = bias[output] + (residual ? residual[place] : 0);
    for (long t = 0; t < 9; t++) {
      long r = row + t / 3 - 1, s = column + t % 3 - 1;
      for (long i = 0; i < I && r >= 0 && r < H && s >= 0 && s < W; i++) {
        long from = ((image * H + r) * W + s) * I + i;
        double value = elements == convolution_bytes ? bytes[from] / 255.0 : floats[from];
        if (elements == convolution_positive_parts && value < 0) value = 0;
        sum += value * weights[(t * I + i) * O + output];
      }
    }
    require(y[place], sum, 9 * I, "convolution");
  }
  convolve_and_pool(kernels, shape, images, x, weights, bias, small, draw(4) ? winners : NULL, scratch);
  convolve_and_pool(kernels, shape, images, x, weights, bias, small, winners, scratch);
  struct convolution_gradient whole = {y, NULL}, won = {small, winners}, gradient = draw(2) ? whole : won;
  add_convolution_gradients(kernels, shape, images, x, gradient, dw, db, scratch);
  convolution_input_gradient(kernels, shape, images, gradient, weights, draw(2) ? floats : NULL, dx, draw(2), scratch);
  free(weights), free(bias), free(y), free(small), free(residual), free(scratch), free(dw), free(db), free(dx);
  free(floats), free(bytes), free(winners);
}

int main(void) {
  const long sizes[] = {1, 2, 3, 5, 6, 8, 9, 12, 13, 16, 17, 31, 32, 33, 48, 64, 65, 100, 130};
  const long count = sizeof sizes / sizeof *sizes;
  long checked = 0;
  for (enum product_instructions kernels = product_avx2; kernels <= product_best(); kernels++) {
    for (int n = 0; n < 4000; n++, checked++)
      check_product(kernels, sizes[draw(count)], sizes[draw(count)], sizes[draw(count)]);
    // Several panels and groups of them.
    for (int n = 0; n < 12; n++, checked++) check_product(kernels, 1 + draw(70), 500 + draw(200), 500 + draw(600));
  }
  for (enum product_instructions kernels = product_none; kernels <= product_best(); kernels++)
    for (int n = 0; n < 200; n++, checked++) {
      struct convolution shape = {1 + draw(12), 1 + draw(12), 1 + draw(9), 1 + draw(20)};
      check_convolution(kernels, shape, 1 + draw(3));
    }
  printf("%ld calls\n", checked);
}
