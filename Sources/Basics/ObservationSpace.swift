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

  /// Bytes of an observation in a dataset.
  public var byteCount: Int {
    switch self {
    case .vector(let size): size * MemoryLayout<Float>.stride
    case .image: count
    }
  }
}
