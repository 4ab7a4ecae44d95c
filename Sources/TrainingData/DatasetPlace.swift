import Basics
import Foundation

extension DatasetImport {
  /// Where the dataset of a name lies once it is imported: `$FAN_DIST_DATA/NAME`, or `~/.cache/fan-dist/datasets/NAME`.
  ///
  /// - Throws: `Failure` if it is not a name of which a directory can be made.
  public static func place(of name: String) throws -> String {
    func variable(_ name: String) -> String? {
      ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
    let home = variable("HOME") ?? NSHomeDirectory()
    let folder = variable("FAN_DIST_DATA") ?? home + "/.cache/fan-dist/datasets"
    let plain = name.hasPrefix("ogbench:") ? String(name.dropFirst(8)) : name
    let isName = plain.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.:/".contains($0)) }
    guard isName, !plain.isEmpty, !plain.hasPrefix(".") else {
      throw Failure(.usage, "\(name): not a name that a dataset can have")
    }
    return "\(folder)/\(plain.replacing(":", with: "-").replacing("/", with: "-"))"
  }
}
