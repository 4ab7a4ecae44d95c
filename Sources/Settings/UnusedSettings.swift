import Agents
import ArgumentParser
import Basics

extension ParsableArguments {
  /// Throws when arguments set any of these settings although the one that makes them count is missing.
  ///
  /// - Parameter name: that setting, which may be one of these.
  public static func requireNone(in arguments: [String], without name: String) throws(Failure) {
    let names = Set(settingNames).subtracting([name])
    for argument in arguments where argument.hasPrefix("--") {
      let found = String(argument.dropFirst(2).prefix { $0 != "=" })
      guard !names.contains(found) else { throw Failure(.usage, "--\(found) needs --\(name)") }
    }
  }
}
