#pragma once
#include "products.h"

/// A 3 × 3 convolution with stride 1 and zero padding 1. Images lie in memory as (row, column, channel), one
/// behind the other, weights as (3, 3, input, output). Sizes are at least 1.
struct convolution {
  long height, width, inputs, outputs;
};

/// How the elements of an input image are read: bytes, each divided by 255; floats; relu of floats.
enum convolution_elements { convolution_bytes, convolution_floats, convolution_positive_parts };

/// The images that are convolved.
struct convolution_input {
  enum convolution_elements elements;
  const void *images;
};

/// The gradient by what was put out: of height × width × outputs elements an image. If `winners` is not NULL:
/// by the pooled output, ⌈height/2⌉ × ⌈width/2⌉ × outputs elements an image, with as many winners.
struct convolution_gradient {
  const float *images;
  const unsigned char *winners;
};

/// The floats of scratch memory that each of the functions below needs, whatever the number of images.
long convolution_scratch(struct convolution shape);

// In all functions the processor can run `instructions`; product_none stands for kernels that every processor
// runs. What is written overlaps no other memory. An image gets the same bits alone and among others.

/// y ← the convolution of x with `weights`, plus `bias`, plus `residual` (as large as y) unless it is NULL.
void convolve(enum product_instructions instructions, struct convolution shape, long images,
              struct convolution_input x, const float *weights, const float *bias, const float *residual, float *y,
              float *scratch);

/// y ← the same (without a residual) after a 3 × 3 max pool with stride 2, and the winner of each window: the
/// number 3 · row + column, from 0 to 8, of the first of its largest places; unless `winners` is NULL. The
/// first window begins one place before the image if a size is odd; places outside the image never win, NaN
/// does.
void convolve_and_pool(enum product_instructions instructions, struct convolution shape, long images,
                       struct convolution_input x, const float *weights, const float *bias, float *y,
                       unsigned char *winners, float *scratch);

/// Adds the gradients by the weights and the bias, summed over the images, to `weights` and `bias`. The bits
/// are those of one call for each image, in order.
void add_convolution_gradients(enum product_instructions instructions, struct convolution shape, long images,
                               struct convolution_input x, struct convolution_gradient gradient, float *weights,
                               float *bias, float *scratch);

/// dx ← the gradient by the input or, with `adds`, dx ← dx + that gradient; the gradient is 0 where
/// `positive_parts_of` (as large as dx) is not positive, unless that is NULL.
void convolution_input_gradient(enum product_instructions instructions, struct convolution shape, long images,
                                struct convolution_gradient gradient, const float *weights,
                                const float *positive_parts_of, float *dx, bool adds, float *scratch);
