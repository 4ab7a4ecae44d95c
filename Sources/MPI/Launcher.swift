import Basics
import Foundation

/// What starts ranks: the launchers of the MPI libraries, their flags, and what they tell a rank in its environment.
public enum Launcher: Sendable {
  /// mpirun of Open MPI.
  case openMPI
  /// Hydra, the launcher of MPICH and of the libraries with its binary interface, such as Intel MPI.
  case mpich

  /// The launcher that belongs to the MPI library of this program.
  public static var own: Launcher { MPI.libraryVersion.hasPrefix("Open MPI") ? .openMPI : .mpich }

  /// Its program. Both libraries have an `mpirun`, and a machine may have both libraries.
  public var program: String {
    switch self {
    case .openMPI: "mpirun"
    case .mpich: "mpiexec.hydra"
    }
  }

  // MARK: Starting ranks

  /// The start of a command line that starts ranks on this machine; the ranks' program and its arguments follow.
  ///
  /// Each rank is bound to `threads` cores of its own if `binds` and if there are enough; else the system chooses. The
  /// variable FAN_DIST_MPIRUN names another program with the same flags.
  public static func command(ranks: Int, threads: Int, binds: Bool = true) -> [String] {
    let binds = binds && ranks * threads <= coreCount
    let program = variable("FAN_DIST_MPIRUN") ?? own.program
    switch own {
    case .openMPI:
      // In containers programs often run as root; mpirun does so only with this flag.
      let asRoot = geteuid() == 0 ? ["--allow-run-as-root"] : []
      // mpirun gives a rank one core unless told otherwise. With --oversubscribe a rank that waits gives up its core.
      let binding =
        binds
        ? ["--map-by", "slot:PE=\(threads)", "--bind-to", "core"] : ["--bind-to", "none", "--oversubscribe"]
      return [program, "-n", "\(ranks)"] + asRoot + binding
    case .mpich:
      return [program, "-n", "\(ranks)", "-bind-to", binds ? "core:\(threads)" : "none"]
    }
  }

  /// The number of cores that this process may use. Launchers count cores, not hardware threads.
  public static var coreCount: Int {
    let processors = "/sys/devices/system/cpu"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: processors)) ?? []
    let cores = Set(
      names.compactMap {
        try? String(contentsOfFile: "\(processors)/\($0)/topology/thread_siblings_list", encoding: .utf8)
      })
    let usable = ProcessInfo.processInfo.activeProcessorCount
    return cores.isEmpty ? usable : min(usable, cores.count)
  }

  // MARK: Being started

  /// The number of this rank as its launcher says; nil without a launcher. Read before MPI starts, because a rank of
  /// Open MPI that finds no others writes variables of its own.
  public static let rank: Int? =
    ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"].lazy.compactMap { number($0) }.first

  /// How many ranks the launcher says that it has started; nil if it does not say. Inside a rank of one job another
  /// launcher may have started a job of fewer. Read before MPI starts.
  public static let size: Int? =
    ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].compactMap { number($0) }.min() ?? number("SLURM_STEP_NUM_TASKS")

  /// Throws when a launcher has started several ranks and each of them is alone. A rank asks the launcher for the others
  /// in the language of its own MPI, and gets no answer from the launcher of another.
  public static func requireTogether(_ world: Communicator) throws(Failure) {
    guard world.size == 1, let size, size > 1 else { return }
    let launcher =
      variable("OMPI_COMM_WORLD_SIZE") != nil
      ? "mpirun of Open MPI" : variable("HYDI_CONTROL_FD") != nil ? "mpiexec of MPICH" : "the launcher"
    throw Failure(
      .usage,
      "\(launcher) has started \(size) ranks that cannot find each other: this program was built with "
        + "\(MPI.libraryVersion); start it with that library's \(own.program), or use a fan-dist that was built with "
        + "the launcher's MPI")
  }

  private static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

  private static func number(_ name: String) -> Int? { variable(name).flatMap { Int($0) } }
}
