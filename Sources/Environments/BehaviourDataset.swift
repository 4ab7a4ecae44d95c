import Kernels
import Randomness

/// Recorded behaviour in a point maze, made by a scripted agent as OGBench makes its datasets.
///
/// Rows follow each other in time. An episode's last row has `terminals` set and holds the final state, with
/// the action that the agent would have taken there and nobody uses.
public struct BehaviourDataset: Sendable {
  /// (rows, 2): what a policy sees.
  public private(set) var observations: [Float] = []
  /// (rows, 2), each in [−1, 1].
  public private(set) var actions: [Float] = []
  /// (rows): whether the row is its episode's last.
  public private(set) var terminals: [Bool] = []
  /// (rows, 2): positions (x, y).
  public private(set) var qpos: [Float] = []
  /// (rows, 2): zero, for the disc stops after every action.
  public var qvel: [Float] { [Float](repeating: 0, count: qpos.count) }

  /// Number of rows.
  public var rows: Int { terminals.count }

  /// Behaviour for `task`, the same for the same `seed`.
  ///
  /// - Parameters:
  ///   - episodes: how many episodes; without it as many as the task's published dataset has (about 1,000,000
  ///     rows, or 42,000 for the small task), a tenth of that for validation. A smaller number gives the first
  ///     episodes of a larger one.
  ///   - validation: makes the companion dataset, which shares no episode with the other one.
  public init(task: PointMazeTask, seed: UInt32, episodes: Int? = nil, validation: Bool = false) {
    let recipe = BehaviourRecipe(task)
    let count = episodes ?? (validation ? recipe.episodes / 10 : recipe.episodes)
    let rows = count * (recipe.steps + 1)
    observations.reserveCapacity(rows * 2)
    actions.reserveCapacity(rows * 2)
    terminals.reserveCapacity(rows)
    qpos.reserveCapacity(rows * 2)
    let paths = ShortestPaths(in: task.environment.maze)
    for episode in 0..<count {
      // The upper half of the index tells the two datasets apart.
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

/// How much of a behaviour a dataset holds.
struct BehaviourRecipe {
  /// Number of episodes.
  let episodes: Int
  /// Actions in an episode.
  let steps: Int
  /// Cells between start and goal, for `stitch`.
  let goalDistance: Int

  init(_ task: PointMazeTask) {
    switch task.behaviour {
    case .stitch where task.environment.maze.name == Maze.u.name:
      (episodes, steps, goalDistance) = (2000, 20, 3)
    case .stitch: (episodes, steps, goalDistance) = (5000, 200, 4)
    case .navigate: (episodes, steps, goalDistance) = (1000, 1000, 0)
    case .explore: (episodes, steps, goalDistance) = (2000, 500, 0)
    }
  }
}
