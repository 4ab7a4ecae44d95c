/// Writes a NumPy `.npy` file (format 1.0, C order) row by row; the number of rows need not be known in
/// advance.
///
/// The file appears under its name when ``finish()`` has synced it, and never if ``finish()`` is not called.
/// All functions throw ``FileError`` of kind `.unwritable`.
public final class NpyWriter {
  private let file: AtomicFile
  private let dtype: ElementType
  private let rowShape: [Int]
  private let rowBytes: Int
  private var dataBytes = 0

  /// The bytes reserved for the header, as in the files that NumPy writes: enough for any shape of few
  /// dimensions.
  private static let headerBytes = 128

  /// Starts the file that will appear at `path`.
  ///
  /// - Parameters:
  ///   - dtype: the element type; NumPy has no bfloat16.
  ///   - rowShape: the shape of one row, without the dimension that counts rows: empty for one element a row.
  public init(path: String, dtype: ElementType, rowShape: [Int]) throws(FileError) {
    file = try AtomicFile(path: path)
    self.dtype = dtype
    self.rowShape = rowShape
    rowBytes = rowShape.reduce(dtype.size, *)
  }

  /// The number of rows added so far.
  public var rows: Int { dataBytes / rowBytes }

  /// The shape of the array with the rows added so far.
  public var shape: [Int] { [rows] + rowShape }

  /// Appends whole rows, given as the bytes to be stored.
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
