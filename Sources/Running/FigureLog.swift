import ProtobufFiles

/// Figures by update: a row of a CSV file, and the same numbers as scalars of TensorBoard.
package final class FigureLog {
  private let csv: CSVFile
  /// How many values a row has.
  var columnCount: Int { csv.columns.count }
  private let events: EventFile
  private let group: ([String?]) -> String

  /// Opens the CSV file for appending. TensorBoard's file `events` begins with the rows of `step`, if they stay.
  ///
  /// - Parameters:
  ///   - step: the update that the run starts or continues from.
  ///   - group: what stands before a column's name in the tags of a row's scalars.
  ///   - warn: as for `CSVFile`, and `keep`, too.
  package init(
    path: String, columns: [String], events: EventFile, from step: Int,
    group: @escaping (_ row: [String?]) -> String, warn: (String) -> Void,
    keep: (_ step: Int, _ fields: [String]) -> Bool
  ) throws {
    csv = try CSVFile(path: path, columns: columns, warn: warn, keep: keep)
    self.events = events
    self.group = group
    for row in csv.lastKept where Int(row[0]) == step { try write(row) }
  }

  /// Appends a row, whose first value is the update; nil leaves a field empty.
  package func append(_ row: [String?]) throws {
    try csv.append(row)
    try write(row)
  }

  /// Waits until all rows are on the storage device, and what TensorBoard reads.
  package func synchronize() throws {
    try csv.synchronize()
    try events.synchronize()
  }

  private func write(_ row: [String?]) throws {
    let group = group(row)
    let scalars = zip(csv.columns, row).dropFirst().compactMap { column, text in
      text.flatMap(Float.init).map { (tag: group + column, value: $0) }
    }
    try events.write(step: row[0].flatMap { Int($0) } ?? 0, scalars)
  }
}
