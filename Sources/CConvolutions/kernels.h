// The convolutions for one instruction set. This file is included once for each set, with
//   LANES   the floats in a register
//   PLACES  the places of a tile that is two registers wide: as many as leave registers for two of weights
//           and one of the image
//   NAME    a macro that adds the name of the set to the name of a function

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

/// The most rows of a tile: with one register of sums in a row, enough sums to keep the arithmetic units busy.
#define MOST 12

typedef float NAME(vector) __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int NAME(integers) __attribute__((vector_size(4 * LANES), aligned(4)));
typedef unsigned char NAME(bytes) __attribute__((vector_size(LANES), aligned(1)));

#define LOAD(address) (*(const NAME(vector) *)(address))
#define STORE(address) (*(NAME(vector) *)(address))

/// Calls `kernel(rows, registers, t)` with constants for `rows` and `registers`.
#define CASE(n, kernel)                                              \
  case n:                                                            \
    if (registers == 1)                                              \
      kernel(n, 1, t);                                               \
    else if (n <= PLACES)                                            \
      kernel(n, 2, t);                                               \
    break;
#define WITH_CONSTANTS(kernel)                                                                       \
  switch (rows) {                                                                                    \
    CASE(1, kernel) CASE(2, kernel) CASE(3, kernel) CASE(4, kernel) CASE(5, kernel) CASE(6, kernel)  \
    CASE(7, kernel) CASE(8, kernel) CASE(9, kernel) CASE(10, kernel) CASE(11, kernel) CASE(12, kernel) \
  }

/// A tile of sums of the convolution.
INLINE void NAME(tile)(int rows, int registers, const struct tile *t) {
  const float *panel = t->panel;
  long step = t->x_step, depth = 3 * step;
  NAME(vector) sums[MOST][2] = {};
  if (t->adds) {
    UNROLL for (int i = 0; i < rows; i++) {
      UNROLL for (int v = 0; v < registers; v++) sums[i][v] = LOAD(t->sums + i * t->sums_step + v * LANES);
    }
  }
  for (long r = 0; r < t->rows; r++) {
    // The start of every third place. The two places after it are one and two steps away, which an address
    // can express.
    const float *starts[(MOST + 2) / 3];
    UNROLL for (int i = 0; i < rows; i += 3) starts[i / 3] = t->x + r * t->x_row + i * step;
    for (long k = 0; k < depth; k++) {
      NAME(vector) w[2];
      UNROLL for (int v = 0; v < registers; v++) w[v] = LOAD(panel + v * LANES);
      panel += registers * LANES;
      UNROLL for (int i = 0; i < rows; i++) {
        float x = starts[i / 3][i % 3 * step + k];
        UNROLL for (int v = 0; v < registers; v++) sums[i][v] += x * w[v];
      }
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < registers; v++) STORE(t->sums + i * t->sums_step + v * LANES) = sums[i][v];
  }
}

static void NAME(any_tile)(int rows, int registers, const struct tile *t) {
  WITH_CONSTANTS(NAME(tile))
}

/// Adds sums over the places of a strip to a tile of the weights' gradient.
INLINE void NAME(gradient_tile)(int rows, int registers, const struct gradient_tile *t) {
  NAME(vector) sums[MOST][2] = {};
  for (long r = 0; r < t->rows; r++) {
    const float *x = t->x + r * t->x_row, *dy = t->dy + r * t->dy_row;
    for (long c = 0; c < t->columns; c++) {
      NAME(vector) g[2];
      UNROLL for (int v = 0; v < registers; v++) g[v] = LOAD(dy + v * LANES);
      UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < registers; v++) sums[i][v] += x[i] * g[v];
      }
      x += t->x_step;
      dy += t->dy_step;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    float *dw = t->dw + i * t->dw_step;
    if (t->used == registers * LANES) {
      UNROLL for (int v = 0; v < registers; v++) STORE(dw + v * LANES) = LOAD(dw + v * LANES) + sums[i][v];
    } else {
      float apart[2 * LANES];
      UNROLL for (int v = 0; v < registers; v++) STORE(apart + v * LANES) = sums[i][v];
      for (int j = 0; j < t->used; j++) dw[j] += apart[j];
    }
  }
}

