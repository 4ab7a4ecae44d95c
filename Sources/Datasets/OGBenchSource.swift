import ArrayFiles
import Basics
import Foundation

/// Computes the reward r(s) and the mask of a transition from what a file holds of its first state s: the observation (O
/// numbers), or the numbers of another member.
public typealias RewardRule = @Sendable (UnsafeBufferPointer<Float>) -> (reward: Float, mask: Float)

/// A dataset in OGBench's format: one `.npz` file, or a directory of them (file shards). Opening it checks
/// headers and `terminals`.
///
/// Members: `observations` (rows, O), or (rows, height, width, 3) bytes for images, `actions` (rows, A), `terminals` (rows), and optionally `rewards` and
/// `masks` (rows), of any number type. `terminals` is 1 on the last row of each episode, whose action
/// is not used, and 0 on the others. `timeouts` or `truncations` (rows), if a file has them, are 1 where an episode was cut
/// off: it ends there, too. Transition i leads from row i to row i + 1 wherever no episode ends in row i. An
/// episode also ends where its file ends.
public struct OGBenchSource: DatasetSource {
  /// The path of the file or directory, or another name by which messages call it.
  public let path: String
  /// The sizes of the dataset and its layout in memory.
  public let plan: DatasetPlan
  /// Whether the files have the members `rewards` and `masks`.
  public let hasRewards: Bool
  public var provenance: [String: String] {
    let names = Set(shards.flatMap(\.unusedMembers)).sorted()
    return names.isEmpty ? [:] : ["members that are not used": names.joined(separator: ", ")]
  }
  /// The paths of the files, in order.
  public var files: [String] { shards.map(\.file.path) }
  private let shards: [OGBenchShard]
  private let rule: RewardRule?
  private let ruleMember: String

  /// Opens the file `path`, or all `.npz` files of the directory `path` in the order of their names, except
  /// those that end in `-val.npz`. Throws ``FileError`` if a member is missing or its shape or type is wrong,
  /// if files differ in sizes, dtypes or members, or if there is no episode or no transition.
  ///
  /// - Parameters:
  ///   - rule: computes rewards and masks when the files have none.
  ///   - member: names the member whose rows the rule needs.
  public init(
    path: String, called name: String? = nil, rewards rule: RewardRule? = nil,
    from member: String = "observations"
  ) throws(FileError) {
    self.path = name ?? path
    self.rule = rule
    ruleMember = member
    shards = try Self.open(path)
    hasRewards = shards[0].hasRewards
    plan = try Self.plan(shards, path)
  }

  /// Calls `body` with blocks of consecutive rows until all rows have been passed. `first` is the number of
  /// the block's first row in `file`. Values are not checked, except that `terminals` must not contain NaN.
  /// Throws ``FileError`` if the files cannot be read, or if they have no rewards and masks and there is no
  /// rule for them.
  public func forEachBlock(
    _ body: (_ rows: RowBlock, _ file: String, _ first: Int) throws(FileError) -> Void
  ) throws(FileError) {
    guard hasRewards || rule != nil else {
      throw FileError(
        .malformed, file: path,
        reason:
          "has no rewards and masks; add members 'rewards' and 'masks', one number per row, or name a task "
          + "whose rewards are known")
    }
    let block = RowBlock(observation: plan.observation, actionSize: plan.actionSize)
    for shard in shards {
      let reader = try ShardReader(shard, rule, ruleMember)
      var first = 0
      while first < shard.rows {
        try reader.read(into: block)
        try body(block, shard.file.path, first)
        first += block.rows
      }
    }
  }

  /// Computes the statistics without keeping the data. Actions outside [−1, 1] are counted, not refused.
  public func survey() throws(FileError) -> DatasetStatistics {
    var survey = DatasetSurvey(bounds: .clip)
    try forEachBlock { (rows, file, first) throws(FileError) in try survey.add(rows, from: file, row: first) }
    return survey.statistics
  }

