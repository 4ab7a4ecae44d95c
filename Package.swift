// swift-tools-version: 6.1
import PackageDescription

// The instruction set the kernels are compiled for. x86-64-v3 (AVX2 and FMA: any x86 server since 2013-2015)
// makes one SIMD operation one instruction; without it the compiler emits a library call per element.
// FAN_DIST_MARCH picks another level, for instance `native`, `x86-64-v4` or `x86-64`.
#if arch(x86_64)
  let processor: [String] = ["-march=" + (Context.environment["FAN_DIST_MARCH"] ?? "x86-64-v3")]
#else
  let processor: [String] = Context.environment["FAN_DIST_MARCH"].map { ["-mcpu=" + $0] } ?? []
#endif
let march = processor.flatMap { ["-Xcc", $0] }

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
    .target(name: "CCompiledFor", cSettings: [.unsafeFlags(processor)]),
    .target(name: "CProcesses"),
    .target(name: "CProcessor", dependencies: ["CCompiledFor"]),
    .target(name: "MPI", dependencies: ["Basics", "CMPI"], swiftSettings: numeric),
    .target(name: "CProducts"),
    .target(name: "CConvolutions", dependencies: ["CProducts"]),
    .target(name: "Basics"),
    .target(
      name: "Kernels", dependencies: ["Basics", "CConvolutions", "COpenBLAS", "CProducts"],
      swiftSettings: numeric),
    .target(name: "Randomness", dependencies: ["Kernels"], swiftSettings: numeric),
    .target(name: "Optimisation", dependencies: ["Kernels"], swiftSettings: numeric),
    .target(name: "Profiling", dependencies: ["Basics"], swiftSettings: numeric),
    .target(name: "ArrayFiles", dependencies: ["Basics", "CZlib"], swiftSettings: numeric),
    .target(name: "ProtobufFiles", dependencies: ["ArrayFiles"]),
    .target(
      name: "Networks", dependencies: ["Kernels", "Profiling", "Randomness"], swiftSettings: numeric),
    .target(
      name: "Agents",
      dependencies: [
        "Basics", "Kernels", "Networks", "Profiling", "Randomness",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: numeric),
    .target(
      name: "Examples", dependencies: ["Agents", "Kernels", "Networks", "Optimisation", "Randomness"],
      swiftSettings: numeric),
    .target(
      name: "Datasets", dependencies: ["ArrayFiles", "Basics", "Kernels", "Randomness"],
      swiftSettings: numeric),
    .target(
      name: "Environments", dependencies: ["ArrayFiles", "Basics", "Kernels", "Randomness"],
      // In the command itself, which then works wherever it is copied.
      resources: [
        .embedInCode("Worker/frames.py"), .embedInCode("Worker/worker.py"),
        .embedInCode("Worker/importer.py"), .embedInCode("Worker/Readers"),
      ], swiftSettings: numeric),
    .target(
      name: "Exchange", dependencies: ["Basics", "Kernels", "MPI", "Optimisation", "Profiling"],
      swiftSettings: numeric),
    .target(
      name: "Learning",
      dependencies: ["Agents", "Basics", "Exchange", "Kernels", "MPI", "Networks", "Profiling"],
      swiftSettings: numeric),
    .target(
      name: "Settings",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Environments", "Kernels",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Yams", package: "Yams"),
      ], swiftSettings: numeric),
    .target(
      name: "TrainingData",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Datasets", "Environments", "Kernels", "MPI", "Randomness",
        "Settings",
      ], swiftSettings: numeric),
    .target(
      name: "Checkpoints",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Kernels", "Learning", "Networks", "Settings",
      ],
      swiftSettings: numeric),
    .target(
      name: "Evaluation",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Checkpoints", "Environments", "Kernels", "MPI", "Networks",
        "Randomness",
        "Settings",
      ], swiftSettings: numeric),
    .target(
      name: "Exploration",
      dependencies: [
        "Agents", "Basics", "Checkpoints", "Environments", "Evaluation", "Kernels", "MPI", "Randomness",
        "Settings", "TrainingData",
      ], swiftSettings: numeric),
    .target(
      name: "Judging",
      dependencies: [
        "Agents", "Basics", "Checkpoints", "Datasets", "Evaluation", "Kernels", "MPI", "Networks",
        "Optimisation", "Randomness", "Settings", "TrainingData",
      ], swiftSettings: numeric),
    .target(
      name: "Running",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Checkpoints", "Datasets", "Environments", "Evaluation",
        "Exploration", "Judging", "Kernels", "Learning", "MPI", "ProtobufFiles", "Settings", "TrainingData",
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: numeric),
    .target(
      name: "Benchmarks",
      dependencies: [
        "Agents", "Basics", "Datasets", "Environments", "Exploration", "Kernels", "Learning", "MPI",
        "Profiling", "Randomness", "Settings", "TrainingData",
      ], swiftSettings: numeric),
    .target(
      name: "Checks",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Kernels", "Learning", "MPI", "Networks", "Randomness",
        "Settings", "TrainingData",
      ], swiftSettings: numeric),
    .target(
      name: "Export",
      dependencies: ["Agents", "ArrayFiles", "Checkpoints", "Networks", "ProtobufFiles", "Settings"],
      swiftSettings: numeric),
    .target(
      name: "Report",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Checkpoints", "Datasets", "Environments", "Examples", "Kernels",
        "Randomness", "Running", "Settings", "TrainingData", .product(name: "Yams", package: "Yams"),
      ], resources: [.embedInCode("published.yaml")], swiftSettings: numeric),
    .target(
      name: "Sweeps",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "CProcesses", "Learning", "MPI", "Running", "Settings",
        "TrainingData",
        .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
      ], swiftSettings: numeric),
    .executableTarget(
      name: "fan-dist",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Benchmarks", "CAllocations", "CProcesses", "CProcessor",
        "Checkpoints", "Checks", "Environments", "Evaluation", "Examples", "Export", "Judging", "Kernels",
        "MPI", "Randomness", "Report", "Running", "Settings",
        "Sweeps", "TrainingData",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: numeric),
    .executableTarget(
      name: "fan-parity",
      dependencies: [
        "Agents", "Basics", "CProcessor", "Checks", "Kernels", "MPI", "Settings",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: numeric),

    // MPI programs that the tests run under mpirun, and what tests share.
    .executableTarget(
      name: "mpi-checks",
      dependencies: [
        "Agents", "Basics", "Datasets", "Exchange", "Kernels", "Learning", "MPI", "Optimisation",
        "Randomness", "Running",
        "Settings", "TestSupport", "TrainingData", .product(name: "Logging", package: "swift-log"),
      ], path: "Tests/MPIPrograms",
      swiftSettings: numeric),
    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .target(
      name: "TestRuns",
      dependencies: ["Agents", "ArrayFiles", "Checkpoints", "Kernels", "Networks", "Settings"],
      path: "Tests/TestRuns", swiftSettings: numeric),

    .testTarget(
      name: "KernelsTests", dependencies: ["Kernels", "Optimisation", "Randomness"], swiftSettings: numeric),
    .testTarget(name: "MPITests", dependencies: ["TestSupport"]),
    .testTarget(name: "SamplerTests", dependencies: ["TestSupport"]),
    .testTarget(
      name: "NetworksTests", dependencies: ["Kernels", "Networks", "Profiling", "Randomness", "TestSupport"],
      swiftSettings: numeric),
    .testTarget(
      name: "AgentsTests",
      dependencies: ["Agents", "Basics", "Checks", "Kernels", "Networks", "Profiling", "Randomness"],
      swiftSettings: numeric),
    .testTarget(name: "ExamplesTests", dependencies: ["Examples"], swiftSettings: numeric),
    .testTarget(
      name: "SettingsTests", dependencies: ["Agents", "Basics", "Settings"], swiftSettings: numeric),
    .testTarget(name: "BenchmarksTests", dependencies: ["Benchmarks"], swiftSettings: numeric),
    .testTarget(
      name: "RunFilesTests",
      dependencies: [
        "ArrayFiles", "Basics", "Checkpoints", "ProtobufFiles", "Running", "Settings", "TestRuns",
        "TestSupport",
      ],
      swiftSettings: numeric),
    .testTarget(
      name: "ExportTests",
      dependencies: [
        "Agents", "ArrayFiles", "Basics", "Checkpoints", "Export", "Kernels", "Settings", "TestRuns",
        "TestSupport",
      ],
      swiftSettings: numeric),
    .testTarget(
      name: "ReportTests",
      dependencies: ["ArrayFiles", "Basics", "Report", "Running", "Settings", "TestSupport"],
      swiftSettings: numeric),
    .testTarget(
      name: "SweepsTests",
      dependencies: ["Basics", "Running", "Settings", "Sweeps", "TestRuns", "TestSupport"],
      exclude: ["Fixtures"],
      swiftSettings: numeric),
    .testTarget(
      name: "ParityTests", dependencies: ["ArrayFiles", "Kernels", "TestSupport"], exclude: ["Cases"],
      swiftSettings: numeric),
    .testTarget(
      name: "CommandTests",
      dependencies: ["Agents", "ArrayFiles", "Basics", "Kernels", "TestRuns", "TestSupport"],
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