static void NAME(any_gradient_tile)(int rows, int registers, const struct gradient_tile *t) {
  WITH_CONSTANTS(NAME(gradient_tile))
}

/// The registers of the tile that begins at column `j` of `columns`.
static int NAME(registers)(long columns, long j) { return columns - j > LANES ? 2 : 1; }

/// The rows of the next tile if `left` rows are left: nearly the same for all tiles.
static int NAME(rows)(long left, int registers) {
  long most = registers == 1 ? MOST : PLACES, tiles = (left + most - 1) / most;
  return (int)((left + tiles - 1) / tiles);
}

/// `padded` ← row `row` of an image, with a place of zeros on each side already there. The rows above and
/// below the image stay zero.
static void NAME(pad_row)(struct convolution s, struct convolution_input x, long row, float *padded) {
  if (row >= s.height) return;
  long count = s.width * s.inputs;
  float *to = padded + ((row + 1) * (s.width + 2) + 1) * s.inputs;
  switch (x.elements) {
    case convolution_bytes: {
      const unsigned char *from = (const unsigned char *)x.images + row * count;
      for (long i = 0; i < count; i++) to[i] = from[i] / 255.0f;
      break;
    }
    case convolution_floats: memcpy(to, (const float *)x.images + row * count, count * sizeof *to); break;
    case convolution_positive_parts: {
      const float *from = (const float *)x.images + row * count;
      for (long i = 0; i < count; i++) to[i] = from[i] <= 0 ? 0 : from[i];
      break;
    }
  }
}

/// The input from an image on.
static struct convolution_input NAME(from_image)(struct convolution s, struct convolution_input x, long image) {
  long offset = image * s.height * s.width * s.inputs;
  x.images = x.elements == convolution_bytes ? (const void *)((const unsigned char *)x.images + offset)
                                             : (const void *)((const float *)x.images + offset);
  return x;
}

/// sums ← row `row` of the convolution of a padded image with panels of weights.
static void NAME(sum_row)(struct convolution s, const float *padded, long row, const float *panels, float *sums) {
  long x_row = (s.width + 2) * s.inputs, wide = whole(s.outputs, LANES);
  for (long j = 0; j < s.outputs; j += 2 * LANES) {
    int registers = NAME(registers)(s.outputs, j);
    long third = 3 * s.inputs * registers * LANES;
    // A panel that does not stay in the first-level cache is used in thirds.
    long rows = 3 * third <= NEAR ? 3 : 1;
    for (long r = 0; r < 3; r += rows) {
      struct tile t = {.x = padded + (row + r) * x_row,
                       .x_step = s.inputs,
                       .x_row = x_row,
                       .rows = rows,
                       .panel = panels + j * 9 * s.inputs + r * third,
                       .sums = sums + j,
                       .sums_step = wide,
                       .adds = r > 0};
      for (long left = s.width; left > 0;) {
        int places = NAME(rows)(left, registers);
        NAME(any_tile)(places, registers, &t);
        t.x += places * s.inputs;
        t.sums += places * wide;
        left -= places;
      }
    }
  }
}

/// panels ← the weights, in blocks of outputs that are one or two registers wide.
static void NAME(pack)(struct convolution s, const float *weights, float *panels) {
  for (long j = 0; j < s.outputs; j += 2 * LANES)
    copy_rows(weights + j, s.outputs, 9 * s.inputs, (int)smaller(s.outputs - j, 2 * LANES),
              panels + j * 9 * s.inputs, NAME(registers)(s.outputs, j) * LANES);
}

/// panels ← the weights of the convolution that leads from the gradient by the output to that by the input:
/// turned by half, and with inputs and outputs exchanged.
static void NAME(pack_turned)(struct convolution s, const float *weights, float *panels) {
  for (long j = 0; j < s.inputs; j += 2 * LANES) {
    int width = NAME(registers)(s.inputs, j) * LANES;
    for (int tap = 0; tap < 9; tap++)
      copy_transposed(weights + ((8 - tap) * s.inputs + j) * s.outputs, s.outputs, s.outputs,
                      (int)smaller(s.inputs - j, 2 * LANES),
                      panels + j * 9 * s.outputs + tap * s.outputs * width, width, 0);
  }
}

