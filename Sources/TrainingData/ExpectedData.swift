import Agents
import Basics
import Datasets
import Environments
import Foundation
import Settings

/// What is known of a configuration's data before they are loaded: their sizes.
public struct ExpectedData {
  /// What an agent needs to know about them, but for the rewards, which nobody has looked at.
  public let spec: DataSpec
  /// Bytes that they take in memory.
  public let byteCount: Int
  /// Their rows; 0 for those that are generated.
  private let rows: Int
  /// Whether the task's episodes are played in Python.
  public let needsPython: Bool

  /// Looks at what files say of themselves; nil for data that are not there yet or cannot be read.
  public init?(_ configuration: Configuration) {
    guard let task = try? namedTask(configuration.env, configuration.environment) else { return nil }
    let frames = configuration.frameStack
    needsPython = task.embedded == nil
    if let maze = task.embedded, configuration.dataset == nil {
      spec = DataSpec(
        observation: maze.observation.stacked(frames), actionSize: PointMazeTask.actionSize, rewards: -1...0)
      (byteCount, rows) = (0, 0)
      return
    }
    guard let path = configuration.dataset ?? (try? DatasetImport.place(of: configuration.env)),
      let source = try? openDataset(path, task: task.embedded)
    else { return nil }
    let each = source.rowSpec
    spec = DataSpec(
      observation: each.observation.stacked(frames), actionSize: each.actionSize, rewards: each.rewards,
      scales: each.scales?.stacked(frames))
    (byteCount, rows) = (source.plan.byteCount, source.plan.rows)
  }

  /// Bytes that an online phase takes in memory for what it collects, at most.
  public func bufferBytes(_ online: OnlineSettings) -> Int {
    guard online.onlineSteps > 0, case .vector(let size) = spec.observation else { return 0 }
    return ReplayPlan(online, dataset: rows, observationSize: size, actionSize: spec.actionSize).byteCount
  }
}
