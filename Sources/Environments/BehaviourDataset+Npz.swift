import ArrayFiles

extension BehaviourDataset {
  /// Writes OGBench's `.npz` file to `path`: `observations`, `actions`, `qpos`, `qvel` (rows, 2) as float32 and
  /// `terminals` (rows) as bool.
  ///
  /// The file appears under its name when it is complete. Throws `FileError` if it cannot be written.
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
