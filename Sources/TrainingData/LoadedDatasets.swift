import Basics
import MPI
import Settings

/// The datasets of several runs that the ranks of one job train, whatever ranks train which run: each dataset is in the
/// memory of a node once.
public final class LoadedDatasets {
  /// What a run trains on, and what its losses are validated on, if there is such data.
  public struct Datasets {
    /// The data that a run trains on.
    public let training: SharedDataset
    /// The validation data that belong to them.
    public let validation: SharedDataset?
  }

  /// By what decides which data are loaded; a failure where they could not be, the same on all ranks.
  private var loaded: [[String]: Result<Datasets, Failure>] = [:]

  /// Loads what the configurations need, one after the other. What cannot be loaded is a failure of the runs that need
  /// it, when they ask for it. Collective over the job.
  ///
  /// - Parameter releases: is told what to free at the end.
  public init(
    _ configurations: [Configuration], _ importing: DatasetLocation.Import, world: Communicator,
    _ releases: Releases
  ) throws {
    for configuration in configurations where loaded[Self.key(configuration)] == nil {
      do {
        let task = try namedTask(configuration.env, configuration.environment)
        let location = try DatasetLocation(configuration, task, importing, world: world)
        let training = try SharedDataset(configuration, at: location, world: world, releases)
        let validation = try SharedDataset.validation(
          configuration, at: location, world: world, releases)
        loaded[Self.key(configuration)] = .success(Datasets(training: training, validation: validation))
      } catch let failure as Failure {
        loaded[Self.key(configuration)] = .failure(failure)
      }
    }
  }

  /// The data of one of the configurations. Every rank of a run calls this alike.
  public func datasets(of configuration: Configuration) throws(Failure) -> Datasets {
    guard let datasets = loaded[Self.key(configuration)] else {
      preconditionFailure("data that nobody has asked to load")
    }
    return try datasets.get()
  }

  private static func key(_ configuration: Configuration) -> [String] {
    [
      configuration.env, configuration.dataset ?? "", configuration.valDataset ?? "",
      "\(configuration.datasetMemory)",
      "\(configuration.frameStack)",
    ] + configuration.environment.settings.map { "\($0.name)=\($0.value)" }
  }
}
