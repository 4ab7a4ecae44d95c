import Foundation

/// A CSV file of a run. Damaged lines are skipped: the file may be unfinished, cut off or damaged.
package struct CSVTable {
  let columns: [String]
  /// The undamaged rows, sorted by their first column, the update.
  private(set) var rows: [[Substring]] = []
  /// The number of damaged lines, which were skipped.
  package private(set) var damagedLines = 0

  /// The largest file that is read, in bytes. Runs write smaller ones.
  static let sizeLimit = 256 << 20

  /// Reads a table from the text of a file.
  package init(_ text: String) {
    // Editors may have ended lines in their own way.
    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    // The text after the last newline is empty, or a row that is being written.
    lines.removeLast()
    columns = lines.first?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) ?? []
    var byStep: [(step: Double, fields: [Substring])] = []
    for line in lines.dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      if fields.count == columns.count, let step = Self.update(fields[0]) {
        byStep.append((step, fields))
      } else {
        damagedLines += 1
      }
    }
    // Runs write rows in the order of updates. The sort keeps the order of rows of the same update.
    rows = byStep.enumerated().sorted { ($0.element.step, $0.offset) < ($1.element.step, $1.offset) }
      .map(\.element.fields)
  }

  /// The update that a field says; nil if it says none. Whole numbers up to the limit are exact as `Double`,
  /// and the page writes them as `Int`.
  private static func update(_ field: Substring) -> Double? {
    guard let number = Double(field), (0...0x1p53).contains(number), number == number.rounded() else {
      return nil
    }
    return number
  }

  /// The table of the rows whose `column` is `value`; the whole table if there is no such column.
  package func filtered(_ column: String, is value: String) -> CSVTable {
    guard let index = columns.firstIndex(of: column) else { return self }
    var table = self
    table.rows = rows.filter { $0[index] == value }
    return table
  }

  /// The table with the last row of each update alone: a run that continues with other settings of evaluation has several.
  var newest: CSVTable {
    var table = self
    table.rows = rows.indices.filter { $0 + 1 == rows.count || rows[$0 + 1][0] != rows[$0][0] }.map {
      rows[$0]
    }
    return table
  }

  /// The table of the rows whose update fits a condition.
  func filtered(_ isWanted: (Double) -> Bool) -> CSVTable {
    var table = self
    table.rows = rows.filter { isWanted(Double($0[0]) ?? 0) }
    return table
  }

  /// The numbers of a column and their updates, without fields that are not numbers; empty if there is no
  /// such column.
  ///
  /// Values that are not finite are kept, because charts show them as gaps.
  package func values(_ column: String) -> [(step: Double, value: Double)] {
    guard let index = columns.firstIndex(of: column) else { return [] }
    return rows.compactMap { row in Double(row[index]).map { (Double(row[0]) ?? 0, $0) } }
  }
}
