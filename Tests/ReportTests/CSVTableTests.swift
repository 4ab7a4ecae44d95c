import Report
import Testing

/// Tables that other programs may have damaged.
@Suite struct CSVTableTests {
  private func steps(_ table: CSVTable) -> [Double] { table.values("a").map(\.step) }

  @Test func valuesComeWithTheirUpdates() {
    let values = CSVTable("step,a,b\n10,1,2\n20,3,4\n").values("b")
    #expect(values.map(\.step) == [10, 20] && values.map(\.value) == [2, 4])
  }

  @Test func aLastLineWithoutItsEndDoesNotCount() {
    let table = CSVTable("step,a\n10,1\n20,3")
    #expect(steps(table) == [10] && table.damagedLines == 0)
  }

  @Test(arguments: [
    "x,1", "10", "10,1,2", "nan,1", "inf,1", "1e300,1", "", "-1,1", "7.5,1", "9007199254740994,1",
    "9223372036854775807,1", "99999999999999999999,1", "1e19,1", "9.3e18,1", "0x1p70,1",
  ]) func damagedLinesAreCountedAndSkipped(line: String) {
    let table = CSVTable("step,a\n5,1\n\(line)\n15,1\n")
    #expect(steps(table) == [5, 15] && table.damagedLines == 1)
  }

  @Test func theFirstAndTheLargestUpdateCount() {
    let table = CSVTable("step,a\n0,1\n9007199254740992,1\n")
    #expect(steps(table) == [0, 0x1p53] && table.damagedLines == 0)
  }

  @Test func rowsAreSortedByTheirUpdate() {
    #expect(steps(CSVTable("step,a\n20,1\n5,1\n10,1\n")) == [5, 10, 20])
  }

  @Test func rowsOfTheSameUpdateStayInTheirOrder() {
    #expect(CSVTable("step,a\n5,3\n5,1\n5,2\n").values("a").map(\.value) == [3, 1, 2])
  }

  @Test func fieldsThatAreNoNumbersAreLeftOut() {
    #expect(steps(CSVTable("step,a\n5,\n10,x\n15,1\n")) == [15])
  }

  @Test func valuesThatAreNotFiniteStay() {
    let values = CSVTable("step,a\n5,nan\n10,-inf\n").values("a").map(\.value)
    #expect(values.count == 2 && values[0].isNaN && values[1] == -.infinity)
  }

  @Test func aColumnThatIsNotThereHasNoValues() {
    #expect(CSVTable("step,a\n5,1\n").values("b").isEmpty)
  }

  @Test func rowsCanBeChosenByAColumn() {
    let table = CSVTable("step,actor,a\n5,x,1\n10,y,2\n15,x,3\n").filtered("actor", is: "x")
    #expect(table.values("a").map(\.value) == [1, 3])
  }

  @Test func withoutThatColumnAllRowsAreChosen() {
    #expect(steps(CSVTable("step,a\n5,1\n").filtered("actor", is: "x")) == [5])
  }

  @Test(arguments: ["", "step,a", "\n\n", "step,a\n"]) func aFileWithoutRowsHasNone(text: String) {
    #expect(steps(CSVTable(text)).isEmpty)
  }
}