/// y ← sums + bias, made 0 where `positive` is not positive (NaN counts as positive, here and elsewhere, so
/// that it shows), plus `added`; each of the three may be NULL.
static void NAME(finish_row)(long places, long channels, const float *sums, const float *bias,
                             const float *positive, const float *added, float *y) {
#define FINISH(vector, integers, lanes)                                                        \
  for (; c + lanes <= channels; c += lanes) {                                                  \
    vector value = *(const vector *)(sums + c);                                                \
    if (bias) value += *(const vector *)(bias + c);                                            \
    if (positive) value = (vector)((integers)value & ~(*(const vector *)(positive + c) <= 0));   \
    if (added) value += *(const vector *)(added + c);                                          \
    *(vector *)(y + c) = value;                                                                \
  }
  for (long p = 0; p < places; p++) {
    long c = 0;
    FINISH(NAME(vector), NAME(integers), LANES)
    FINISH(quad, quad_of_numbers, 4)
    for (; c < channels; c++) {
      float value = sums[c] + (bias ? bias[c] : 0);
      if (positive && positive[c] <= 0) value = 0;
      y[c] = value + (added ? added[c] : 0);
    }
    sums += whole(channels, LANES);
    if (positive) positive += channels;
    if (added) added += channels;
    y += channels;
  }
#undef FINISH
}

static void NAME(convolve)(struct convolution s, long images, struct convolution_input x, const float *weights,
                           const float *bias, const float *residual, float *y, float *scratch) {
  long size = s.width * s.outputs;
  float *panels = take(&scratch, 9 * s.inputs * whole(s.outputs, LANES));
  float *padded = take(&scratch, padded_size(s, s.inputs)), *sums = take(&scratch, sums_size(s, s.outputs));
  NAME(pack)(s, weights, panels);
  memset(padded, 0, padded_size(s, s.inputs) * sizeof *padded);
  for (long image = 0; image < images; image++) {
    struct convolution_input from = NAME(from_image)(s, x, image);
    NAME(pad_row)(s, from, 0, padded);
    for (long row = 0; row < s.height; row++) {
      NAME(pad_row)(s, from, row + 1, padded);
      NAME(sum_row)(s, padded, row, panels, sums);
      long offset = (image * s.height + row) * size;
      NAME(finish_row)(s.width, s.outputs, sums, bias, NULL, residual ? residual + offset : NULL, y + offset);
    }
  }
}

/// y, winners ← the largest of the 3 × 3 places of each window of a row. `rows` point to the rows of the
/// windows, with a place on each side. Row `first` is the first inside the image, and so is column `before` of
/// the first window. Places outside the image hold −∞.
static void NAME(pool_row)(struct convolution s, const float *const *rows, int first, const float *bias, float *y,
                           unsigned char *winners) {
  long wide = whole(s.outputs, LANES), before = s.width % 2;
  for (long j = 0; j < (s.width + 1) / 2; j++) {
    long start = (2 * j + 1 - before) * wide;
    int first_column = j == 0 ? (int)before : 0;
    for (long c = 0; c < s.outputs; c += LANES) {
      // Places are compared in order, so that the first of equal ones wins. The first inside the image is
      // taken without a comparison, so no place outside wins. NaN wins, so that it shows.
      NAME(vector) best = LOAD(rows[first] + start + first_column * wide + c);
      NAME(integers) winner = {};
      winner += 3 * first + first_column;
      UNROLL for (int place = 0; place < 9; place++) {
        NAME(vector) value = LOAD(rows[place / 3] + start + place % 3 * wide + c);
        NAME(integers) wins = (value > best) | (value != value);
        best = (NAME(vector))((wins & (NAME(integers))value) | (~wins & (NAME(integers))best));
        if (winners) winner = (wins & place) | (~wins & winner);
      }
      if (c + LANES <= s.outputs) {
        STORE(y + c) = best + LOAD(bias + c);
        if (winners) *(NAME(bytes) *)(winners + c) = __builtin_convertvector(winner, NAME(bytes));
      } else {
        for (long i = 0; i < s.outputs - c; i++) {
          y[c + i] = best[i] + bias[c + i];
          if (winners) winners[c + i] = (unsigned char)winner[i];
        }
      }
    }
    y += s.outputs;
    if (winners) winners += s.outputs;
  }
}

