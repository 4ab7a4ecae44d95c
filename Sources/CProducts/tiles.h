// The product for one instruction set. This file is included once for each set, with
//   LANES  the floats in a register
//   ROWS   the rows of a tile: as many as leave registers for a row of the panel and for elements of a
//   COPIES whether a transposed a is copied. In place, each term of a tile lies on another cache line, and tiles of
//          few rows with short registers have too little work for each line
//   NAME   a macro that adds the name of the set to the name of a function

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float NAME(vector) __attribute__((vector_size(4 * LANES), aligned(4)));

/// Adds `terms` terms to the sums of a tile. Element (i, k) of a is at starts[i / 3][i % 3 · row + k · term]. The
/// caller passes constants for `terms`, `rows` and `registers`.
INLINE void NAME(add_terms)(int terms, int rows, int registers, const float *const *starts, long row, long term,
                            const float *panel, long panel_stride, NAME(vector) sums[ROWS][WIDEST]) {
  UNROLL for (int k = 0; k < terms; k++) {
    NAME(vector) x[WIDEST];
    UNROLL for (int v = 0; v < registers; v++)
      x[v] = *(const NAME(vector) *)(panel + k * panel_stride + v * LANES);
    UNROLL for (int i = 0; i < rows; i++) {
      float factor = starts[i / 3][i % 3 * row + k * term];
      UNROLL for (int v = 0; v < registers; v++) sums[i][v] += factor * x[v];
    }
  }
}

/// The tile of c, `rows` rows of `registers` registers ← the sums over a panel, or the tile plus the sums. The caller
/// passes constants for `rows`, `registers` and `order`.
INLINE void NAME(tile)(int rows, int registers, enum order order, const struct tile *t) {
  long row = order == by_rows ? t->a_stride : 1;
  long term = order == by_rows ? 1 : order == by_tiles ? ROWS : t->a_stride;
  const float *panel = t->panel;
  // The start of every third row. The two rows after it are one and two strides away, which an address can express.
  const float *starts[(ROWS + 2) / 3];
  UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] = t->a + i * row;
  NAME(vector) sums[ROWS][WIDEST] = {};
  if (t->adds) {
    UNROLL for (int i = 0; i < rows; i++) {
      UNROLL for (int v = 0; v < registers; v++)
        sums[i][v] = *(const NAME(vector) *)(t->c + i * t->c_stride + v * LANES);
    }
  } else if (!t->chunks) {
    UNROLL for (int i = 0; i < rows; i++) {
      UNROLL for (int v = 0; v < registers; v++) __builtin_prefetch(t->c + i * t->c_stride + v * LANES, 1);
    }
  }
  // Where addresses differ by constants, several terms go at a time: on a core that runs two threads, the number of
  // instructions decides.
  bool constant = order != by_terms && t->panel_stride == registers * LANES;
  for (long k = 0; k < t->depth;) {
    fetch(t->next);
    if (constant && k + TERMS <= t->depth) {
      NAME(add_terms)(TERMS, rows, registers, starts, row, term, panel, registers * LANES, sums);
      UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] += TERMS * term;
      panel += TERMS * registers * LANES;
      k += TERMS;
      continue;
    }
    for (long end = k + TERMS < t->depth ? k + TERMS : t->depth; k < end; k++) {
      // The next terms of an a or a panel in place are on other pages, which the processor does not prefetch by itself.
      if (order == by_terms) __builtin_prefetch(starts[0] + 2 * LINE);
      if (t->ahead) __builtin_prefetch(panel + t->ahead, 0, 2);
      NAME(add_terms)(1, rows, registers, starts, row, term, panel, 0, sums);
      UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] += term;
      panel += t->panel_stride;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) {
      NAME(vector) *place = (NAME(vector) *)(t->c + i * t->c_stride + v * LANES);
      *place = t->joins ? *place + sums[i][v] : sums[i][v];
    }
  }
}

/// Computes a tile with any number of rows; `registers` and `order` are constants. Rows of more than two registers are
/// for tiles of few rows.
INLINE void NAME(tile_of)(int rows, int registers, enum order order, const struct tile *t) {
#define TILE(n)                                                                                \
  case n:                                                                                      \
    if (n <= ROWS && (registers <= 2 || n * registers <= 12)) NAME(tile)(n, registers, order, t); \
    break;
  switch (rows) {
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
  }
#undef TILE
}

