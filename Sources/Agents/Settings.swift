import ArgumentParser

/// A name and its value as text, such as (`batch-size`, `256`).
public struct Setting: Equatable, Sendable {
  /// The flag without dashes.
  public let name: String
  /// The value as it is written after the flag; `true` or `false` for a switch.
  public let value: String
  /// Whether the flag is a switch, `--name` or `--no-name`.
  public let isSwitch: Bool

  /// The arguments that give the setting this value.
  public var arguments: [String] {
    isSwitch ? [value == "true" ? "--\(name)" : "--no-\(name)"] : ["--\(name)", value]
  }
}

extension ParsableArguments {
  /// The names of all settings, as flags without dashes.
  ///
  /// Read from the declaration itself, so that a flag, its key in a configuration file and what a run writes
  /// down cannot differ.
  public static var settingNames: [String] {
    Mirror(reflecting: Self()).children.compactMap { child in
      child.value is any DescribedSetting ? child.label.map(flagName) : nil
    }
  }

  /// All settings with their values, after parsing; options without a value are left out.
  public var settings: [Setting] {
    Mirror(reflecting: self).children.compactMap { child in
      guard let described = child.value as? any DescribedSetting, let label = child.label,
        let value = described.text
      else { return nil }
      return Setting(name: flagName(label), value: value, isSwitch: described.isSwitch)
    }
  }
}

/// `_batchSize` as `batch-size`, the way ArgumentParser names flags.
private func flagName(_ label: String) -> String {
  label.drop { $0 == "_" }.reduce(into: "") { $0 += $1.isUppercase ? "-" + $1.lowercased() : String($1) }
}

private protocol DescribedSetting {
  var text: String? { get }
  var isSwitch: Bool { get }
}

extension Option: DescribedSetting {
  var text: String? {
    let value: Any = wrappedValue
    let mirror = Mirror(reflecting: value)
    if mirror.displayStyle == .optional { return mirror.children.first.map { "\($0.value)" } }
    return "\(value)"
  }
  var isSwitch: Bool { false }
}

extension Flag: DescribedSetting where Value == Bool {
  var text: String? { wrappedValue ? "true" : "false" }
  var isSwitch: Bool { true }
}
