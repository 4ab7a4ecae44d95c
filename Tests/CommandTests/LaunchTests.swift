import Foundation
import TestSupport
import Testing

/// The scripts for clusters, with programs of our own in place of the cluster's.
@Suite(.serialized) struct LaunchTests {
  private let folder = TemporaryDirectory()

  private static func launch(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../../launch/\(name)"
    ).standardized.path
  }

  /// Writes a program that stands in for one of the cluster's.
  private func fake(_ name: String, _ body: String) throws {
    let path = try folder.write("#!/bin/bash\n" + body, to: "bin/\(name)")
    chmod(path, 0o755)
  }

  private func prepare() throws {
    try FileManager.default.createDirectory(
      atPath: folder.file("bin"), withIntermediateDirectories: true)
    // A rank that is stopped, and adds a checkpoint if it is told to.
    let rank = """
      while [[ $1 != --run-dir ]]; do shift; done
      if [[ -e progress ]]; then
        mkdir -p "$2/checkpoints"
        touch "$2/checkpoints/step-00000000$(ls "$2/checkpoints" | wc -l).safetensors"
      fi
      if [[ -e slow ]]; then
        ps -o sid= $$ >session
        trap 'echo USR1 >>signals; exit 75' USR1
        trap 'echo TERM >>signals; exit 143' TERM
        touch begun
        for i in {1..400}; do sleep 0.05; done
      fi
      exit 75
      """
    try fake("mpirun", rank)
    try fake("srun", rank)
    try fake("qsub", "printf '%s\\n' \"$@\" >submitted\n")
    try fake("scontrol", "echo \"$@\" >>requeued\n")
  }

  private func environment(_ more: [String: String] = [:]) -> [String: String] {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    return [
      "PATH": folder.file("bin") + ":" + path, "PBS_O_WORKDIR": folder.path, "PBS_JOBID": "7.server",
      "PBS_NODEFILE": "nodes", "SLURM_SUBMIT_DIR": folder.path, "SLURM_JOB_ID": "7",
    ].merging(more) { $1 }
  }

  private func lines(_ name: String) -> [String] {
    let text = try? String(contentsOfFile: folder.file(name), encoding: .utf8)
    return text?.split(separator: "\n").map(String.init) ?? []
  }

  private func copy(_ name: String) throws -> String {
    let path = folder.file("my.job")
    try FileManager.default.copyItem(atPath: Self.launch(name), toPath: path)
    return path
  }

  /// Clusters ignore directives after the first command.
  @Test(arguments: [("pbs.sh", "#PBS"), ("slurm.sbatch", "#SBATCH"), ("slurm-array.sbatch", "#SBATCH")])
  func directivesComeBeforeCommands(name: String, mark: String) throws {
    let lines = try String(contentsOfFile: Self.launch(name), encoding: .utf8).split(separator: "\n")
    let command = try #require(lines.firstIndex { !$0.hasPrefix("#") })
    #expect(lines[..<command].count { $0.hasPrefix(mark) } >= 4)
    #expect(!lines[command...].contains { $0.hasPrefix(mark) })
  }

  @Test func pbsSubmitsTheCopyUntilThereIsNoProgress() throws {
    try prepare()
    let script = try copy("pbs.sh")
    func start(idle: String?) throws -> CommandResult {
      try? FileManager.default.removeItem(atPath: folder.file("submitted"))
      return try run(
        "bash", [script], in: folder.path,
        environment: environment(idle.map { ["IDLE_STARTS": $0, "RUN_DIRECTORY": "runs/pbs-7"] } ?? [:]))
    }
    let first = try start(idle: nil)
    #expect(first.code == 75 && first.errors == "", "\(first)")
    let submitted = lines("submitted")
    #expect(submitted.dropLast() == ["-v", "RUN_DIRECTORY=runs/pbs-7,IDLE_STARTS=1,ARGUMENTS="])
    #expect(submitted.last?.hasSuffix("/my.job") ?? false)
    let second = try start(idle: "1")
    #expect(second.code == 75 && lines("submitted") == [], "\(second)")
    #expect(second.output.contains("no checkpoint to runs/pbs-7"))
    _ = try folder.write("", to: "progress")
    #expect(try start(idle: "1").code == 75)
    #expect(lines("submitted").contains { $0.contains(",IDLE_STARTS=0,") })
  }

  @Test func aDeletedJobSaves() throws {
    try prepare()
    _ = try folder.write("", to: "slow")
    let script = try copy("pbs.sh")
    let command = try Command("bash", [script], in: folder.path, environment: environment())
    #expect(command.wait(20) { !lines("begun").isEmpty || access(folder.file("begun"), F_OK) == 0 })
    let session = getsid(0)
    command.send(SIGTERM)
    let result = command.finish()
    #expect(result.code == 75 && lines("submitted") == [], "\(result)")
    // PBS sends TERM to the whole session, in which mpirun is not.
    #expect(lines("signals") == ["USR1"])
    #expect(lines("session").first.map { $0.trimmingCharacters(in: .whitespaces) } != "\(session)")
  }

  @Test func slurmRequeuesUntilThereIsNoProgress() throws {
    try prepare()
    let script = try copy("slurm.sbatch")
    var requeued: [Int] = []
    for hasProgress in [true, false, true, false, false] {
      try? FileManager.default.removeItem(atPath: folder.file("progress"))
      if hasProgress { _ = try folder.write("", to: "progress") }
      let result = try run(
        "bash", [script, "--seed", "1"], in: folder.path, environment: environment())
      #expect(result.code == 75 && result.errors == "", "\(result)")
      requeued.append(lines("requeued").count)
    }
    #expect(requeued == [1, 2, 3, 4, 4])
  }

  /// An interactive shell in a step, where srun does not help: Open MPI alone would fail.
  @Test func aProgramInASlurmShellIsOneRank() throws {
    let runs = Runs()
    let line = runs.command("run", ["--steps", "5"])
    let step = [
      "SLURM_JOB_ID": "7", "SLURM_JOBID": "7", "SLURM_STEP_ID": "4294967290", "SLURM_STEPID": "4294967290",
      "SLURM_NODELIST": "localhost", "SLURM_NTASKS": "4", "SLURM_PROCID": "0",
    ]
    for tasks in [["SLURM_STEP_NUM_TASKS": "1"], [:]] {
      let result = try run(
        line[0], Array(line.dropFirst()) + ["--resume", "auto"],
        environment: step.merging(tasks) { $1 })
      #expect(result.code == 0 && result.errors == "", "\(result)")
    }
    let many = try run(
      line[0], Array(line.dropFirst()), environment: step.merging(["SLURM_STEP_NUM_TASKS": "2"]) { $1 })
    expectFailure(many, 64, ["srun --mpi=pmix"])
  }

  /// A processor of 2008.
  @Test(
    .enabled(if: hasQEMU, "\(noQEMU)"),
    arguments: ["fan-dist", "fan-parity"])
  func aProcessorWithoutTheInstructions(program: String) throws {
    let result = try run("qemu-x86_64", ["-cpu", "Nehalem", built(program), "--help"])
    expectFailure(result, 71, ["AVX2", "FAN_DIST_MARCH"])
  }
}

/// Whether another processor can be tried.
let hasQEMU =
  (try? run("qemu-x86_64", ["--version"]))?.code == 0
  && ProcessInfo.processInfo.environment["FAN_DIST_MARCH"] == nil
/// Why tests that need it are skipped.
let noQEMU = "qemu-x86_64 (package qemu-user) is not installed"
