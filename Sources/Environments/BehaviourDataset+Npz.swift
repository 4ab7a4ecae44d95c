import ArrayFiles

extension BehaviourDataset {
  /// Writes the dataset to `path` as an `.npz` file in OGBench's format: `observations`, `actions`, `qpos`,
  /// `qvel` (rows, 2) as float32 and `terminals` (rows) as bool.
  ///
  /// The file appears under its name when it is complete. Throws `FileError` of kind `.unwritable`.
  public func write(to path: String) throws(FileError) {
    let file = try NpzWriter(path: path)
    try file.add("observations", observations, shape: [rows, 2])
    try file.add("actions", actions, shape: [rows, 2])
    try file.add("terminals", terminals, shape: [rows])
    try file.add("qpos", qpos, shape: [rows, 2])
    try file.add("qvel", qvel, shape: [rows, 2])
    try file.finish()
  }
}
