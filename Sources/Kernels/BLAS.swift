import COpenBLAS
import Foundation

/// OpenBLAS, which computes products in double precision, products with a vector, and the products in single
/// precision that `ProductKernels` does not compute itself.
public enum BLAS {
  /// Sets the number of threads that compute each product. It is 1 by default, because every rank computes on
  /// its own.
  public static func setThreads(_ count: Int) {
    openblas_set_num_threads(Int32(count))
    ProductKernels.chosen = count == 1 ? .fastest : .openBLAS
  }

  /// The library's name, its version and the processor family that its kernels were chosen for, preceded by
  /// the project's own kernels if they are in use.
  public static var description: String {
    let configuration = String(cString: openblas_get_config()).split(separator: " ").prefix(2)
    let library = configuration.joined(separator: " ") + " (" + String(cString: openblas_get_corename()) + ")"
    return ProductKernels.chosen == .openBLAS
      ? library : "own products (\(ProductKernels.chosen.rawValue)), \(library)"
  }

  /// Restarts this program with better kernels if OpenBLAS has chosen outdated ones. Does nothing if the
  /// environment already names kernels. Call it before anything else.
  ///
  /// OpenBLAS knows the processors that existed when it was released. On a newer processor it may choose
  /// kernels from 2004, which are several times slower than the best ones that the processor can run. It
  /// chooses when it is loaded.
  public static func restartWithFittingKernels() {
    guard getenv(kernelVariable) == nil,
      let kernels = fittingKernels(
        chosen: String(cString: openblas_get_corename()), processorFeatures: processorFeatures)
    else { return }
    setenv(kernelVariable, kernels, 1)
    execv("/proc/self/exe", CommandLine.unsafeArgv)
    // execv has failed: the program continues with the kernels that it has.
  }

  /// The kernels to request instead of the `chosen` ones; nil if those are recent, or if the processor runs
  /// no better ones.
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

  /// The features of an x86 processor according to Linux; empty on other processors, for which OpenBLAS's
  /// choice is kept.
  private static var processorFeatures: Set<String> {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
    return Set(line.split(separator: " ").map(String.init))
  }
}
