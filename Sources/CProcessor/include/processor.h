#pragma once

/// Linking this module makes a program look, before anything else, whether the processor has the instructions that it
/// was compiled for. If not, it says so and ends with 71 instead of with SIGILL.
void processor_require(void);
