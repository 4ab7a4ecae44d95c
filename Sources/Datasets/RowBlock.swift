/// A buffer of consecutive rows of a dataset, for passing rows from a source to memory or to a writer.
public final class RowBlock {
  /// The number of rows that there is room for.
  public let capacity: Int
  /// O, the size of an observation.
  public let observationSize: Int
  /// A, the size of an action.
  public let actionSize: Int
  /// The number of rows in use, at most the capacity.
  public var rows = 0 {
    didSet { precondition((0...capacity).contains(rows), "more rows than there is room for") }
  }

  /// Observations: (rows, O), one row after another.
  public let observations: UnsafeMutablePointer<Float>
  /// Actions: (rows, A), one row after another.
  public let actions: UnsafeMutablePointer<Float>
  /// Rewards: (rows).
  public let rewards: UnsafeMutablePointer<Float>
  /// Masks: (rows).
  public let masks: UnsafeMutablePointer<Float>
  /// Terminals: (rows); 1 on the last row of an episode, else 0.
  public let terminals: UnsafeMutablePointer<UInt8>

  /// Makes a buffer with room for `capacity` rows, none of them in use.
  public init(capacity: Int = 8192, observationSize: Int, actionSize: Int) {
    self.capacity = capacity
    self.observationSize = observationSize
    self.actionSize = actionSize
    func zeros<T: Numeric>(_ count: Int) -> UnsafeMutablePointer<T> {
      let start = UnsafeMutablePointer<T>.allocate(capacity: count)
      start.initialize(repeating: 0, count: count)
      return start
    }
    observations = zeros(capacity * observationSize)
    actions = zeros(capacity * actionSize)
    rewards = zeros(capacity)
    masks = zeros(capacity)
    terminals = zeros(capacity)
  }

  deinit {
    for floats in [observations, actions, rewards, masks] { floats.deallocate() }
    terminals.deallocate()
  }

  /// The elements of a field that is stored as Float, for the rows in use.
  func floats(of field: DatasetField) -> UnsafeMutableBufferPointer<Float> {
    switch field {
    case .observations: UnsafeMutableBufferPointer(start: observations, count: rows * observationSize)
    case .actions: UnsafeMutableBufferPointer(start: actions, count: rows * actionSize)
    case .rewards: UnsafeMutableBufferPointer(start: rewards, count: rows)
    case .masks: UnsafeMutableBufferPointer(start: masks, count: rows)
    case .terminals: preconditionFailure("terminals are bytes")
    }
  }

  /// Fills the block with `count` rows from `bytes`: first the observations of all rows, then all actions,
  /// rewards, masks and terminals.
  public func fill(_ count: Int, _ bytes: ArraySlice<UInt8>) {
    rows = count
    precondition(
      bytes.count == DatasetField.allCases.reduce(0) { $0 + self.bytes(of: $1).count }, "not whole rows")
    bytes.withUnsafeBytes { source in
      var start = 0
      for field in DatasetField.allCases {
        let target = UnsafeMutableRawBufferPointer(mutating: self.bytes(of: field))
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[start..<start + target.count]))
        start += target.count
      }
    }
    for row in 0..<count { terminals[row] = terminals[row] == 0 ? 0 : 1 }
  }

  /// The stored bytes of a field, for the rows in use.
  func bytes(of field: DatasetField) -> UnsafeRawBufferPointer {
    field == .terminals
      ? UnsafeRawBufferPointer(start: terminals, count: rows) : UnsafeRawBufferPointer(floats(of: field))
  }
}
