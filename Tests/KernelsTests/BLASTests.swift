import Kernels
import Testing

/// The choice of kernels when OpenBLAS does not know the processor.
struct BLASTests {
  private let avx512: Set = ["avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"]

  @Test func processorsUnknownToOpenBLASGetTheBestKernelsTheyRun() {
    #expect(BLAS.fittingKernels(chosen: "Prescott", processorFeatures: avx512) == "SkylakeX")
    #expect(BLAS.fittingKernels(chosen: "Prescott", processorFeatures: ["avx2", "fma"]) == "Haswell")
  }

  @Test func recentKernelsAreKept() {
    #expect(BLAS.fittingKernels(chosen: "Cooperlake", processorFeatures: avx512) == nil)
    #expect(BLAS.fittingKernels(chosen: "Zen", processorFeatures: avx512) == nil)
  }

  @Test func processorsWithoutAVX2KeepTheirKernels() {
    #expect(BLAS.fittingKernels(chosen: "Prescott", processorFeatures: ["sse3"]) == nil)
    #expect(BLAS.fittingKernels(chosen: "armv8", processorFeatures: []) == nil)
  }
}
