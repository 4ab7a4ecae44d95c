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

  /// The launcher's process, as far as this host has it; nil without a launcher, and in a task of srun, which is started
  /// by a daemon. On a host where the launcher does not run, the daemon that started this rank is in its place.
  public static let process: pid_t? = {
    guard variable("OMPI_COMM_WORLD_SIZE") != nil || variable("HYDI_CONTROL_FD") != nil else { return nil }
    // Hydra starts ranks through proxies.
    var process = getppid()
    while let (name, parent) = nameAndParent(of: process), name.hasPrefix("hydra_") { process = parent }
    return process
  }()

  /// Whether this program's MPI surely does not understand `srun --mpi=pmi2`: Open MPI without the parts `s1` and `s2`
  /// beside its others for finding ranks. It would end with many lines.
  static let lacksPMI2: Bool = {
    guard own == .openMPI, let maps = FileHandle(forReadingAtPath: "/proc/self/maps")?.readDataToEndOfFile(),
      let line = String(decoding: maps, as: UTF8.self).split(separator: "\n").first(where: {
        $0.contains("/libmpi.so")
      }),
      let path = line.firstIndex(of: "/").map({ String(line[$0...]) })
    else { return false }
    let library = URL(fileURLWithPath: path)
    // Open MPI's directory for its parts, and Debian's.
    for folder in ["openmpi", "openmpi/lib/openmpi3"] {
      let path = library.deletingLastPathComponent().appendingPathComponent(folder).path
      let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
      let parts = names.filter { $0.hasPrefix("mca_pmix_") }
      if !parts.isEmpty { return !parts.contains { ["mca_pmix_s1.so", "mca_pmix_s2.so"].contains($0) } }
    }
    return false
  }()

  private static func nameAndParent(of process: pid_t) -> (name: String, parent: pid_t)? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8) else {
      return nil
    }
    func value(_ key: String) -> Substring? {
      text.split(separator: "\n").first { $0.hasPrefix(key + ":") }?.split(separator: "\t").last
    }
    guard let name = value("Name"), let parent = value("PPid").flatMap({ pid_t($0) }) else { return nil }
    return (String(name), parent)
  }

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
