import Foundation
import TestSupport
import Testing

/// Where commands write: streams that cannot be written, links, devices and names.
@Suite(.serialized) struct OutputTests {
  /// Runs a shell command in which $0 is the command that was built.
  private func shell(_ script: String, in runs: Runs) throws -> CommandResult {
    try run("bash", ["-c", script, built("fan-dist")], in: runs.folder.path)
  }

  /// A run with a checkpoint, as the file `c.safetensors`.
  private func trained() throws -> Runs {
    let runs = Runs()
    try runs.complete("run", "--steps", "3")
    try FileManager.default.copyItem(
      atPath: runs.checkpoint("run", 3), toPath: runs.folder.file("c.safetensors"))
    return runs
  }

  @Test(arguments: [
    "evaluate c.safetensors --episodes 1", "dataset info d.npz", "--help", "--version", "report run",
    "export c.safetensors", "act c.safetensors <<< [0.5,0.5]", "sweep s.yaml --list",
  ]) func resultsThatCannotBeWrittenAreAFailure(command: String) throws {
    let runs = try trained()
    var data = DatasetFixture(episodes: 3)
    data.rewards = [Float](repeating: -1, count: data.terminals.count)
    try data.write(to: runs.folder.file("d.npz"))
    _ = try runs.folder.write("seeds: [0]\n", to: "s.yaml")
    #expect(try shell("$0 \(command)", in: runs).code == 0)
    for stream in ["> /dev/full", ">&-"] {
      expectFailure(try shell("$0 \(command) \(stream)", in: runs), 73, ["standard output"])
    }
  }

  /// A stream that was never opened is not one without lines.
  @Test func closedInputIsAFailure() throws {
    expectFailure(
      try shell("$0 act c.safetensors <&-", in: trained()), 66, ["standard input: cannot be read"])
  }

  /// An error keeps its exit code when nobody can read about it.
  @Test(arguments: ["2> /dev/full", "2>&-", "> /dev/full 2>&1", ">&- 2>&-"])
  func errorsThatCannotBeWrittenKeepTheirCode(streams: String) throws {
    let runs = Runs()
    #expect(try shell("$0 --nonsense \(streams)", in: runs).code == 64)
    #expect(try shell("$0 evaluate nowhere \(streams)", in: runs).code == 66)
  }

  /// Training needs no reader: what it finds is in its files.
  @Test(arguments: ["> /dev/full", ">&- 2>&-"]) func trainingGoesOn(streams: String) throws {
    let runs = Runs()
    let line = runs.command("run", ["--steps", "3"]).dropFirst().joined(separator: " ")
    #expect(try shell("$0 \(line) \(streams)", in: runs).code == 0)
  }

  @Test func linksStayAndWhatTheyPointToIsReplaced() throws {
    let runs = try trained()
    let script = """
      mkdir -p far && ln -s far/page.html page.html && echo old > far/policy.onnx && chmod 640 far/policy.onnx
      ln -s $PWD/far/policy.onnx policy.onnx
      $0 report run --out page.html && $0 export c.safetensors --out policy.onnx
      test -L page.html && test -L policy.onnx && grep -q '<html' far/page.html && ! grep -q old far/policy.onnx \
        && test $(stat -c %a far/policy.onnx) = 640 && ls far | wc -l
      """
    let result = try shell(script, in: runs)
    #expect(result.code == 0 && result.output.hasSuffix("\n2\n"), "\(result)")
  }

  @Test func devicesAndPipesAreWrittenAndNotReplaced() throws {
    let runs = try trained()
    for command in ["report run --out", "example returns --out"] {
      expectFailure(try shell("$0 \(command) /dev/full", in: runs), 73, ["/dev/full"])
    }
    try FileManager.default.createSymbolicLink(
      atPath: runs.folder.file("p.safetensors"), withDestinationPath: "/dev/full")
    expectFailure(
      try shell("$0 export c.safetensors --out p.safetensors", in: runs), 73, ["p.safetensors"])
    let status = try FileManager.default.attributesOfItem(atPath: "/dev/full")
    #expect(status[.type] as? FileAttributeType == .typeCharacterSpecial)
    let piped = try shell("mkfifo f; $0 report run --out f & cat f > page; wait $!; test -p f", in: runs)
    #expect(piped.code == 0, "\(piped)")
    expectFailure(try shell("mkfifo nobody; $0 report run --out nobody", in: runs), 73, ["nobody", "pipe"])
    #expect(try shell("$0 report run --out /dev/stdout | grep -c '<html'", in: runs).output == "1\n")
    #expect(try runs.text(".", "page").contains("</html>"))
  }

  /// What a page is written into may hold more than the page.
  @Test func aPageGoesBetweenOtherOutput() throws {
    let script = "(echo before; $0 report run --out /dev/stdout; echo after) > all 2> messages"
    let runs = try trained()
    #expect(try shell(script, in: runs).code == 0)
    let page = try runs.text(".", "all")
    #expect(
      page.hasPrefix("before\n<!DOCTYPE html>") && page.hasSuffix("</html>\nafter\n"), "\(page.suffix(200))")
    #expect(try runs.text(".", "messages").contains("1 run(s)"))
  }

  @Test(arguments: [
    ["--run-dir", ""], ["sweep", "s.yaml", "--out", ""], ["report", "run", "--out", ""],
    ["example", "returns", "--out", ""], ["dataset", "import", "x.npz", "--out", ""],
  ]) func emptyPathsAreRefused(arguments: [String]) throws {
    let runs = Runs()
    expectFailure(try run(built("fan-dist"), arguments, in: runs.folder.path), 64, ["is empty"])
  }

  /// Runs that begin in the same second have directories of their own.
  @Test func runsOfTheSameSecondHaveDirectoriesOfTheirOwn() throws {
    let runs = Runs()
    let line = (Runs.small + ["--steps", "3"]).joined(separator: " ")
    let script =
      "for i in 1 2 3 4; do $0 \(line) > log$i 2>&1 & done; for j in $(jobs -p); do wait $j || exit; done"
    let result = try shell(script, in: runs)
    #expect(result.code == 0, "\(result)")
    let names = try FileManager.default.contentsOfDirectory(atPath: runs.folder.file("runs"))
    #expect(names.count == 4, "\(names)")
  }

  /// A run that does not begin leaves no directory.
  @Test func nothingIsLeftOfARunThatDoesNotBegin() throws {
    let runs = Runs()
    let result = try shell("$0 --steps 3 --dataset nowhere.npz", in: runs)
    expectFailure(result, 66, ["nowhere.npz"])
    #expect(!FileManager.default.fileExists(atPath: runs.folder.file("runs")))
  }
}
