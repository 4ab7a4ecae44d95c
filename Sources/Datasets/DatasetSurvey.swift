import ArrayFiles

/// The treatment of actions outside [−1, 1].
public enum ActionBounds: Sendable {
  /// Throw an error: data to be trained on must be in range.
  case refuse
  /// Clip and count them. The environments in which data are recorded clip actions, too.
  case clip

  /// Whether an action counts as one at a bound. Those of dataset directories end a hundred-thousandth before 1.
  public static func isReached(by action: Float) -> Bool { abs(action) >= 0.9999 }
}

/// Checks the rows of a dataset, clips their actions, and accumulates statistics and digests.
struct DatasetSurvey {
  /// Actions are clipped to ±actionLimit, as in the published training code, so that the inverse of tanh and
  /// densities on the open interval (−1, 1) are finite.
  static let actionLimit: Float = 1 - 1e-5

  /// An action may lie this far outside [−1, 1] because of rounding; farther outside it counts as a mistake.
  static let actionTolerance: Float = 1e-6

  private(set) var digests = FieldDigests()
  private let bounds: ActionBounds
  private var rows = 0
  private var actionCount = 0
  private var action = (minimum: Float.infinity, maximum: -Float.infinity, clipped: 0, outside: 0)
  private var reward = SpreadSum()
  private var mask = SpreadSum()
  private var episodeLength = SpreadSum()
  private var emptyEpisodes = 0
  /// The number of transitions of the episode that has not ended yet.
  private var length = 0
  /// The action, reward and mask of the last row so far.
  private var previous: (action: [Float], reward: Float, mask: Float) = ([], 0, 1)
  /// The smallest and the largest value of each number of an observation, of an image for each channel.
  private var columns: (minimum: [Float], maximum: [Float]) = ([], [])
  private var imageSize: [Int]?

  init(bounds: ActionBounds) { self.bounds = bounds }

  /// Adds the rows of `block`, the first of which is row `first` of `file`, and clips their actions in place.
  /// Throws ``FileError``, naming field, row and value, for NaN and infinity, for actions that are to be
  /// refused and for masks outside [0, 1]. The last row of an episode has no transition: what cannot be in its
  /// action, reward and mask is mended in place.
  mutating func add(_ block: RowBlock, from file: String, row first: Int) throws(FileError) {
    mendLastRows(block)
    for field in DatasetField.allCases where field.dtype(block.observation) == .float32 {
      try requireFinite(block, field, file, first)
    }
    if let row = (0..<block.rows).first(where: { !(0...1).contains(block.masks[$0]) }) {
      throw refusal(.masks, block.masks[row], "outside [0, 1]", file, first + row)
    }
    try clipActions(block, file, first)
    for row in 0..<block.rows {
      count(block.rewards[row], block.masks[row], endsEpisode: block.terminals[row] != 0)
    }
    rows += block.rows
    digests.add(block)
    addColumns(block)
  }

  /// Gives the last rows of episodes actions, rewards and masks that can be in a dataset, where theirs cannot: an
  /// action outside [−1, 1] is clipped; what is not a number is copied from the row before.
  private mutating func mendLastRows(_ block: RowBlock) {
    let width = block.actionSize
    if previous.action.isEmpty { previous.action = [Float](repeating: 0, count: width) }
    for row in 0..<block.rows where block.terminals[row] != 0 {
      let action = block.actions + row * width
      for column in 0..<width where !(abs(action[column]) <= 1 + Self.actionTolerance) {
        let before = row > 0 ? action[column - width] : previous.action[column]
        action[column] = action[column].isFinite ? max(-1, min(1, action[column])) : before
      }
      if !block.rewards[row].isFinite {
        block.rewards[row] = row > 0 ? block.rewards[row - 1] : previous.reward
      }
      if !(0...1).contains(block.masks[row]) {
        block.masks[row] = row > 0 ? block.masks[row - 1] : previous.mask
      }
    }
    guard let last = (0..<block.rows).last else { return }
    for column in 0..<width { previous.action[column] = block.actions[last * width + column] }
    (previous.reward, previous.mask) = (block.rewards[last], block.masks[last])
  }

  private mutating func addColumns(_ block: RowBlock) {
    let width = block.observation.shape.last!
    if columns.minimum.isEmpty {
      columns.minimum = [Float](repeating: .infinity, count: width)
      columns.maximum = [Float](repeating: -.infinity, count: width)
    }
    guard !block.observation.isImage else { return addChannels(block) }
    columns.minimum.withUnsafeMutableBufferPointer { minimum in
      columns.maximum.withUnsafeMutableBufferPointer { maximum in
        for row in 0..<block.rows {
          let values = block.observations + row * width
          for column in 0..<width {
            minimum[column] = Swift.min(minimum[column], values[column])
            maximum[column] = Swift.max(maximum[column], values[column])
          }
        }
      }
    }
  }

