import Foundation
import FoundationXML
import Testing

/// Reads a page that a command wrote, and checks that it is well-formed, runs nothing and loads nothing from
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
  // Every drawing has a description.
  #expect(try document.nodes(forXPath: "//svg[not(@role='img') or not(@aria-label)]").isEmpty)
  return document
}
