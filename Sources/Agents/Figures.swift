/// A logged figure and how the ranks' shares of it become one.
public struct Figure: Sendable, Equatable {
  /// How shares combine.
  public enum Reduction: Sendable { case sum, minimum, maximum }
  /// Its name, such as `critic/q_loss`.
  public let name: String

  /// Figures whose names end in `_max` and `_min` are extremes; every other figure is a mean over the whole batch, of
  /// which each rank has the share of its rows.
  public var reduction: Reduction {
    name.hasSuffix("_max") ? .maximum : name.hasSuffix("_min") ? .minimum : .sum
  }
}

/// The figures that an agent logs, named as in the published code, with this rank's share of each.
public final class Figures {
  /// The figures in the order in which they are logged.
  public let all: [Figure]
  /// This rank's shares, in the same order.
  public private(set) var values: [Double]

  init(_ names: [String]) {
    all = names.map { Figure(name: $0) }
    values = [Double](repeating: 0, count: names.count)
  }

  /// This rank's share of one figure.
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
