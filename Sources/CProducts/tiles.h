// The product for one instruction set. Included once for each, with
//   LANES  floats in a register
//   ROWS   rows of a tile: as many as leave registers for a row of the panel and for elements of a
//   COPIES whether a transposed a is copied. In place, every term of a tile is on another line: with few rows and
//          short registers there is too little to do for each
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

/// Some rows of c, over the columns of a group of panels.
static void NAME(rows_of_tiles)(int rows, long columns, long depth, const float *a, long a_stride,
                                bool a_transposed, const float *panels, float *c, long c_stride, bool adds,
                                struct soon *next) {
  for (long j = 0; j < columns; j += 2 * LANES) {
    int used = columns - j < 2 * LANES ? (int)(columns - j) : 2 * LANES;
    int registers = used > LANES ? 2 : 1, width = registers * LANES;
    // Where the panel reaches beyond c, a tile of its own.
    float edge[ROWS * 2 * LANES];
    bool inside = used == width;
    NAME(any_tile)(rows, registers, a_transposed, depth, a, a_stride, panels + j * depth,
                   inside ? c + j : edge, inside ? c_stride : width, inside && adds, next);
    for (int r = 0; !inside && r < rows; r++)
      for (int i = 0; i < used; i++) {
        float *sum = c + r * c_stride + j + i;
        *sum = edge[r * width + i] + (adds ? *sum : 0);
      }
  }
}

/// panels ← some columns of op(b), `columns` at most as many as a group has.
static void NAME(copy_group)(long columns, long depth, const float *b, long b_stride, bool b_transposed,
                             float *panels) {
  for (long j = 0; j < columns; j += 2 * LANES) {
    int used = columns - j < 2 * LANES ? (int)(columns - j) : 2 * LANES;
    int width = used > LANES ? 2 * LANES : LANES;
    if (b_transposed)
      copy_transposed(b + j * b_stride, b_stride, depth, used, panels + j * depth, width);
    else
      copy_rows(b + j, b_stride, depth, used, panels + j * depth, width);
  }
}

static void NAME(multiply)(long rows, long columns, long depth, const float *a, long a_stride,
                           bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
                           long c_stride, bool adds) {
  _Alignas(64) float panels[GROUP], strip[COPIES ? DEPTH / 2 * STRIP : 1];
  // The rows of a transposed a that one pass reads across have to fit the second-level cache. In place, a tile's share
  // of them does not stay in the first level for another panel, so that one panel is the group.
  bool copies = COPIES && a_transposed && columns > 128;
  long most = a_transposed ? DEPTH / 2 : DEPTH;
  long group = a_transposed && !copies ? 2 * LANES : GROUP / most;
  for (long k = 0; k < depth; k += most) {
    long terms = depth - k < most ? depth - k : most;
    const float *of_a = a_transposed ? a + k * a_stride : a + k;
    for (long j = 0; j < columns; j += group) {
      long used = columns - j < group ? columns - j : group;
      long left = columns - j - used < group ? columns - j - used : group;
      const float *of_b = b_transposed ? b + j * b_stride + k : b + k * b_stride + j;
      NAME(copy_group)(used, terms, of_b, b_stride, b_transposed, panels);
      struct soon next = b_transposed ? soon(of_b + used * b_stride, left, terms, b_stride)
                                      : soon(of_b + used, left > 0 ? terms : 0, left, b_stride);
      for (long i = 0; i < rows; i += ROWS) {
        if (copies && i % STRIP == 0)
          copy_strip(of_a + i, a_stride, terms, rows - i < STRIP ? rows - i : STRIP, ROWS, strip);
        const float *from = copies ? strip + i % STRIP * terms : a_transposed ? of_a + i : of_a + i * a_stride;
        NAME(rows_of_tiles)(rows - i < ROWS ? (int)(rows - i) : ROWS, used, terms, from, copies ? ROWS : a_stride,
                            a_transposed, panels, c + i * c_stride + j, c_stride, adds || k > 0, &next);
      }
    }
  }
}

#undef INLINE
#undef UNROLL