  private mutating func addChannels(_ block: RowBlock) {
    imageSize = block.observation.shape
    let (bytes, channels) = (block.bytes(of: .observations), columns.minimum.count)
    for channel in 0..<channels {
      var (low, high) = (UInt8.max, UInt8.min)
      for index in stride(from: channel, to: bytes.count, by: channels) {
        low = Swift.min(low, bytes[index])
        high = Swift.max(high, bytes[index])
      }
      columns.minimum[channel] = Swift.min(columns.minimum[channel], Float(low))
      columns.maximum[channel] = Swift.max(columns.maximum[channel], Float(high))
    }
  }

  private mutating func count(_ reward: Float, _ mask: Float, endsEpisode: Bool) {
    guard endsEpisode else {
      self.reward.add(Double(reward))
      self.mask.add(Double(mask))
      length += 1
      return
    }
    episodeLength.add(Double(length))
    emptyEpisodes += length == 0 ? 1 : 0
    length = 0
  }

  private mutating func clipActions(_ block: RowBlock, _ file: String, _ first: Int) throws(FileError) {
    let actions = block.floats(of: .actions)
    let (limit, outermost) = (Self.actionLimit, 1 + Self.actionTolerance)
    var (low, high, clipped, outside) = action
    for index in actions.indices {
      let value = actions[index]
      low = min(low, value)
      high = max(high, value)
      clipped += abs(value) > limit ? 1 : 0
      outside += abs(value) > outermost ? 1 : 0
    }
    if bounds == .refuse, outside > 0 {
      let index = actions.firstIndex { abs($0) > outermost }!
      let row = first + index / block.actionSize
      let column = block.actionSize > 1 ? index % block.actionSize : nil
      throw refusal(
        .actions, actions[index], "outside [-1, 1]; fan-dist dataset import --action-range scales actions",
        file, row, column)
    }
    for index in actions.indices { actions[index] = max(-limit, min(limit, actions[index])) }
    action = (low, high, clipped, outside)
    actionCount += actions.count
  }

  private func requireFinite(
    _ block: RowBlock, _ field: DatasetField, _ file: String, _ first: Int
  ) throws(FileError) {
    let values = block.floats(of: field)
    // Infinity and NaN have an exponent of all ones: adding one to it carries into the sign bit. The test is
    // on integers so that the compiler turns the loop into SIMD.
    var carries: UInt32 = 0
    for value in values { carries |= (value.bitPattern & 0x7F80_0000) &+ 0x0080_0000 }
    guard carries >> 31 == 1, let index = values.firstIndex(where: { !$0.isFinite }) else { return }
    let width = values.count / block.rows
    throw refusal(
      field, values[index], "not a finite number", file, first + index / width,
      width > 1 ? index % width : nil)
  }

  private func refusal(
    _ field: DatasetField, _ value: Float, _ fault: String, _ file: String, _ row: Int, _ column: Int? = nil
  ) -> FileError {
    let place = "row \(row)" + (column.map { " column \($0)" } ?? "")
    return FileError(.malformed, file: file, member: field.rawValue, reason: "\(place) is \(value), \(fault)")
  }

  /// Whether the rows added so far have a transition.
  var hasTransitions: Bool { reward.count > 0 }

  /// Whether the ranges of the columns are few enough for a manifest.
  private var hasRanges: Bool { columns.minimum.count <= 8192 }

  /// The statistics of the rows added so far, which must have a transition.
  var statistics: DatasetStatistics {
    DatasetStatistics(
      rows: rows, episodes: episodeLength.count, transitions: reward.count, emptyEpisodes: emptyEpisodes,
      episodeLength: episodeLength.spread, reward: reward.spread, mask: mask.spread,
      actionMinimum: action.minimum, actionMaximum: action.maximum,
      clippedShare: Double(action.clipped) / Double(actionCount), actionsOutside: action.outside,
      imageSize: imageSize, observationMinimum: hasRanges ? columns.minimum : nil,
      observationMaximum: hasRanges ? columns.maximum : nil,
      digest: FieldDigests.combined { digests[$0].hex })
  }
}

/// Accumulates the smallest value, the mean and the largest value.
private struct SpreadSum {
  private(set) var count = 0
  private var minimum = Double.infinity
  private var maximum = -Double.infinity
  private var sum = 0.0

  @inline(__always)
  mutating func add(_ value: Double) {
    count += 1
    minimum = min(minimum, value)
    maximum = max(maximum, value)
    sum += value
  }

  var spread: DatasetStatistics.Spread {
    .init(minimum: minimum, mean: sum / Double(count), maximum: maximum)
  }
}
