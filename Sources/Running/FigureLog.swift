import ProtobufFiles

/// Figures by update: a row of a CSV file, and the same numbers as scalars of TensorBoard.
final class FigureLog {
  private let csv: CSVFile
  /// How many values a row has.
  var columnCount: Int { csv.columns.count }
  private let events: EventFile
  private let group: ([String?]) -> String

  /// Opens the CSV file for appending. TensorBoard's file `events` begins with the row of `step`, if that stays.
  ///
  /// - Parameters:
  ///   - step: the update that the run starts or continues from.
  ///   - group: what stands before a column's name in the tags of a row's scalars.
  ///   - keep: as for `CSVFile`.
  init(
    path: String, columns: [String], events: EventFile, from step: Int,
    group: @escaping (_ row: [String?]) -> String, keep: (_ step: Int, _ fields: [Substring]) -> Bool
  ) throws {
    csv = try CSVFile(path: path, columns: columns, keep: keep)
    self.events = events
    self.group = group
    if let row = csv.lastKept, Int(row[0]) == step { try write(row) }
  }

  /// Appends a row, whose first value is the update; nil leaves a field empty.
  func append(_ row: [String?]) throws {
    try csv.append(row)
    try write(row)
  }

  private func write(_ row: [String?]) throws {
    let group = group(row)
    let scalars = zip(csv.columns, row).dropFirst().compactMap { column, text in
      text.flatMap(Float.init).map { (tag: group + column, value: $0) }
    }
    try events.write(step: row[0].flatMap { Int($0) } ?? 0, scalars)
  }
}
