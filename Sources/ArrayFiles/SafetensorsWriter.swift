import CZlib

/// Writes safetensors files with checksums. The same contents give the same bytes.
public enum SafetensorsWriter {
  /// Writes `metadata` and the float32 `tensors`, sorted by name, to the file `path`.
  ///
  /// The writer adds the CRC-32 of each tensor to the metadata under `crc32/NAME`, and that of the whole
  /// file, computed with zeros in place of its own eight digits, under `crc32`. The caller's keys must not
  /// have these forms. The file is written beside its target, synced, read back and verified, and then
  /// renamed.
  ///
  /// Names must be unique, and each shape must have as many elements as there are values. Throws
  /// ``FileError`` of kind `.unwritable`.
  public static func write(
    path: String, metadata: [String: String],
    tensors: [(name: String, shape: [Int], values: UnsafeBufferPointer<Float>)]
  ) throws(FileError) {
    precondition(!metadata.keys.contains(where: isChecksumKey), "crc32 metadata belong to the writer")
    let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    let checksums = sorted.map { checksum($0.values) }
    let header = header(metadata, sorted, checksums)
    let file = try AtomicFile(path: path)
    try file.write(header, at: 0)
    var offset = header.count
    for tensor in sorted {
      let bytes = UnsafeRawBufferPointer(tensor.values)
      try file.write(bytes, at: offset)
      offset += bytes.count
    }
    try file.synchronize()
    try verify(file)
    try file.commit()
  }

  private static func verify(_ file: AtomicFile) throws(FileError) {
    guard let path = file.temporaryPath else { return }
    do throws(FileError) {
      try SafetensorsFile(path: path).verify()
    } catch {
      let member = error.member.map { "tensor '\($0)' " } ?? ""
      throw FileError(
        .unwritable, file: file.path, reason: "what was written does not read back: \(member)\(error.reason)")
    }
  }

  /// The header's bytes: its length, the JSON and padding. The file's checksum is filled in.
  private static func header(
    _ metadata: [String: String],
    _ tensors: [(name: String, shape: [Int], values: UnsafeBufferPointer<Float>)],
    _ checksums: [UInt]
  ) -> [UInt8] {
    var strings = metadata
    strings[checksumKey] = "00000000"
    for (tensor, checksum) in zip(tensors, checksums) {
      strings[checksumKey(of: tensor.name)] = hexadecimal(checksum, digits: 8)
    }
    let sorted = strings.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let pairs = sorted.map { "\(quoted($0.key)):\(quoted($0.value))" }
    var json = "{\"__metadata__\":{" + pairs.joined(separator: ",") + "}"
    var offset = 0
    for tensor in tensors {
      precondition(elementCount(shape: tensor.shape) == tensor.values.count, "\(tensor.name): wrong shape")
      let end = offset + tensor.values.count * 4
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      json +=
        ",\(quoted(tensor.name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}"
      offset = end
    }
    json += "}"
    return sealed(Array(json.utf8), tensors.map { $0.values.count * 4 }, checksums)
  }

  /// `json` with its length in front and padding to a multiple of 8 bytes after it. The file's checksum
  /// replaces the zeros that `json` holds in its place.
  private static func sealed(_ json: [UInt8], _ sizes: [Int], _ checksums: [UInt]) -> [UInt8] {
    let length = (json.count + 7) / 8 * 8
    var header = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + json
    header += [UInt8](repeating: 0x20, count: length - json.count)
    var whole = crc32_z(0, header, header.count)
    for (size, checksum) in zip(sizes, checksums) { whole = crc32_combine(whole, checksum, size) }
    // Inside a string a quote has a backslash before it. A match without a backslash is the key itself.
    let field = Array("\"\(checksumKey)\":\"00000000\"".utf8)
    let key = header.indices.first {
      header[$0...].starts(with: field) && header[$0 - 1] != UInt8(ascii: "\\")
    }!
    let start = key + field.count - 9
    header.replaceSubrange(start..<start + 8, with: hexadecimal(whole, digits: 8).utf8)
    return header
  }

  private static func checksum(_ values: UnsafeBufferPointer<Float>) -> UInt {
    values.withMemoryRebound(to: UInt8.self) { crc32_z(0, $0.baseAddress, $0.count) }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\" + String(scalar)
      case "\u{0}"..<" ": result += "\\u" + hexadecimal(scalar.value, digits: 4)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