  public func load(into block: UnsafeMutableRawBufferPointer) throws(FileError) -> DatasetStatistics {
    var survey = DatasetSurvey(bounds: .refuse)
    var memory = DatasetMemory(plan, block)
    let changed = FileError(.malformed, file: path, reason: "changed while it was read")
    try forEachBlock { (rows, file, first) throws(FileError) in
      try survey.add(rows, from: file, row: first)
      guard memory.append(rows) else { throw changed }
    }
    guard memory.isComplete else { throw changed }
    return survey.statistics
  }

  /// The validation file that OGBench puts beside a dataset: `NAME-val.npz` for `NAME.npz`; for a directory,
  /// the validation file of its first file. Nil if there is none.
  public static func companionPath(of path: String) -> String? {
    guard let first = try? shardPaths(path).first, first.hasSuffix(".npz") else { return nil }
    let companion = String(first.dropLast(4)) + validationSuffix
    return FileManager.default.fileExists(atPath: companion) ? companion : nil
  }

  private static let validationSuffix = "-val.npz"

  /// Whether the next state of a row of a file is the row after it, and not in a member of its own.
  public static func hasRowsInOrder(_ file: NpzFile) -> Bool {
    !OGBenchShard.nextMembers.contains { file.contains($0) }
  }

  private static func shardPaths(_ path: String) throws(FileError) -> [String] {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue
    else {
      return [path]
    }
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw FileError(.missing, file: path, reason: "the directory cannot be read")
    }
    let shards = names.filter {
      $0.hasSuffix(".npz") && !$0.hasSuffix(validationSuffix) && !$0.hasPrefix(".")
    }
    guard !shards.isEmpty else {
      throw FileError(.missing, file: path, reason: "the directory has no .npz files other than *-val.npz")
    }
    return shards.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { "\(path)/\($0)" }
  }

  private static func open(_ path: String) throws(FileError) -> [OGBenchShard] {
    var shards: [OGBenchShard] = []
    for path in try shardPaths(path) {
      let shard = try OGBenchShard(path: path)
      if let first = shards.first { try shard.checkAgreement(with: first) }
      shards.append(shard)
    }
    return shards
  }

  /// The sizes of all files together. Counts the episodes by reading the terminals.
  private static func plan(_ shards: [OGBenchShard], _ path: String) throws(FileError) -> DatasetPlan {
    var (rows, episodes, hasEnd) = (0, 0, false)
    for shard in shards {
      let reader = try TerminalReader(shard)
      var terminals = [UInt8](repeating: 0, count: 65_536)
      while reader.remaining > 0 {
        let count = min(reader.remaining, terminals.count)
        try reader.read(count, into: &terminals)
        episodes += terminals[..<count].count { $0 != 0 }
      }
      hasEnd = hasEnd || reader.hasEnd
      rows += shard.rows
    }
    guard hasEnd else {
      throw FileError(
        .malformed, file: path, member: "terminals",
        reason: "is zero everywhere: no episodes; set it to 1 on the last row of each")
    }
    guard episodes < rows else {
      throw FileError(
        .malformed, file: path, member: "terminals", reason: "ends an episode on every row: no transitions")
    }
    return DatasetPlan(
      rows: rows, episodes: episodes, observation: shards[0].observation,
      actionSize: shards[0].actionSize)
  }
}

/// Reads the rows of one file, from first to last.
private final class ShardReader {
  private let shard: OGBenchShard
  private let rule: RewardRule?
  private let observations: NpzArrayReader
  private let actions: NpzArrayReader
  private let terminals: TerminalReader
  private let rewards: NpzArrayReader?
  private let masks: NpzArrayReader?
  /// What the rule needs of the rows, where it does not need the observations.
  private let states: NpzArrayReader?

  init(_ shard: OGBenchShard, _ rule: RewardRule?, _ member: String) throws(FileError) {
    self.shard = shard
    self.rule = rule
    let needed = rule == nil || shard.hasRewards ? nil : member
    guard needed != "observations" || !shard.observation.isImage else {
      throw FileError(
        .malformed, file: shard.file.path, member: member,
        reason: "has images, from which no rewards can be computed; add members 'rewards' and 'masks'")
    }
    states = needed == nil || needed == "observations" ? nil : try shard.states(member)
    observations = try shard.file.reader("observations")
    actions = try shard.file.reader("actions")
    terminals = try TerminalReader(shard)
    rewards = shard.hasRewards ? try shard.file.reader("rewards") : nil
    masks = shard.hasRewards ? try shard.file.reader("masks") : nil
  }

