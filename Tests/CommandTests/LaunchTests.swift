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
    // A rank that is stopped, or ends with another code, and adds a checkpoint if it is told to.
    let rank = """
      echo "${0##*/}" >launcher
      echo "$*" >command
      directory=runs/my/seed=0
      while [[ $# -gt 0 ]]; do [[ $1 != --run-dir ]] || directory=$2; shift; done
      if [[ -e progress ]]; then
        mkdir -p "$directory/checkpoints"
        touch "$directory/checkpoints/step-00000000$(ls "$directory/checkpoints" | wc -l).safetensors"
      fi
      if [[ -e slow ]]; then
        ps -o sid= $$ >session
        trap 'echo USR1 >>signals; exit 75' USR1
        trap 'echo TERM >>signals; exit 143' TERM
        touch begun
        for i in {1..400}; do sleep 0.05; done
      fi
      exit "$(cat code 2>/dev/null || echo 75)"
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

  /// Codes after which a job may go on, and one after which it does not.
  private static let endings: [(code: Int, hasProgress: Bool, goesOn: Bool)] =
    [75, 76, 205, 137, 9].flatMap { [($0, true, true), ($0, false, false)] } + [
      (65, true, false), (0, true, false),
    ]

  @Test(arguments: endings) func pbsSubmitsTheCopyWhenThereIsProgress(
    code: Int, hasProgress: Bool, goesOn: Bool
  ) throws {
    try prepare()
    _ = try folder.write("\(code)", to: "code")
    if hasProgress { _ = try folder.write("", to: "progress") }
    let result = try run("bash", [copy("pbs.sh")], in: folder.path, environment: environment())
    #expect(result.code == code && result.errors == "", "\(result)")
    let submitted = lines("submitted")
    guard goesOn else {
      #expect(submitted == [])
      return #expect((code == 65 || code == 0) != result.output.contains("no checkpoint to runs/pbs-7"))
    }
    #expect(submitted.dropLast() == ["-v", "RUN_DIRECTORY=runs/pbs-7,SWEEP=,ARGUMENTS="])
    #expect(submitted.last?.hasSuffix("/my.job") ?? false)
  }

  @Test(arguments: endings, ["srun", "mpirun"]) func slurmRequeuesWhenThereIsProgress(
    ending: (code: Int, hasProgress: Bool, goesOn: Bool), launcher: String
  ) throws {
    try prepare()
    _ = try folder.write("\(ending.code)", to: "code")
    if ending.hasProgress { _ = try folder.write("", to: "progress") }
    let text = try String(contentsOfFile: Self.launch("slurm.sbatch"), encoding: .utf8)
    let script = try folder.write(
      text.replacing("launcher=srun\n", with: "launcher=\(launcher)\n"), to: "my.job")
    let result = try run("bash", [script, "--seed", "1"], in: folder.path, environment: environment())
    #expect(result.code == ending.code && result.errors == "", "\(result)")
    #expect(lines("requeued") == (ending.goesOn ? ["requeue 7"] : []))
    #expect(lines("launcher") == [launcher])
  }

  /// A sweep's progress is that of any of its runs.
  @Test(arguments: ["slurm.sbatch", "pbs.sh"]) func aSweepInOneJobGoesOnWithItsProgress(name: String) throws {
    try prepare()
    _ = try folder.write("", to: "progress")
    let isPBS = name == "pbs.sh"
    let result = try run(
      "bash", [copy(name)] + (isPBS ? [] : ["sweep", "sweeps/my.yaml"]), in: folder.path,
      environment: environment(isPBS ? ["SWEEP": "sweeps/my.yaml"] : [:]))
    #expect(result.code == 75 && result.errors == "", "\(result)")
    #expect(lines(isPBS ? "submitted" : "requeued").count > 0, "\(result)")
    #expect(lines("command").first?.contains(" sweep sweeps/my.yaml") ?? false)
    let checkpoints = folder.file("runs/my/seed=0/checkpoints")
    #expect(access(checkpoints, F_OK) == 0)
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

  /// The script passes the signal on, whatever starts the ranks. The job goes on, but not after TERM, which scancel sends.
  @Test(arguments: ["srun", "mpirun"], [SIGUSR1, SIGTERM])
  func aSignalToASlurmJobSaves(launcher: String, signal: Int32) throws {
    try prepare()
    for file in ["slow", "progress"] { _ = try folder.write("", to: file) }
    let text = try String(contentsOfFile: Self.launch("slurm.sbatch"), encoding: .utf8)
    let script = try folder.write(
      text.replacing("launcher=srun\n", with: "launcher=\(launcher)\n"), to: "my.job")
    let command = try Command("bash", [script], in: folder.path, environment: environment())
    #expect(command.wait(20) { access(folder.file("begun"), F_OK) == 0 })
    command.send(signal)
    let result = command.finish()
    #expect(result.code == 75 && lines("signals") == ["USR1"], "\(result)")
    #expect(lines("requeued") == (signal == SIGUSR1 ? ["requeue 7"] : []))
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
    expectFailure(many, 64, ["srun --mpi=\(mpirun == "mpirun" ? "pmix" : "pmi2")"])
    if mpirun == "mpirun" {
      // Debian's Open MPI does not understand it.
      let other = try run(
        line[0], Array(line.dropFirst()),
        environment: step.merging(["SLURM_STEP_NUM_TASKS": "2", "PMI_SIZE": "2", "PMI_RANK": "0"]) { $1 })
      expectFailure(other, 64, ["srun --mpi=pmix"])
    }
    // The other tasks leave the line to the first.
    let other = try run(
      line[0], Array(line.dropFirst()),
      environment: step.merging(["SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"]) { $1 })
    #expect(other.code == 64 && other.output == "" && other.errors == "", "\(other)")
  }

  /// A shell that srun has started as its only task, with variables of a PMIx that knows only one rank.
  @Test func severalCommandsInATaskOfSrunAreRanksByThemselves() throws {
    let runs = Runs()
    let task = [
      "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7", "PMIX_RANK": "0",
      "PMIX_NAMESPACE": "slurm.pmix.7.0", "PMIX_SERVER_URI2": "slurm.pmix.7.0;tcp4://127.0.0.1:1",
    ]
    for name in ["first", "second"] {
      let line = runs.command(name, ["--steps", "5"])
      let result = try run(line[0], Array(line.dropFirst()), environment: task)
      #expect(result.code == 0 && result.errors == "", "\(result)")
    }
  }

  /// MPI cannot start with these variables: a command that needs no ranks does not notice.
  @Test func commandsWithoutRanksStartNoMPI() throws {
    let broken = ["OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0", "OMPI_MCA_pml": "none"]
    let folder = TemporaryDirectory()
    let first = try run(built("fan-dist"), ["report", folder.path], environment: broken)
    expectFailure(first, 66, ["no run here"])
    let second = try run(
      built("fan-dist"), ["report", folder.path],
      environment: broken.merging(["OMPI_COMM_WORLD_RANK": "1"]) { $1 })
    #expect(second.code == 0 && second.output == "" && second.errors == "", "\(second)")
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
