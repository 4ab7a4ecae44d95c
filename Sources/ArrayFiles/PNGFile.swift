import CZlib

/// Images in the PNG format.
public enum PNGFile {
  /// The bytes of a file with an image of 8-bit red, green and blue.
  ///
  /// - Parameter pixels: height × width × 3 bytes.
  public static func bytes(_ pixels: [UInt8], height: Int, width: Int) -> [UInt8] {
    precondition(pixels.count == height * width * 3, "not the pixels of such an image")
    let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    // 8 bits a channel, colour type 2 (red, green, blue), and the only compression, filter and order there are.
    let header = big(UInt32(width)) + big(UInt32(height)) + [8, 2, 0, 0, 0]
    // Each line begins with the number of its filter: none.
    var lines: [UInt8] = []
    for y in 0..<height {
      lines.append(0)
      lines += pixels[y * width * 3..<(y + 1) * width * 3]
    }
    return signature + chunk("IHDR", header) + chunk("IDAT", compressed(lines)) + chunk("IEND", [])
  }

  private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(name.utf8) + data
    return big(UInt32(data.count)) + body + big(UInt32(crc32_z(0, body, body.count)))
  }

  private static func compressed(_ bytes: [UInt8]) -> [UInt8] {
    var count = compressBound(UInt(bytes.count))
    var output = [UInt8](repeating: 0, count: Int(count))
    let status = compress(&output, &count, bytes, UInt(bytes.count))
    precondition(status == Z_OK, "zlib cannot compress: out of memory")
    return Array(output[..<Int(count)])
  }

  /// The bytes of a number, most significant first.
  private static func big(_ value: UInt32) -> [UInt8] { little(value).reversed() }
}
