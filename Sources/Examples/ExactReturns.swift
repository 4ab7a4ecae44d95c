/// The returns of the uniform policy in `TwoSteps`, computed exactly.
public struct ExactReturns: Sendable {
  /// Q(s, a, ε) by the action that the policy takes at ε: nothing else of the noise matters.
  private var q: [TwoSteps.Step: [TwoSteps.Action: Double]]
  /// Applications of the operator until nothing changed.
  public private(set) var iterations = 0

  /// Iterates FAN's operator, (T Q)(s, a, ε′) = r + γ · sup over ε of Q(s′, π(s′, ε′), ε), from Q = 0 to its fixed
  /// point (arXiv 2605.01663). γ is 1, and beyond the end of an episode Q is 0.
  public init() {
    q = Dictionary(uniqueKeysWithValues: TwoSteps.Step.all.map { ($0, [.left: 0, .right: 0]) })
    while true {
      let last = self
      for step in TwoSteps.Step.all {
        for choice in TwoSteps.Action.allCases {
          let rest = step.next.map { last.supremum(after: TwoSteps.Step($0, choice)) }
          q[step]![choice] = step.reward + (rest ?? 0)
        }
      }
      if q == last.q { return }
      iterations += 1
    }
  }

  /// Q(s, a, ε), the operator's fixed point.
  public func q(after step: TwoSteps.Step, noise: Double) -> Double {
    q[step]![TwoSteps.policy(noise: noise)]!
  }

  /// sup over ε of Q(s, a, ε): what Z(s, a) stands for.
  public func supremum(after step: TwoSteps.Step) -> Double { q[step]!.values.max()! }

  /// The returns that follow, each as likely as the others, in ascending order.
  public func returns(after step: TwoSteps.Step) -> [Double] {
    guard let next = step.next else { return [step.reward] }
    return TwoSteps.Action.allCases.flatMap { action in
      returns(after: TwoSteps.Step(next, action)).map { step.reward + $0 }
    }.sorted()
  }

  /// The mean of the returns.
  public func mean(after step: TwoSteps.Step) -> Double {
    let returns = returns(after: step)
    return returns.reduce(0, +) / Double(returns.count)
  }

  /// The quantile of the returns at a level between 0 and 1.
  public func quantile(after step: TwoSteps.Step, level: Double) -> Double {
    let returns = returns(after: step)
    return returns[min(Int(level * Double(returns.count)), returns.count - 1)]
  }
}
