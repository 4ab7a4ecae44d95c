/// The matrix products and convolutions that networks were asked for, counted in floating-point operations (multiplications
/// and additions).
public struct Work: Sendable, Equatable {
  /// The operations of forward passes, and of derivatives in forward mode, which cost the same.
  public var forward = 0
  /// The operations of gradients with respect to weights.
  public var weights = 0
  /// The operations of gradients with respect to inputs, each counted like a forward pass. The first layer of an encoder
  /// is left out: nobody needs gradients of images.
  public var inputs = 0
  /// The number of rows that passed through a network in any of these ways. Members of an ensemble are
  /// counted separately.
  public var rows = 0
  /// The operations that kernels compute. They are fewer than ``total``, because a first layer computes
  /// gradients only for the input columns that are needed.
  public var computed = 0

  /// The number of images that were encoded; those of ``rows`` are not among them.
  public var encodings = 0

  /// Makes a count of zero.
  public init() {}

  /// The operations of forward passes and of all gradients.
  public var total: Int { forward + weights + inputs }
}
