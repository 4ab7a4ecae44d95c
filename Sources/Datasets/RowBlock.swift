import Basics

/// A buffer of consecutive rows of a dataset, for passing rows from a source to memory or to a writer.
public final class RowBlock {
  /// The number of rows that there is room for.
  public let capacity: Int
  /// What an observation is.
  public let observation: ObservationSpace
  /// A, the size of an action.
  public let actionSize: Int
  /// The number of rows in use, at most the capacity.
  public var rows = 0 {
    didSet { precondition((0...capacity).contains(rows), "more rows than there is room for") }
  }

  /// Actions: (rows, A), one row after another.
  public let actions: UnsafeMutablePointer<Float>
  /// Rewards: (rows).
  public let rewards: UnsafeMutablePointer<Float>
  /// Masks: (rows).
  public let masks: UnsafeMutablePointer<Float>
  /// Terminals: (rows); 1 on the last row of an episode, else 0.
  public let terminals: UnsafeMutablePointer<UInt8>
  private let observationMemory: UnsafeMutableRawPointer

  /// The most rows of a block, and the bytes that their observations take at most, if they are more than one.
  private static let (mostRows, mostBytes) = (8192, 64 << 20)

  /// Makes a buffer with room for `capacity` rows, none of them in use.
  public init(capacity: Int? = nil, observation: ObservationSpace, actionSize: Int) {
    let capacity = capacity ?? max(1, min(Self.mostRows, Self.mostBytes / observation.byteCount))
    self.capacity = capacity
    self.observation = observation
    self.actionSize = actionSize
    func zeros<T: Numeric>(_ count: Int) -> UnsafeMutablePointer<T> {
      let start = UnsafeMutablePointer<T>.allocate(capacity: count)
      start.initialize(repeating: 0, count: count)
      return start
    }
    observationMemory =
      observation.isImage
      ? UnsafeMutableRawPointer(zeros(capacity * observation.count) as UnsafeMutablePointer<UInt8>)
      : UnsafeMutableRawPointer(zeros(capacity * observation.count) as UnsafeMutablePointer<Float>)
    actions = zeros(capacity * actionSize)
    rewards = zeros(capacity)
    masks = zeros(capacity)
    terminals = zeros(capacity)
  }

  deinit {
    observationMemory.deallocate()
    for floats in [actions, rewards, masks] { floats.deallocate() }
    terminals.deallocate()
  }

  /// Observations that are vectors: (rows, O), one row after another.
  public var observations: UnsafeMutablePointer<Float> {
    precondition(!observation.isImage, "images are bytes")
    return observationMemory.assumingMemoryBound(to: Float.self)
  }

  /// Observations that are images: (rows, height, width, channels), one row after another.
  public var images: UnsafeMutablePointer<UInt8> {
    precondition(observation.isImage, "vectors are numbers of single precision")
    return observationMemory.assumingMemoryBound(to: UInt8.self)
  }

  /// The elements of a field that is stored as Float, for the rows in use.
  func floats(of field: DatasetField) -> UnsafeMutableBufferPointer<Float> {
    switch field {
    case .observations: UnsafeMutableBufferPointer(start: observations, count: rows * observation.count)
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
        let target = self.bytes(of: field)
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[start..<start + target.count]))
        start += target.count
      }
    }
    for row in 0..<count { terminals[row] = terminals[row] == 0 ? 0 : 1 }
  }

  /// The stored bytes of a field, for the rows in use.
  func bytes(of field: DatasetField) -> UnsafeMutableRawBufferPointer {
    switch field {
    case .observations:
      UnsafeMutableRawBufferPointer(start: observationMemory, count: rows * observation.byteCount)
    case .terminals: UnsafeMutableRawBufferPointer(start: terminals, count: rows)
    case .actions, .rewards, .masks: UnsafeMutableRawBufferPointer(floats(of: field))
    }
  }
}
