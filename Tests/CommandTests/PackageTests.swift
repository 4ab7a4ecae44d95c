import Basics
import Foundation
import TestSupport
import Testing

/// Finding libraries, building and packing, without building.
@Suite struct PackageTests {
  private let folder = TemporaryDirectory()

  private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardized.path

  /// Runs a script after launch/common.sh.
  private func shell(_ script: String, environment: [String: String] = [:]) throws -> CommandResult {
    try run(
      "bash", ["-euc", "source \(Self.repository)/launch/common.sh\n" + script], in: folder.path,
      environment: environment)
  }

  /// The flags that mpicc adds, as Open MPI, MPICH and Intel MPI write them, become what the Swift compiler takes.
  @Test(arguments: [
    "gcc -I/m/include -pthread -L/m/lib -Wl,-rpath -Wl,/m/lib -Wl,--enable-new-dtags -lmpi",
    "gcc -Wl,-z,relro -I/m/include -L/m/lib -Wl,-rpath,/m/lib -lmpi",
    #"gcc -I"/m/include" -L"/m/lib" -Xlinker --enable-new-dtags -Xlinker -rpath -Xlinker "/m/lib" -lmpi"#,
  ])
  func mpiIsFoundThroughItsCompiler(flags: String) throws {
    let compiler = try folder.write("#!/bin/sh\necho '\(flags)'\n", to: "mpicc")
    chmod(compiler, 0o755)
    let result = try shell(
      #"""
      (use_mpi other /archives; cat other/mpi/mpi-c.pc)
      use_mpi build; cat build/mpi/mpi-c.pc; echo "${link_flags[@]}"; echo "$PKG_CONFIG_PATH"
      """#,
      environment: ["MPICC": compiler, "PKG_CONFIG_PATH": "/other"])
    let lines = result.output.split(separator: "\n").map(String.init)
    #expect(result.code == 0 && lines.contains("Cflags: -I/m/include"), "\(result)")
    #expect(lines.contains("Libs: -L/m/lib -lmpi"), "\(result)")
    #expect(lines.contains("Libs: -L/archives -L/m/lib -lmpi"), "\(result)")
    #expect(
      lines.contains("-Xlinker -rpath -Xlinker /m/lib") && lines.last == "build/mpi:/other", "\(result)")
  }

  /// Hydra may return 0 for ranks that a signal has stopped; mpirun does so only for a run that has finished.
  @Test(arguments: [("mpiexec.hydra", 75), ("mpirun", 0)])
  func aLauncherThatLosesTheCode(name: String, code: Int32) throws {
    // It signals until the signal comes back. The first one can come before run_ranks has its trap.
    let launcher = try folder.write(
      "#!/bin/sh\ntrap 'exit 0' USR1\nwhile :; do kill -USR1 $1; sleep 0.1; done\n", to: name)
    chmod(launcher, 0o755)
    let result = try shell("trap : USR1; run_ranks \(launcher) $$")
    #expect(result.code == code, "\(result)")
  }

  @Test func nothingIsInstalledWhereNothingIsMissing() throws {
    let there = ["mpi", "openblas", "zlib", "pkg_config", "compiler", "git", "swift_parts"]
    let result = try shell(
      there.map { "has_\($0)() { true; }\n" }.joined()
        + "swift() { true; }\ninstall_missing() { exit 9; }\nid() { echo 1000; }\nprepare_build")
    #expect(result.code == 0 && result.output == "" && result.errors == "", "\(result)")
  }

  @Test func whoMayNotInstallIsToldWhatIsMissing() throws {
    let result = try shell(
      """
      has_mpi() { false; }
      has_openblas() { false; }
      dpkg-query() { false; }
      id() { echo 1000; }
      sudo() { false; }
      apt-get() { exit 9; }
      prepare_build
      """)
    #expect(result.code == 1 && result.output.contains("libopenblas-dev"), "\(result)")
    for word in [
      "MPI and its compiler mpicc", "intel-mpi", "OpenBLAS and its openblas.pc", "load the modules",
    ] {
      #expect(result.errors.contains(word), "\(word): \(result)")
    }
  }

  @Test func aPackageWithoutItsMPINamesTheLibrary() throws {
    let result = try shell(
      """
      ldd() { echo "  libmpi.so.40 => not found"; echo "  libc.so.6 => /lib/libc.so.6 (0x0)"; }
      require_libraries
      """)
    #expect(
      result.code == 1 && result.errors.contains("does not find libmpi.so.40: load the module"), "\(result)")
  }

  /// On a processor of 2008 the build for older processors beside the program takes its place.
  @Test(.enabled(if: hasQEMU, "\(noQEMU)")) func anOlderProcessorGetsTheOlderBuild() throws {
    let program = folder.file("fan-dist")
    try FileManager.default.copyItem(atPath: built("fan-dist"), toPath: program)
    let older = try folder.write("#!/bin/sh\necho \"older: $*\"\n", to: "fan-dist-x86-64-v2")
    chmod(older, 0o755)
    let result = try run("qemu-x86_64", ["-cpu", "Nehalem", program, "--seed", "1"])
    #expect(result.code == 0 && result.output == "older: --seed 1\n", "\(result)")
  }

  @Test(arguments: [
    "packaging/fan-dist.def", "packaging/spack/packages/fan_dist/package.py", "docs/clusters.md",
  ])
  func recipesNameTheVersion(file: String) throws {
    let text = try String(contentsOfFile: "\(Self.repository)/\(file)", encoding: .utf8)
    #expect(text.contains(file.hasSuffix(".py") ? "version(\"\(version)\")" : "fan-dist-\(version)-linux"))
  }
}
