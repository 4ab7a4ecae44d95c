import Foundation
import ProtobufFiles
import Running
import TestSupport
import Testing

/// Figures as rows of a table and as TensorBoard's scalars.
@Suite struct FigureLogTests {
  private let folder = TemporaryDirectory()

  /// A scalar of an event file.
  private struct Scalar: Equatable, CustomStringConvertible {
    let step: Int
    let tag: String
    let value: Float
    var description: String { "\(tag)@\(step)=\(value)" }

    init(_ step: Int, _ tag: String, _ value: Float) {
      (self.step, self.tag, self.value) = (step, tag, value)
    }
  }

  /// A log with two figures that continues from an update, and its event file.
  private func open(
    from step: Int = 0, keep: @escaping (Int) -> Bool = { _ in true },
    group: @escaping ([String?]) -> String = { _ in "" }
  ) throws -> (log: FigureLog, events: EventFile) {
    let events = try EventFile(directory: folder.path, from: step)
    let log = try FigureLog(
      path: folder.file("table.csv"), columns: ["step", "a", "b"], events: events, from: step, group: group,
      warn: { _ in }
    ) { step, _ in keep(step) }
    return (log, events)
  }

  /// The events of a file, without the one that names the format. A record has its length in eight bytes, a checksum
  /// of four, the event, and its checksum.
  private func records(_ events: EventFile) throws -> [ProtobufFields] {
    var rest = ArraySlice(try Data(contentsOf: URL(fileURLWithPath: events.path)))
    var records: [ProtobufFields] = []
    while !rest.isEmpty {
      let length = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      try #require(rest.count >= length + 16)
      records.append(try ProtobufFields(rest.dropFirst(12).prefix(length)))
      rest = rest.dropFirst(length + 16)
    }
    return Array(records.dropFirst())
  }

  private func scalars(_ events: EventFile) throws -> [Scalar] {
    try records(events).flatMap { event in
      try event.messages(5).flatMap { try $0.messages(1) }.map { value in
        Scalar(
          event.integers(2).first ?? 0, try #require(value.texts(1).first),
          try #require(value.floats(2).first))
      }
    }
  }

  @Test func everyNumberOfARowIsAScalar() throws {
    let (log, events) = try open()
    try log.append(["5", "0.5", "-2"])
    #expect(try scalars(events) == [Scalar(5, "a", 0.5), Scalar(5, "b", -2)])
  }

  @Test func rowsAreAlsoInTheTable() throws {
    let (log, _) = try open()
    try log.append(["5", "0.5", nil])
    #expect(try String(contentsOfFile: folder.file("table.csv"), encoding: .utf8) == "step,a,b\n5,0.5,\n")
  }

  @Test func emptyFieldsAndWordsAreNoScalars() throws {
    let (log, events) = try open()
    try log.append(["5", nil, "word"])
    #expect(try scalars(events) == [])
  }

  @Test func theRowsGroupStandsBeforeItsColumns() throws {
    let (log, events) = try open(group: { "of/\($0[1] ?? "")/" })
    try log.append(["5", "policy", "1"])
    #expect(try scalars(events) == [Scalar(5, "of/policy/b", 1)])
  }

  @Test func eventsSayWhereTheRunContinues() throws {
    let (_, events) = try open(from: 40)
    let start = try #require(try records(events).first)
    #expect(start.integers(2) == [40])
    #expect(try start.messages(7).map { $0.integers(1) } == [[1]])
  }

  /// Readers drop what older files have for that update, so it must be in the new file.
  @Test func theRowWhereARunContinuesIsRepeatedInItsEvents() throws {
    _ = try folder.write("step,a,b\n5,1,2\n10,3,4\n15,5,6\n", to: "table.csv")
    let (_, events) = try open(from: 10, keep: { $0 <= 10 })
    #expect(try scalars(events) == [Scalar(10, "a", 3), Scalar(10, "b", 4)])
  }

  /// An update may have several rows, one for each actor.
  @Test func allRowsOfThatUpdateAreRepeated() throws {
    _ = try folder.write("step,a,b\n5,1,2\n10,3,4\n10,5,6\n", to: "table.csv")
    let (_, events) = try open(from: 10)
    #expect(try scalars(events).map(\.value) == [3, 4, 5, 6])
  }

  @Test func earlierRowsAreNotRepeatedInEvents() throws {
    _ = try folder.write("step,a,b\n5,1,2\n", to: "table.csv")
    let (_, events) = try open(from: 10)
    #expect(try scalars(events) == [])
  }
}
