/// The options that words of a command line name, without their dashes: `--lr 0.1` and `--lr=0.1` name `lr`.
public func optionNames(in words: [String]) -> [String] {
  words.filter { $0.hasPrefix("--") }.map { String($0.dropFirst(2).prefix { $0 != "=" }) }
}
