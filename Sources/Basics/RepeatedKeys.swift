import Foundation

/// The first key that stands twice in one object of a JSON text; nil if there is none. Foundation's decoders take one of
/// the two values and say nothing.
///
/// - Parameter json: a text in UTF-8 that such a decoder has accepted. Of other bytes, the answer means nothing.
public func repeatedKey(json: Data) -> String? {
  let bytes = [UInt8](json)
  // The keys so far of each open object; of an open array, none.
  var keys: [Set<String>] = []
  var position = 0
  while position < bytes.count {
    let start = position
    position += 1
    switch bytes[start] {
    case UInt8(ascii: "{"), UInt8(ascii: "["): keys.append([])
    case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = keys.popLast()
    case UInt8(ascii: "\""):
      position = endOfString(bytes, from: position)
      guard isKey(bytes, before: position), !keys.isEmpty else { continue }
      let key = decoded(bytes[start..<position])
      guard keys[keys.count - 1].insert(key).inserted else { return key }
    default: break
    }
  }
  return nil
}

/// The position behind the closing quote of the string whose characters start at `start`.
private func endOfString(_ bytes: [UInt8], from start: Int) -> Int {
  var position = start
  while position < bytes.count && bytes[position] != UInt8(ascii: "\"") {
    position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
  }
  return min(position + 1, bytes.count)
}

/// Whether the string that ends before `end` is a key: a colon follows.
private func isKey(_ bytes: [UInt8], before end: Int) -> Bool {
  let next = bytes[end...].first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
  return next == UInt8(ascii: ":")
}

/// The characters of a string in quotes: `"\u0061"` is `"a"`.
private func decoded(_ string: ArraySlice<UInt8>) -> String {
  (try? JSONDecoder().decode(String.self, from: Data(string))) ?? String(decoding: string, as: UTF8.self)
}
