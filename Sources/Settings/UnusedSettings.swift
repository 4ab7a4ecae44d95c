import Agents
import ArgumentParser
import Basics

/// Throws when arguments set any of some settings.
///
/// - Parameters:
///   - names: the settings, as flags without dashes.
///   - problem: says of a flag why it cannot be there.
public func requireNone(
  of names: [String], in arguments: [String], _ problem: (String) -> String
) throws(Failure) {
  if let name = optionNames(in: arguments).first(where: names.contains) {
    throw Failure(.usage, problem("--\(name)"))
  }
}

extension ParsableArguments {
  /// Throws when arguments set any of these settings although the one that makes them count is missing.
  ///
  /// - Parameter name: that setting, which may be one of these.
  public static func requireNone(in arguments: [String], without name: String) throws(Failure) {
    let names = settingNames.filter { $0 != name }
    try Settings.requireNone(of: names, in: arguments) { "\($0) needs --\(name)" }
  }
}
