extension ReturnsExample {
  /// The critics.
  public enum Critic: Sendable { case mean, quantiles, fan, z }

  /// A number that a critic has for each first step, beside the exact one.
  public struct Row: Sendable {
    /// What the number is.
    public let name: String
    /// The critic that the number is from.
    public let critic: Critic
    /// The learned numbers after going left and after going right.
    public let learned: (left: Double, right: Double)
    /// The exact numbers.
    public let exact: (left: Double, right: Double)

    /// The first step that a policy takes which maximises this number.
    public var choice: TwoSteps.Action { learned.left > learned.right ? .left : .right }
  }

  /// What the critics say of the first step.
  public var table: [Row] {
    let exact = ExactReturns()
    return [
      row("mean critic", .mean, \.mean) { exact.mean(after: $0) },
      quantile(0.1, exact),
      quantile(0.9, exact),
      q(noise: -1, exact),
      q(noise: 1, exact),
      row("FAN's Z", .z, \.z) { exact.supremum(after: $0) },
    ]
  }

  private func quantile(_ level: Double, _ exact: ExactReturns) -> Row {
    row("quantile critic, level \(level)", .quantiles, { $0.quantile(level: level) }) {
      exact.quantile(after: $0, level: level)
    }
  }

  private func q(noise: Double, _ exact: ExactReturns) -> Row {
    row("FAN's Q, noise \(noise < 0 ? "−" : "")\(Int(abs(noise)))", .fan, { $0.q(noise: noise) }) {
      exact.q(after: $0, noise: noise)
    }
  }

  private func row(
    _ name: String, _ critic: Critic, _ learned: (Estimate) -> Double,
    _ exact: (TwoSteps.Step) -> Double
  ) -> Row {
    let (left, right) = (TwoSteps.Step(.start, .left), TwoSteps.Step(.start, .right))
    return Row(
      name: name, critic: critic, learned: (learned(estimates[left]!), learned(estimates[right]!)),
      exact: (exact(left), exact(right)))
  }
}
