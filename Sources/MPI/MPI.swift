import CMPI
import Foundation
import Synchronization

/// The MPI library: initialisation and its end (MPI 3.1, chapter 8).
public enum MPI {
  /// Starts MPI, once a process, with calls from one thread at a time (`MPI_THREAD_SERIALIZED`).
  ///
  /// Works with and without a launcher; without one the world is one rank. Errors of later calls are returned,
  /// not fatal.
  public static func initialise() throws(MPIError) {
    var provided: Int32 = 0
    _ = (Launcher.rank, Launcher.size, Launcher.process)
    // Inside a Slurm allocation Open MPI takes every process for a rank that srun started, and fails if srun does not
    // help it. A program in a shell, which may itself be a task of srun, is one rank by itself.
    let step: [String: String] =
      isLaunched || tasksOfStep != 1
      ? [:]
      : ProcessInfo.processInfo.environment.filter { name, _ in
        slurmVariables.contains(name) || name.hasPrefix("PMIX_")
      }
    for name in step.keys { unsetenv(name) }
    defer { for (name, value) in step { setenv(name, value, 1) } }
    // A single rank needs no daemon. Open MPI 4 would start one, a program that is not everywhere, and wait for it.
    let singleton = "OMPI_MCA_ess_singleton_isolated"
    let isIsolated = !isLaunched && getenv(singleton) == nil
    if isIsolated { setenv(singleton, "1", 1) }
    defer { if isIsolated { unsetenv(singleton) } }
    try check("MPI_Init_thread", MPI_Init_thread(nil, nil, Int32(MPI_THREAD_SERIALIZED), &provided))
    try check("MPI_Comm_set_errhandler", cmpi_comm_return_errors(cmpi_comm_world()))
  }

  /// Whether a launcher started this process, as one of the ranks of a job. The only task of a step of srun is a rank by
  /// itself: it may be a shell, and of what is started there only the first could be the launcher's rank.
  public static var isLaunched: Bool {
    if getenv("OMPI_COMM_WORLD_SIZE") != nil { return true }
    let isOnlyTask = getenv("SLURM_STEP_NUM_TASKS") != nil && tasksOfStep == 1
    let size = number(["PMI_SIZE"])
    if isOnlyTask { return size ?? 1 > 1 }
    let isOfPMI2 = size == tasksOfStep && tasksOfStep > 1
    return getenv("PMIX_RANK") != nil || size != nil && !(isOfPMI2 && Launcher.lacksPMI2)
  }

  private static func number(_ variables: [String]) -> Int? {
    variables.lazy.compactMap { name in getenv(name).flatMap { Int(String(cString: $0)) } }.first
  }

  /// The variables by which Open MPI recognises allocations and steps of Slurm.
  private static let slurmVariables = [
    "SLURM_NODELIST", "SLURM_JOB_NODELIST", "SLURM_JOBID", "SLURM_JOB_ID", "SLURM_STEPID", "SLURM_STEP_ID",
  ]

  /// How many tasks `srun` has started together with this one; 1 outside Slurm and in a shell.
  public static var tasksOfStep: Int {
    getenv("SLURM_STEP_NUM_TASKS").flatMap { Int(String(cString: $0)) } ?? 1
  }

  /// Whether threads other than the main one may call MPI, one at a time.
  static var allowsOtherThreads: Bool {
    var provided: Int32 = 0
    return MPI_Query_thread(&provided) == MPI_SUCCESS && provided >= Int32(MPI_THREAD_SERIALIZED)
  }

  /// Whether MPI has been started.
  public static var isInitialised: Bool {
    var flag: Int32 = 0
    return MPI_Initialized(&flag) == MPI_SUCCESS && flag != 0
  }

  /// Whether MPI has ended; communicators that are still there have ended with it.
  static var isFinalised: Bool {
    var flag: Int32 = 0
    return MPI_Finalized(&flag) == MPI_SUCCESS && flag != 0
  }

  /// What this process holds of MPI and has not freed: communicators other than the world, and windows.
  public struct Holdings: Equatable, Sendable {
    /// Communicators that were made by splitting.
    public var communicators: Int
    /// Windows, each of them memory that the ranks of a node share.
    public var windows: Int
  }

  /// What this process holds now, to find out whether a piece of work gave everything back.
  public static var holdings: Holdings {
    Holdings(
      communicators: Communicator.alive.load(ordering: .relaxed),
      windows: SharedWindow.alive.load(ordering: .relaxed))
  }

  /// Ends MPI; collective over all ranks. After an `MPIError`, `abort` instead.
  public static func finalise() throws(MPIError) {
    try check("MPI_Finalize", MPI_Finalize())
  }

  /// Ends all ranks of the job with an exit code.
  public static func abort(_ code: Int32) -> Never {
    _ = cmpi_abort(cmpi_comm_world(), code)
    fatalError("MPI_Abort returned")
  }

  /// The library's name and version, the first line of `MPI_Get_library_version`. Also before MPI has been started.
  public static var libraryVersion: String {
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_LIBRARY_VERSION_STRING) + 1)
    var length: Int32 = 0
    guard MPI_Get_library_version(&text, &length) == MPI_SUCCESS else { return "MPI" }
    let all = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let first = all.split(whereSeparator: { $0 == "\n" || $0 == "," }).first ?? ""
    return first.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  /// The host this rank runs on.
  public static var processorName: String {
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_PROCESSOR_NAME) + 1)
    var length: Int32 = 0
    guard MPI_Get_processor_name(&text, &length) == MPI_SUCCESS else { return "unknown" }
    return String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
