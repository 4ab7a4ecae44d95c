#include "compiled_for.h"

const unsigned compiled_for = 0
#ifdef __AVX2__
                              | needs_avx2
#endif
#ifdef __FMA__
                              | needs_fma
#endif
#ifdef __BMI2__
                              | needs_bmi2
#endif
#ifdef __SSE4_2__
                              | needs_sse42
#endif
#ifdef __AVX512F__
                              | needs_avx512
#endif
    ;
