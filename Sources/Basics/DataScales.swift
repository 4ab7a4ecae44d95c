/// How the numbers of a dataset in its own units become the numbers that networks learn from. Whatever is nil stays as
/// it is.
///
/// A dataset directory holds numbers that are scaled already. Whoever acts in the data's own units applies the same maps
/// to what the policy sees, and the inverse to what it does.
public struct DataScales: Codable, Equatable, Sendable {
  /// A linear map for each column: learned = (raw − shift) / scale, in single precision.
  public struct Columns: Codable, Equatable, Sendable {
    /// What is subtracted from each column.
    public let shift: [Float]
    /// What each column is divided by; positive.
    public let scale: [Float]

    /// The map with these numbers, as many of one as of the other.
    public init(shift: [Float], scale: [Float]) {
      precondition(shift.count == scale.count, "a shift and a scale for each column")
      (self.shift, self.scale) = (shift, scale)
    }

    /// The map that takes each column from low … high to −1 … 1. A column of one value becomes 0.
    public init(ranges: [ClosedRange<Float>]) {
      self.init(
        shift: ranges.map { ($0.lowerBound + $0.upperBound) / 2 },
        scale: ranges.map { $0.lowerBound < $0.upperBound ? ($0.upperBound - $0.lowerBound) / 2 : 1 })
    }

    /// The number of columns.
    public var count: Int { shift.count }

    /// Whether it changes nothing.
    public var isIdentity: Bool { shift.allSatisfy { $0 == 0 } && scale.allSatisfy { $0 == 1 } }

    /// Scales rows in place, one behind the other.
    public func apply(to values: UnsafeMutablePointer<Float>, rows: Int) {
      for row in 0..<rows {
        for column in 0..<count {
          let index = row * count + column
          values[index] = (values[index] - shift[column]) / scale[column]
        }
      }
    }

    /// Takes the rows of scaled numbers back to their own units, in place.
    public func invert(_ values: UnsafeMutablePointer<Float>, rows: Int) {
      for row in 0..<rows {
        for column in 0..<count {
          let index = row * count + column
          values[index] = values[index] * scale[column] + shift[column]
        }
      }
    }

    /// The same map for several rows behind each other.
    public func repeated(_ times: Int) -> Columns {
      Columns(
        shift: (0..<times).flatMap { _ in shift }, scale: (0..<times).flatMap { _ in scale })
    }

    fileprivate var isSound: Bool {
      shift.count == scale.count && shift.allSatisfy(\.isFinite)
        && scale.allSatisfy { $0.isFinite && $0 > 0 }
    }
  }

  /// A linear map of rewards: learned = raw · scale + shift.
  public struct Rewards: Codable, Equatable, Sendable {
    /// What rewards are multiplied by.
    public let scale: Double
    /// What is added then.
    public let shift: Double

    /// The map with these numbers.
    public init(scale: Double = 1, shift: Double = 0) { (self.scale, self.shift) = (scale, shift) }

    /// Whether it changes nothing.
    public var isIdentity: Bool { scale == 1 && shift == 0 }

    /// A reward in the units that networks learn from.
    public func apply(to reward: Double) -> Double { reward * scale + shift }
  }

  /// The map of observations, which are vectors.
  public let observations: Columns?
  /// The map of actions, to [−1, 1].
  public let actions: Columns?
  /// The map of rewards.
  public let rewards: Rewards?

  /// The given maps but for those that change nothing; nil if there is none left.
  public init?(observations: Columns?, actions: Columns?, rewards: Rewards?) {
    self.observations = observations?.isIdentity == false ? observations : nil
    self.actions = actions?.isIdentity == false ? actions : nil
    self.rewards = rewards?.isIdentity == false ? rewards : nil
    guard self.observations != nil || self.actions != nil || self.rewards != nil else { return nil }
  }

  /// Whether the maps go with data of these sizes. They come from files.
  public func fit(_ observation: ObservationSpace, actionSize: Int) -> Bool {
    let fitsObservations =
      observations.map { $0.isSound && !observation.isImage && $0.count == observation.count } ?? true
    let fitsActions = actions.map { $0.isSound && $0.count == actionSize } ?? true
    return fitsObservations && fitsActions
      && (rewards.map { $0.scale.isFinite && $0.scale != 0 && $0.shift.isFinite } ?? true)
  }

  /// The maps of observations that are several frames behind each other.
  public func stacked(_ frames: Int) -> DataScales {
    DataScales(observations: observations?.repeated(frames), actions: actions, rewards: rewards) ?? self
  }

  /// One line for people about each map.
  public var lines: [String] {
    [
      observations.map { "observations are scaled: \(Self.text($0))" },
      actions.map { "actions are scaled to [-1, 1]: \(Self.text($0))" },
      rewards.map { "rewards are scaled: r * \($0.scale) + \($0.shift)" },
    ].compactMap(\.self)
  }

  private static func text(_ columns: Columns) -> String {
    let shown = zip(columns.shift, columns.scale).prefix(8).map { "(x - \($0)) / \($1)" }
    return shown.joined(separator: ", ") + (columns.count > shown.count ? ", …" : "")
  }
}
