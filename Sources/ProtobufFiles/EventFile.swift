import ArrayFiles
import Foundation

/// A file of events that TensorBoard shows while the file grows.
///
/// The file is a sequence of records, each with checksums of its length and of its data. The data is an
/// `Event` of TensorFlow's event.proto.
public final class EventFile {
  /// The file's path.
  public var path: String { file.path }
  private let file: AppendedFile

  /// Starts a new file in `directory`, which readers will read after the event files already there.
  ///
  /// - Parameter step: readers drop the values that older files have for this step and later ones.
  /// - Throws: `FileError` of kind `.unwritable`.
  public init(directory: String, from step: Int) throws(FileError) {
    file = try AppendedFile(path: directory + "/" + (try Self.name(after: directory)), isNew: true)
    var version = Self.event(step: 0)
    version.add(3, "brain.Event:2")
    try append(version)
    // A SessionLog with status START makes readers drop the values they have for its step and later ones.
    var session = ProtobufMessage()
    session.add(1, 1)
    var start = Self.event(step: step)
    start.add(7, session)
    try append(start)
  }

  /// Appends scalars of one step.
  ///
  /// - Throws: `FileError` of kind `.unwritable`.
  public func write(step: Int, _ scalars: [(tag: String, value: Float)]) throws(FileError) {
    var summary = ProtobufMessage()
    for scalar in scalars {
      var value = ProtobufMessage()
      value.add(1, scalar.tag)
      value.add(2, scalar.value)
      summary.add(1, value)
    }
    var event = Self.event(step: step)
    event.add(5, summary)
    try append(event)
  }

  /// An event of `step` with the present time.
  private static func event(step: Int) -> ProtobufMessage {
    var event = ProtobufMessage()
    event.add(1, Date().timeIntervalSince1970)
    event.add(2, step)
    return event
  }

  /// Waits until all events are on the storage device.
  ///
  /// - Throws: `FileError` of kind `.unwritable`.
  public func synchronize() throws(FileError) { try file.synchronize() }

  private func append(_ event: ProtobufMessage) throws(FileError) {
    let length = withUnsafeBytes(of: UInt64(event.bytes.count).littleEndian) { Array($0) }
    try file.append(length + maskedChecksum(length) + event.bytes + maskedChecksum(event.bytes))
  }

  private static var host: String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The name `events.out.tfevents.SECONDS.HOST.PROCESS.0`. Readers take files in the order of their names,
  /// so SECONDS is greater than in all names already in the directory, even if the clock went back.
  private static func name(after directory: String) throws(FileError) -> String {
    let prefix = "events.out.tfevents."
    let last = try namesIfPresent(in: directory).filter { $0.hasPrefix(prefix) }.compactMap {
      Int($0.dropFirst(prefix.count).prefix { $0 != "." })
    }.max()
    let seconds = max(Int(Date().timeIntervalSince1970), (last ?? 0) &+ 1)
    return "\(prefix)\(seconds).\(host).\(getpid()).0"
  }
}

/// The masked CRC-32C of `bytes`: four bytes, least significant first. Records hold checksums rotated and
/// offset, because the CRC of data that itself contains CRCs detects errors poorly.
private func maskedChecksum(_ bytes: [UInt8]) -> [UInt8] {
  let crc = ~bytes.reduce(~0 as UInt32) { crc32cTable[Int(($0 ^ UInt32($1)) & 0xFF)] ^ $0 >> 8 }
  let masked = (crc >> 15 | crc << 17) &+ 0xA282_EAD8
  return withUnsafeBytes(of: masked.littleEndian) { Array($0) }
}

/// The CRC-32C of each byte value: remainders by Castagnoli's polynomial with its bits reversed.
private let crc32cTable: [UInt32] = (0..<256).map { byte in
  (0..<8).reduce(UInt32(byte)) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0x82F6_3B78 : rest >> 1 }
}
