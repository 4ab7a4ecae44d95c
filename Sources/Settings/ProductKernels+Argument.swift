import ArgumentParser
import Basics
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

extension ProductKernels {
  /// Makes all products of this process reproducible, or not.
  ///
  /// - Throws: when this processor cannot do that.
  public static func reproduce(_ reproducible: Bool) throws(Failure) {
    guard canReproduce || !reproducible else {
      throw Failure(.usage, "--reproducible needs a processor with AVX2 and FMA")
    }
    reproduce = reproducible
  }
}