/// Computes a tile with any number of rows and registers, whatever the order of a.
static void NAME(any_tile)(int rows, int registers, enum order order, const struct tile *t) {
#define ORDER(o)                                                     \
  case o:                                                            \
    switch (registers) {                                             \
      case 1: return NAME(tile_of)(rows, 1, o, t);                   \
      case 4: return NAME(tile_of)(rows, 4, o, t);                   \
      case WIDEST: return NAME(tile_of)(rows, WIDEST, o, t);         \
      default: return NAME(tile_of)(rows, 2, o, t);                  \
    }
  switch (order) { ORDER(by_rows) ORDER(by_terms) ORDER(by_tiles) }
#undef ORDER
}

/// Computes a tile whose panel is wider than the `used` columns of c that it is for, or whose place in c is transposed:
/// apart, with its elements copied.
static void NAME(tile_apart)(int rows, int registers, enum order order, int used, const struct tile *t) {
  int width = registers * LANES;
  long row = t->c_transposed ? 1 : t->c_stride, column = t->c_transposed ? t->c_stride : 1;
  float sums[ROWS * 2 * LANES];
  if (t->adds)
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < width; j++) sums[i * width + j] = j < used ? t->c[i * row + j * column] : 0;
  struct tile apart = *t;
  apart.c = sums;
  apart.c_stride = width;
  NAME(any_tile)(rows, registers, order, &apart);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < used; j++) t->c[i * row + j * column] = sums[i * width + j];
}

/// Computes a tile whose sum is cut into chunks: one tile of sums for each, which are added as soon as both halves of a
/// node of the tree are there.
static void NAME(tile_by_chunks)(int rows, int registers, enum order order, int used, const struct tile *t) {
  int width = registers * LANES;
  long term = order == by_tiles ? ROWS : t->a_stride;
  const struct product_chunks *chunks = t->chunks;
  float sums[PRODUCT_CHUNK_LEVELS + 1][ROWS * 2 * LANES];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < used; j += LINE) __builtin_prefetch(t->c + i * t->c_stride + j, 1);
  struct tile part = *t;
  part.c_stride = width;
  int level = 0;
  for (long i = 0; i < chunks->count; i++, level++) {
    // A second half of one section joins the first one at once.
    part.joins = i % 2 == 1 && chunks->sections == 1;
    if (part.joins) level--;
    part.c = sums[level];
    part.depth = chunks->bounds[i + 1] - chunks->bounds[i];
    for (long section = 0; section < chunks->sections; section++) {
      long first = section * chunks->section + chunks->bounds[i] - chunks->bounds[0];
      part.a = t->a + first * term;
      part.panel = t->panel + first * t->panel_stride;
      part.adds = section > 0;
      NAME(any_tile)(rows, registers, order, &part);
    }
    for (long ended = part.joins ? (i + 1) / 2 : i + 1; ended % 2 == 0; ended /= 2, level--)
      for (int j = 0; j < rows * width; j += LANES)
        *(NAME(vector) *)(sums[level - 1] + j) += *(NAME(vector) *)(sums[level] + j);
  }
  for (int i = 0; i < rows; i++) memcpy(t->c + i * t->c_stride, sums[0] + i * width, used * sizeof *t->c);
}

/// Computes `rows` rows of c over `columns` columns, panel by panel. `t` is the first tile.
///
/// - step: the distance in memory between the panels of neighbouring columns.
/// - tile_step: the distance between tiles of a.
static void NAME(tiles)(long rows, long columns, enum order order, struct tile t, long step, long tile_step,
                        bool packed) {
  const float *a = t.a, *panels = t.panel;
  float *c = t.c;
  for (long j = 0; j < columns; j += 2 * LANES) {
    int used = columns - j < 2 * LANES ? (int)(columns - j) : 2 * LANES;
    int registers = used > LANES ? 2 : 1;
    t.panel = panels + j * step;
    if (packed) t.panel_stride = registers * LANES;
    bool apart = used < registers * LANES || t.c_transposed;
    for (long i = 0; i < rows; i += ROWS) {
      int n = rows - i < ROWS ? (int)(rows - i) : ROWS;
      t.a = a + i / ROWS * tile_step;
      t.c = t.c_transposed ? c + j * t.c_stride + i : c + i * t.c_stride + j;
      if (t.chunks)
        NAME(tile_by_chunks)(n, registers, order, used, &t);
      else if (apart)
        NAME(tile_apart)(n, registers, order, used, &t);
      else
        NAME(any_tile)(n, registers, order, &t);
    }
  }
}

