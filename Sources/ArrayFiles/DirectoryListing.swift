import Foundation

/// The names in a directory; none if there is no such directory. One that cannot be listed is an error and not an empty
/// one. Throws ``FileError`` of kind `.missing`.
public func namesIfPresent(in directory: String) throws(FileError) -> [String] {
  var status = stat()
  if lstat(directory, &status) != 0 && errno == ENOENT { return [] }
  do { return try FileManager.default.contentsOfDirectory(atPath: directory) } catch {
    throw FileError(
      .missing, file: directory, reason: "this directory cannot be listed: \(systemReason(error))")
  }
}

/// What the system says about an error of Foundation's.
public func systemReason(_ error: any Error) -> String {
  let own = error as NSError
  let reasons = [own, own.userInfo[NSUnderlyingErrorKey] as? NSError].compactMap(\.self)
  guard let reason = reasons.first(where: { $0.domain == NSPOSIXErrorDomain }) else {
    return error.localizedDescription
  }
  return String(cString: strerror(Int32(reason.code)))
}
