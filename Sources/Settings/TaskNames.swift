import Basics
import Environments

/// The embedded task of this name.
///
/// - Throws: `Failure` that lists the names there are.
public func embeddedTask(_ name: String) throws -> PointMazeTask {
  do { return try PointMazeTask(name: name) } catch { throw Failure(.usage, "--env: \(error)") }
}

/// The task that `--env` names.
///
/// - Throws: `Failure` that lists the names there are.
public func namedTask(_ name: String) throws -> NamedTask {
  do { return try NamedTask(name: name) } catch {
    throw Failure(
      .usage,
      "--env: \(error); others are OGBench's NAME-singletask[-taskN]-v0, ogbench:NAME, gymnasium:ID and minari:ID"
    )
  }
}
