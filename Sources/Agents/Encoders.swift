import ArgumentParser
import Basics
import Networks

/// The encoders of images by their published names.
public enum EncoderKind: String, CaseIterable, ExpressibleByArgument, CustomStringConvertible, Sendable {
  /// That of the published runs on images.
  case small = "impala_small"
  case standard = "impala"
  case large = "impala_large"
  /// For small images, and for trying things out.
  case debug = "impala_debug"

  /// The encoder's name in settings.
  public var description: String { rawValue }

  /// Channels of each stack.
  private var stacks: [Int] {
    switch self {
    case .small, .standard: [16, 32, 32]
    case .large: [64, 128, 128]
    case .debug: [4, 4]
    }
  }

  /// Residual blocks of a stack.
  private var blocks: Int { self == .standard || self == .large ? 2 : 1 }

  /// What it puts out for an image.
  var features: Int { self == .large ? 1024 : 512 }

  /// The fewest rows and columns of an image: every stack halves them.
  public var smallestSide: Int { 1 << stacks.count }

  /// Its sizes for images of these.
  func shape(height: Int, width: Int, channels: Int) -> EncoderShape {
    EncoderShape(
      height: height, width: width, channels: channels, stacks: stacks, blocks: blocks, features: features)
  }
}

extension Hyperparameters {
  /// Throws unless the networks can see observations of this kind.
  ///
  /// - Parameter data: names the data.
  public func requireFit(_ observation: ObservationSpace, of data: String) throws(Failure) {
    let data = printable(data, limit: 1024)
    switch (observation, encoder) {
    case (.vector, nil): return
    case (.vector, let encoder?):
      throw Failure(
        .usage, "\(data): observations are vectors, which have no encoder: leave --encoder \(encoder) out")
    case (.image(let height, let width, _), nil):
      throw Failure(
        .usage,
        "\(data): observations are images of \(height) × \(width): name their encoder, as in --encoder \(EncoderKind.small)"
      )
    case (.image(let height, let width, let channels), let encoder?):
      guard channels % 3 == 0 else {
        throw Failure(
          .usage, "\(data): images have \(channels) channels; encoders take red, green and blue of each frame"
        )
      }
      guard min(height, width) >= encoder.smallestSide else {
        throw Failure(
          .usage,
          "\(data): images of \(height) × \(width) are too small for --encoder \(encoder), which takes \(encoder.smallestSide) × \(encoder.smallestSide) and more"
        )
      }
    }
  }

  /// Columns that a state takes in a network's input: the numbers of a vector, or the features of an image.
  func stateSize(_ spec: DataSpec) -> Int { encoderShape(spec)?.features ?? spec.observationSize }

  /// The encoder that each network has for images; nil for vectors. `requireFit` is what tells users that images need
  /// an encoder.
  func encoderShape(_ spec: DataSpec) -> EncoderShape? {
    guard case .image(let height, let width, let channels) = spec.observation else { return nil }
    guard let encoder else { preconditionFailure("images without an encoder") }
    return encoder.shape(height: height, width: width, channels: channels)
  }
}
