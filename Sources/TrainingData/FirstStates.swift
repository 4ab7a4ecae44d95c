import Agents
import Basics
import Datasets
import Foundation
import Kernels

/// The states in which episodes of a dataset begin.
public struct FirstStates {
  /// The states, one in each row.
  public let observations: Observations<Float>
  /// The number of episodes in the data.
  public let episodes: Int
  private let workspace: Workspace<Float>

  /// Looks for the first states; of more than `limit` episodes it takes some at equal distances.
  ///
  /// A transition begins an episode unless it begins with the state that the one before leads to.
  public init(of data: SharedDataset, atMost limit: Int) throws {
    let source = data.transitions
    workspace = Workspace()
    let bytes = source.observation.byteCount
    let states = Observations<Float>(source.observation, rows: 3, in: workspace)
    let (actions, numbers) = (workspace.vector(2 * source.actionSize), workspace.vector(2))
    func gather(_ transition: Int, next: Int) throws {
      try source.gather(
        transition, observation: states.row(0), action: actions, reward: numbers, mask: numbers + 1,
        nextObservation: states.row(next), nextAction: actions + source.actionSize)
    }
    var starts: [Int] = []
    for transition in 0..<source.transitionCount {
      let (next, last) = transition % 2 == 0 ? (1, 2) : (2, 1)
      try gather(transition, next: next)
      if transition == 0 || memcmp(states.row(0), states.row(last), bytes) != 0 { starts.append(transition) }
    }
    episodes = starts.count
    let count = min(starts.count, limit)
    observations = Observations(source.observation, rows: count, in: workspace)
    for row in 0..<count {
      try gather(starts[row * starts.count / count], next: 1)
      observations.copy(states, row: 0, to: row)
    }
  }
}
