import Kernels

/// The columns of a network's input that features of images take, and the way of their gradient to the encoder.
final class EncodedColumns<T: Real> {
  let encoder: Encoder<T>
  /// Where the features stand in the input.
  let columns: Range<Int>
  /// The gradient of the loss by the features in each row of the input.
  let gradient: Matrix<T>
  /// The image of moment 0 whose features each row holds; −1 for other moments.
  private let images: UnsafeMutablePointer<Int32>
  private let workspace = Workspace<T>()

  /// - Parameters:
  ///   - rows: rows of the network's input.
  ///   - trains: whether backward passes follow.
  init(_ encoder: Encoder<T>, column: Int, rows: Int, trains: Bool) {
    self.encoder = encoder
    columns = column..<column + encoder.shape.features
    gradient = workspace.matrix(rows: trains ? rows : 0, columns: encoder.shape.features)
    images = .allocate(capacity: rows)
    images.initialize(repeating: -1, count: rows)
  }

  deinit { images.deallocate() }

  /// A row of the input ← the features of an image.
  ///
  /// - Parameters:
  ///   - all: the images of the moment, one behind the other.
  ///   - image: the number of one of them.
  @specialized(where T == Float)
  func place(
    _ all: UnsafePointer<UInt8>, moment: Int, image: Int, into row: UnsafeMutablePointer<T>, number: Int
  ) {
    let features = encoder.encode(all, moment: moment)
    (row + columns.lowerBound).update(from: features.row(image), count: columns.count)
    images[number] = moment == 0 ? Int32(image) : -1
  }

  /// Adds `gradient` of some rows to the encoder's.
  @specialized(where T == Float)
  func passOn(_ rows: Range<Int>) {
    for row in rows {
      precondition(images[row] >= 0, "gradients reach an encoder at the images of moment 0")
      T.add(gradient.row(row), to: encoder.gradient.row(Int(images[row])), count: columns.count)
    }
    encoder.hasGradient = true
  }
}
