import Glibc

/// The lock of a run's directory, which no other run can take, in this process or another one, until the last
/// reference to it goes.
package final class RunLock {
  private let descriptor: Int32

  /// Takes the lock; nil when another run has it, or when the file cannot be made.
  init?(path: String) {
    descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return nil }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      return nil
    }
  }

  deinit { close(descriptor) }
}
