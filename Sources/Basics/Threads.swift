import Foundation

/// Starts a thread that does `work`, once, and ends with it.
///
/// Foundation's `Thread` says nothing when the system starts no more threads, and whoever waits for such a thread waits
/// for ever.
///
/// - Parameters:
///   - name: what the thread is for, in at most 15 ASCII characters; debuggers and `top` show it.
///   - work: what it does.
/// - Throws: `Failure` when the system starts no thread.
public func startThread(_ name: String, _ work: @escaping @Sendable () -> Void) throws(Failure) {
  let held = Unmanaged.passRetained(
    Work {
      Thread.current.name = name
      work()
    })
  var thread = pthread_t()
  let error = pthread_create(
    &thread, nil,
    { pointer in
      Unmanaged<Work>.fromOpaque(pointer!).takeRetainedValue().body()
      return nil
    }, held.toOpaque())
  guard error == 0 else {
    held.release()
    throw Failure(
      .system,
      "no thread can be started for \(name): \(String(cString: strerror(error))); "
        + "allow more processes and threads (ulimit -u, or the job's limits)")
  }
  pthread_detach(thread)
}

/// What a thread does, as an object that a pointer can name.
private final class Work: Sendable {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