/// panels ← `columns` columns of op(b), at most as many as fit a group. Rows of b are read whole, in the order of memory.
static void NAME(copy_group)(long columns, long depth, const float *b, long b_stride, bool b_transposed,
                             float *panels) {
  long whole = b_transposed ? 0 : columns / (2 * LANES) * (2 * LANES);
  for (long k = 0; k < depth && whole > 0; k++)
    for (long j = 0; j < whole; j += 2 * LANES)
      for (int l = 0; l < 2 * LANES; l += LANES)
        *(NAME(vector) *)(panels + j * depth + k * 2 * LANES + l) = *(const NAME(vector) *)(b + k * b_stride + j + l);
  for (long j = whole; j < columns; j += 2 * LANES) {
    int used = columns - j < 2 * LANES ? (int)(columns - j) : 2 * LANES;
    int width = used > LANES ? 2 * LANES : LANES;
    if (b_transposed)
      copy_transposed(b + j * b_stride, b_stride, depth, used, panels + j * depth, width, 0);
    else
      copy_rows(b + j, b_stride, depth, used, panels + j * depth, width);
  }
}

/// strip ← `columns` columns of a transposed a, at most STRIP, tile by tile, with ROWS floats for each term.
static void NAME(copy_strip)(const float *a, long stride, long depth, long columns, float *strip) {
  for (long k = 0; k < depth; k++) {
    const float *from = a + k * stride;
    long i = 0;
    for (; i + ROWS <= columns; i += ROWS) memcpy(strip + i * depth + k * ROWS, from + i, ROWS * sizeof *strip);
    for (long first = i; i < columns; i++) strip[first * depth + k * ROWS + i - first] = from[i];
  }
}

/// The registers of each row of a tile that has few rows: the fewer rows, the wider, so that enough sums are under way
/// at a time. There are at least LANES columns.
INLINE int NAME(registers)(long rows, long columns) {
  int registers = rows == 1 ? WIDEST : rows <= 3 ? 4 : 2;
  while (registers * LANES > columns) registers /= 2;
  return registers;
}

/// A product with few rows of a. Some rows of b at a time are read, so that memory is read in its order: with up to
/// IN_PLACE rows of a they are used in place, with more they are copied.
static void NAME(multiply_few)(long rows, long columns, long depth, const float *a, long a_stride, bool a_transposed,
                               const float *b, long b_stride, float *c, long c_stride, bool adds) {
  _Alignas(64) float panels[COPIED * COPIED_COLUMNS];
  bool copies = rows > IN_PLACE;
  // A panel in place may not be read beyond the last column.
  long whole = copies ? 0 : columns / LANES * LANES;
  long most = copies ? COPIED : NEAR;
  enum order order = a_transposed ? by_terms : by_rows;
  long row = a_transposed ? 1 : a_stride, term = a_transposed ? a_stride : 1;
  for (long k = 0; k < depth; k += most) {
    long terms = depth - k < most ? depth - k : most;
    struct soon nothing[2] = {{0}};
    struct tile t = {.depth = terms, .a = a + k * term, .a_stride = a_stride, .panel = b + k * b_stride,
                     .panel_stride = b_stride, .ahead = NEAR * b_stride, .c = c, .c_stride = c_stride,
                     .adds = adds || k > 0, .next = nothing};
    if (whole > 0) NAME(tiles)(rows, whole, order, t, 1, ROWS * row, false);
    t.panel = panels;
    t.ahead = 0;
    for (long j = whole; j < columns; j += COPIED_COLUMNS) {
      long used = columns - j < COPIED_COLUMNS ? columns - j : COPIED_COLUMNS;
      NAME(copy_group)(used, terms, b + k * b_stride + j, b_stride, false, panels);
      t.c = c + j;
      NAME(tiles)(rows, used, order, t, terms, ROWS * row, true);
    }
  }
}

