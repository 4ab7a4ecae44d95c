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
      byteCount = 0
      return
    }
    guard let path = configuration.dataset ?? (try? DatasetImport.place(of: configuration.env)),
      let source = try? openDataset(path, task: task.embedded)
    else { return nil }
    let rows = source.rowSpec
    spec = DataSpec(
      observation: rows.observation.stacked(frames), actionSize: rows.actionSize, rewards: rows.rewards,
      scales: rows.scales?.stacked(frames))
    byteCount = source.plan.byteCount
  }
}
