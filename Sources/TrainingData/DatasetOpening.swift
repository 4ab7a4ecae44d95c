import ArrayFiles
import Basics
import Datasets
import Environments
import Foundation

/// Opens the dataset at `path`: a dataset directory, an `.npz` file or a directory of them.
///
/// - Parameter task: gives rewards and masks when the data hold none.
func openDataset(_ path: String, task: PointMazeTask?) throws -> any DatasetSource {
  if DatasetDirectory.exists(at: path) { return try DatasetDirectory(path: path) }
  if let (kind, options) = kindToImport(path) {
    let command = shellCommand(["fan-dist", "dataset", "import", path])
    throw FileError(
      .malformed, file: path,
      reason: "is \(kind): \(command) --out DIRECTORY\(options) makes a dataset directory of it")
  }
  return try openFiles(path, task: task)
}

/// What a file or a directory is that must be imported first, and the options that this needs; nil for all others.
private func kindToImport(_ path: String) -> (kind: String, options: String)? {
  let columns = " --columns observation=…,action=…,reward=…,terminal=…"
  if DatasetImport.isOfAnotherProject(directory: path) { return ("a dataset of another project", "") }
  if begins(path, with: [0x89, 0x48, 0x44, 0x46]) { return ("an HDF5 file", "") }
  if begins(path, with: Array("PAR1".utf8)) { return ("a Parquet file", columns) }
  return URL(fileURLWithPath: path).pathExtension == "csv" && isFile(path) ? ("a CSV file", columns) : nil
}

/// Whether a file begins with these bytes.
func begins(_ path: String, with bytes: [UInt8]) -> Bool {
  guard isFile(path), let file = FileHandle(forReadingAtPath: path) else { return false }
  return (try? file.read(upToCount: bytes.count)) == Data(bytes)
}

/// Opens OGBench's files. The task gives rewards and masks when they hold none, by its rule: from the observations, or
/// from the positions beside images.
///
/// - Parameter name: what messages call them; nil for the path.
func openFiles(
  _ path: String, task: PointMazeTask?, called name: String? = nil
) throws(FileError) -> OGBenchSource {
  guard let task else { return try OGBenchSource(path: path) }
  guard task.image == nil else {
    return try OGBenchSource(
      path: path, called: name,
      rewards: { task.environment.rewardAndMask(position: SIMD2($0[0], $0[1])) }, from: "qpos")
  }
  return try OGBenchSource(
    path: path, called: name, rewards: { task.environment.rewardAndMask(observation: SIMD2($0[0], $0[1])) })
}

/// The behaviour dataset of an embedded task, always recorded with seed 0, so that all runs of the task train on the
/// same data. It goes through a file and is read back, by the code that reads everybody's data. The file loses its name at
/// once, so that nothing is left of it when this process is killed.
func recordedDataset(_ task: PointMazeTask, validation: Bool) throws -> OGBenchSource {
  var name = Array("\(NSTemporaryDirectory())/fan-dist-XXXXXX".utf8CString)
  let file = mkstemp(&name)
  guard file >= 0 else {
    let reason = String(cString: strerror(errno))
    throw Failure(
      .cannotCreate,
      "\(NSTemporaryDirectory()): cannot hold the data of \(task.name): \(reason); set TMPDIR to another directory"
    )
  }
  unlink(name)
  // What is open stays readable.
  defer { close(file) }
  let path = "/proc/self/fd/\(file)"
  do {
    try BehaviourDataset(task: task, seed: 0, validation: validation).write(to: path)
    return try openFiles(path, task: task, called: "the data of \(task.name)")
  } catch {
    throw Failure(
      error.code, "\(NSTemporaryDirectory()): cannot hold the data of \(task.name): \(error.reason)")
  }
}

/// The validation data that belong to the dataset at `path`, if there are any.
func validationPath(of path: String) throws(FileError) -> String? {
  DatasetDirectory.exists(at: path)
    ? try DatasetDirectory.validationPath(of: path) : OGBenchSource.companionPath(of: path)
}

/// Throws `FileError` unless the data have the task's sizes.
func requireFit(_ source: any DatasetSource, _ task: PointMazeTask) throws {
  let differsInKind = source.plan.observation.isImage != task.observation.isImage
  let advice = differsInKind ? "; \(task.counterpart) is the task with such observations" : ""
  for (member, space, expected) in [
    ("observations", source.plan.observation, task.observation),
    ("actions", .vector(source.plan.actionSize), .vector(PointMazeTask.actionSize)),
  ] where space != expected {
    throw FileError(
      .malformed, file: source.path, member: member,
      reason: "has \(space) a row, but the task \(task.name) has \(expected)\(advice)")
  }
}
