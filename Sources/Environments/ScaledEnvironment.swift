import Basics
import Kernels

/// An environment in its own units, behind the scales of the data that a policy learned from: observations are scaled as
/// the data's were, and actions are taken back to the environment's units. Rewards stay the environment's.
public final class ScaledEnvironment: VectorEnvironment {
  public var capacity: Int { environment.capacity }
  private let environment: any VectorEnvironment
  private let scales: DataScales
  private let workspace = Workspace<Float>()
  /// Actions in the environment's units; nil if they are not scaled.
  private let raw: Matrix<Float>?

  /// An environment whose observations and actions have as many columns as the scales.
  public init(_ environment: any VectorEnvironment, _ scales: DataScales) {
    self.environment = environment
    self.scales = scales
    raw = scales.actions.map { [workspace] in
      workspace.matrix(rows: environment.capacity, columns: $0.count)
    }
  }

  public func describe() throws -> EnvironmentDescription { try environment.describe() }

  public func start(_ episodes: [Int], in slots: [Int], _ place: ObservationPlace) throws {
    try requireFit()
    try environment.start(episodes, in: slots, place)
    for row in slots.indices { scale(place(row)) }
  }

  public func step(
    _ slots: [Int], _ actions: Matrix<Float>, _ place: ObservationPlace
  ) throws -> [StepOutcome] {
    let outcomes = try environment.step(slots, inOwnUnits(actions), place)
    for row in slots.indices { scale(place(row)) }
    return outcomes
  }

  private func inOwnUnits(_ actions: Matrix<Float>) -> Matrix<Float> {
    guard let raw = raw?.rows(0..<actions.rows) else { return actions }
    raw.copy(actions)
    scales.actions?.invert(raw.base, rows: raw.rows)
    return raw
  }

  public func state(of slot: Int) -> [Double]? { environment.state(of: slot) }

  public func resume(_ state: [Double], in slot: Int, _ observation: UnsafeMutableRawPointer) -> Bool {
    guard environment.resume(state, in: slot, observation) else { return false }
    scale(observation)
    return true
  }

  public func stop() { environment.stop() }

  private func scale(_ observation: UnsafeMutableRawPointer) {
    scales.observations?.apply(to: observation.assumingMemoryBound(to: Float.self), rows: 1)
  }

  private func requireFit() throws {
    let here = try describe()
    guard scales.fit(here.observation, actionSize: here.actionSize) else {
      throw Failure(.data, "the environment has other sizes than the data that the policy learned from")
    }
  }
}