  /// Fills `block` with the next rows: its capacity, or fewer at the end of the file.
  func read(into block: RowBlock) throws(FileError) {
    block.rows = min(block.capacity, terminals.remaining)
    if shard.observation.isImage {
      try observations.read(
        into: UnsafeMutableBufferPointer(start: block.images, count: block.rows * shard.observation.count))
    } else {
      try observations.read(into: block.floats(of: .observations))
    }
    try actions.read(into: block.floats(of: .actions))
    try terminals.read(block.rows, into: block.terminals)
    if let rewards, let masks {
      try rewards.read(into: block.floats(of: .rewards))
      try masks.read(into: block.floats(of: .masks))
    } else if let rule {
      try label(block, rule)
    }
  }

  private func label(_ block: RowBlock, _ rule: RewardRule) throws(FileError) {
    guard let states else {
      return label(block, rule, block.observations, size: shard.observation.count)
    }
    let size = states.header.shape[1]
    try withUnsafeTemporaryAllocation(of: Float.self, capacity: block.rows * size) {
      (rows) throws(FileError) in
      try states.read(into: rows)
      label(block, rule, rows.baseAddress!, size: size)
    }
  }

  private func label(
    _ block: RowBlock, _ rule: RewardRule, _ states: UnsafePointer<Float>, size: Int
  ) {
    for row in 0..<block.rows {
      let state = UnsafeBufferPointer(start: states + row * size, count: size)
      (block.rewards[row], block.masks[row]) = rule(state)
    }
  }
}

/// Reads the members of a file that say where episodes end, from first to last. The last row of the file always
/// ends an episode.
private final class TerminalReader {
  /// Whether a terminal that is not zero has been read.
  private(set) var hasEnd = false
  private let readers: [(member: OGBenchShard.EndMember, reader: NpzArrayReader)]
  private let path: String
  private var numbers: [Float] = []

  init(_ shard: OGBenchShard) throws(FileError) {
    var readers: [(OGBenchShard.EndMember, NpzArrayReader)] = []
    for member in shard.endMembers { readers.append((member, try shard.file.reader(member.name))) }
    self.readers = readers
    path = shard.file.path
  }

  var remaining: Int { readers[0].reader.remaining }

  /// Reads for the next `count` rows whether an episode ends there, as 0 or 1.
  func read(_ count: Int, into ends: UnsafeMutablePointer<UInt8>) throws(FileError) {
    ends.update(repeating: 0, count: count)
    for (member, reader) in readers { try add(member, reader, count, to: ends) }
    // No row follows, so an unfinished episode ends here.
    if remaining == 0 { ends[count - 1] = 1 }
  }

  private func add(
    _ member: OGBenchShard.EndMember, _ reader: NpzArrayReader, _ count: Int,
    to ends: UnsafeMutablePointer<UInt8>
  ) throws(FileError) {
    if numbers.count < count { numbers = [Float](repeating: 0, count: count) }
    try numbers.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try reader.read(into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
    }
    var wrong: Float?
    for index in 0..<count where numbers[index] != member.goesOn {
      ends[index] = 1
      hasEnd = true
      if numbers[index] != 1 - member.goesOn { wrong = numbers[index] }
    }
    if let wrong {
      let value = wrong.isNaN ? "NaN" : "\(wrong)"
      throw FileError(
        .malformed, file: path, member: member.name, reason: "contains \(value); 0 or 1 is needed")
    }
  }
}

/// One file of a dataset and what its headers say.
struct OGBenchShard: Sendable {
  /// A member that says where episodes end.
  struct EndMember: Sendable {
    let name: String
    /// The number on rows where the episode goes on.
    let goesOn: Float
  }

  let file: NpzFile
  let rows: Int
  let observation: ObservationSpace
  let actionSize: Int
  let hasRewards: Bool
  /// The members that say where episodes end: ``valids`` alone if the file has it; else `terminals`, and those of
  /// ``cutMembers`` that the file has.
  let endMembers: [EndMember]
  private let dtypes: [String: ElementType]

