import Foundation
import FoundationXML
import Testing

/// A page that a command wrote. It must be well-formed, must not run anything and must not ask for anything from
/// elsewhere.
func checkedPage(_ path: String) throws -> XMLDocument {
  let data = try Data(contentsOf: URL(fileURLWithPath: path))
  let document = try XMLDocument(data: data)
  for name in ["script", "link", "img", "image", "iframe", "object", "use", "a"] {
    #expect(try document.nodes(forXPath: "//\(name)").isEmpty, "\(name)")
  }
  #expect(
    try document.nodes(forXPath: "//@src | //@href | //@style | //@*[starts-with(name(), 'on')]").isEmpty)
  let text = String(decoding: data, as: UTF8.self)
  #expect(!text.contains("url(") && !text.contains("@import"))
  // Everything that is drawn is described.
  #expect(try document.nodes(forXPath: "//svg[not(@role='img') or not(@aria-label)]").isEmpty)
  return document
}
