import Foundation
import FoundationXML
import TestSupport
import Testing

/// `fan-dist example`.
@Suite(.serialized) struct ExampleTests {
  private let folder = TemporaryDirectory()

  /// The mean misses the best return, 24; a high quantile and FAN's Z find it. On paper and on the page.
  @Test func returns() throws {
    let result = try run(built("fan-dist"), ["example", "returns", "--out", folder.file("page.html")])
    #expect(result.code == 0 && result.errors == "", "\(result)")
    func numbers(_ name: String) throws -> [Double] {
      let line = try #require(result.output.split(separator: "\n").first { $0.hasPrefix(name) })
      return line.dropFirst(name.count).split(separator: " ").compactMap { Double($0) }
    }
    for (name, expected) in [
      ("mean critic", [6, 4, 6, 4]), ("quantile critic, level 0.9", [7, 24, 7, 24]),
      ("FAN's Z", [7, 24, 7, 24.0]),
    ] {
      let found = try numbers(name)
      #expect(found.count == 4 && zip(found, expected).allSatisfy { abs($0 - $1) < 0.75 }, "\(name) \(found)")
    }
    let page = try checkedPage(folder.file("page.html"))
    #expect(
      try page.nodes(forXPath: "//svg/@aria-label").compactMap(\.stringValue) == [
        "the decision problem as a tree of two steps", "returns after going left first, by level",
        "returns after going right first, by level", "values of going right first, over updates",
      ])
  }

  @Test func aPageThatCannotBeWritten() throws {
    let result = try run(built("fan-dist"), ["example", "returns", "--out", folder.file("no/page.html")])
    expectFailure(result, 73, ["page.html"])
  }
}