  /// Members that say where episodes were cut off: D4RL's and d3rlpy's name, and Minari's and Gymnasium's.
  private static let cutMembers = ["timeouts", "truncations", "truncated", "truncateds"]
  /// A member of OGBench's compact arrays: 0 on the last row of an episode, from which no transition starts, 1 on all
  /// others. Their `terminals` are 1 on the last two rows.
  private static let valids = EndMember(name: "valids", goesOn: 1)
  /// Members that make every row a transition of its own.
  fileprivate static let nextMembers = ["next_observations", "next_observation", "next_obs", "new_obs"]
  /// Members that OGBench's files have and nothing here needs.
  private static let simulatorMembers: Set = ["qpos", "qvel", "button_states"]

  /// The names of members that nothing reads, but for those that are known to be of no use.
  var unusedMembers: [String] {
    let used =
      ["observations", "actions", "terminals"] + (hasRewards ? ["rewards", "masks"] : [])
      + endMembers.map(\.name)
    return file.memberNames.filter { !used.contains($0) && !Self.simulatorMembers.contains($0) }
  }

  init(path: String) throws(FileError) {
    file = try NpzFile(path: path)
    try Self.requireRowsInOrder(file)
    let observations = try file.header("observations")
    let actions = try file.header("actions")
    if observations.shape.count > 2 || observations.dtype == .uint8 {
      (rows, observation) = try Self.images(observations, path)
    } else {
      let (rows, size) = try Self.matrix(observations, "observations", path)
      (self.rows, observation) = (rows, .vector(size))
    }
    let (actionRows, actionSize) = try Self.matrix(actions, "actions", path)
    guard actionRows == rows else {
      throw FileError(
        .malformed, file: path, member: "actions",
        reason: "has \(actionRows) rows where observations has \(rows)")
    }
    self.actionSize = actionSize
    hasRewards = try Self.hasRewards(file)
    var dtypes = ["observations": observations.dtype, "actions": actions.dtype]
    for name in ["terminals"] + (hasRewards ? ["rewards", "masks"] : []) {
      dtypes[name] = try Self.column(try file.header(name), rows, name, path)
    }
    self.dtypes = dtypes
    endMembers =
      file.contains(Self.valids.name)
      ? [Self.valids]
      : (["terminals"] + Self.cutMembers.filter(file.contains)).map { EndMember(name: $0, goesOn: 0) }
    for member in endMembers {
      _ = try Self.column(try file.header(member.name), rows, member.name, path)
    }
  }

  /// Refuses files whose rows are transitions of their own, each with its next state: reading each row's next state
  /// from the row after it would lose the last transition of each episode.
  private static func requireRowsInOrder(_ file: NpzFile) throws(FileError) {
    for name in nextMembers where file.contains(name) {
      throw FileError(
        .malformed, file: file.path, member: name,
        reason:
          "is not read: here the next state of a row is the row after it. Add to each episode a row with its "
          + "final state, from the last \(name), set terminals on that row only, and leave \(name) out; or let "
          + "fan-dist dataset import read the file")
    }
  }

  private static func matrix(
    _ header: NpyHeader, _ name: String, _ path: String
  ) throws(FileError) -> (rows: Int, columns: Int) {
    guard header.shape.count == 2, header.shape[0] >= 1, header.shape[1] >= 1 else {
      throw FileError(
        .malformed, file: path, member: name,
        reason: "has shape \(header.shape); (rows, numbers per row) is needed, each at least 1")
    }
    return (header.shape[0], header.shape[1])
  }

