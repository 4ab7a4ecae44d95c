// swift-tools-version: 6.1
import PackageDescription

// The instruction set the kernels are compiled for. x86-64-v3 (AVX2 and FMA: any x86 server since 2013-2015)
// makes one SIMD operation one instruction; without it the compiler emits a library call per element.
// FAN_DIST_MARCH picks another level, for instance `native`, `x86-64-v4` or `x86-64`.
#if arch(x86_64)
  let march = ["-Xcc", "-march=" + (Context.environment["FAN_DIST_MARCH"] ?? "x86-64-v3")]
#else
  let march = Context.environment["FAN_DIST_MARCH"].map { ["-Xcc", "-mcpu=" + $0] } ?? []
#endif

// The networks and agents are written once for Float and Double; cross-module optimisation specialises them
// where they are used.
let numeric: [SwiftSetting] = [.unsafeFlags(march + ["-cross-module-optimization"])]

let package = Package(
  name: "fan-dist",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    .systemLibrary(name: "CMPI", path: "CMPI", pkgConfig: "mpi-c", providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

    .target(name: "CAllocations"),
    .target(name: "MPI", dependencies: ["CMPI"], swiftSettings: numeric),
    .target(name: "CProducts"),
    .target(name: "Basics"),
    .target(name: "Kernels", dependencies: ["COpenBLAS", "CProducts"], swiftSettings: numeric),
    .target(name: "Randomness", dependencies: ["Kernels"], swiftSettings: numeric),
    .target(name: "Optimisation", dependencies: ["Kernels"], swiftSettings: numeric),
    .target(name: "Profiling", dependencies: ["Basics"], swiftSettings: numeric),
    .target(name: "ArrayFiles", dependencies: ["CZlib"], swiftSettings: numeric),
    .target(name: "ProtobufFiles", dependencies: ["ArrayFiles"]),
    .target(
      name: "Networks", dependencies: ["Kernels", "Profiling", "Randomness"], swiftSettings: numeric),
    .target(
      name: "Agents",
      dependencies: [
        "Kernels", "Networks", "Randomness",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: numeric),
    .target(
      name: "Examples", dependencies: ["Agents", "Kernels", "Networks", "Optimisation", "Randomness"],
      swiftSettings: numeric),
    .target(name: "Datasets", dependencies: ["ArrayFiles", "Kernels", "Randomness"], swiftSettings: numeric),
    .target(
      name: "Environments", dependencies: ["ArrayFiles", "Basics", "Kernels", "Randomness"],
      // In the command itself, which then works wherever it is copied.
      resources: [
        .embedInCode("Worker/frames.py"), .embedInCode("Worker/worker.py"),
        .embedInCode("Worker/importer.py"),
      ], swiftSettings: numeric),
    .target(
      name: "Training",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Datasets", "Environments", "Kernels", "MPI", "Networks",
        "Optimisation",
        "Profiling", "ProtobufFiles", "Randomness",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
      ], swiftSettings: numeric),
    .target(
      name: "Export", dependencies: ["Agents", "ArrayFiles", "Networks", "ProtobufFiles", "Training"],
      swiftSettings: numeric),
    .target(
      name: "Parity", dependencies: ["Agents", "ArrayFiles", "Kernels", "MPI", "Networks", "Training"],
      swiftSettings: numeric),
    .target(
      name: "Report",
      dependencies: [
        "Agents", "Basics", "Environments", "Examples", "Kernels", "Randomness", "Training",
        .product(name: "Yams", package: "Yams"),
      ], swiftSettings: numeric),
    .target(
      name: "Sweeps", dependencies: ["Training", .product(name: "Yams", package: "Yams")],
      swiftSettings: numeric),
    .executableTarget(
      name: "fan-dist",
      dependencies: [
        "Agents", "ArrayFiles", "CAllocations", "Environments", "Examples", "Export", "Kernels", "MPI",
        "Randomness", "Report", "Sweeps", "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: numeric),
    .executableTarget(
      name: "fan-parity",
      dependencies: [
        "Agents", "Kernels", "MPI", "Parity", "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: numeric),

    // MPI programs that the tests run under mpirun, and what tests share.
    .executableTarget(
      name: "mpi-checks",
      dependencies: [
        "Agents", "Datasets", "Kernels", "MPI", "Optimisation", "TestSupport", "Training",
      ],
      path: "Tests/MPIPrograms",
      swiftSettings: numeric),
    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .target(
      name: "TestRuns", dependencies: ["Agents", "ArrayFiles", "Kernels", "Networks", "Training"],
      path: "Tests/TestRuns", swiftSettings: numeric),

    .testTarget(
      name: "KernelsTests", dependencies: ["Kernels", "Optimisation", "Randomness"], swiftSettings: numeric),
    .testTarget(name: "MPITests", dependencies: ["TestSupport"]),
    .testTarget(name: "SamplerTests", dependencies: ["TestSupport"]),
    .testTarget(
      name: "NetworksTests", dependencies: ["Kernels", "Networks", "Profiling", "Randomness", "TestSupport"],
      swiftSettings: numeric),
    .testTarget(
      name: "AgentsTests", dependencies: ["Agents", "Kernels", "Networks", "Randomness", "Training"],
      swiftSettings: numeric),
    .testTarget(name: "ExamplesTests", dependencies: ["Examples"], swiftSettings: numeric),
    .testTarget(name: "TrainingTests", dependencies: ["Basics", "Training"], swiftSettings: numeric),
    .testTarget(
      name: "RunFilesTests",
      dependencies: ["ArrayFiles", "ProtobufFiles", "TestRuns", "TestSupport", "Training"],
      swiftSettings: numeric),
    .testTarget(
      name: "ExportTests",
      dependencies: ["Agents", "ArrayFiles", "Export", "Kernels", "TestRuns", "TestSupport", "Training"],
      swiftSettings: numeric),
    .testTarget(
      name: "ReportTests", dependencies: ["Report", "TestSupport", "Training"], swiftSettings: numeric),
    .testTarget(
      name: "SweepsTests", dependencies: ["Sweeps", "TestRuns", "TestSupport", "Training"],
      exclude: ["Fixtures"],
      swiftSettings: numeric),
    .testTarget(
      name: "ParityTests", dependencies: ["ArrayFiles", "Kernels", "TestSupport"], exclude: ["Cases"],
      swiftSettings: numeric),
    .testTarget(
      name: "CommandTests", dependencies: ["Agents", "ArrayFiles", "Kernels", "TestSupport"],
      exclude: ["Fixtures"],
      swiftSettings: numeric),
    .testTarget(name: "ArrayFilesTests", dependencies: ["ArrayFiles"], swiftSettings: numeric),
    .testTarget(
      name: "DatasetsTests", dependencies: ["Datasets", "ArrayFiles", "Kernels", "Randomness"],
      swiftSettings: numeric),
    .testTarget(
      name: "EnvironmentsTests",
      dependencies: ["Environments", "ArrayFiles", "Basics", "Kernels", "Randomness", "TestSupport"],
      exclude: ["Fixtures"],
      swiftSettings: numeric),
  ],
  swiftLanguageModes: [.v6]
)
