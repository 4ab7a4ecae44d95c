/// What an observation is.
public enum ObservationSpace: Sendable, Equatable, CustomStringConvertible {
  /// So many numbers of single precision.
  case vector(Int)
  /// An image of numbers from 0 to 255, one byte each, in the order row, column, channel.
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

  /// The dimensions of an observation as an array: its numbers, or height, width and channels.
  public var shape: [Int] {
    switch self {
    case .vector(let size): [size]
    case .image(let height, let width, let channels): [height, width, channels]
    }
  }

  /// The space whose observations have these dimensions; nil unless there are one or three, each at least 1, and not
  /// absurdly many numbers together. Shapes come from files and other programs.
  public init?(shape: [Int]) {
    guard shape.allSatisfy({ (1...Self.mostNumbers).contains($0) }) else { return nil }
    switch shape.count {
    case 1: self = .vector(shape[0])
    case 3: self = .image(height: shape[0], width: shape[1], channels: shape[2])
    default: return nil
    }
    guard count <= Self.mostNumbers else { return nil }
  }

  /// The most numbers that an observation may have.
  private static let mostNumbers = 1 << 20

  /// Whether observations are images.
  public var isImage: Bool {
    if case .image = self { true } else { false }
  }

  /// The space in words for people.
  public var description: String {
    switch self {
    case .vector(let size): "\(size) numbers"
    case .image: "images of \(shape.map(String.init).joined(separator: " × ")) bytes"
    }
  }
}

// MARK: - Stacked frames

extension ObservationSpace {
  /// Several successive observations in one: vectors behind each other, images with their channels behind each other.
  public func stacked(_ frames: Int) -> ObservationSpace {
    switch self {
    case .vector(let size): .vector(size * frames)
    case .image(let height, let width, let channels):
      .image(height: height, width: width, channels: channels * frames)
    }
  }

  /// Copies an observation of this space, as a dataset has it, to its place in a stack.
  ///
  /// - Parameters:
  ///   - frame: its number in the stack, from 0, the oldest.
  ///   - frames: how many observations the stack has.
  @inline(__always)
  public func copy(
    _ source: UnsafeRawPointer, toFrame frame: Int, of frames: Int, in stack: UnsafeMutableRawPointer
  ) {
    guard frames > 1, case .image(let height, let width, let channels) = self else {
      return (stack + frame * byteCount).copyMemory(from: source, byteCount: byteCount)
    }
    var from = source.assumingMemoryBound(to: UInt8.self)
    var to = stack.assumingMemoryBound(to: UInt8.self) + frame * channels
    for _ in 0..<height * width {
      for channel in 0..<channels { to[channel] = from[channel] }
      from += channels
      to += frames * channels
    }
  }
}
