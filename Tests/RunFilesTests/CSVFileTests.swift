import ArrayFiles
import Basics
import Foundation
import Running
import TestSupport
import Testing

/// Tables to which a run appends.
@Suite struct CSVFileTests {
  private let folder = TemporaryDirectory()
  private var path: String { folder.file("table.csv") }

  private func open(
    keep: (Int, [String]) -> Bool = { _, _ in true }, warn: (String) -> Void = { _ in }
  ) throws -> CSVFile {
    try CSVFile(path: path, columns: ["step", "a", "b"], warn: warn, keep: keep)
  }

  private var text: String { get throws { try String(contentsOfFile: path, encoding: .utf8) } }

  @Test func aNewFileHasItsHeader() throws {
    _ = try open()
    #expect(try text == "step,a,b\n")
  }

  @Test func anEmptyFileGetsItsHeader() throws {
    _ = try folder.write("", to: "table.csv")
    _ = try open()
    #expect(try text == "step,a,b\n")
  }

  @Test func rowsAreAppendedAsTheyCome() throws {
    let file = try open()
    try file.append(["5", "1", "2"])
    try file.append(["10", nil, "x"])
    #expect(try text == "step,a,b\n5,1,2\n10,,x\n")
  }

  @Test func rowsThatWereThereStay() throws {
    _ = try folder.write("step,a,b\n5,1,2\n10,,x\n", to: "table.csv")
    try open().append(["15", "3", "4"])
    #expect(try text == "step,a,b\n5,1,2\n10,,x\n15,3,4\n")
  }

  @Test(arguments: ["10,3,4", "10,3", "1", "10,3,"]) func aLastLineThatWasCutOffIsDropped(rest: String) throws
  {
    _ = try folder.write("step,a,b\n5,1,2\n" + rest, to: "table.csv")
    try open().append(["10", "5", "6"])
    #expect(try text == "step,a,b\n5,1,2\n10,5,6\n")
  }

  @Test func rowsThatAreNotKeptAreDropped() throws {
    _ = try folder.write("step,a,b\n5,1,2\n10,3,4\n15,5,6\n", to: "table.csv")
    _ = try open { step, fields in step < 15 && fields[1] != "1" }
    #expect(try text == "step,a,b\n10,3,4\n")
  }

  /// Whoever wrote them may still need them.
  @Test func linesThatAreNoRowsStayAndAreReported() throws {
    let lines =
      Data("step,a,b\n5,1,2\nx,1,2\n\n7,1\n".utf8) + Data([0xFF, 0x0A]) + Data("10,3,4\n# mine".utf8)
    try lines.write(to: URL(fileURLWithPath: path))
    var warnings: [String] = []
    _ = try open(warn: { warnings.append($0) })
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == lines + Data([0x0A]))
    #expect(
      warnings.count == 1
        && warnings[0].contains("table.csv: 5 line(s) are no rows of this run, line 3 first"))
  }

  @Test func aFileThatCannotBeReadIsNotEmptied() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(throws: FileError.self) { try open() }
  }

  @Test func aFileInWhichNothingChangesIsNotRewritten() throws {
    _ = try folder.write("step,a,b\n5,1,2\n", to: "table.csv")
    var (before, after) = (stat(), stat())
    stat(path, &before)
    _ = try open()
    stat(path, &after)
    #expect(before.st_ino == after.st_ino)
  }

  @Test func theLastRowThatStaysIsKnown() throws {
    _ = try folder.write("step,a,b\n5,1,2\n10,,4\n15,5,6\n", to: "table.csv")
    #expect(try open { step, _ in step <= 10 }.lastKept == [["10", "", "4"]])
  }

  @Test func aNewFileHasNoLastRow() throws {
    #expect(try open().lastKept == [])
  }

  @Test(arguments: ["step,a\n5,1\n", "step,b,a\n", "step,a,b,c\n5,1,2,3\n", "5,1,2\n", "step,a,b"])
  func aFileWithOtherColumnsIsRefused(other: String) throws {
    _ = try folder.write(other, to: "table.csv")
    let failure = #expect(throws: Failure.self) { try open() }
    #expect(
      failure?.code == .configuration && failure?.message.contains("table.csv: has other columns") == true)
  }

  @Test func aFileThatIsRefusedIsLeftAsItIs() throws {
    _ = try folder.write("step,c\n5,1\n10", to: "table.csv")
    _ = try? open()
    #expect(try text == "step,c\n5,1\n10")
  }

  @Test func aPlaceThatCannotBeWrittenIsRefused() throws {
    let error = #expect(throws: FileError.self) {
      try CSVFile(
        path: folder.file("no/table.csv"), columns: ["step"], warn: { _ in }, keep: { _, _ in true })
    }
    #expect(error?.code == .cannotCreate && error?.description.contains("no/table.csv") == true)
  }
}
