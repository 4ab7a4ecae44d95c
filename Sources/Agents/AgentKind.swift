import ArgumentParser
import Basics
import Kernels
import Networks

/// All agents. To add one, give it a case and its type here.
public enum AgentKind: String, CaseIterable, ExpressibleByArgument, CustomStringConvertible, Sendable {
  case fan, faql, nfql, nbrac, fql, rebrac, iqn, codac
  case valueFlows = "value-flows"

  private func type<T: Real>(_: T.Type) -> any Agent<T>.Type {
    switch self {
    case .fan: FAN<T>.self
    case .faql: FAQL<T>.self
    case .nfql: NFQL<T>.self
    case .nbrac: NBRAC<T>.self
    case .fql: FQL<T>.self
    case .rebrac: ReBRAC<T>.self
    case .iqn: IQN<T>.self
    case .codac: CODAC<T>.self
    case .valueFlows: ValueFlows<T>.self
    }
  }

  /// The agent's name in settings.
  public var description: String { rawValue }

  /// The agent's name as people write it.
  public var title: String { type(Float.self).title }

  /// An agent with workspaces for up to `rows` rows on this rank.
  public func make<T: Real>(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int, _: T.Type = T.self
  ) -> any Agent<T> {
    type(T.self).init(spec, hyperparameters, rows: rows)
  }

  /// Where the tensors of the agent's networks lie in the flat vector.
  public func layout(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> ParameterLayout {
    ParameterLayout(type(Float.self).shapes(spec, hyperparameters))
  }

  /// The figure of the loss that a network's parameters descend.
  public func lossFigure(of network: String) -> String {
    guard let figure = type(Float.self).losses.first(where: { $0.key == network })?.value else {
      preconditionFailure("\(title) has no loss for \(network)")
    }
    return figure
  }

  /// The random inputs of the agent's updates.
  public func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw] {
    type(Float.self).draws(spec, hyperparameters)
  }

  /// The agent's policy, for up to `rows` observations at once.
  public func policy(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> any Policy<Float> {
    type(Float.self).policy(spec, hyperparameters, rows: rows)
  }

  /// Behaviour cloning with the agent's flow of actions; nil for an agent that learns none.
  public func behaviour(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> (any Policy<Float>)? {
    type(Float.self).behaviour(spec, hyperparameters, rows: rows)
  }

  // MARK: Settings

  /// Settings that every agent reads; their defaults are those of `Hyperparameters`.
  private static let common: Set = [
    "agent", "lr", "batch-size", "actor-hidden-dims", "value-hidden-dims", "encoder", "tau",
  ]

  /// Whether the agent reads a setting.
  public func reads(_ setting: String) -> Bool {
    Self.common.contains(setting) || type(Float.self).settings.contains { $0.key == setting }
  }

  /// The agent's published defaults as arguments; arguments that override them come after.
  public var defaults: [String] {
    type(Float.self).settings.flatMap { name, value in
      switch value {
      case "true": ["--\(name)"]
      case "false": ["--no-\(name)"]
      default: ["--\(name)", value]
      }
    }
  }

  /// The first hyperparameter that arguments set although none of some agents reads it.
  public static func firstUnread(in arguments: [String], by agents: [AgentKind]) -> String? {
    let known = Set(Hyperparameters.settingNames)
    return optionNames(in: arguments).lazy
      .map { $0.hasPrefix("no-") ? String($0.dropFirst(3)) : $0 }
      .first { name in known.contains(name) && !agents.contains { $0.reads(name) } }
  }
}