static void NAME(convolve_and_pool)(struct convolution s, long images, struct convolution_input x,
                                    const float *weights, const float *bias, float *y, unsigned char *winners,
                                    float *scratch) {
  long wide = whole(s.outputs, LANES), before = s.height % 2, pooled_rows = (s.height + 1) / 2;
  long size = (s.width + 1) / 2 * s.outputs;
  float *panels = take(&scratch, 9 * s.inputs * wide), *padded = take(&scratch, padded_size(s, s.inputs));
  // Three rows of sums in turn, and a row outside the image; all with a place on each side.
  float *sums[4];
  for (int i = 0; i < 4; i++) {
    sums[i] = take(&scratch, sums_size(s, s.outputs));
    for (long k = 0; k < (s.width + 2) * wide; k++) sums[i][k] = -INFINITY;
  }
  NAME(pack)(s, weights, panels);
  memset(padded, 0, padded_size(s, s.inputs) * sizeof *padded);
  for (long image = 0; image < images; image++) {
    struct convolution_input from = NAME(from_image)(s, x, image);
    NAME(pad_row)(s, from, 0, padded);
    for (long i = 0, summed = 0; i < pooled_rows; i++) {
      long first = 2 * i - before;
      for (; summed < smaller(first + 3, s.height); summed++) {
        NAME(pad_row)(s, from, summed + 1, padded);
        NAME(sum_row)(s, padded, summed, panels, sums[summed % 3] + wide);
      }
      const float *rows[3];
      for (int r = 0; r < 3; r++) {
        long row = first + r;
        rows[r] = row < 0 || row >= s.height ? sums[3] : sums[row % 3];
      }
      long offset = (image * pooled_rows + i) * size;
      NAME(pool_row)(s, rows, first < 0 ? 1 : 0, bias, y + offset, winners ? winners + offset : NULL);
    }
  }
}

/// db ← db + the sums of `places` gradients.
static void NAME(add_sums)(long places, long channels, const float *dy, float *db) {
#define ADD(vector, lanes)                                                              \
  for (; c + lanes <= channels; c += lanes) {                                           \
    vector sum = {};                                                                    \
    for (long p = 0; p < places; p++) sum += *(const vector *)(dy + p * channels + c);  \
    *(vector *)(db + c) += sum;                                                         \
  }
  long c = 0;
  ADD(NAME(vector), LANES)
  ADD(quad, 4)
  ADD(float, 1)
#undef ADD
}

static void NAME(add_whole_gradients)(struct convolution s, long images, struct convolution_input x,
                                      struct convolution_gradient gradient, float *weights, float *bias,
                                      float *scratch) {
  long x_row = (s.width + 2) * s.inputs, wide = whole(s.outputs, LANES), most = strip_rows(s);
  float *padded = take(&scratch, padded_size(s, s.inputs)), *copy = take(&scratch, most * s.width * wide);
  memset(padded, 0, padded_size(s, s.inputs) * sizeof *padded);
  for (long image = 0; image < images; image++) {
    struct convolution_input from = NAME(from_image)(s, x, image);
    NAME(pad_row)(s, from, 0, padded);
    for (long row = 0; row < s.height; row += most) {
      long rows = smaller(most, s.height - row), places = rows * s.width;
      const float *dy = gradient.images + (image * s.height + row) * s.width * s.outputs;
      for (long r = row + 1; r <= row + rows; r++) NAME(pad_row)(s, from, r, padded);
      NAME(add_sums)(places, s.outputs, dy, bias);
      // Registers are read as a whole, so places need whole registers.
      if (wide != s.outputs) copy_rows(dy, s.outputs, places, (int)s.outputs, copy, (int)wide);
      for (long j = 0; j < s.outputs; j += 2 * LANES) {
        int registers = NAME(registers)(s.outputs, j);
        struct gradient_tile t = {.x_step = s.inputs,
                                  .x_row = x_row,
                                  .dy = (wide != s.outputs ? copy : dy) + j,
                                  .dy_step = wide,
                                  .dy_row = s.width * wide,
                                  .rows = rows,
                                  .columns = s.width,
                                  .dw_step = s.outputs,
                                  .used = (int)smaller(s.outputs - j, registers * LANES)};
        for (int i = 0; i < 3; i++) {
          for (long done = 0; done < 3 * s.inputs;) {
            int count = NAME(rows)(3 * s.inputs - done, registers);
            t.x = padded + (row + i) * x_row + done;
            t.dw = weights + (i * 3 * s.inputs + done) * s.outputs + j;
            NAME(any_gradient_tile)(count, registers, &t);
            done += count;
          }
        }
      }
    }
  }
}

