import CMPI

/// An MPI call that failed.
public struct MPIError: Error, CustomStringConvertible, Sendable {
  /// The function, such as `MPI_Allreduce`.
  public let function: String
  /// The error code it returned.
  public let code: Int32

  /// What to do about it, where that is known.
  public var advice: String?

  /// The function with the library's own text for the code, and the advice.
  public var description: String {
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING) + 1)
    var length: Int32 = 0
    let known = MPI_Error_string(code, &text, &length) == MPI_SUCCESS
    let bytes = text.prefix(Int(length)).map { UInt8(bitPattern: $0) }
    // MPICH's texts have several lines.
    let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
    let reason = known ? lines.joined(separator: " ") : "error \(code)"
    return "\(function): \(reason)" + (advice.map { "; \($0)" } ?? "")
  }
}

/// Runs an MPI call and throws unless it succeeds.
func check(_ function: StaticString, _ code: Int32) throws(MPIError) {
  if code != MPI_SUCCESS { throw MPIError(function: "\(function)", code: code) }
}