/// A product with at most ROWS rows of a and a transposed b, of which a small panel is copied at a time, so that memory
/// is read while the panel is used.
static void NAME(multiply_few_transposed)(long rows, long columns, long depth, const float *a, long a_stride,
                                          const float *b, long b_stride, float *c, long c_stride, bool adds) {
  _Alignas(64) float panel[WIDEST * LANES * COPIED];
  struct soon nothing[2] = {{0}};
  struct tile t = {.a_stride = a_stride, .panel = panel, .c_stride = c_stride, .next = nothing};
  for (long j = 0; j < columns; j += t.panel_stride) {
    int registers = columns - j < LANES ? 1 : NAME(registers)(rows, columns - j);
    t.panel_stride = registers * LANES;
    int used = columns - j < t.panel_stride ? (int)(columns - j) : (int)t.panel_stride;
    t.c = c + j;
    for (long k = 0; k < depth; k += COPIED) {
      t.depth = depth - k < COPIED ? depth - k : COPIED;
      t.a = a + k;
      t.adds = adds || k > 0;
      // The same rows of b, and at their end those of the next panel.
      long ahead = k + COPIED < depth ? COPIED : t.panel_stride * b_stride - k;
      copy_transposed(b + j * b_stride + k, b_stride, t.depth, used, panel, (int)t.panel_stride, ahead);
      if (used < t.panel_stride)
        NAME(tile_apart)((int)rows, registers, by_rows, used, &t);
      else
        NAME(any_tile)((int)rows, registers, by_rows, &t);
    }
  }
}

/// A tile of c from few terms, as in tile. The place `ahead` floats behind each of its rows is prefetched for writing.
/// Adds the squares of the tile to `squares`.
INLINE void NAME(tile_of_few_terms)(int rows, int registers, long depth, const float *strip, const float *panel,
                                    float *c, long c_stride, bool adds, long ahead, NAME(vector) squares[2][2]) {
  const float *starts[(ROWS + 2) / 3];
  UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] = strip + i;
  NAME(vector) sums[ROWS][WIDEST] = {};
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) {
      if (v * LANES % LINE == 0) __builtin_prefetch(c + i * c_stride + v * LANES + ahead, 1);
      if (adds) sums[i][v] = *(const NAME(vector) *)(c + i * c_stride + v * LANES);
    }
  }
  for (long k = 0; k < depth; k++) {
    NAME(add_terms)(1, rows, registers, starts, 1, 0, panel, 0, sums);
    UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] += ROWS;
    panel += registers * LANES;
  }
  // Four sums of squares, as one would wait for itself.
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) {
      *(NAME(vector) *)(c + i * c_stride + v * LANES) = sums[i][v];
      squares[i % 2][v] += sums[i][v] * sums[i][v];
    }
  }
}

/// A product of a transposed a with at most FEW_TERMS terms: c is written in the order of memory. Returns the sum of
/// the squares of c. `columns` is a multiple of LANES.
static double NAME(multiply_few_terms)(long rows, long columns, long depth, const float *a, long a_stride,
                                       const float *b, long b_stride, float *c, long c_stride, bool adds) {
  _Alignas(64) float panels[TERMS_GROUP], strip[FEW_TERMS * ROWS];
  long group = TERMS_GROUP / depth / (2 * LANES) * (2 * LANES);
  double total = 0;
  for (long j = 0; j < columns; j += group) {
    long used = columns - j < group ? columns - j : group;
    NAME(copy_group)(used, depth, b + j, b_stride, false, panels);
    for (long i = 0; i < rows; i += ROWS) {
      int n = rows - i < ROWS ? (int)(rows - i) : ROWS;
      NAME(copy_strip)(a + i, a_stride, depth, n, strip);
      NAME(vector) squares[2][2] = {};
      for (long at = 0; at < used; at += 2 * LANES) {
        float *to = c + i * c_stride + j + at;
        const float *panel = panels + at * depth;
        // The same rows of c, and at their end the next ones.
        long ahead = at + AHEAD < used ? AHEAD : AHEAD - used + ROWS * c_stride;
        bool isWide = used - at > LANES;
        if (n == ROWS && isWide) {
          NAME(tile_of_few_terms)(ROWS, 2, depth, strip, panel, to, c_stride, adds, ahead, squares);
          continue;
        }
        for (int r = 0; r < n; r++) {
          float *row = to + r * c_stride;
          if (isWide)
            NAME(tile_of_few_terms)(1, 2, depth, strip + r, panel, row, c_stride, adds, ahead, squares);
          else
            NAME(tile_of_few_terms)(1, 1, depth, strip + r, panel, row, c_stride, adds, ahead, squares);
        }
      }
      NAME(vector) sum = (squares[0][0] + squares[0][1]) + (squares[1][0] + squares[1][1]);
      for (int l = 0; l < LANES; l++) total += sum[l];
    }
  }
  return total;
}

