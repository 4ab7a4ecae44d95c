// The product for one instruction set. This file is included once for each set, with LANES  the floats in a
// register ROWS   the rows of a tile: as many as leave registers for a row of the panel and for elements of a
// COPIES whether a transposed a is copied. In place, each term of a tile lies on another cache line, and
// tiles of
//          few rows with short registers have too little work for each line
//   NAME   a macro that adds the name of the set to the name of a function

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float NAME(vector) __attribute__((vector_size(4 * LANES), aligned(4)));

/// The tile of c, `rows` rows of `registers` registers ← the sums over a panel, or the tile plus the sums.
/// The caller passes constants for `rows`, `registers` and `transposed`.
INLINE void NAME(tile)(int rows, int registers, bool transposed, const struct tile *t) {
  // Element (i, k) of op(a) is at a[i · row + k · term].
  long row = transposed ? 1 : t->a_stride, term = transposed ? t->a_stride : 1;
  const float *a = t->a, *panel = t->panel;
  NAME(vector) sums[ROWS][2] = {};
  // The start of every third row. The two rows after it are one and two strides away, which an address can
  // express.
  const float *starts[(ROWS + 2) / 3];
  UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] = a + i * row;
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) __builtin_prefetch(t->c + i * t->c_stride + v * LANES, 1);
  }
  for (long k = 0; k < t->depth;) {
    fetch(t->next);
    for (long end = k + 8 < t->depth ? k + 8 : t->depth; k < end; k++) {
      NAME(vector) x[2];
      UNROLL for (int v = 0; v < registers; v++)
        x[v] = *(const NAME(vector) *)(panel + k * t->panel_stride + v * LANES);
      // In a transposed a the next term is on another page, which the processor does not prefetch by itself.
      if (transposed) __builtin_prefetch(a + k * term + 2 * LINE);
      UNROLL for (int i = 0; i < rows; i++) {
        float factor = starts[i / 3][i % 3 * row + k * term];
        UNROLL for (int v = 0; v < registers; v++) sums[i][v] += factor * x[v];
      }
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) {
      NAME(vector) *stored = (NAME(vector) *)(t->c + i * t->c_stride + v * LANES);
      *stored = t->adds ? *stored + sums[i][v] : sums[i][v];
    }
  }
}

/// Computes a tile with any number of rows; `registers` and `transposed` are constants.
INLINE void NAME(tile_of)(int rows, int registers, bool transposed, const struct tile *t) {
#define TILE(n)                                                \
  case n:                                                      \
    if (n <= ROWS) NAME(tile)(n, registers, transposed, t);    \
    break;
  switch (rows) {
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
  }
#undef TILE
}

/// Computes a tile with any number of rows and registers, transposed or not.
static void NAME(any_tile)(int rows, int registers, bool transposed, const struct tile *t) {
  if (registers == 1)
    transposed ? NAME(tile_of)(rows, 1, true, t) : NAME(tile_of)(rows, 1, false, t);
  else
    transposed ? NAME(tile_of)(rows, 2, true, t) : NAME(tile_of)(rows, 2, false, t);
}

/// Computes `rows` rows of c over `columns` columns, tile by tile. `t` is the first tile; `step` is the
/// distance in memory between the panels of neighbouring columns.
static void NAME(tiles)(int rows, long columns, bool transposed, struct tile t, long step, bool packed) {
  const float *panels = t.panel;
  float *c = t.c;
  for (long j = 0; j < columns; j += 2 * LANES) {
    int used = columns - j < 2 * LANES ? (int)(columns - j) : 2 * LANES;
    int registers = used > LANES ? 2 : 1, width = registers * LANES;
    t.panel = panels + j * step;
    if (packed) t.panel_stride = width;
    t.c = t.c_transposed ? c + j * t.c_stride : c + j;
    if (used == width && !t.c_transposed) {
      NAME(any_tile)(rows, registers, transposed, &t);
      continue;
    }
    // The panel is wider than the rest of c, or c is transposed: compute the tile apart and copy its
    // elements.
    float edge[ROWS * 2 * LANES];
    struct tile apart = t;
    apart.c = edge;
    apart.c_stride = width;
    apart.adds = false;
    NAME(any_tile)(rows, registers, transposed, &apart);
    for (int r = 0; r < rows; r++)
      for (int i = 0; i < used; i++) {
        float *sum = t.c + (t.c_transposed ? i * t.c_stride + r : r * t.c_stride + i);
        *sum = edge[r * width + i] + (t.adds ? *sum : 0);
      }
  }
}

