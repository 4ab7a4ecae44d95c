/// What an observation is.
public enum ObservationSpace: Sendable, Equatable {
  /// So many numbers of single precision.
  case vector(Int)
  /// A picture of numbers from 0 to 255, one byte each, in the order row, column, channel.
  case image(height: Int, width: Int, channels: Int)

  /// Numbers of an observation.
  public var count: Int {
    switch self {
    case .vector(let size): size
    case .image(let height, let width, let channels): height * width * channels
    }
  }

  /// The space as ``wordCount`` whole numbers, to be sent to other ranks.
  public var words: [Int] {
    switch self {
    case .vector(let size): [size, 0, 0]
    case .image(let height, let width, let channels): [height, width, channels]
    }
  }

  /// How many ``words`` there are.
  public static let wordCount = 3

  /// The space that has the given ``words``.
  public init(words: [Int]) {
    self =
      words[1] == 0 ? .vector(words[0]) : .image(height: words[0], width: words[1], channels: words[2])
  }

  /// Bytes of an observation in a dataset.
  public var byteCount: Int {
    switch self {
    case .vector(let size): size * MemoryLayout<Float>.stride
    case .image: count
    }
  }
}
