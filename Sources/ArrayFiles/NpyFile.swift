/// A NumPy `.npy` file, read as untrusted input. Any range of its elements can be read without the others.
///
/// Opening the file checks the header, and that the file has exactly the size that the header claims. The
/// file is not mapped into memory, so elements that cannot be read are an error and not a signal. Several
/// threads may read the same file. All functions throw a ``FileError`` that names the file and the reason.
public final class NpyFile: Sendable {
  /// The path of the file, as given to ``init(path:)``.
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

  /// Fills `destination` with the stored bytes of the elements from index `first` on, counted in C order from
  /// 0.
  public func read(from first: Int, into destination: UnsafeMutableRawBufferPointer) throws(FileError) {
    try file.read(at: header.dataOffset + first * header.dtype.size, into: destination)
  }

  /// Fills `destination` with the elements from index `first` on. The file's element type must be float32.
  @inline(__always)
  public func read(from first: Int, into destination: UnsafeMutableBufferPointer<Float>) throws(FileError) {
    assert(header.dtype == .float32, "not an array of Float")
    try read(from: first, into: UnsafeMutableRawBufferPointer(destination))
  }

  /// Tells the system that reads will be scattered, so that it does not read ahead.
  public func expectRandomReads() { file.expectRandomReads() }

  /// Asks the system to begin reading the `count` elements from index `first` on, and returns without
  /// waiting.
  public func prefetch(from first: Int, count: Int) {
    file.prefetch(at: header.dataOffset + first * header.dtype.size, count: count * header.dtype.size)
  }
}
