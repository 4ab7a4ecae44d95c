/// A decision problem of two steps, left or right at each, whose returns can all be counted.
///
///                       start
///            left, 0 /         \ right, −6
///            afterLeft         afterRight
///     left, +5 /   \ right, +7   left, −10 /   \ right, +30
///         5         7                   −16      24
///
/// An episode begins at `start` and ends after its second step. Nothing is random but the choice of actions, and
/// nothing is discounted: the return is the sum of both rewards, below the tree. One path of the four has a large
/// reward, +30, and the best return, 24. Whoever goes left or right with equal chance gets 6 on average after going
/// left, and 4 after going right: the average hides the best path.
public enum TwoSteps {
  /// Where an episode is.
  public enum State: Int, CaseIterable, Sendable { case start, afterLeft, afterRight }

  /// An action.
  public enum Action: Int, CaseIterable, Sendable {
    case left, right

    /// The action as critics see it, one component: −1 or 1.
    var component: Float { self == .left ? -1 : 1 }
  }

  /// A step: an action in a state.
  public struct Step: Hashable, Sendable {
    /// The state in which the step is taken.
    public let state: State
    /// The action that is taken.
    public let action: Action

    /// The action in the state.
    public init(_ state: State, _ action: Action) { (self.state, self.action) = (state, action) }

    /// All steps.
    public static let all = State.allCases.flatMap { state in Action.allCases.map { Step(state, $0) } }

    /// r(s, a).
    public var reward: Double {
      switch (state, action) {
      case (.start, .left): 0
      case (.start, .right): -6
      case (.afterLeft, .left): 5
      case (.afterLeft, .right): 7
      case (.afterRight, .left): -10
      case (.afterRight, .right): 30
      }
    }

    /// The state that the step leads to; nil when it ends the episode.
    public var next: State? {
      guard state == .start else { return nil }
      return action == .left ? .afterLeft : .afterRight
    }
  }

  /// The uniform policy as a function of noise: π(s, ε) is left for ε below 0, else right, in every state. With
  /// ε ~ N(0, 1) both have equal chance.
  public static func policy(noise: Double) -> Action { noise < 0 ? .left : .right }
}