  /// The images that a member holds: bytes, (rows, height, width, 3).
  private static func images(
    _ header: NpyHeader, _ path: String
  ) throws(FileError) -> (rows: Int, observation: ObservationSpace) {
    let shape = header.shape
    func refusal(_ advice: String) -> FileError {
      FileError(
        .malformed, file: path, member: "observations",
        reason: "is \(header.dtype) of shape \(shape): \(advice)")
    }
    guard shape.count != 2 else {
      throw refusal("convert vectors to float32; images are uint8 of (rows, height, width, 3)")
    }
    guard header.dtype == .uint8 else {
      throw refusal(
        "images must be uint8, 0 to 255: if these are 0 to 1, multiply by 255, round, and convert; vectors are (rows, numbers per row)"
      )
    }
    guard shape.count == 4 else {
      throw refusal(
        shape.count == 3
          ? "images are (rows, height, width, 3); repeat one channel three times"
          : "images are (rows, height, width, 3), each frame once; --frame-stack stacks them")
    }
    guard shape[3] == 3 else {
      throw refusal(channelAdvice(Array(shape[1...])))
    }
    guard shape[0] >= 1, let observation = ObservationSpace(shape: Array(shape[1...])) else {
      throw refusal("rows, height and width of at least 1 and images of at most 1048576 bytes are needed")
    }
    return (shape[0], observation)
  }

  /// What to do with images of a shape that has not three channels at its end.
  private static func channelAdvice(_ shape: [Int]) -> String {
    let needed = "images are (rows, height, width, 3)"
    if shape[0] == 3 { return "\(needed); the channels come first here: transpose to (0, 2, 3, 1)" }
    switch shape[2] {
    case 1: return "\(needed); repeat the one channel three times"
    case 4: return "\(needed); leave out the fourth channel"
    case let channels where channels > 0 && channels % 3 == 0:
      return "\(needed), each frame once; --frame-stack stacks them"
    default: return needed
    }
  }

  /// A reader of a member of at least one number a row.
  fileprivate func states(_ member: String) throws(FileError) -> NpzArrayReader {
    guard file.contains(member) else {
      throw FileError(
        .malformed, file: file.path,
        reason: "has no rewards and masks, and no '\(member)' to compute them from; add either")
    }
    let (stateRows, _) = try Self.matrix(file.header(member), member, file.path)
    guard stateRows == rows else {
      throw FileError(
        .malformed, file: file.path, member: member,
        reason: "has \(stateRows) rows where observations has \(rows)")
    }
    return try file.reader(member)
  }

  /// Checks that the shape is (rows) or (rows, 1), and returns the element type.
  private static func column(
    _ header: NpyHeader, _ rows: Int, _ name: String, _ path: String
  ) throws(FileError) -> ElementType {
    guard header.shape == [rows] || header.shape == [rows, 1] else {
      throw FileError(
        .malformed, file: path, member: name,
        reason: "has shape \(header.shape) where observations has \(rows) rows; one number a row is needed")
    }
    return header.dtype
  }

  private static func hasRewards(_ file: NpzFile) throws(FileError) -> Bool {
    let hasRewards = file.contains("rewards")
    guard hasRewards == file.contains("masks") else {
      let (present, missing, otherwise) =
        hasRewards
        ? ("rewards", "masks", "let fan-dist dataset import read the file, which knows other forms")
        : ("masks", "rewards", "remove masks")
      throw FileError(
        .malformed, file: file.path, member: missing,
        reason: "is missing although the file has \(present); add it, one number a row, or \(otherwise)")
    }
    return hasRewards
  }

  func checkAgreement(with first: OGBenchShard) throws(FileError) {
    func disagreement(_ member: String?, _ here: String, _ there: String) -> FileError {
      FileError(
        .malformed, file: file.path, member: member, reason: "\(here), but \(there) in \(first.file.path)")
    }
    guard observation == first.observation else {
      throw disagreement("observations", "has \(observation) a row", "\(first.observation)")
    }
    guard actionSize == first.actionSize else {
      throw disagreement("actions", "has \(actionSize) numbers a row", "\(first.actionSize)")
    }
    guard hasRewards == first.hasRewards else {
      let words = ["no rewards and masks", "rewards and masks"]
      throw disagreement(nil, "has \(words[hasRewards ? 1 : 0])", words[first.hasRewards ? 1 : 0])
    }
    for (name, dtype) in dtypes.sorted(by: { $0.key < $1.key }) where dtype != first.dtypes[name] {
      throw disagreement(name, "is \(dtype)", "\(first.dtypes[name]!)")
    }
  }
}
