import Basics
import Kernels

/// An environment whose observations are the last few observations of another one, the newest last, as training stacks
/// them: an episode's first observation is repeated.
public final class StackedFrames: VectorEnvironment {
  public var capacity: Int { environment.capacity }
  private let environment: any VectorEnvironment
  private let frames: Int
  /// What the last frames of the episode in each slot were, the oldest first.
  private var recent: [[UInt8]]

  /// Stacks so many observations of `environment`.
  public init(_ environment: any VectorEnvironment, frames: Int) {
    self.environment = environment
    self.frames = frames
    recent = Array(repeating: [], count: environment.capacity)
  }

  public func describe() throws -> EnvironmentDescription {
    let single = try environment.describe()
    return EnvironmentDescription(
      observation: single.observation.stacked(frames), actionSize: single.actionSize,
      referenceReturns: single.referenceReturns, observationOrder: single.observationOrder,
      actionBounds: single.actionBounds)
  }

  public func start(_ episodes: [Int], in slots: [Int], _ place: ObservationPlace) throws {
    try stack(slots, place, isStart: true) { try environment.start(episodes, in: slots, $0) }
  }

  public func step(
    _ slots: [Int], _ actions: Matrix<Float>, _ place: ObservationPlace
  ) throws -> [StepOutcome] {
    try stack(slots, place, isStart: false) { try environment.step(slots, actions, $0) }
  }

  public func stop() { environment.stop() }

  /// Takes new observations and writes the stacks that they are the newest of.
  private func stack<Result>(
    _ slots: [Int], _ place: ObservationPlace, isStart: Bool, _ observe: (ObservationPlace) throws -> Result
  ) throws -> Result {
    let frame = try environment.describe().observation
    let bytes = frame.byteCount
    let new = UnsafeMutableRawPointer.allocate(byteCount: max(slots.count, 1) * bytes, alignment: 16)
    defer { new.deallocate() }
    let result = try observe { new + $0 * bytes }
    for (row, slot) in slots.enumerated() {
      let newest = Array(UnsafeRawBufferPointer(start: new + row * bytes, count: bytes))
      if isStart {
        recent[slot] = (0..<frames).flatMap { _ in newest }
      } else {
        recent[slot].removeFirst(bytes)
        recent[slot] += newest
      }
      recent[slot].withUnsafeBytes { last in
        for number in 0..<frames {
          frame.copy(last.baseAddress! + number * bytes, toFrame: number, of: frames, in: place(row))
        }
      }
    }
    return result
  }
}
