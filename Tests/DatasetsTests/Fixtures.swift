import ArrayFiles
import Datasets
import Foundation

/// A directory that is removed with this object.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("\(NSTemporaryDirectory())/datasets-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template)!)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A small dataset with observations of two numbers and actions of one, in which every array can be changed.
/// Row r has the observation (r, −r) and the action r / 100.
struct Fixture {
  var rows: Int
  var observations: [Float]
  var actions: [Float]
  var terminals: [Float]
  var rewards: [Float]?
  var masks: [Float]?
  var observationShape: [Int]
  var actionShape: [Int]
  var columnShape: [Int]
  var without: Set<String> = []
  /// Other members, one number a row each.
  var others: [String: [Float]] = [:]

  /// A dataset whose episodes have the given numbers of rows.
  init(_ lengths: [Int]) {
    rows = lengths.reduce(0, +)
    observations = (0..<rows).flatMap { [Float($0), -Float($0)] }
    actions = (0..<rows).map { Float($0) / 100 }
    terminals = lengths.flatMap { [Float](repeating: 0, count: $0 - 1) + [1] }
    observationShape = [rows, 2]
    actionShape = [rows, 1]
    columnShape = [rows]
  }

  func write(to path: String) throws {
    let writer = try NpzWriter(path: path)
    if !without.contains("observations") {
      try writer.add("observations", observations, shape: observationShape)
    }
    if !without.contains("actions") { try writer.add("actions", actions, shape: actionShape) }
    if !without.contains("terminals") { try writer.add("terminals", terminals, shape: columnShape) }
    if let rewards { try writer.add("rewards", rewards, shape: columnShape) }
    if let masks { try writer.add("masks", masks, shape: columnShape) }
    for (name, values) in others { try writer.add(name, values, shape: columnShape) }
    try writer.finish()
  }
}

/// A dataset loaded into memory that this object owns.
final class Loaded {
  let statistics: DatasetStatistics
  let dataset: TransitionMemory
  private let block: UnsafeMutableRawBufferPointer

  init(_ source: any DatasetSource) throws(FileError) {
    block = .allocate(byteCount: source.plan.byteCount, alignment: 64)
    do throws(FileError) {
      statistics = try source.load(into: block)
    } catch {
      block.deallocate()
      throw error
    }
    dataset = TransitionMemory(plan: source.plan, base: UnsafeRawPointer(block.baseAddress!))
  }

  deinit { block.deallocate() }
}

/// Writes a dataset directory from an `.npz` source.
@discardableResult
func convert(
  _ source: OGBenchSource, to directory: String, bounds: ActionBounds = .clip,
  provenance: [String: String] = [:]
) throws(FileError) -> DatasetStatistics {
  let plan = source.plan
  let writer = try DatasetWriter(
    directory: directory, observation: plan.observation, actionSize: plan.actionSize,
    source: source.path, bounds: bounds)
  try source.forEachBlock { (rows, file, first) throws(FileError) in
    try writer.append(rows, from: file, row: first)
  }
  return try writer.finish(provenance: provenance)
}

/// The contents of a transition.
struct Transition: Equatable {
  var observation: [Float]
  var action: [Float]
  var reward: Float = .nan
  var mask: Float = .nan
  var nextObservation: [Float]
  var nextAction: [Float]
}

/// A source that knows its sizes.
protocol SizedSource: TransitionSource {
  var plan: DatasetPlan { get }
}
extension TransitionMemory: SizedSource {}
extension TransitionFiles: SizedSource {}

extension SizedSource {
  func transition(_ index: Int) throws -> Transition {
    let observation = [Float](repeating: .nan, count: plan.observationSize)
    let action = [Float](repeating: .nan, count: plan.actionSize)
    var result = Transition(
      observation: observation, action: action, nextObservation: observation, nextAction: action)
    try gather(
      index, observation: &result.observation, action: &result.action, reward: &result.reward,
      mask: &result.mask,
      nextObservation: &result.nextObservation, nextAction: &result.nextAction)
    return result
  }
}
