/// A NumPy `.npy` file, read as untrusted input: any elements of it, without the rest.
///
/// The header is checked when the file is opened, and that the file has exactly the bytes it claims. The file is not
/// mapped into memory: elements that disappear or cannot be read are an error, not a signal. It may be read from
/// several threads.
public final class NpyFile: Sendable {
  /// The path it was opened by.
  public let path: String
  /// Element type and shape.
  public let header: NpyHeader
  private let file: RandomAccessFile

  /// Opens the file at `path`, which must not be a symbolic link.
  public init(path: String) throws(FileError) {
    let file = try RandomAccessFile(path: path, followsLinks: false)
    var position = 0
    header = try NpyHeader.read(path, nil, size: file.size) { (count) throws(FileError) in
      defer { position += count }
      return try file.bytes(at: position, count: count)
    }
    self.path = path
    self.file = file
  }

  /// Fills `destination` with the bytes of the elements from number `first` on, as they are stored.
  public func read(from first: Int, into destination: UnsafeMutableRawBufferPointer) throws(FileError) {
    try file.read(at: header.dataOffset + first * header.dtype.size, into: destination)
  }

  /// Fills `destination` with elements from number `first` on; they are stored as Float.
  @inline(__always)
  public func read(from first: Int, into destination: UnsafeMutableBufferPointer<Float>) throws(FileError) {
    assert(header.dtype == .float32, "not an array of Float")
    try read(from: first, into: UnsafeMutableRawBufferPointer(destination))
  }

  /// Tells the system that elements will be read here and there, so that it does not read on behind them.
  public func expectRandomReads() { file.expectRandomReads() }

  /// Lets the system begin to read `count` elements from number `first` on, without waiting for them.
  public func prefetch(from first: Int, count: Int) {
    file.prefetch(at: header.dataOffset + first * header.dtype.size, count: count * header.dtype.size)
  }
}
