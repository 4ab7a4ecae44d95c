import Basics

/// How the agent whose behaviour a dataset records chooses where to go.
public enum Behaviour: String, Sendable, CaseIterable {
  /// The agent goes from one random goal to the next.
  case navigate
  /// The agent goes to one goal a few cells away. To solve a task, several of these short episodes must be
  /// stitched together.
  case stitch
  /// The agent goes in random directions, each for ten steps.
  case explore
  /// As in `stitch`, but so few episodes that they do not suffice: what is missing is found by acting.
  case scarce
}

/// An error: the name is not that of an embedded task.
public struct UnknownTask: Error, CustomStringConvertible {
  /// The name that was given.
  public let name: String

  /// One line with the name and the names that exist.
  public var description: String {
    let mazes = PointMazeTask.benchmark.map { $0[0].maze.name }.joined(separator: ",")
    let behaviours = PointMazeTask.benchmarkBehaviours.map(\.rawValue).joined(separator: ",")
    return """
      unknown task '\(printable(name))'; embedded tasks are \(PointMazeTask.defaultName), \(PointMazeTask.scarceName) and \
      pointmaze-{\(mazes)}-{\(behaviours)}-singletask[-task{1,2,3,4,5}]-v0, and the same names after \
      'visual-' with images as observations
      """
  }
}

/// An embedded task. Its name is the one that OGBench gives it, for instance
/// `pointmaze-medium-navigate-singletask-v0` (task 1, the default) or
/// `pointmaze-medium-navigate-singletask-task3-v0`.
///
/// `pointmaze-u-stitch-singletask-v0` and `pointmaze-u-scarce-singletask-v0` are not OGBench's; they are small enough to be
/// solved in minutes. Tasks whose names begin with `visual-` are the same but for their observations: images of the maze
/// from above.
public struct PointMazeTask: Sendable {
  /// The number of numbers in an action: the displacement along x and y, scaled to [−1, 1].
  public static let actionSize = 2
  /// The name of the small task.
  public static let defaultName = "pointmaze-u-stitch-singletask-v0"
  /// The name of the small task that has few data.
  public static let scarceName = "pointmaze-u-scarce-singletask-v0"

  /// The task's name.
  public let name: String
  /// The name of the dataset that all tasks of this maze and behaviour share: `pointmaze-medium-navigate-v0`.
  public let datasetName: String
  /// The number of the task on its maze, from 1 to 5, which determines start and goal.
  public let number: Int
  /// The behaviour that the dataset records.
  public let behaviour: Behaviour
  /// The maze, the start, the goal and the rules.
  public let environment: PointMaze
  /// The images that are observations; nil where these are the scaled x and y of the disc's centre.
  public let image: MazeImage?

  /// The embedded task called `name`. Throws `UnknownTask`.
  public init(name: String) throws(UnknownTask) {
    var parts = Self.plainName(name).split(separator: "-", omittingEmptySubsequences: false)
    if parts.count == 5 { parts.insert("task1", at: 4) }
    guard parts.count == 6, parts[0] == "pointmaze", parts[3] == "singletask", parts[5] == "v0",
      let behaviour = Behaviour(rawValue: String(parts[2])),
      let tasks = Self.tasks(maze: parts[1], behaviour: behaviour),
      let number = (1...tasks.count).first(where: { parts[4] == "task\($0)" })
    else { throw UnknownTask(name: name) }
    let isVisual = name.hasPrefix(Self.visualPrefix)
    self.name = name
    image = isVisual ? MazeImage(tasks[number - 1].maze) : nil
    datasetName = (isVisual ? Self.visualPrefix : "") + "pointmaze-\(parts[1])-\(behaviour)-v0"
    self.number = number
    self.behaviour = behaviour
    environment = tasks[number - 1]
  }

  /// Whether a name begins like those of embedded tasks, and is therefore not looked up elsewhere.
  static func claims(_ name: String) -> Bool {
    let name = plainName(name)
    return ([small] + benchmark.map { $0[0] }).contains { name.hasPrefix("pointmaze-\($0.maze.name)-") }
  }

  private static let visualPrefix = "visual-"

  /// The name of the task that differs only in having no images.
  private static func plainName(_ name: String) -> Substring {
    name.hasPrefix(visualPrefix) ? name.dropFirst(visualPrefix.count) : name[...]
  }

  /// The name of the same task with images in place of numbers, or the other way round.
  public var counterpart: String {
    image == nil ? Self.visualPrefix + name : String(Self.plainName(name))
  }

  /// What an observation is.
  public var observation: ObservationSpace { image?.observation ?? .vector(2) }

  /// Writes the observation of an episode's present state.
  public func observe(_ episode: PointMaze.Episode, to target: UnsafeMutableRawPointer) {
    guard let image else {
      let observation = environment.observation(of: episode)
      target.storeBytes(of: observation.x, as: Float.self)
      return target.storeBytes(of: observation.y, toByteOffset: MemoryLayout<Float>.stride, as: Float.self)
    }
    image.draw(episode.position, to: target)
  }

  /// The tasks on a maze for which data of `behaviour` exist.
  private static func tasks(maze: Substring, behaviour: Behaviour) -> [PointMaze]? {
    if maze == small.maze.name { return [.stitch, .scarce].contains(behaviour) ? [small] : nil }
    guard benchmarkBehaviours.contains(behaviour) else { return nil }
    return benchmark.first { $0[0].maze.name == maze }
  }

  /// Start and goal are six cells apart. An action moves up to 1.0 along each axis, so solutions take about
  /// 25 steps instead of hundreds.
  static let small = PointMaze(
    .u, from: Maze.Cell(1, 1), to: Maze.Cell(3, 1), movesPerAction: 5, observationScale: 4, stepLimit: 60)

  /// Behaviours of which there are data in OGBench's mazes.
  static let benchmarkBehaviours: [Behaviour] = [.navigate, .stitch, .explore]

  /// OGBench's tasks 1 to 5 on each of its mazes.
  static let benchmark: [[PointMaze]] = [
    tasks(
      .medium, [((1, 1), (6, 6)), ((6, 1), (1, 6)), ((5, 3), (4, 2)), ((6, 5), (6, 1)), ((2, 6), (1, 1))]),
    tasks(
      .large, [((1, 1), (7, 10)), ((5, 4), (7, 1)), ((7, 4), (1, 10)), ((3, 8), (5, 4)), ((1, 1), (5, 4))]),
    tasks(
      .giant,
      [((1, 1), (10, 14)), ((1, 14), (10, 1)), ((8, 14), (1, 1)), ((8, 3), (5, 12)), ((5, 9), (3, 8))]),
  ]

  private static func tasks(_ maze: Maze, _ ends: [((Int, Int), (Int, Int))]) -> [PointMaze] {
    ends.map { PointMaze(maze, from: Maze.Cell($0.0, $0.1), to: Maze.Cell($1.0, $1.1)) }
  }
}
