import Environments

/// Settings that a task comes with, applied before configuration file and flags.
public struct Preset: Sendable {
  /// What it is, for the log.
  public let name: String
  /// The settings as arguments.
  public let arguments: [String]

  /// The preset of a task, if it has one.
  public static func named(_ task: String) -> Preset? {
    // The small embedded task: a short horizon that small networks learn in minutes.
    guard task == PointMazeTask.defaultName else { return nil }
    return Preset(
      name: task,
      arguments: [
        "--steps", "30000", "--actor-hidden-dims", "64,64", "--value-hidden-dims", "64,64", "--lr", "0.001",
        "--discount", "0.97", "--tau", "0.02", "--alpha1", "3", "--alpha2", "0.1", "--log-interval", "500",
        "--eval-interval", "5000", "--save-interval", "5000",
      ])
  }
}
