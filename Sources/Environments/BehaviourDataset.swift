import Kernels
import Randomness

/// Recorded behaviour in a point maze. A scripted agent acts as in the recording of OGBench's datasets.
///
/// Rows follow each other in time. The last row of an episode has `terminals` set and holds the final state;
/// its action is the one that the agent would have taken there, and is not used.
public struct BehaviourDataset: Sendable {
  /// Draws the observations of a task whose observations are images.
  let image: MazeImage?
  /// Observations as vectors: (rows, 2).
  public private(set) var observations: [Float] = []
  /// Actions: (rows, 2), each component in [−1, 1].
  public private(set) var actions: [Float] = []
  /// Terminals: (rows); true on the last row of each episode.
  public private(set) var terminals: [Bool] = []
  /// Positions (x, y) of the disc's centre: (rows, 2).
  public private(set) var qpos: [Float] = []
  /// Velocities of the disc: (rows, 2). They are zero, because the disc stops after every action.
  public var qvel: [Float] { [Float](repeating: 0, count: qpos.count) }

  /// The number of rows.
  public var rows: Int { terminals.count }

  /// Records behaviour for `task`. The same `seed` gives the same behaviour.
  ///
  /// - Parameters:
  ///   - episodes: the number of episodes; nil means as many as the task's published dataset has (about
  ///     1,000,000 rows, or 42,000 for the small task), or a tenth of that for validation. A smaller number
  ///     gives the first episodes of a larger one.
  ///   - validation: records the validation dataset, which shares no episode with the training dataset.
  public init(task: PointMazeTask, seed: UInt32, episodes: Int? = nil, validation: Bool = false) {
    image = task.image
    let recipe = BehaviourRecipe(task)
    let count = episodes ?? (validation ? recipe.episodes / 10 : recipe.episodes)
    let rows = count * (recipe.steps + 1)
    observations.reserveCapacity(rows * 2)
    actions.reserveCapacity(rows * 2)
    terminals.reserveCapacity(rows)
    qpos.reserveCapacity(rows * 2)
    let paths = ShortestPaths(in: task.environment.maze)
    for episode in 0..<count {
      // Training and validation episodes differ in the upper half of the index.
      let index = UInt64(episode) | (validation ? 1 << 32 : 0)
      let random = RandomSequence(seed: seed, stream: .behaviour, index: index)
      var agent = ScriptedAgent(
        environment: task.environment, behaviour: task.behaviour, recipe: recipe, paths: paths, random: random
      )
      record(&agent, in: task.environment, steps: recipe.steps)
    }
  }

  private mutating func record(_ agent: inout ScriptedAgent, in environment: PointMaze, steps: Int) {
    for step in 0...steps {
      let position = agent.position
      let action = agent.act()
      let observation = environment.observation(at: position)
      observations.append(observation.x)
      observations.append(observation.y)
      actions.append(action.x)
      actions.append(action.y)
      terminals.append(step == steps)
      qpos.append(Float(position.x))
      qpos.append(Float(position.y))
    }
  }
}

/// The number, length and reach of the episodes that a dataset has.
struct BehaviourRecipe {
  /// The number of episodes.
  let episodes: Int
  /// The number of actions in an episode.
  let steps: Int
  /// The number of moves between cells from start to goal, for `stitch` and `scarce`.
  let goalDistance: Int

  init(_ task: PointMazeTask) {
    switch task.behaviour {
    case .stitch where task.environment.maze.name == Maze.u.name:
      (episodes, steps, goalDistance) = (2000, 20, 3)
    case .stitch: (episodes, steps, goalDistance) = (5000, 200, 4)
    case .scarce: (episodes, steps, goalDistance) = (20, 20, 3)
    case .navigate: (episodes, steps, goalDistance) = (1000, 1000, 0)
    case .explore: (episodes, steps, goalDistance) = (2000, 500, 0)
    }
  }
}
