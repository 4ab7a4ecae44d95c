#pragma once

/// Instructions of x86 that the Swift code was compiled for, beyond those of every 64-bit processor.
enum { needs_avx2 = 1, needs_fma = 2, needs_bmi2 = 4, needs_avx512 = 8, needs_sse42 = 16 };

/// Which of them it uses. This module is compiled with the same FAN_DIST_MARCH; it holds no code.
extern const unsigned compiled_for;
