import Agents

/// Throws an error of validation when a path that is written to is given and empty: names made of it would lie in the
/// root of the file system.
public func requirePath(_ path: String?, _ option: String) throws {
  try require(path != "", "\(option) is empty; name a path")
}
