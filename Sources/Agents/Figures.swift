/// A logged figure and how the ranks' parts of it become one.
public struct Figure: Sendable, Equatable {
  /// How parts combine.
  public enum Reduction: Sendable { case sum, minimum, maximum }
  /// Its name, such as `critic/q_loss`.
  public let name: String

  /// The largest and smallest of values are named so; everything else is a mean over the whole batch, of which each
  /// rank has its rows' share.
  public var reduction: Reduction {
    name.hasSuffix("_max") ? .maximum : name.hasSuffix("_min") ? .minimum : .sum
  }
}

/// The figures that an agent logs, named as in the published code, with this rank's part of each.
public final class Figures {
  /// What they are.
  public let all: [Figure]
  /// This rank's parts, in the same order.
  public private(set) var values: [Double]

  init(_ names: [String]) {
    all = names.map { Figure(name: $0) }
    values = [Double](repeating: 0, count: names.count)
  }

  /// This rank's part of one figure.
  public internal(set) subscript(name: String) -> Double {
    get { values[number(name)] }
    set { values[number(name)] = newValue }
  }

  private func number(_ name: String) -> Int {
    guard let number = all.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("\(name) is no figure of this agent")
    }
    return number
  }
}
