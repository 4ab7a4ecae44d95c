import COpenBLAS
import Foundation

/// The BLAS library: products of double precision, products with a vector, and those of single precision that have no
/// kernels of our own (`ProductKernels`).
public enum BLAS {
  /// Sets the threads of each product; 1 unless asked otherwise, as every rank computes on its own.
  public static func setThreads(_ count: Int) {
    openblas_set_num_threads(Int32(count))
    ProductKernels.chosen = count == 1 ? .fastest : .openBLAS
  }

  /// Name, version and the processor family its kernels were chosen for; before it, kernels of our own in use.
  public static var description: String {
    let configuration = String(cString: openblas_get_config()).split(separator: " ").prefix(2)
    let library = configuration.joined(separator: " ") + " (" + String(cString: openblas_get_corename()) + ")"
    return ProductKernels.chosen == .openBLAS
      ? library : "own products (\(ProductKernels.chosen.rawValue)), \(library)"
  }

  /// Starts this program again with better kernels if OpenBLAS took old ones; otherwise, or when the environment
  /// names kernels, does nothing. To be called before anything else.
  ///
  /// OpenBLAS knows the processors there were when it was released. On a newer one it may fall back to kernels of
  /// 2004, which are several times slower than those the processor can run. It chooses when it is loaded.
  public static func restartWithFittingKernels() {
    guard getenv(kernelVariable) == nil,
      let kernels = fittingKernels(
        chosen: String(cString: openblas_get_corename()), processorFeatures: processorFeatures)
    else { return }
    setenv(kernelVariable, kernels, 1)
    execv("/proc/self/exe", CommandLine.unsafeArgv)
    // Still here: it could not be started again, and runs as it is.
  }

  /// Kernels to ask for instead of the `chosen` ones; nil when those are of this decade, or no better ones run.
  public static func fittingKernels(chosen: String, processorFeatures: Set<String>) -> String? {
    guard !["haswell", "zen", "skylakex", "cooperlake", "sapphirerapids"].contains(chosen.lowercased()) else {
      return nil
    }
    if processorFeatures.isSuperset(of: ["avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"]) {
      return "SkylakeX"
    }
    return processorFeatures.isSuperset(of: ["avx2", "fma"]) ? "Haswell" : nil
  }

  private static let kernelVariable = "OPENBLAS_CORETYPE"

  /// What Linux says an x86 processor can do; nothing on others, where OpenBLAS is left alone.
  private static var processorFeatures: Set<String> {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
    return Set(line.split(separator: " ").map(String.init))
  }
}
