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
/// - Parameter options: how its environment is made; nil where nothing is played.
/// - Throws: `Failure` that lists the names there are.
public func namedTask(_ name: String, _ options: EnvironmentOptions? = nil) throws
  -> NamedTask
{
  let task: NamedTask
  do { task = try NamedTask(name: name) } catch {
    throw Failure(
      .usage,
      "--env: \(error); others are OGBench's NAME-singletask[-taskN]-v0, ogbench:NAME, gymnasium:ID and minari:ID"
    )
  }
  switch task {
  case .gymnasium(var task):
    task.arguments = options?.envKwargs?.description
    task.limit = options?.maxEpisodeSteps
    task.wrapper = options?.envWrapper
    task.hasGivenReferences = options?.referenceReturns != nil
    return .gymnasium(task)
  case .embedded:
    if let setting = options?.forGymnasium.first {
      throw Failure(.usage, "--\(setting.name): \(name) is embedded; this is for Gymnasium environments")
    }
    return task
  }
}

extension Configuration {
  /// The arguments with which `evaluate` plays this run's task, beside the checkpoint: which Python modules are imported,
  /// no checkpoint decides.
  public var argumentsToPlay: [String] {
    let importsModule = (try? namedTask(env, environment).importsModule) ?? false
    let named = importsModule ? ["--env", env] : []
    let wrapper = environment.envWrapper.map { ["--env-wrapper", $0] } ?? []
    let arguments = environment.envKwargs.flatMap { $0.mayImport ? ["--env-kwargs", "\($0)"] : nil } ?? []
    return named + wrapper + arguments
  }
}
