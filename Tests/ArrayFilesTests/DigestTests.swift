import ArrayFiles
import Testing

@Suite struct DigestTests {
  private func digest(_ bytes: [UInt8]) -> UInt64 {
    var digest = Digest()
    bytes.withUnsafeBytes { digest.update($0) }
    return digest.value
  }

  @Test func changingAnyBitChangesTheDigest() {
    for length in [1, 7, 8, 31, 32, 33, 63, 200] {
      let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37) }
      var seen: Set<UInt64> = [digest(bytes), digest(bytes + [0]), digest(Array(bytes.dropLast()))]
      for bit in 0..<length * 8 {
        var changed = bytes
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        seen.insert(digest(changed))
      }
      #expect(seen.count == length * 8 + 3, "\(length) bytes")
    }
  }

  @Test func zerosOfDifferentLengthsHaveDifferentDigests() {
    #expect(Set((0..<300).map { digest([UInt8](repeating: 0, count: $0)) }).count == 300)
  }

  /// Each bit of the digest changes for about half of the single-bit changes of the input, within chance.
  @Test func anInputBitChangesHalfOfTheDigestBits() {
    let bytes = [UInt8](repeating: 0x55, count: 96)
    var changed = [Int](repeating: 0, count: 64)
    for bit in 0..<768 {
      var other = bytes
      other[bit / 8] ^= 1 << UInt8(bit % 8)
      let difference = digest(bytes) ^ digest(other)
      for index in 0..<64 { changed[index] += Int(difference >> UInt64(index) & 1) }
    }
    #expect(changed.allSatisfy { (310...458).contains($0) }, "\(changed)")
  }

  @Test func theDigestDoesNotDependOnHowBytesAreDividedIntoUpdates() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 91) }
    for lengths in [[1], [31], [32], [33], [7, 64, 1], [0, 29, 3, 100]] {
      var divided = Digest()
      var (start, turn) = (0, 0)
      while start < bytes.count {
        let end = min(bytes.count, start + lengths[turn % lengths.count])
        bytes[start..<end].withUnsafeBytes { divided.update($0) }
        (start, turn) = (end, turn + 1)
      }
      #expect(divided.value == digest(bytes), "\(lengths)")
    }
  }

  /// Digests are stored in run directories, so they must not change between versions.
  @Test func theDigestOfKnownBytesIsUnchanged() {
    var digest = Digest()
    (0..<100).map { UInt8($0) }.withUnsafeBytes { digest.update($0) }
    #expect(digest.hex == "007e80bb967d92c8")
  }
}
