import COpenBLAS

/// The BLAS library behind the matrix products.
public enum BLAS {
  /// Limits the threads of each product; 1 unless asked otherwise, as every rank computes on its own.
  public static func setThreads(_ count: Int) { openblas_set_num_threads(Int32(count)) }

  /// Name, version and the processor family its kernels were chosen for.
  public static var description: String {
    let configuration = String(cString: openblas_get_config()).split(separator: " ").prefix(2)
    return configuration.joined(separator: " ") + " (" + String(cString: openblas_get_corename()) + ")"
  }
}
