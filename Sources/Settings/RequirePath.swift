import Agents
import Foundation

/// Throws an error of validation when a path that is written to is given and empty: names made of it would lie in the
/// root of the file system.
public func requirePath(_ path: String?, _ option: String) throws {
  try require(path != "", "\(option) is empty; name a path")
}

/// Whether two paths lead to the same place.
public func isSamePath(_ first: String, _ second: String) -> Bool {
  let paths = [first, second].map {
    URL(fileURLWithPath: $0).resolvingSymlinksInPath().standardizedFileURL.path
  }
  return paths[0] == paths[1]
}