/// Adds, for one output and the windows of a row, the numbers around each winner times its gradient. A patch
/// has three rows of `registers` registers. The neighbours of a window's first place begin at element `start`
/// of the padded image x, those of its other places `offsets` further on.
INLINE void NAME(add_patches)(int registers, long windows, long outputs, const float *x, long start, long x_row,
                              long x_step, const float *dy, const unsigned char *winners, const long *offsets,
                              float *patch, long patch_row) {
  NAME(vector) sums[3][4] = {};
  for (long j = 0; j < windows; j++) {
    const float *around = x + (start + offsets[winners[j * outputs]]);
    float g = dy[j * outputs];
    UNROLL for (int r = 0; r < 3; r++) {
      UNROLL for (int v = 0; v < registers; v++) sums[r][v] += g * LOAD(around + r * x_row + v * LANES);
    }
    start += 2 * x_step;
  }
  UNROLL for (int r = 0; r < 3; r++) {
    UNROLL for (int v = 0; v < registers; v++) STORE(patch + r * patch_row + v * LANES) += sums[r][v];
  }
}

static void NAME(add_pooled_gradients)(struct convolution s, long images, struct convolution_input x,
                                       struct convolution_gradient gradient, float *weights, float *bias,
                                       float *scratch) {
  long x_row = (s.width + 2) * s.inputs, depth = 3 * s.inputs, patch_row = whole(depth, LANES);
  long windows = (s.width + 1) / 2, pooled_rows = (s.height + 1) / 2;
  float *padded = take(&scratch, padded_size(s, s.inputs));
  float *patches = take(&scratch, s.outputs * 3 * patch_row);
  memset(padded, 0, padded_size(s, s.inputs) * sizeof *padded);
  long offsets[9];
  for (int place = 0; place < 9; place++) offsets[place] = place / 3 * x_row + place % 3 * s.inputs;
  // Each output's gradients lie side by side meanwhile.
  for (long o = 0; o < s.outputs; o++)
    for (long k = 0; k < 3 * depth; k++)
      patches[(o * 3 + k / depth) * patch_row + k % depth] = weights[k * s.outputs + o];
  for (long image = 0; image < images; image++) {
    struct convolution_input from = NAME(from_image)(s, x, image);
    NAME(pad_row)(s, from, 0, padded);
    for (long i = 0, copied = 1; i < pooled_rows; i++) {
      long row = 2 * i - s.height % 2, offset = (image * pooled_rows + i) * windows * s.outputs;
      for (; copied < smaller(row + 4, s.height); copied++) NAME(pad_row)(s, from, copied, padded);
      NAME(add_sums)(windows, s.outputs, gradient.images + offset, bias);
      // In the padded image, the neighbours of a place begin at its row and column in the image.
      long first = row * x_row - s.width % 2 * s.inputs;
      for (long o = 0; o < s.outputs; o++) {
        const float *dy = gradient.images + offset + o;
        const unsigned char *winners = gradient.winners + offset + o;
        for (long v = 0; v < patch_row / LANES;) {
          long left = patch_row / LANES - v, parts = (left + 3) / 4, registers = (left + parts - 1) / parts;
          long start = first + v * LANES;
          float *patch = patches + o * 3 * patch_row + v * LANES;
#define ADD(n)                                                                                          \
  case n:                                                                                               \
    NAME(add_patches)(n, windows, s.outputs, padded, start, x_row, s.inputs, dy, winners, offsets, patch, \
                      patch_row);                                                                       \
    break;
          switch (registers) { ADD(1) ADD(2) ADD(3) ADD(4) }
#undef ADD
          v += registers;
        }
      }
    }
  }
  for (long o = 0; o < s.outputs; o++)
    for (long k = 0; k < 3 * depth; k++)
      weights[k * s.outputs + o] = patches[(o * 3 + k / depth) * patch_row + k % depth];
}

