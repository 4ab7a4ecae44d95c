#pragma once
#include <string.h>

// Copies of some columns of a matrix, in which each row is some registers wide.

typedef float quad __attribute__((vector_size(16), aligned(4)));
typedef float octet __attribute__((vector_size(32), aligned(4)));

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

/// panel ← `columns` columns of bᵀ, as in copy_rows. Blocks of 8 × 8 floats are transposed in registers. What lies
/// `ahead` floats behind each of their rows is prefetched; 0 for nothing.
static inline __attribute__((always_inline)) void copy_transposed(const float *b, long stride, long depth, int columns,
                                                                  float *panel, int width, long ahead) {
  int j = 0;
  for (; j + 8 <= columns; j += 8) {
    const float *from = b + j * stride;
    long k = 0;
    for (; k + 8 <= depth; k += 8) {
      if (ahead)
        for (int i = 0; i < 4; i++) __builtin_prefetch(from + (k % 16 / 2 + i) * stride + k + ahead, 0, 2);
      float *to = panel + k * width + j;
      for (int half = 0; half < 8; half += 4) {
        octet r[4];
        for (int i = 0; i < 4; i++)
          r[i] = __builtin_shufflevector(*(const quad *)(from + i * stride + k + half),
                                         *(const quad *)(from + (i + 4) * stride + k + half), 0, 1, 2, 3, 4, 5, 6, 7);
        octet low01 = __builtin_shufflevector(r[0], r[1], 0, 8, 1, 9, 4, 12, 5, 13);
        octet low23 = __builtin_shufflevector(r[2], r[3], 0, 8, 1, 9, 4, 12, 5, 13);
        octet high01 = __builtin_shufflevector(r[0], r[1], 2, 10, 3, 11, 6, 14, 7, 15);
        octet high23 = __builtin_shufflevector(r[2], r[3], 2, 10, 3, 11, 6, 14, 7, 15);
        *(octet *)(to + half * width) = __builtin_shufflevector(low01, low23, 0, 1, 8, 9, 4, 5, 12, 13);
        *(octet *)(to + (half + 1) * width) = __builtin_shufflevector(low01, low23, 2, 3, 10, 11, 6, 7, 14, 15);
        *(octet *)(to + (half + 2) * width) = __builtin_shufflevector(high01, high23, 0, 1, 8, 9, 4, 5, 12, 13);
        *(octet *)(to + (half + 3) * width) = __builtin_shufflevector(high01, high23, 2, 3, 10, 11, 6, 7, 14, 15);
      }
    }
    for (; k < depth; k++)
      for (int i = 0; i < 8; i++) panel[k * width + j + i] = from[i * stride + k];
  }
  for (; j < columns; j++)
    for (long k = 0; k < depth; k++) panel[k * width + j] = b[j * stride + k];
  for (; j < width; j++)
    for (long k = 0; k < depth; k++) panel[k * width + j] = 0;
}
