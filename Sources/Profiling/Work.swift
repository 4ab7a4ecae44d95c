/// The matrix products that networks were asked for, in multiplications and additions.
public struct Work: Sendable, Equatable {
  /// Those of forward passes, and of derivatives in forward mode, which cost the same.
  public var forward = 0
  /// Those of gradients by weights.
  public var weights = 0
  /// Those of gradients by inputs, each taken to cost what a forward pass does.
  public var inputs = 0
  /// Rows that passed through a network in any of these ways; members of ensembles are counted singly.
  public var rows = 0
  /// What the kernels compute of all that: less, as a first layer gives gradients by its inputs only for the
  /// columns that somebody needs.
  public var computed = 0

  /// None yet.
  public init() {}

  /// All of them together.
  public var total: Int { forward + weights + inputs }
}
