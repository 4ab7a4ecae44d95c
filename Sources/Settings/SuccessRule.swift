import ArgumentParser

/// When an episode has solved its task, for environments that say at each step whether it is solved.
public enum SuccessRule: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// When it is solved at the last step.
  case last
  /// When it was solved at any step.
  case any
}