/// panels ← `columns` columns of op(b), at most as many as fit a group.
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

/// strip ← `columns` columns of a transposed a, at most STRIP, tile by tile, with ROWS floats for each term.
static void NAME(copy_strip)(const float *a, long stride, long depth, long columns, float *strip) {
  for (long k = 0; k < depth; k++) {
    const float *from = a + k * stride;
    __builtin_prefetch(from + STRIP + LINE);
    long i = 0;
    for (; i + ROWS <= columns; i += ROWS) memcpy(strip + i * depth + k * ROWS, from + i, ROWS * sizeof *strip);
    for (long first = i; i < columns; i++) strip[first * depth + k * ROWS + i - first] = from[i];
  }
}

/// The product as products.h defines it, with the option to write the transpose of c.
static void NAME(multiply)(long rows, long columns, long depth, const float *a, long a_stride,
                           bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
                           long c_stride, bool c_transposed, bool adds) {
  _Alignas(64) float panels[GROUP], strip[COPIES ? DEPTH / 2 * STRIP : 1];
  // The rows of a transposed a that are read for a group have to fit the second-level cache. If a is used in
  // place, a tile's elements do not stay in the first-level cache until the next panel, so a group then has a
  // single panel.
  bool copies = COPIES && a_transposed && columns > 128, few = rows <= FEW && !b_transposed;
  long most = a_transposed ? DEPTH / 2 : DEPTH;
  long group = few || (a_transposed && !copies) ? 2 * LANES : GROUP / most;
  for (long k = 0; k < depth; k += most) {
    long terms = depth - k < most ? depth - k : most;
    const float *of_a = a_transposed ? a + k * a_stride : a + k;
    for (long j = 0; j < columns; j += group) {
      long used = columns - j < group ? columns - j : group;
      long left = columns - j - used < group ? columns - j - used : group;
      const float *of_b = b_transposed ? b + j * b_stride + k : b + k * b_stride + j;
      bool in_place = few && used == 2 * LANES;
      if (!in_place) NAME(copy_group)(used, terms, of_b, b_stride, b_transposed, panels);
      struct soon next = b_transposed ? soon(of_b + used * b_stride, left, terms, b_stride)
                                      : soon(of_b + used, left > 0 ? terms : 0, left, b_stride);
      for (long i = 0; i < rows; i += ROWS) {
        if (copies && i % STRIP == 0)
          NAME(copy_strip)(of_a + i, a_stride, terms, rows - i < STRIP ? rows - i : STRIP, strip);
        struct tile first = {
            .depth = terms,
            .a = copies ? strip + i % STRIP * terms : of_a + i * (a_transposed ? 1 : a_stride),
            .a_stride = copies ? ROWS : a_stride,
            .panel = in_place ? of_b : panels,
            .panel_stride = b_stride,
            .c = c_transposed ? c + j * c_stride + i : c + i * c_stride + j,
            .c_stride = c_stride,
            .c_transposed = c_transposed,
            .adds = adds || k > 0,
            .next = &next,
        };
        NAME(tiles)(rows - i < ROWS ? (int)(rows - i) : ROWS, used, a_transposed, first, in_place ? 1 : terms,
                    !in_place);
      }
    }
  }
}

#undef INLINE
#undef UNROLL
