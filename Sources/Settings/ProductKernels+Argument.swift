import ArgumentParser
import Kernels

/// The value of `--products`: kernels that this processor can run.
extension ProductKernels: ExpressibleByArgument {
  /// The kernels of this name; nil when there are none, or when this processor cannot run them.
  public init?(argument: String) {
    guard let kernels = Self.usable.first(where: { $0.rawValue == argument }) else { return nil }
    self = kernels
  }

  /// What the help lists.
  public static var allValueStrings: [String] { usable.map(\.rawValue) }
}
