// The product for one instruction set. Included once for each, with
//   LANES  floats in a register
//   ROWS   rows of a tile: as many as leave registers for a row of the panel and for elements of a
//   NAME   gives a function the name of the set

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float NAME(vector) __attribute__((vector_size(4 * LANES), aligned(4)));

/// A tile: c, `rows` rows of `registers` registers ← the sums over a panel; or is added to. The caller passes
/// constants for `rows`, `registers` and `transposed`.
INLINE void NAME(tile)(int rows, int registers, bool transposed, long depth, const float *a, long a_stride,
                       const float *panel, float *c, long c_stride, bool adds, struct soon *next) {
  // Element (i, k) of op(a) is at a[i · row + k · term].
  long row = transposed ? 1 : a_stride, term = transposed ? a_stride : 1;
  NAME(vector) sums[ROWS][2] = {};
  // Every third row's start: the two after it are one and two strides on, which an address can say by itself.
  const float *starts[(ROWS + 2) / 3];
  UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] = a + i * row;
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) __builtin_prefetch(c + i * c_stride + v * LANES, 1);
  }
  for (long k = 0; k < depth;) {
    fetch(next);
    for (long end = k + 8 < depth ? k + 8 : depth; k < end; k++) {
      NAME(vector) x[2];
      UNROLL for (int v = 0; v < registers; v++)
        x[v] = *(const NAME(vector) *)(panel + (k * registers + v) * LANES);
      // Across its rows, a's next line is on another page: nothing else looks ahead there.
      if (transposed) __builtin_prefetch(a + k * a_stride + 2 * LINE);
      UNROLL for (int i = 0; i < rows; i++) {
        float factor = starts[i / 3][i % 3 * row + k * term];
        UNROLL for (int v = 0; v < registers; v++) sums[i][v] += factor * x[v];
      }
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) {
      NAME(vector) *stored = (NAME(vector) *)(c + i * c_stride + v * LANES);
      *stored = adds ? *stored + sums[i][v] : sums[i][v];
    }
  }
}

/// The same with any number of rows.
INLINE void NAME(tile_of)(int rows, int registers, bool transposed, long depth, const float *a, long a_stride,
                          const float *panel, float *c, long c_stride, bool adds, struct soon *next) {
#define TILE(n)                                                                                             \
  case n:                                                                                                   \
    if (n <= ROWS) NAME(tile)(n, registers, transposed, depth, a, a_stride, panel, c, c_stride, adds, next); \
    break;
  switch (rows) {
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
  }
#undef TILE
}

/// The same with all three from the caller.
static void NAME(any_tile)(int rows, int registers, bool transposed, long depth, const float *a, long a_stride,
                           const float *panel, float *c, long c_stride, bool adds, struct soon *next) {
#define TILES(registers, transposed) \
  NAME(tile_of)(rows, registers, transposed, depth, a, a_stride, panel, c, c_stride, adds, next)
  if (registers == 1)
    transposed ? TILES(1, true) : TILES(1, false);
  else
    transposed ? TILES(2, true) : TILES(2, false);
#undef TILES
}

/// The columns of c that belong to a panel.
static void NAME(columns)(long rows, int columns, int registers, long depth, const float *a, long a_stride,
                          bool a_transposed, const float *panel, float *c, long c_stride, bool adds,
                          struct soon next) {
  int width = registers * LANES;
  for (long i = 0; i < rows; i += ROWS) {
    int count = rows - i < ROWS ? (int)(rows - i) : ROWS;
    const float *from = a_transposed ? a + i : a + i * a_stride;
    float *to = c + i * c_stride;
    // Where the panel reaches beyond c, a tile of its own.
    float edge[ROWS * 2 * LANES];
    bool inside = columns == width;
    NAME(any_tile)(count, registers, a_transposed, depth, from, a_stride, panel, inside ? to : edge,
                   inside ? c_stride : width, inside && adds, &next);
    for (int r = 0; !inside && r < count; r++)
      for (int j = 0; j < columns; j++)
        to[r * c_stride + j] = edge[r * width + j] + (adds ? to[r * c_stride + j] : 0);
  }
}

static void NAME(multiply)(long rows, long columns, long depth, const float *a, long a_stride,
                           bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
                           long c_stride, bool adds) {
  _Alignas(64) float panel[DEPTH * 2 * LANES];
  // A transposed a is read across its rows, which is slow unless they stay in the second-level cache.
  long most = a_transposed ? DEPTH / 2 : DEPTH;
  for (long k = 0; k < depth; k += most) {
    long terms = depth - k < most ? depth - k : most;
    const float *of_a = a_transposed ? a + k * a_stride : a + k;
    for (long j = 0; j < columns; j += 2 * LANES) {
      int used = columns - j < 2 * LANES ? (int)(columns - j) : 2 * LANES;
      int left = columns - j - used < 2 * LANES ? (int)(columns - j - used) : 2 * LANES;
      int registers = used > LANES ? 2 : 1;
      struct soon next;
      if (b_transposed) {
        copy_transposed(b + j * b_stride + k, b_stride, terms, used, panel, registers * LANES);
        next = soon(b + (j + used) * b_stride + k, left, terms, b_stride);
      } else {
        copy_rows(b + k * b_stride + j, b_stride, terms, used, panel, registers * LANES);
        next = soon(b + k * b_stride + j + used, left > 0 ? terms : 0, left, b_stride);
      }
      NAME(columns)(rows, used, registers, terms, of_a, a_stride, a_transposed, panel, c + j, c_stride,
                    adds || k > 0, next);
    }
  }
}

#undef INLINE
#undef UNROLL
