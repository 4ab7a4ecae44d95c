import Basics

/// Makes an observation of several successive rows of an episode: the row itself is the newest, and before the start of
/// the episode its first row is repeated.
struct FrameStack: Sendable {
  /// What a row holds.
  let frame: ObservationSpace
  /// How many rows an observation is made of.
  let frames: Int

  /// What an observation is.
  var observation: ObservationSpace { frame.stacked(frames) }

  /// The first row that the observations of `row` and of the row after it need, in an episode that starts in `first`.
  func oldest(_ row: Int, from first: Int) -> Int { max(row - frames + 1, first) }

  /// Writes the observation of `row`.
  ///
  /// - Parameters:
  ///   - first: the first row of its episode.
  ///   - place: where a row's frame lies.
  @inline(__always)
  func write(
    _ row: Int, from first: Int, to observation: UnsafeMutableRawPointer,
    _ place: (_ row: Int) -> UnsafeRawPointer
  ) {
    for number in 0..<frames {
      frame.copy(
        place(max(row - frames + 1 + number, first)), toFrame: number, of: frames, in: observation)
    }
  }
}
