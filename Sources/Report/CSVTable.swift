import Foundation

/// A CSV file of a run, read as far as it can be: it may be unfinished, cut off or damaged.
struct CSVTable {
  let columns: [String]
  /// Whole rows in the order of their first column, the update; a row for each update.
  private(set) var rows: [[Substring]] = []
  /// Lines that were passed over.
  private(set) var damagedLines = 0

  /// Files beyond this size are not what a run writes.
  static let sizeLimit = 256 << 20

  /// Reads what `text` holds.
  init(_ text: String) {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    // What follows the last newline is empty, or a row that is just being written.
    lines.removeLast()
    columns = lines.first?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) ?? []
    var byStep: [(step: Double, fields: [Substring])] = []
    for line in lines.dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      if fields.count == columns.count, let step = Double(fields[0]), step.isPlottable {
        byStep.append((step, fields))
      } else {
        damagedLines += 1
      }
    }
    // Runs write in order; sorting keeps that order for rows of the same update.
    rows = byStep.enumerated().sorted { ($0.element.step, $0.offset) < ($1.element.step, $1.offset) }
      .map(\.element.fields)
  }

  /// The rows whose `column` is `value`; all when there is no such column.
  func filtered(_ column: String, is value: String) -> CSVTable {
    guard let index = columns.firstIndex(of: column) else { return self }
    var table = self
    table.rows = rows.filter { $0[index] == value }
    return table
  }

  /// A column's numbers by update, without those that are missing; empty when there is no such column.
  ///
  /// What is not finite stays, to be seen as a gap.
  func values(_ column: String) -> [(step: Double, value: Double)] {
    guard let index = columns.firstIndex(of: column) else { return [] }
    return rows.compactMap { row in Double(row[index]).map { (Double(row[0]) ?? 0, $0) } }
  }
}
