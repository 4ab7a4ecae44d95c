import Foundation

/// Something suspicious in a dataset, and what to do about it.
package struct Finding: Sendable {
  /// What is alike in findings of many columns.
  package enum Kind: String, Sendable, CaseIterable {
    case notFinite = "hold numbers that are not finite"
    case whole = "are suspicious"
    case oddity = "are far from usual in a few episodes"
    case constant = "never change"
    case narrow = "use a small part of their range"
  }

  /// What it is about.
  package let kind: Kind
  /// The name of the column; nil if it is not about a single one.
  package let column: String?
  /// What was found and what to do.
  package let text: String
}

extension DatasetExamination {
  /// What is suspicious: first what training refuses, then what concerns everything, then single columns.
  package var findings: [Finding] {
    notFinite
      + (statistics?.warnings(areClipped: isStated) ?? []).map {
        Finding(kind: .whole, column: nil, text: $0)
      }
      + aboutEpisodes + columns.compactMap(oddity) + constants + narrow
  }

  private var notFinite: [Finding] {
    columns.compactMap { column in
      column.firstNotFinite.map { first in
        Finding(
          kind: .notFinite, column: column.name,
          text:
            "\(column.name): \(column.notFinite) number(s) are NaN or infinite, the first in row \(first.row), episode \(first.episode): training refuses them; leave these episodes out, or put in what was meant"
        )
      }
    }
  }

  private var aboutEpisodes: [Finding] {
    var texts: [String] = []
    if let copy = episodes.firstCopy {
      texts.append(
        "\(episodes.copies) episode(s) repeat an earlier one, first episode \(copy.episode), which is episode \(copy.original) again: leave the copies out, unless they are to count twice"
      )
    }
    if statistics == nil, let first = episodes.firstEmpty {
      texts.append("episodes of one row, which give no transition: \(episodes.empty), first episode \(first)")
    }
    if 2 * episodes.still >= episodes.transitions, episodes.still > 0 {
      texts.append(
        "\(percent(episodes.still, of: episodes.transitions)) of the transitions lead to the observation that they come from: leave such rows out if nothing happens in them; otherwise look for a sensor that stood still"
      )
    }
    if let first = plainImages.first {
      texts.append(
        "\(plainImages.count) image(s) have one colour only, the first in row \(first.row), episode \(first.episode): leave these episodes out if the camera was off"
      )
    }
    return texts.map { Finding(kind: .whole, column: nil, text: $0) }
  }

  private func oddity(_ column: ExaminedColumn) -> Finding? {
    guard let oddity = column.oddity else { return nil }
    let place =
      oddity.episodes == 1
      ? "in episode \(oddity.first)" : "in \(oddity.episodes) episodes, first episode \(oddity.first)"
    let (reach, others) = (brief(oddity.reach), brief(oddity.others))
    let text =
      switch oddity.kind {
      case .level:
        "reaches ±\(reach) \(place), and stays below \(others) in all others: bring it to the same unit, or leave out what a sensor got wrong"
      case .step:
        "changes by \(reach) from one row to the next \(place), and by less than \(others) in all others: bring it to one unit, end the episode where the environment was reset, or give an angle's sine and cosine"
      }
    return Finding(kind: .oddity, column: column.name, text: "\(column.name) \(text)")
  }

  private var constants: [Finding] {
    // The statistics say it if all actions or all rewards are the same.
    let actions = Set(self.actions.map(\.minimum)).count == 1 && self.actions.allSatisfy(\.isConstant)
    let single = observations + (actions ? [] : self.actions)
    return single.filter(\.isConstant).map { column in
      Finding(
        kind: .constant, column: column.name,
        text:
          "\(column.name) is \(brief(column.minimum)) in every row: leave it out, or repair the recording if it should have changed"
      )
    }
  }

  private var narrow: [Finding] {
    // The statistics say it if that is so of all columns.
    let smallReach = Double(DatasetStatistics.smallReach)
    let reaches = actions.map { max(abs($0.minimum), abs($0.maximum)) }
    guard (reaches.max() ?? 0) >= smallReach else { return [] }
    return zip(actions, reaches).filter { $1 < smallReach && !$0.isConstant }.map { column, reach in
      Finding(
        kind: .narrow, column: column.name,
        text: "\(column.name) stays within ±\(brief(reach)): scale it so that its bounds are ±1")
    }
  }
}

/// A number for people, with four digits.
package func brief(_ value: Double) -> String { String(format: "%.4g", value + 0) }

/// A share in percent, with as many digits as tell it from none and from all.
package func percent(_ share: Double) -> String {
  let value = 100 * share
  return String(format: value < 10 ? "%.2g %%" : value > 99 ? "%.4g %%" : "%.0f %%", value)
}

/// So many of some in percent.
func percent(_ part: Int, of whole: Int) -> String { percent(Double(part) / Double(max(whole, 1))) }