/// The product as products.h defines it, with the option to write the transpose of c, or to sum by chunks.
static void NAME(multiply)(long rows, long columns, long depth, const float *a, long a_stride,
                           bool a_transposed, const float *b, long b_stride, bool b_transposed, float *c,
                           long c_stride, bool c_transposed, bool adds, const struct product_chunks *chunks) {
  if (!chunks && rows <= (a_transposed ? LANES : FEW) && !b_transposed && !c_transposed)
    return NAME(multiply_few)(rows, columns, depth, a, a_stride, a_transposed, b, b_stride, c, c_stride, adds);
  if (!chunks && a_transposed && !b_transposed && depth <= FEW_TERMS && columns >= LANES) {
    long whole = columns / LANES * LANES;
    NAME(multiply_few_terms)(rows, whole, depth, a, a_stride, b, b_stride, c, c_stride, adds);
    if (whole == columns) return;
    b += whole;
    c += whole;
    columns -= whole;
  }
  _Alignas(64) float panels[GROUP], strip[COPIES ? DEPTH / 2 * STRIP : 1];
  bool copies = COPIES && a_transposed && columns > 32;
  enum order order = copies ? by_tiles : a_transposed ? by_terms : by_rows;
  // Without a copy, one tile of a stays in the first-level cache, and the group's panels in the second. If a is copied,
  // it is the other way round: one panel stays in the first and a strip of a in the second, so the group can be larger.
  // If a transposed a is used in place, nothing of it stays, and a group has a single panel.
  long most = a_transposed ? DEPTH / 2 : DEPTH;
  long block = copies ? STRIP : ROWS;
  long group = order == by_terms ? 2 * LANES : order == by_rows ? GROUP / 2 / most : GROUP / most;
  for (long k = 0; k < depth; k += most) {
    long terms = depth - k < most ? depth - k : most;
    const float *of_a = a_transposed ? a + k * a_stride : a + k;
    for (long j = 0; j < columns; j += group) {
      long used = columns - j < group ? columns - j : group;
      long left = columns - j - used < group ? columns - j - used : group;
      const float *of_b = b_transposed ? b + j * b_stride + k : b + k * b_stride + j;
      NAME(copy_group)(used, terms, of_b, b_stride, b_transposed, panels);
      // While a block is computed, the next rows of a are prefetched, and then what the next panels are copied from.
      struct soon next[] = {{0}, b_transposed ? soon(of_b + used * b_stride, left, terms, b_stride)
                                              : soon(of_b + used, left > 0 ? terms : 0, left, b_stride)};
      for (long i = 0; i < rows; i += block) {
        long n = rows - i < block ? rows - i : block;
        long after = rows - i - n < block ? rows - i - n : block;
        const float *of_block = of_a + i * (a_transposed ? 1 : a_stride);
        if (copies) NAME(copy_strip)(of_block, a_stride, terms, n, strip);
        if (after > 0 && order != by_terms)
          next[0] = a_transposed ? soon(of_block + n, terms, after, a_stride)
                                 : soon(of_block + n * a_stride, after, terms, a_stride);
        struct tile first = {
            .depth = terms,
            .a = copies ? strip : of_block,
            .a_stride = copies ? ROWS : a_stride,
            .panel = panels,
            .c = c_transposed ? c + j * c_stride + i : c + i * c_stride + j,
            .c_stride = c_stride,
            .c_transposed = c_transposed,
            .adds = adds || k > 0,
            .chunks = chunks,
            .next = next,
        };
        NAME(tiles)(n, used, order, first, terms, ROWS * terms, true);
      }
    }
  }
}

#undef INLINE
#undef UNROLL
