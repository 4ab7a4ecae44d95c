#pragma once
#include <string.h>

// Copies of some columns of a matrix, in which each row is one or two registers wide.

typedef float quad __attribute__((vector_size(16), aligned(4)));

/// panel ← `columns` columns of b, in rows of `width` floats; missing columns are filled with zeros.
static inline void copy_rows(const float *b, long stride, long depth, int columns, float *panel, int width) {
  for (long k = 0; k < depth; k++) {
    const float *from = b + k * stride;
    float *to = panel + k * width;
    int j = 0;
    for (; j + 8 <= columns; j += 8) memcpy(to + j, from + j, 8 * sizeof *to);
    for (; j < columns; j++) to[j] = from[j];
    for (; j < width; j++) to[j] = 0;
  }
}

/// panel ← `columns` columns of bᵀ, as in copy_rows. Blocks of 4 × 4 floats are transposed in registers.
static inline void copy_transposed(const float *b, long stride, long depth, int columns, float *panel, int width) {
  int j = 0;
  for (; j + 4 <= columns; j += 4) {
    const float *from = b + j * stride;
    long k = 0;
    for (; k + 4 <= depth; k += 4) {
      quad r[4];
      for (int i = 0; i < 4; i++) r[i] = *(const quad *)(from + i * stride + k);
      quad low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
      quad low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
      quad high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
      quad high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
      float *to = panel + k * width + j;
      *(quad *)to = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
      *(quad *)(to + width) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
      *(quad *)(to + 2 * width) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
      *(quad *)(to + 3 * width) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    }
    for (; k < depth; k++)
      for (int i = 0; i < 4; i++) panel[k * width + j + i] = from[i * stride + k];
  }
  for (; j < columns; j++)
    for (long k = 0; k < depth; k++) panel[k * width + j] = b[j * stride + k];
  for (; j < width; j++)
    for (long k = 0; k < depth; k++) panel[k * width + j] = 0;
}
