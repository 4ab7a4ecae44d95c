import Basics
import Randomness

/// Moves the images of a batch at random by a few pixels, so that networks do not depend on where exactly something
/// is: each image is padded with its edge and cropped to its size again.
///
/// One coin decides for the whole batch. A sample's images, and all frames in them, move together. The coin depends on
/// seed and update only, and how far a sample moves on its number, too.
final class RandomCrop {
  /// Pixels on each side of a padded image.
  static let padding = 3

  private let (height, width, channels): (Int, Int, Int)
  private let probability: Double
  private let key: SIMD2<UInt32>
  /// An image as it was before it moved.
  private let before: UnsafeMutableRawBufferPointer

  /// Crops of images; nil when they never move, as vectors do not.
  ///
  /// - Parameter probability: of the coin to fall on moving.
  init?(_ space: ObservationSpace, probability: Double, seed: UInt32) {
    guard probability > 0, case .image(let height, let width, let channels) = space else { return nil }
    (self.height, self.width, self.channels) = (height, width, channels)
    self.probability = probability
    key = SIMD2(seed, RandomStream.augmentation.rawValue)
    before = .allocate(byteCount: height * width * channels, alignment: 16)
  }

  deinit { before.deallocate() }

  /// Whether the batch of an update moves.
  func moves(step: Int) -> Bool {
    Double(unitInterval(words(step: step, sample: 0, isCoin: true).x)) < probability
  }

  /// Moves the two images of a sample.
  func move(_ image: UnsafeMutableRawPointer, _ next: UnsafeMutableRawPointer, step: Int, sample: UInt32) {
    let drawn = words(step: step, sample: sample, isCoin: false)
    func offset(_ word: UInt32) -> Int {
      Int((UInt64(word) * UInt64(2 * Self.padding + 1)) >> 32) - Self.padding
    }
    let (down, right) = (offset(drawn.x), offset(drawn.y))
    shift(image, down: down, right: right)
    shift(next, down: down, right: right)
  }

  private func words(step: Int, sample: UInt32, isCoin: Bool) -> SIMD4<UInt32> {
    let counter = SIMD4(
      sample, UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32), isCoin ? 1 : 0)
    return Philox.words(counter: counter, key: key)
  }

  /// Every pixel becomes the one that lies so far from it, or the nearest on the edge.
  private func shift(_ image: UnsafeMutableRawPointer, down: Int, right: Int) {
    guard down != 0 || right != 0 else { return }
    before.copyMemory(from: UnsafeRawBufferPointer(start: image, count: before.count))
    let line = width * channels
    for y in 0..<height {
      let source = before.baseAddress! + min(max(y + down, 0), height - 1) * line
      shift(source, to: image + y * line, by: right)
    }
  }

  private func shift(_ source: UnsafeMutableRawPointer, to line: UnsafeMutableRawPointer, by right: Int) {
    for x in 0..<width {
      let pixel = source + min(max(x + right, 0), width - 1) * channels
      (line + x * channels).copyMemory(from: pixel, byteCount: channels)
    }
  }
}
