import COpenBLAS
import Glibc

/// The BLAS library behind the matrix products.
public enum BLAS {
  /// Limits the threads of each product; 1 unless asked otherwise, as every rank computes on its own.
  public static func setThreads(_ count: Int) { openblas_set_num_threads(Int32(count)) }

  /// Name, version and the processor family its kernels were chosen for.
  public static var description: String {
    let configuration = String(cString: openblas_get_config()).split(separator: " ").prefix(2)
    return configuration.joined(separator: " ") + " (" + core + ")"
  }

  private static var core: String { String(cString: openblas_get_corename()) }

  /// Starts the program over with the AVX-512 kernels when OpenBLAS overlooked them.
  ///
  /// OpenBLAS picks its kernels while it is loaded, by the processor's model number, and takes AVX2 kernels for
  /// models that are newer than itself: version 0.3.21 on Zen 4 and Zen 5 at half their speed. Its own setting for
  /// that, `OPENBLAS_CORETYPE`, is read at that moment only; a value the user gave stands. To be called before
  /// anything else.
  public static func preferWidestKernels() {
    guard getenv("OPENBLAS_CORETYPE") == nil, ["Haswell", "Zen"].contains(core), hasAVX512 else { return }
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 1)
    execv("/proc/self/exe", CommandLine.unsafeArgv)
    // Where a program cannot start itself again, the slower kernels compute the same.
    unsetenv("OPENBLAS_CORETYPE")
  }

  /// Whether the processor has what those kernels use.
  private static var hasAVX512: Bool {
    guard let file = fopen("/proc/cpuinfo", "r") else { return false }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 16_384)
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      guard text.hasPrefix("flags") else { continue }
      let flags = Set(text.split(whereSeparator: \.isWhitespace))
      return flags.isSuperset(of: ["avx512f", "avx512dq", "avx512bw", "avx512vl"])
    }
    return false
  }
}
