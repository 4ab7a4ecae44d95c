import ArrayFiles

extension BehaviourDataset {
  /// Writes the dataset to `path` as an `.npz` file in OGBench's format: `observations`, `actions`, `qpos`,
  /// `qvel` (rows, 2) as float32 and `terminals` (rows) as bool. Observations that are images are (rows, height, width,
  /// 3) bytes, drawn as they are written.
  ///
  /// The file appears under its name when it is complete. Throws `FileError` of kind `.unwritable`.
  public func write(to path: String) throws(FileError) {
    let file = try NpzWriter(path: path)
    if let image {
      try add(image, to: file)
    } else {
      try file.add("observations", observations, shape: [rows, 2])
    }
    try file.add("actions", actions, shape: [rows, 2])
    try file.add("terminals", terminals, shape: [rows])
    try file.add("qpos", qpos, shape: [rows, 2])
    try file.add("qvel", qvel, shape: [rows, 2])
    try file.finish()
  }

  private func add(_ image: MazeImage, to file: NpzWriter) throws(FileError) {
    let (space, atATime) = (image.observation, 256)
    try file.add("observations", .uint8, shape: [rows] + space.shape) { (append) throws(FileError) in
      let drawn = UnsafeMutableRawBufferPointer.allocate(byteCount: atATime * space.byteCount, alignment: 16)
      defer { drawn.deallocate() }
      for first in stride(from: 0, to: rows, by: atATime) {
        let count = min(atATime, rows - first)
        for row in 0..<count {
          let position = SIMD2(Double(qpos[2 * (first + row)]), Double(qpos[2 * (first + row) + 1]))
          image.draw(position, to: drawn.baseAddress! + row * space.byteCount)
        }
        try append(UnsafeRawBufferPointer(rebasing: drawn[..<(count * space.byteCount)]))
      }
    }
  }
}