/// padded ← row `row` of the gradient by the output before the pool: each window's gradient lies at its
/// winner.
static void NAME(unpool_row)(struct convolution s, const float *dy, const unsigned char *winners, long row,
                             float *padded) {
  if (row >= s.height) return;
  long before = s.height % 2, size = (s.width + 1) / 2 * s.outputs;
  float *to = padded + ((row + 1) * (s.width + 2) + 1) * s.outputs;
  memset(to, 0, s.width * s.outputs * sizeof *to);
#define UNPOOL(vector, integers, bytes, lanes)                                                 \
  for (; c + lanes <= s.outputs; c += lanes) {                                                 \
    integers winner = __builtin_convertvector(*(const bytes *)(winners + from + c), integers); \
    integers g = (integers) * (const vector *)(dy + from + c);                                 \
    UNROLL for (int k = 0; k < 3; k++) {                                                       \
      integers won = winner == (int)(3 * (row - first) + k);                                   \
      *(vector *)(to + start + k * s.outputs + c) += (vector)(g & won);                        \
    }                                                                                          \
  }
  // The windows whose first, second or third row this is.
  for (long i = larger(0, (row + before - 1) / 2); i <= smaller((row + before) / 2, (s.height - 1) / 2); i++) {
    long first = 2 * i - before;
    for (long j = 0; j < (s.width + 1) / 2; j++) {
      long from = i * size + j * s.outputs, start = (2 * j - s.width % 2) * s.outputs, c = 0;
      UNPOOL(NAME(vector), NAME(integers), NAME(bytes), LANES)
      UNPOOL(quad, quad_of_numbers, quad_of_bytes, 4)
      for (; c < s.outputs; c++)
        for (int k = 0; k < 3; k++)
          if (winners[from + c] == 3 * (row - first) + k) to[start + k * s.outputs + c] += dy[from + c];
    }
  }
#undef UNPOOL
}

static void NAME(input_gradient)(struct convolution s, long images, struct convolution_gradient gradient,
                                 const float *weights, const float *positive_parts_of, float *dx, bool adds,
                                 float *scratch) {
  struct convolution turned = {s.height, s.width, s.outputs, s.inputs};
  long size = s.width * s.inputs, whole_size = s.height * s.width * s.outputs;
  long pooled_size = (s.height + 1) / 2 * ((s.width + 1) / 2) * s.outputs;
  float *panels = take(&scratch, 9 * s.outputs * whole(s.inputs, LANES));
  float *padded = take(&scratch, padded_size(s, s.outputs)), *sums = take(&scratch, sums_size(s, s.inputs));
  NAME(pack_turned)(s, weights, panels);
  memset(padded, 0, padded_size(s, s.outputs) * sizeof *padded);
  for (long image = 0; image < images; image++) {
    for (long row = -1; row < s.height; row++) {
      if (gradient.winners) {
        long offset = image * pooled_size;
        NAME(unpool_row)(s, gradient.images + offset, gradient.winners + offset, row + 1, padded);
      } else {
        struct convolution_input dy = {convolution_floats, gradient.images + image * whole_size};
        NAME(pad_row)(turned, dy, row + 1, padded);
      }
      if (row < 0) continue;
      NAME(sum_row)(turned, padded, row, panels, sums);
      long offset = (image * s.height + row) * size;
      NAME(finish_row)(s.width, s.inputs, sums, NULL, positive_parts_of ? positive_parts_of + offset : NULL,
                       adds ? dx + offset : NULL, dx + offset);
    }
  }
}

#undef INLINE
#undef UNROLL
#undef MOST
#undef LOAD
#undef STORE
#undef CASE
#undef WITH_CONSTANTS
