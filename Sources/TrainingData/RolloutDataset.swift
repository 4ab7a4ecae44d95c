import Agents
import ArrayFiles
import Basics
import Datasets
import Foundation

/// What a run has collected online, written as a dataset directory that can be trained on again.
public struct RolloutDataset {
  private let path: String
  private let buffer: ReplayBuffer
  private let task: String

  /// Checks that there is nothing at `path`, and that it can be made there.
  ///
  /// - Parameter isResumed: whether the run continues. It may have written the directory before, which then stays.
  public init(_ path: String, of buffer: ReplayBuffer, task: String, isResumed: Bool) throws {
    guard isResumed || !FileManager.default.fileExists(atPath: path) else {
      throw Failure(.cannotCreate, "\(path): exists already; choose another --save-rollouts")
    }
    try requirePlace(forDirectory: path)
    (self.path, self.buffer, self.task) = (path, buffer, task)
  }

  /// Writes all transitions that the buffer still has, environment by environment. Returns a line for people.
  ///
  /// - Parameter spec: what the run knows about its data, which the collected transitions are like.
  public func write(_ spec: DataSpec) throws -> String {
    guard let directory = try AtomicDirectory(path: path) else {
      return "\(path): is there already and stays as it is"
    }
    let plan = buffer.plan
    let writer = try DatasetWriter(
      directory: directory.temporaryPath, observation: .vector(plan.observationSize),
      actionSize: plan.actionSize,
      source: path, bounds: .clip)
    let episodes = EpisodeRows(plan, writer)
    for environment in 0..<plan.environments {
      for transition in buffer.firstKept..<buffer.collected
      where transition % plan.environments == environment {
        try episodes.add(buffer.row(transition))
      }
      try episodes.end()
    }
    try episodes.flush()
    let statistics = try writer.finish(
      provenance: [
        "source": "collected online in \(task)", "environment": task, "written by": "fan-dist \(version)",
      ],
      observationOrder: spec.observationOrder, scales: spec.scales)
    try directory.commit()
    return "collected: \(statistics.lines.first ?? ""), written to \(path)"
  }
}

/// Turns transitions into rows of a dataset: every episode ends with a row for its last state.
private final class EpisodeRows {
  private let plan: ReplayPlan
  private let writer: DatasetWriter
  private let block: RowBlock
  private var last: UnsafePointer<Float>?

  init(_ plan: ReplayPlan, _ writer: DatasetWriter) {
    (self.plan, self.writer) = (plan, writer)
    block = RowBlock(observation: .vector(plan.observationSize), actionSize: plan.actionSize)
  }

  /// Adds the next transition of an environment.
  func add(_ row: UnsafePointer<Float>) throws {
    if row[plan.reward + 2] == 1 { try end() }
    try append(row, state: row, isLast: false)
    last = row
  }

  /// Ends the present episode, if there is one. Action, reward and mask of its last row are not used.
  func end() throws {
    guard let last else { return }
    try append(last, state: last + plan.nextObservation, isLast: true)
    self.last = nil
  }

  func flush() throws {
    try writer.append(block)
    block.rows = 0
  }

  private func append(_ row: UnsafePointer<Float>, state: UnsafePointer<Float>, isLast: Bool) throws {
    if block.rows == block.capacity { try flush() }
    let i = block.rows
    block.rows += 1
    let (O, A) = (plan.observationSize, plan.actionSize)
    (block.observations + i * O).update(from: state, count: O)
    (block.actions + i * A).update(from: row + plan.action, count: A)
    (block.rewards[i], block.masks[i]) = (row[plan.reward], row[plan.reward + 1])
    block.terminals[i] = isLast ? 1 : 0
  }
}
