import Foundation
import TestSupport
import Testing

/// What a checkpoint counts on is on the disk before the checkpoint has its name.
@Suite(.enabled(if: hasCompiler, "there is no C compiler")) struct PowerCutTests {
  /// Notes calls that write, sync and rename in the file FAN_DIST_CALLS, in their order.
  private static let recorder = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    static void note(const char *call, const char *path) {
      char line[9000];
      int n = snprintf(line, sizeof line, "%s %s\\n", call, path);
      int f = syscall(SYS_openat, AT_FDCWD, getenv("FAN_DIST_CALLS"), O_WRONLY | O_APPEND | O_CREAT, 0644);
      if (f >= 0) { syscall(SYS_write, f, line, n); syscall(SYS_close, f); }
    }
    static void noteFile(const char *call, int file) {
      char name[64], path[4096];
      snprintf(name, sizeof name, "/proc/self/fd/%d", file);
      ssize_t n = readlink(name, path, sizeof path - 1);
      if (n > 0) { path[n] = 0; note(call, path); }
    }
    ssize_t write(int f, const void *p, size_t n) { noteFile("write", f); return syscall(SYS_write, f, p, n); }
    ssize_t pwrite64(int f, const void *p, size_t n, off64_t o) {
      noteFile("write", f); return syscall(SYS_pwrite64, f, p, n, o);
    }
    ssize_t pwrite(int f, const void *p, size_t n, off_t o) {
      noteFile("write", f); return syscall(SYS_pwrite64, f, p, n, o);
    }
    int fsync(int f) { noteFile("sync", f); return syscall(SYS_fsync, f); }
    int rename(const char *a, const char *b) {
      int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
      note("rename", b); return real(a, b);
    }
    int mkdir(const char *a, unsigned m) {
      int (*real)(const char *, unsigned) = dlsym(RTLD_NEXT, "mkdir");
      note("mkdir", a); return real(a, m);
    }

    """

  @Test func everythingIsSyncedBeforeACheckpointHasItsName() throws {
    let runs = Runs()
    let source = try runs.folder.write(Self.recorder, to: "recorder.c")
    let library = runs.folder.file("recorder.so")
    let compiled = try run("cc", ["-shared", "-fPIC", "-o", library, source, "-ldl"])
    try #require(compiled.code == 0, "\(compiled)")
    let calls = runs.folder.file("calls")
    let line = runs.command(
      "run", ["--steps", "60", "--log-interval", "3", "--eval-interval", "10", "--save-interval", "10"])
    for options in [[], ["--resume", "auto", "--steps", "90"]] {
      let result = try run(
        ranks: nil, line + options, environment: ["LD_PRELOAD": library, "FAN_DIST_CALLS": calls])
      try #require(result.code == 0, "\(result)")
    }
    let root = URL(fileURLWithPath: runs.folder.path).resolvingSymlinksInPath().path
    var unsynced: Set<String> = []
    var checkpoints = 0
    for call in try String(contentsOfFile: calls, encoding: .utf8).split(separator: "\n") {
      let words = call.split(separator: " ", maxSplits: 1).map(String.init)
      let path = URL(fileURLWithPath: words[1]).resolvingSymlinksInPath().path
      guard path.hasPrefix(root + "/run") || path == root else { continue }
      let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
      switch words[0] {
      case "write": unsynced.insert(path)
      case "sync": unsynced.remove(path)
      case "mkdir": unsynced.insert(parent)
      default:
        if path.contains("/checkpoints/step-") {
          #expect(unsynced == [], "before \(path)")
          checkpoints += 1
        }
        unsynced.insert(parent)
      }
    }
    #expect(checkpoints == 9 && unsynced == [], "\(unsynced)")
    for name in ["train.csv", "eval.csv", "events.out"] {
      #expect(try String(contentsOfFile: calls, encoding: .utf8).contains("/run/\(name)"), "\(name)")
    }
  }
}
