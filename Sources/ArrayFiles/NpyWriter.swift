/// Writes a NumPy `.npy` file (format 1.0, C order) part by part; the number of rows need not be known before the end.
///
/// The file appears under its name when ``finish()`` has synced it; without that nothing appears. All functions throw
/// ``FileError`` of kind `.unwritable`.
public final class NpyWriter {
  private let file: AtomicFile
  private let dtype: ElementType
  private let rowShape: [Int]
  private let rowBytes: Int
  private var dataBytes = 0

  /// The header's room: that of any shape of few dimensions, as NumPy writes it too.
  private static let headerBytes = 128

  /// Starts the file that will appear at `path`.
  ///
  /// - Parameters:
  ///   - dtype: the element type, one that NumPy has.
  ///   - rowShape: the dimensions behind the first one: empty for one element a row.
  public init(path: String, dtype: ElementType, rowShape: [Int]) throws(FileError) {
    file = try AtomicFile(path: path)
    self.dtype = dtype
    self.rowShape = rowShape
    rowBytes = rowShape.reduce(dtype.size, *)
  }

  /// Rows added so far.
  public var rows: Int { dataBytes / rowBytes }

  /// The shape with these rows.
  public var shape: [Int] { [rows] + rowShape }

  /// Adds the bytes of whole rows, as they are to be stored.
  public func append(_ rows: UnsafeRawBufferPointer) throws(FileError) {
    precondition(rows.count % rowBytes == 0, "not a whole number of rows")
    try file.write(rows, at: Self.headerBytes + dataBytes)
    dataBytes += rows.count
  }

  /// Writes the header, syncs the file and makes it appear under its name.
  public func finish() throws(FileError) {
    let header = NpyHeader.bytes(dtype, shape, length: Self.headerBytes)
    try file.write(header, at: 0)
    try file.synchronize()
    try file.commit()
  }
}
